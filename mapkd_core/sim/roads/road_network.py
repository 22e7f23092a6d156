"""A seeded network of streets: which roads there are, how they run, and what each looks like cut across.

Streets are smooth curves through a jittered lattice; where two cross stands a node. Taking pieces away makes
T-junctions and dead ends; a node that keeps only two arms becomes a bend of one road.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from mapkd_core.geometry import distances_along
from mapkd_core.sim.roads.polyline import Line, headings, hermite, length_m, part, resampled
from mapkd_core.sim.roads.road_strip import BACKWARD, FORWARD, CrossSection, Widening

Node = tuple[int, int]


@dataclass(frozen=True)
class TownStyle:
    """How a neighbourhood is built; drawn once for a map."""

    name: str
    spacing_m: tuple[float, float]
    """Range of distances between parallel streets."""
    wobble_m: float
    """How far nodes stand off the lattice: the more, the more the streets curve and the less square the corners."""
    removed: float
    """Share of street pieces taken away."""
    arterial: float
    """Share of streets that are wide."""
    one_way: float
    parking: float
    crossings: float
    """Probability of a crossing on a junction's arm."""
    curb_radius_m: tuple[float, float]
    ramps: float
    """Share of roads with a ramp."""
    slip_lanes: float
    """Share of junctions with a slip lane and its island."""


STYLES: tuple[TownStyle, ...] = (
    TownStyle("downtown", (85, 120), 6, 0.12, 0.35, 0.3, 0.5, 0.85, (3, 7), 0.02, 0.06),
    TownStyle("suburb", (95, 150), 17, 0.25, 0.15, 0.05, 0.3, 0.4, (5, 10), 0.06, 0.15),
    TownStyle("arterial", (120, 170), 10, 0.2, 0.8, 0.1, 0.1, 0.55, (7, 14), 0.3, 0.4),
    TownStyle("village", (90, 140), 20, 0.22, 0.0, 0.1, 0.35, 0.25, (3, 8), 0.03, 0.1),
)


@dataclass(frozen=True)
class Road:
    """One road of the network, from node to node (None: it leaves the map or ends)."""

    start: Node | None
    end: Node | None
    reference_m: Line
    section: CrossSection
    widenings: tuple[Widening, ...] = ()
    clear_m: tuple[float, float] = (0.0, 0.0)
    """Unmarked length at the start and end."""
    joins: int | None = None
    """A ramp's main road, as its place in the network."""


@dataclass(frozen=True)
class Network:
    """Roads and the places of their nodes."""

    style: TownStyle
    roads: tuple[Road, ...]
    nodes_m: dict[Node, np.ndarray]
    curb_radius_m: dict[Node, float]


def street_section(rng: np.random.Generator, style: TownStyle, wide: bool, yellow_centre: bool) -> CrossSection:
    """A random cross-section for one street."""
    lane = float(rng.uniform(3.0, 3.7))
    one_way = rng.random() < style.one_way
    if wide:
        forward = int(rng.choice([2, 3, 4], p=[0.55, 0.35, 0.1]))
        backward = 0 if one_way else int(np.clip(forward + rng.choice([-1, 0, 0, 0]), 1, 3))
        median = float(rng.uniform(1.2, 5.0)) if rng.random() < 0.55 and not one_way else 0.0
    else:
        forward = int(rng.choice([1, 2], p=[0.8, 0.2]))
        backward = 0 if one_way else 1
        median = float(rng.uniform(0.9, 2.0)) if rng.random() < 0.06 and not one_way else 0.0
        lane = max(lane, 4.0) if one_way and forward == 1 else lane
    centre_paint = str(rng.choice(["double", "solid", "dashed", "none"], p=[0.45, 0.22, 0.29, 0.04]))
    worn = rng.random()
    wear = rng.uniform(0.55, 0.95) if worn < 0.16 else rng.uniform(0.25, 0.55) if worn < 0.45 else rng.uniform(0, 0.25)
    return CrossSection(
        lanes_forward=forward,
        lanes_backward=backward,
        lane_m=lane,
        median_m=median,
        gutter_m=float(rng.uniform(0.25, 0.9)),
        bike_m=float(rng.uniform(1.3, 1.8)) if rng.random() < 0.12 else 0.0,
        centre_paint=centre_paint,
        centre_color="yellow" if yellow_centre else "white",
        lane_paint=str(rng.choice(["dashed", "solid"], p=[0.88, 0.12])),
        edge_paint=str(rng.choice(["none", "solid", "double", "dashed"], p=[0.55, 0.3, 0.1, 0.05])),
        edge_color="white" if yellow_centre else str(rng.choice(["white", "yellow"])),
        wear=float(wear),
    )


def _street_curve(points: np.ndarray) -> tuple[Line, np.ndarray]:
    """A spline through the nodes of one street, and the distance of every node along it."""
    chord = distances_along(points)
    spline = CubicSpline(chord, points, bc_type="natural")
    fine = np.linspace(0, chord[-1], round(chord[-1] * 4))
    curve = spline(fine)
    return resampled(curve, 1.0), np.interp(chord, fine, distances_along(curve))


def _bend(first: Line, second: Line, radius_m: float) -> Line:
    """Two lines that meet at an angle, joined by a curve that cuts the corner by `radius_m`."""
    a = part(first, 0, length_m(first) - radius_m)
    b = part(second, radius_m, length_m(second))
    curve = hermite(a[-1], headings(a)[-1], b[0], headings(b)[0])
    return resampled(np.concatenate([a, curve[1:-1], b]), 1.0)


