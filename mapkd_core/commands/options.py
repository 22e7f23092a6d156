"""Options that several commands have in common."""
from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from mapkd_core.runtime.options import BACKENDS, PRECISIONS, RuntimeOptions
from mapkd_core.storage import is_object_storage

CARD_OR_SHIPPED = "a card (NAME.json), or shipped: nano (default), nano_robust, small, base"
"""What --weights names: those of artifact.SHIPPED, whose import would cost every command 80 ms."""


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """Declares how a network is run."""
    default = RuntimeOptions()
    parser.add_argument("--device", default=default.device, help="auto, cpu or cuda (%(default)s)")
    parser.add_argument(
        "--backend", default=default.backend, choices=BACKENDS, help="what runs a student (%(default)s)"
    )
    parser.add_argument(
        "--precision", default=default.precision, choices=PRECISIONS, help="of a student (%(default)s)"
    )


def chosen_runtime(args: argparse.Namespace) -> RuntimeOptions:
    """What the options of `add_runtime_options` say."""
    return RuntimeOptions(device=args.device, backend=args.backend, precision=args.precision)


def folder_or_url(text: str) -> str | Path:
    """The type of an option that is a folder, or a URL of object storage, in which a path would lose a slash."""
    return text.rstrip("/") if is_object_storage(text) else Path(text)


def whole_number(low: int) -> Callable[[str], int]:
    """The type of an option that is a whole number of at least `low`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number, {low} or more")
        return value

    return read


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """The type of an option that is a finite number of at least `low` and at most `high`."""
    expected = f"a number, {low:g} or more" if high == math.inf else f"a number from {low:g} to {high:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"{text!r}; expected {expected}")
        return value

    return read


def place_on_earth(text: str) -> tuple[float, ...]:
    """The type of an option that is LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,ALTITUDE, degrees and metres."""
    from mapkd_core.map_formats.earth import place_in_words

    try:
        return place_in_words(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
