"""A network's options, as a YAML or a card writes them, checked against the dataclass that holds them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from mapkd_core.suggestion import did_you_mean

T = TypeVar("T")


def configured(model: str, config: type[T], options: Mapping[str, Any]) -> T:
    """The dataclass `config` with these options. Raises ValueError for an unknown one, with the nearest known one."""
    known = {f.name for f in fields(config)}  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            raise ValueError(f"model {model!r} has no option {key!r}{did_you_mean(key, known)}; it has {sorted(known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}  # JSON and YAML know no tuples
    return config(**values)
