"""The keys of a config dataclass with type, default and meaning, their former names, and where two configs differ."""
from __future__ import annotations

import ast
import dataclasses
import inspect
import logging
import textwrap
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapkd_core.suggestion import renamed_notice

_LOG = logging.getLogger(__name__)

RENAMED = {
    "augment.picture_dropout": "augment.image_dropout",
    "method_options.pictures_weight": "method_options.images_weight",
}
"""Old key -> new key; the old one is read, with a notice, for one version."""


@dataclass(frozen=True)
class Key:
    """One key, such as `data.workers`."""

    name: str
    type: str
    """As the source writes it: `tuple[int, int]`."""
    default: Any
    """`dataclasses.MISSING` for a key that must be given."""
    meaning: str
    """The sentence below the field; empty where there is none."""

    def shown_default(self) -> str:
        """The default in one word for a help text; empty for a key that must be given."""
        return "" if self.default is dataclasses.MISSING else str(self.default if self.default != "" else "''")


def keys_of(kind: type, prefix: str = "") -> list[Key]:
    """Every key of a config class, groups opened, in the order of declaration."""
    hints, meanings, keys = typing.get_type_hints(kind), _meanings(kind), []
    for f in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[f.name]):
            keys += keys_of(hints[f.name], f"{prefix}{f.name}.")  # type: ignore[arg-type]
        else:
            default = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
            keys.append(Key(prefix + f.name, str(f.type), default, meanings.get(f.name, "")))
    return keys


def _meanings(kind: type) -> dict[str, str]:
    """Field -> the string below it in the source, in one line; inherited fields too."""
    found: dict[str, str] = {}
    for base in reversed([c for c in kind.__mro__ if dataclasses.is_dataclass(c)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            text = below.value if isinstance(below, ast.Expr) else None
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = " ".join(text.value.split())
    return found


def difference(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lines `key: old -> new` for every value that differs between two plain configs."""
    lines = []
    for key in sorted({*old, *new}):
        a, b = old.get(key, "(absent)"), new.get(key, "(absent)")
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += difference(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} -> {b}")
    return lines


def with_new_names(values: Any, where: str) -> Any:
    """The same config values with keys of RENAMED under their new names; says so once for each key that it finds."""
    for old, new in RENAMED.items():
        group, key = old.split(".")
        inner = values.get(group) if isinstance(values, Mapping) else None
        if isinstance(inner, Mapping) and key in inner:
            _LOG.warning("%s: %s", where, renamed_notice(old, new))
            renamed = {new.split(".")[1] if k == key else k: v for k, v in inner.items()}
            values = {**values, group: renamed}
    return values


def renamed_override(word: str) -> str:
    """A word of the command line, `--KEY` or `--KEY=VALUE`, with the key's new name; says so."""
    name, equals, value = word.removeprefix("--").partition("=")
    if not word.startswith("--") or name not in RENAMED:
        return word
    _LOG.warning("%s", renamed_notice(f"--{name}", f"--{RENAMED[name]}"))
    return f"--{RENAMED[name]}{equals}{value}"
