"""The moments of a drive, and what of them is wanted."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from mapkd_core.bags.sensor_fields import BASE_FRAME
from mapkd_core.cameras.rig import CameraRig
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import Moment
from mapkd_core.predictor import MapPredictor
from mapkd_core.vector_map import VectorMap

Walk = Callable[[Counter[str]], Iterator[Moment]]


@dataclass(frozen=True, eq=False)
class MomentOptions:
    """What is taken of a source."""

    every_s: float = 0.0
    """Moments of one scene are at least so far apart."""
    limit: int | None = None
    scenes: tuple[str, ...] = ()
    """Only these scenes of a data set or cache; all by default."""
    lidar: bool = False
    rig: CameraRig | None = None
    """The cameras of a bag; guessed by default."""
    base_frame: str = BASE_FRAME
    road_map: VectorMap | None = None
    """The true map of a bag, in the frame of its poses."""


@dataclass(eq=False)
class Moments:
    """The moments of a source, scene by scene in the order of time."""

    total: int | None
    """How many there are at most, None where nobody knows."""
    walk: Walk
    resources: ExitStack = field(default_factory=ExitStack)
    """What is closed with them."""
    faults: Counter[str] = field(default_factory=Counter)
    """Moments that did not come about, by reason."""

    def __iter__(self) -> Iterator[Moment]:
        return self.walk(self.faults)

    def __enter__(self) -> Moments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resources.close()


def grid_of(predictor: MapPredictor | None) -> BevGrid:
    """The grid on which maps are drawn: the network's, else the default one."""
    return BevGrid() if predictor is None else predictor.card.grid


def at_most(count: int, options: MomentOptions) -> int | None:
    """How many of `count` moments there can be, None where nobody knows."""
    if options.limit is not None:
        return min(count, options.limit)
    return None if options.every_s else count
