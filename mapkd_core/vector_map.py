"""A road map as plain vectors in its own `map` frame: what nuScenes' map expansion and the simulator both become."""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True, eq=False)
class MapLine:
    """A painted or unpainted line on the road, metres in the `map` frame."""

    points_m: NDArray[np.float64]
    """(N, 2) vertices."""
    layer: str = "lane_divider"
    """`lane_divider` or `road_divider` (both are class `divider`), `stop_line` or `road_mark` (not map elements)."""
    paint: str = "solid"
    """`solid`, `dashed`, `double` or `none` (a divider that exists in the map but is not painted)."""
    color: str = "white"
    """`white` or `yellow`."""
    wear: float = 0.0
    """0 is fresh paint, 1 is worn off."""


@dataclass(frozen=True, eq=False)
class VectorMap:
    """All layers of one road map. Polygons may have holes and may overlap; the road's edge is their union's outline."""

    name: str
    lines: tuple[MapLine, ...] = ()
    crossings: tuple[Polygon, ...] = ()
    """Pedestrian crossings, each a closed polygon whose two longest edges run across the walking direction."""
    road_segments: tuple[Polygon, ...] = ()
    lanes: tuple[Polygon, ...] = ()
    lane_centres_m: tuple[NDArray[np.float64], ...] = ()
    """(N, 2) centre lines in driving direction, for trajectories."""
    lane_successors: tuple[tuple[int, ...], ...] = ()
    """For each centre line, the indices of those that continue it."""
    boundaries_m: tuple[NDArray[np.float64], ...] = ()
    """(N, 2) edges of the road of a map that has them as lines, beside the outline of its areas."""
    walkways: tuple[Polygon, ...] = ()
    sd_roads_m: tuple[NDArray[np.float64], ...] = ()
    """(N, 2) standard-definition road centre lines, metres off and incomplete on purpose."""
    crossings_apart: bool = False
    """True where each polygon is a crossing of its own, though it may touch others (Argoverse 2, street maps); else
    those that touch are one, as in nuScenes, whose crossings come in parts."""
    crossings_known: bool = True
    """False where the source has no crossing layer: an empty layer then means unknown, not none."""
    extras: dict[str, object] = field(default_factory=dict)
    """Source-specific facts (location, coverage); never needed for labels."""

    @cached_property
    def road_area(self) -> BaseGeometry:
        """Union of road segments and lanes; its rings are the road boundaries (HDMapNet's definition)."""
        return shapely.union_all([shapely.make_valid(p) for p in (*self.road_segments, *self.lanes)])

    @property
    def dividers(self) -> tuple[MapLine, ...]:
        """The lines that are map elements of class `divider`."""
        return tuple(line for line in self.lines if line.layer in ("lane_divider", "road_divider"))
