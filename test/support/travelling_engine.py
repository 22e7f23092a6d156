"""An engine whose job and units travel as to another machine, but are worked on here: quick, and as strict."""
from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class TravellingEngine:
    """Two workers in words."""

    alone = False

    def __init__(self) -> None:
        self.units: list[Any] = []

    def workers(self) -> int:
        return 2

    def map(self, job: Callable[[Any], Any], units: Iterable[Any]) -> Iterator[Any]:
        there = pickle.loads(pickle.dumps(job))
        for unit in units:
            self.units.append(unit)
            yield pickle.loads(pickle.dumps(there(pickle.loads(pickle.dumps(unit)))))
