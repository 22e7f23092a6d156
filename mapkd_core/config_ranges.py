"""Which numbers of a config make sense: with others a run ends in a library's words, or learns nonsense in silence."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """Of a number, the least included."""

    least: float
    most: float = math.inf
    most_fits: bool = True
    """Whether the largest number itself may be taken."""


POSITIVE = Bounds(math.ulp(0.0))
NOT_NEGATIVE = Bounds(0)
AT_LEAST_ONE = Bounds(1)
SHARE = Bounds(0, 1)
BELOW_ONE = Bounds(0, 1, most_fits=False)
BETWEEN = Bounds(math.ulp(0.0), 1, most_fits=False)


def check_ranges(config: Any, ranges: Mapping[str, Bounds], prefix: str = "") -> None:
    """Raises ValueError that names the first of these fields whose number, or one of whose numbers, lies outside."""
    for name, bounds in ranges.items():
        value = getattr(config, name)
        for number in value if isinstance(value, tuple | list) else (value,):
            below = number < bounds.most or (bounds.most_fits and number == bounds.most)
            if not (math.isfinite(number) and bounds.least <= number and below):
                raise ValueError(f"{prefix}{name} is {value}; expected {_words(bounds)}")


def _words(bounds: Bounds) -> str:
    least, most, fits = bounds
    if most == math.inf:
        return "a number above 0" if least == POSITIVE.least else f"at least {least:g}"
    if least == BETWEEN.least:
        return f"a number between 0 and {most:g}"
    return f"a number from {least:g} to {'' if fits else 'below '}{most:g}"
