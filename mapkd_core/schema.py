"""What a file must hold, said once beside its reader; a file that does not fit is refused by name, place and remedy.

A schema is a function that raises `Misfit` for a value that does not fit; `record`, `list_of` and `mapping` put small
ones together. Ours rather than a library's: a table of nuScenes has millions of records, which must cost about a
microsecond each; JSON Schema knows neither `finite` nor the shape of a matrix, and its words are not a user's.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"\s*[\x00-\x1f\x7f-\x9f\u2028\u2029]+\s*")
Schema = Callable[[Any], None]
LARGEST = 1e9
"""No metre, pixel, degree or second of a file is larger."""


class FileFault(ValueError):
    """A file that cannot be used; its text names the file, the place in it, what stands there and what should.

    One line, whatever a library's words or a damaged file's names bring into it.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(_CONTROL.sub(" ", text.rstrip()))


class Misfit(Exception):
    """A value that does not fit; `place` grows from the inside out while it rises."""

    def __init__(self, expected: str, found: object, plain: bool = False) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = str(found) if plain else shown(found)
        self.place: list[str | int] = []

    def at(self, key: str | int) -> Misfit:
        """The same one step further out."""
        self.place.append(key)
        return self

    def text(self) -> str:
        """`results.a[0].score is 'high'; expected a number from 0 to 1`."""
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{_short(key)}" for key in reversed(self.place))
        return f"{path.lstrip('.') or 'the whole'} is {self.found}; expected {self.expected}"


def shown(value: object) -> str:
    """A value in an error: short, whatever it is."""
    if isinstance(value, Mapping):
        return f"an object with the keys {_short(', '.join(map(str, list(value)[:6])))}" if value else "an empty object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if len(value) > 6 or any(isinstance(v, list | dict) for v in value) else (
            _short(repr(value))
        )
    return "null" if value is None else _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def anything(value: Any) -> None:
    """Fits always."""


def flag(value: Any) -> None:
    """True or false."""
    if value is not True and value is not False:
        raise Misfit("true or false", value)


def text(*choices: str, empty: bool = True) -> Schema:
    """A string: any, any but the empty one, or one of `choices`."""
    expected = f"one of {', '.join(choices)}" if choices else "a text" if empty else "a text that is not empty"

    def check(value: Any) -> None:
        if type(value) is not str or (choices and value not in choices) or not (empty or value):
            raise Misfit(expected, value)
        if not value.isascii() and _SURROGATE.search(value):  # half a character, which no file can be written with
            raise Misfit("a text of whole characters", value.encode("ascii", "backslashreplace").decode())

    return check


def number(low: float = -LARGEST, high: float = LARGEST) -> Schema:
    """A finite number from `low` to `high`."""
    expected = f"a number from {low:g} to {high:g}"

    def check(value: Any) -> None:
        if (type(value) is not float and type(value) is not int) or not low <= value <= high:  # NaN is refused too
            raise Misfit(expected, value)

    return check


