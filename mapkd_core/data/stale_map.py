"""Road maps out of date, moved a little and without some of their lines: for experiments with labels (ours)."""
from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from shapely.affinity import translate

from mapkd_core.types import Frame
from mapkd_core.vector_map import VectorMap

if TYPE_CHECKING:  # it imports torch
    from mapkd_core.data.dataset import FrameSource

Kept = TypeVar("Kept")


@dataclass
class StaleMaps:
    """Frames of another source, whose road map is a stale one: each drive's by itself, the same in all its frames.

    The same source, `seed` and drive give the same map.
    """

    source: FrameSource
    shift_m: float
    missing: float
    """Share of dividers and crossings that are gone, 0..1."""
    seed: int = 0
    _maps: dict[str, VectorMap] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not (0 <= self.shift_m <= 10 and 0 <= self.missing <= 1):
            raise ValueError(
                f"a stale map of shift {self.shift_m:g} m without {self.missing:g} of its lines; expected 0 to 10 m "
                "and a share of 0 to 1"
            )

    @classmethod
    def parse(cls, source: FrameSource, text: str, where: str) -> StaleMaps:
        """By `METRES,SHARE`. Raises ValueError that names `where` the text stands."""
        try:
            shift_m, missing = (float(word) for word in text.split(","))
        except ValueError as error:
            raise ValueError(f"{where} {text}: {error}; expected metres and a share, such as 0.5,0.15") from error
        return cls(source, shift_m, missing)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        frame = self.source[index]
        known = frame.vector_map
        return frame if known is None else replace(frame, vector_map=lambda: self._stale(frame.scene, known()))

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def _stale(self, scene: str, true: VectorMap) -> VectorMap:
        if scene not in self._maps:
            if len(self._maps) >= 8:  # frames come drive by drive, maps are large
                self._maps.pop(next(iter(self._maps)))
            rng = np.random.default_rng((self.seed, zlib.crc32(scene.encode())))
            self._maps[scene] = stale(true, self.shift_m, self.missing, rng)
        return self._maps[scene]


def stale(true: VectorMap, shift_m: float, missing: float, rng: np.random.Generator) -> VectorMap:
    """The map moved by `shift_m` in a direction that is drawn, without a share of its dividers and crossings.

    The road's edge moves too and stays whole; the SD map stays where it is.
    """
    angle = rng.uniform(0, 2 * np.pi)
    x, y = shift_m * np.cos(angle), shift_m * np.sin(angle)
    moved = np.array([x, y])
    return replace(
        true,
        lines=tuple(replace(line, points_m=line.points_m + moved) for line in _kept(true.lines, missing, rng)),
        crossings=tuple(translate(c, x, y) for c in _kept(true.crossings, missing, rng)),
        road_segments=tuple(translate(area, x, y) for area in true.road_segments),
        lanes=tuple(translate(area, x, y) for area in true.lanes),
        boundaries_m=tuple(points + moved for points in true.boundaries_m),
    )


def _kept(things: Sequence[Kept], missing: float, rng: np.random.Generator) -> list[Kept]:
    """All but a share of them, to the nearest whole number; which ones is drawn."""
    gone = set(rng.permutation(len(things))[: round(missing * len(things))].tolist())
    return [thing for place, thing in enumerate(things) if place not in gone]
