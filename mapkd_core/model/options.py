"""A network's options, as a YAML or a card writes them, checked against the dataclass that holds them."""
from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def configured(model: str, config: type[T], options: Mapping[str, Any]) -> T:
    """The dataclass `config` with these options. Raises ValueError for an unknown one, with the nearest known one."""
    known = {f.name for f in fields(config)}  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            raise ValueError(f"model {model!r} has no option {key!r}{nearest(key, known)}; it has {sorted(known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}  # JSON and YAML know no tuples
    return config(**values)


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'WORD'?`, or nothing where no known word is like it."""
    close = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {close[0]!r}?" if close else ""