def integer(low: int = -(2**63), high: int = 2**63 - 1) -> Schema:
    """A whole number from `low` to `high`."""
    expected = f"a whole number from {low} to {high}"

    def check(value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise Misfit(expected, value)

    return check


def numbers(
    *shape: int | tuple[int, ...] | None, low: float = -LARGEST, high: float = LARGEST, at_least: int = 0
) -> Schema:
    """Nested lists of finite numbers of one shape, such as (3, 3).

    None stands for any length from `at_least`, a tuple for one of its lengths. Empty lists fit where `at_least` is 0.
    """
    sides = [None if side is None else side if isinstance(side, tuple) else (side,) for side in shape]
    words = " x ".join("N" if side is None else " or ".join(map(str, side)) for side in sides)
    expected = f"{words} numbers from {low:g} to {high:g}" + (f", N at least {at_least}" if at_least else "")

    single = sides[0] if len(sides) == 1 else None

    def check(value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise Misfit(expected, value)
        if single and len(value) in single and all(
            (type(v) is float or type(v) is int) and low <= v <= high for v in value
        ):
            return  # ten times as fast as an array, for the many short lists of large tables
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError):
            raise Misfit(expected, value) from None
        if array.shape == (0,) and not at_least and sides[0] is None:
            return
        fits = array.ndim == len(sides) and all(
            side is None or found in side for side, found in zip(sides, array.shape, strict=True)
        )
        if not fits or array.dtype.kind not in "if" or array.shape[0] < at_least:
            raise Misfit(expected, value)
        if not bool(((array >= low) & (array <= high)).all()):
            bad = array[~((array >= low) & (array <= high))]
            raise Misfit(expected, f"{shown(value)} with {bad.ravel()[0]}", plain=True)

    return check


def optional(schema: Schema) -> Schema:
    """`null`, or what fits `schema`."""

    def check(value: Any) -> None:
        if value is not None:
            schema(value)

    return check


def list_of(schema: Schema, at_least: int = 0, at_most: int | None = None) -> Schema:
    """A list or tuple whose entries all fit."""

    def check(value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise Misfit("a list", value)
        if len(value) < at_least:
            raise Misfit(f"a list of at least {at_least}", value)
        if at_most is not None and len(value) > at_most:
            raise Misfit(f"a list of at most {at_most}", value)
        at = 0
        try:
            for at, entry in enumerate(value):  # noqa: B007 (read below)
                schema(entry)
        except Misfit as misfit:
            raise misfit.at(at) from None

    return check


def mapping(schema: Schema, at_least: int = 0) -> Schema:
    """An object whose values all fit, whatever its keys."""

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise Misfit("an object", value)
        if len(value) < at_least:
            raise Misfit(f"an object with at least {at_least} entries", value)
        for key, entry in value.items():
            try:
                schema(entry)
            except Misfit as misfit:
                raise misfit.at(str(key)) from None

    return check


def record(required: Mapping[str, Schema], optional_keys: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these keys; other keys are of no concern."""
    wanted = tuple(required.items())
    maybe = tuple((optional_keys or {}).items())

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Misfit(f"an object with the keys {', '.join(required)}", value)
        key = ""
        try:
            for key, schema in wanted:
                schema(value[key])
            for key, schema in maybe:
                if key in value:
                    schema(value[key])
        except KeyError:
            raise Misfit(f"the key {key!r} in it", value) from None
        except Misfit as misfit:
            raise misfit.at(key) from None

    return check


def unique(values: Collection[str], what: str) -> None:
    """Raises Misfit that names the first value that comes twice."""
    if len(set(values)) < len(values):
        seen: set[str] = set()
        for at, value in enumerate(values):
            if value in seen:
                raise Misfit(f"each {what} once", f"{_short(value)}, which came before", plain=True).at(at)
            seen.add(value)


def read_json(path: Path, what: str, schema: Schema, remedy: str, unique_keys: bool = False) -> Any:
    """The content of a JSON file that fits `schema`; `what` says what the file should be, `remedy` what to do if not.

    Raises FileNotFoundError, or FileFault that names file, place, value and what was expected. With `unique_keys` an
    object that names a key twice is refused; JSON itself takes the last.
    """
    return parse_json(read_bytes(path, what), str(path), what, schema, remedy, unique_keys)


def read_bytes(path: Path, what: str) -> bytes:
    """A file's bytes. Raises FileNotFoundError, or FileFault for a folder or a file that may not be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist; expected {what}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FileFault(f"{path} cannot be read ({reason}); expected {what}") from error


def parse_json(
    data: bytes | str, where: str, what: str, schema: Schema, remedy: str, unique_keys: bool = False
) -> Any:
    """The same from bytes; `where` names their place."""
    try:
        content = data if isinstance(data, str) else data.decode("utf-8-sig")
        value = json.loads(content, object_pairs_hook=_object_of_unique_keys if unique_keys else None)
    except Misfit as misfit:
        raise FileFault(f"{where} is not {what}: {misfit.text()}; {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise FileFault(f"{where} is not {what}: not JSON ({error}); {remedy}") from error
    fit(value, schema, where, what, remedy)
    return value


def fit(value: Any, schema: Schema, where: str, what: str, remedy: str) -> None:
    """Raises FileFault where a value does not fit; `where` names the file, `what` says what it should be."""
    try:
        schema(value)
    except Misfit as misfit:
        raise FileFault(f"{where} is not {what}: {misfit.text()}; {remedy}") from None


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        unique([key for key, _ in pairs], "key of an object")
    return result

