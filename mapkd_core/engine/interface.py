"""What every engine offers: a job, called with each of many units, somewhere.

A **job** is a picklable callable that does one unit: it is idempotent, for a unit whose worker was lost is done again,
and what it writes is whole or not there. Each worker has a copy of its own, which lasts as long as the `map`, so a job
may keep what is costly to make (a network, a world) in a `functools.cached_property`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")

ATTEMPTS = 4
"""How often a unit is begun before its loss counts as its own fault."""


class EngineFault(ValueError):
    """An engine that cannot be reached or used, or a unit that ends each worker it is given to. One line."""


@dataclass(frozen=True)
class UnitNeeds:
    """What one unit of work takes of a machine."""

    cpus: int = 1
    """Cores, which is also the number of threads that it may use."""
    gpus: float = 0.0
    """GPUs; 0.5 lets two units share one. Local workers use the GPUs that there are and ask nobody."""


class Engine(Protocol):
    """Workers that share out units."""

    @property
    def alone(self) -> bool:
        """Whether units are done in this process, one after the other."""

    def workers(self) -> int:
        """How many units can be worked on at the same time now; on a cluster nodes may come and go."""

    def map(self, job: Callable[[Unit], Result], units: Iterable[Unit]) -> Iterator[Result]:
        """`job(unit)` of each unit, in the order of the units, each yielded once.

        Units are taken from the iterable as workers get free, so neither they nor the results pile up. A unit whose
        worker is killed is begun again elsewhere. What the job raises is raised here and ends the map; EngineFault is
        raised for a unit that has lost `ATTEMPTS` workers, and for workers that run other code than this process.
        """
