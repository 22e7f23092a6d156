"""A network's options, as a YAML or a card writes them, checked against the dataclass that holds them."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from mapkd_core.schema import Misfit, Schema, flag, integer, list_of, number, text
from mapkd_core.suggestion import did_you_mean

T = TypeVar("T")

MOST = 10_000
"""Of anything that a network has by number: layers, channels, heads. More is a slip, and takes all memory."""
_SCHEMAS: dict[Any, Schema] = {
    bool: flag, int: integer(0, MOST), float: number(), str: text(),
    tuple[int, ...]: list_of(integer(0, MOST), at_most=MOST), tuple[float, ...]: list_of(number(), at_most=MOST),
    tuple[str, ...]: list_of(text(), at_most=MOST),
}  # fmt: skip
"""Type of an option -> what fits it."""


def configured(model: str, config: type[T], options: Mapping[str, Any]) -> T:
    """The dataclass `config` with these options.

    Raises ValueError for an unknown one, with the nearest known one, and for a value of another type.
    """
    types = get_type_hints(config)
    for key, value in options.items():
        if key not in types:
            raise ValueError(f"model {model!r} has no option {key!r}{did_you_mean(key, types)}; it has {sorted(types)}")
        try:
            _SCHEMAS[types[key]](value)
        except Misfit as misfit:
            raise ValueError(f"option of model {model!r}: {misfit.at(key).text()}") from None
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}  # JSON and YAML know no tuples
    return config(**values)