def _reversed(road: Road) -> Road:
    """The same road drawn the other way round; for two-way roads with as many lanes either way only."""
    return replace(road, start=road.end, end=road.start, reference_m=road.reference_m[::-1])


def _merge_bends(roads: list[Road], rng: np.random.Generator) -> list[Road]:
    """Joins the two roads of every node that has just two arms into one road with a bend."""
    changed = True
    while changed:
        changed = False
        arms: dict[Node, list[Road]] = {}
        for road in roads:
            for node in (road.start, road.end):
                if node is not None:
                    arms.setdefault(node, []).append(road)
        for node, pair in arms.items():
            if len(pair) != 2 or pair[0] is pair[1]:
                continue
            one, two = pair
            one = one if one.end == node else _reversed(one)
            two = two if two.start == node else _reversed(two)
            section = max((one.section, two.section), key=lambda c: c.width_m)
            if section.lanes_forward != section.lanes_backward:
                section = replace(section, lanes_forward=1, lanes_backward=1, median_m=0.0)
            turn = abs((headings(two.reference_m)[0] - headings(one.reference_m)[-1] + np.pi) % (2 * np.pi) - np.pi)
            cut = max(float(rng.uniform(16, 34)), section.width_m / 2 + 9) if turn > 0.3 else 8.0
            if min(length_m(one.reference_m), length_m(two.reference_m)) < cut + 12:
                cut = 0.45 * min(length_m(one.reference_m), length_m(two.reference_m))
            joined = Road(one.start, two.end, _bend(one.reference_m, two.reference_m, cut), section)
            if joined.start is not None and joined.start == joined.end:
                roads = [r for r in roads if r not in pair]
            else:
                roads = [r for r in roads if r is not pair[0] and r is not pair[1]] + [joined]
            changed = True
            break
    return roads


def _widenings(road: Road, style: TownStyle, rng: np.random.Generator) -> tuple[Widening, ...]:
    """Turning lanes before junctions, bays for buses and parked cars."""
    length, found = length_m(road.reference_m), []
    c = road.section
    for side, node in ((FORWARD, road.end), (BACKWARD, road.start)):
        lanes = c.lanes_forward if side == FORWARD else c.lanes_backward
        turning = float(rng.uniform(30, 50)) if node is not None and lanes and rng.random() < 0.3 else 0.0
        turning = turning if length > 95 and not c.bike_m else 0.0
        taper = float(rng.uniform(9, 20))
        if turning and side == FORWARD:
            found.append(Widening(side, length - turning - taper, length, c.lane_m, taper, "lane", open_end=True))
        elif turning:
            found.append(Widening(side, 0.0, turning + taper, c.lane_m, taper, "lane", open_start=True))
        if rng.random() < style.parking:
            low = 26 + (turning + taper + 4 if side == BACKWARD else 0)
            high = length - 26 - (turning + taper + 4 if side == FORWARD else 0)
            if rng.random() < 0.45:  # a lay-by instead of parking along the whole road
                size = float(rng.uniform(18, 42))
                low = float(rng.uniform(low, max(low, high - size)))
                high = min(high, low + size)
            if high - low > 16:
                depth, taper = float(rng.uniform(2.1, 2.9)), float(rng.uniform(1.5, 6))
                found.append(Widening(side, low, high, depth, taper, "bay"))
    return tuple(found)


def make_network(
    rng: np.random.Generator, size_m: float, yellow_centre: bool, style: TownStyle | None = None
) -> Network:
    """Draws the streets of a map that reaches `size_m` from the origin in x and y."""
    style = style or STYLES[rng.integers(len(STYLES))]
    spacing = rng.uniform(*style.spacing_m, size=2)
    count = np.maximum(2, np.floor(2 * size_m / spacing).astype(int))
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shear = rng.normal(0, 0.14)
    lattice = np.stack(np.meshgrid(np.arange(count[0] + 2), np.arange(count[1] + 2), indexing="ij"), -1).astype(float)
    lattice = (lattice - (count + 1) / 2) * spacing
    lattice += rng.normal(0, style.wobble_m, lattice.shape)
    lattice[..., 0] += shear * lattice[..., 1]
    lattice = lattice @ rotation.T
    nodes = {(i, j): lattice[i, j] for i in range(1, count[0] + 1) for j in range(1, count[1] + 1)}

    roads: list[Road] = []
    for axis in (0, 1):
        for k in range(1, count[1 - axis] + 1):
            keys = [(i, k) if axis == 0 else (k, i) for i in range(count[axis] + 2)]
            curve, arcs = _street_curve(np.array([lattice[key] for key in keys]))
            section = street_section(rng, style, bool(rng.random() < style.arterial), yellow_centre)
            for a, b, low, high in zip(keys, keys[1:], arcs, arcs[1:], strict=False):
                start, end = a if a in nodes else None, b if b in nodes else None
                if rng.random() < style.removed * (1.5 if start is None or end is None else 1.0):
                    continue
                roads.append(Road(start, end, part(curve, low, high), section))
    roads = _merge_bends(roads, rng)
    roads = [replace(road, widenings=_widenings(road, style, rng)) for road in roads]
    radii = {node: float(rng.uniform(*style.curb_radius_m)) for node in nodes}
    return Network(style, tuple(roads), nodes, radii)
