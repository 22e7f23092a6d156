"""Small street maps with known lanes, and hypothesis strategies of odd ones."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from mapkd_core.map_formats.earth import at_place
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap

BERGEN = (60.39, 5.32)
"""Where UTM's standard zone (32V) is not the one of six degrees."""


def bent(y_m: float, x0_m: float = 0.0, x1_m: float = 60.0, count: int = 7, z_m: float = 0.3) -> np.ndarray:
    """A line along x, a little bent, `y_m` to the left."""
    x = np.linspace(x0_m, x1_m, count)
    return np.stack([x, y_m + x * x / 3000, np.full(count, z_m)], 1)


def element(key: int, label: str, points_m: np.ndarray, **facts: object) -> StreetElement:
    points = np.asarray(points_m, np.float64)
    closed = bool(len(points) > 3 and np.array_equal(points[0], points[-1]))
    return StreetElement(key, label, points, closed=closed, **facts)


CROSSING = np.array([[20, -4, 0.3], [20, 8, 0.3], [24, 8, 0.3], [24, -4, 0.3], [20, -4, 0.3]])


def street(origin: MapOrigin | None = None) -> StreetMap:
    """A road of three lanes, 10.5 m wide and 60 m long: dashed line, solid line, curb; a crossing."""
    elements = (
        element(1, "boundary", bent(7)[::-1], score=0.25),
        element(2, "divider", bent(3.5, 10, 45), attributes={"paint": "dashed", "color": "white"}, sightings=7),
        element(3, "divider", bent(0), attributes={"paint": "solid"}),
        element(40, "boundary", bent(-3.5, -5, 70), attributes={"edge": "curb", "note": "ü <&>\n\"'"}),
        element(5, "ped_crossing", CROSSING, score=1 / 3),
    )
    return StreetMap(elements, "map", origin, {"drive": ["a", 1.5], "note": "ü"})


def driven(street_map: StreetMap, *paths_m: list[tuple[float, float]]) -> StreetMap:
    """The same with the ways of drives, as a builder notes them."""
    ways = [[[x, y, 0.0] for x, y in way] for way in paths_m]
    return replace(street_map, metadata={**street_map.metadata, "paths_m": ways})


def two_blocks() -> StreetMap:
    """Lines that end and go on at x = 40 in other elements, as maps of other software have them."""
    elements = [
        element(10 * row + part, label, bent(y, 40 * part, 40 * part + 40))
        for row, (label, y) in enumerate((("boundary", 3.5), ("divider", 0), ("boundary", -3.5)))
        for part in (0, 1)
    ]
    return StreetMap(tuple(elements), origin=at_place(48.0, 8.0))


_NUMBERS = st.floats(-900, 900, allow_nan=False)
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@st.composite
def elements(draw: st.DrawFn, key: int) -> StreetElement:
    label = draw(st.sampled_from(["divider", "boundary", "ped_crossing"]))
    points = np.array(draw(st.lists(st.tuples(_NUMBERS, _NUMBERS, st.floats(-50, 50)), min_size=2, max_size=7)))
    if label == "ped_crossing" and draw(st.booleans()):
        points = np.concatenate([points, points[:1]]) if len(points) > 2 else points
    attributes = draw(
        st.dictionaries(_TEXT.filter(lambda t: not t.startswith("lanelet2:")), _TEXT, max_size=2)
        | st.fixed_dictionaries({"paint": st.sampled_from(["solid", "dashed", "double", "none"])})
    )
    return element(
        key, label, points, score=draw(st.floats(0, 1)), sightings=draw(st.integers(0, 99)), attributes=attributes
    )  # fmt: skip


@st.composite
def odd_maps(draw: st.DrawFn, with_origin: bool = True) -> StreetMap:
    """Maps of lines anywhere, that cross and end where they like."""
    keys = draw(st.lists(st.integers(0, 500), unique=True, max_size=4))
    places = [
        at_place(*BERGEN, 40.0), at_place(-33.9, 18.4), MapOrigin(60.0, 11.9, 0.0, 32633),
        MapOrigin(42.3, -71.0, 2.0),
    ]  # fmt: skip
    origin = draw(st.sampled_from(places) if with_origin else st.none() | st.sampled_from(places))
    metadata = draw(st.dictionaries(_TEXT, st.integers() | _TEXT, max_size=2))
    return StreetMap(tuple(draw(elements(key)) for key in keys), draw(_TEXT.filter(bool)), origin, metadata)
