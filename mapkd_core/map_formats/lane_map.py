"""What lanes are made of: pieces of the lines of a street map, shared by neighbors."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from mapkd_core.mapping.street_map import StreetElement

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of an element's line, from one cut to the next."""

    element: StreetElement
    number: int
    """Of the pieces of its element, along it."""
    points_m: Points
    """(N, 3), in the element's direction."""
    added: tuple[bool, bool]
    """Whether its first and last vertex were put in by cutting."""


@dataclass(frozen=True)
class Lane:
    """A lane in its driving direction; pieces by their place in `Lanes.pieces`."""

    left: int
    right: int
    left_reversed: bool
    """Whether the piece runs against the lane."""
    right_reversed: bool

    def turned(self) -> Lane:
        """The same strip, driven the other way."""
        return Lane(self.right, self.left, not self.right_reversed, not self.left_reversed)


@dataclass(frozen=True, eq=False)
class Lanes:
    """Lines cut to pieces, and the lanes between them."""

    pieces: tuple[Piece, ...]
    """All of the map's dividers and boundaries."""
    lanes: tuple[Lane, ...]
    roadways: tuple[tuple[int, ...], ...]
    """Lanes side by side, by their place in `lanes`, in order across the road."""

    def bounds_m(self, lane: Lane) -> tuple[Points, Points]:
        """Left and right bound (N, 3) in driving direction."""
        left, right = self.pieces[lane.left].points_m, self.pieces[lane.right].points_m
        return left[::-1] if lane.left_reversed else left, right[::-1] if lane.right_reversed else right

    def area(self, lane: Lane) -> Polygon:
        """The lane's area on the ground."""
        left, right = self.bounds_m(lane)
        return Polygon(np.concatenate([left, right[::-1]])[:, :2])

    def is_simple(self, lane: Lane) -> bool:
        """Whether the area does not cross itself, which bounds that meet or cross would make it do."""
        area = self.area(lane)
        return bool(area.is_valid and area.area > 0.5)
