"""Procedural road maps: one seed makes one neighbourhood, to the last vertex the same every time.

Straight and curved streets with one to four lanes each way, T- and X-junctions with rounded curbs, crossings and stop
lines, raised medians, turning lanes, bays for parking, driveways, worn or missing paint, left- or right-hand traffic.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import scale
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from mapkd_core.sim.roads import junctions as jn
from mapkd_core.sim.roads.lane_graph import lane_graph
from mapkd_core.sim.roads.polyline import left_normals
from mapkd_core.sim.roads.ramps import with_ramps
from mapkd_core.sim.roads.road_network import Network, TownStyle, make_network
from mapkd_core.sim.roads.road_strip import BACKWARD, FORWARD, RoadStrip
from mapkd_core.sim.roads.sd_lines import weakly_aligned
from mapkd_core.sim.roads.slip_lanes import slip_lane
from mapkd_core.vector_map import MapLine, VectorMap

DEFAULT_SIZE_M = 240.0


def procedural_map(seed: int, size_m: float = DEFAULT_SIZE_M, style: TownStyle | None = None) -> VectorMap:
    """A random neighbourhood that reaches about `size_m` metres from the origin; the same for the same seed.

    `extras` tells `style`, `left_hand` (traffic keeps left) and `junctions` (polygons).
    """
    rng = np.random.default_rng([seed, 0x70AD])
    left_hand = bool(rng.random() < 0.4)
    yellow_centre = bool(rng.random() < (0.25 if left_hand else 0.85))
    network = with_ramps(make_network(rng, size_m, yellow_centre, style), rng)
    strips, furniture = _with_junctions(network, rng)
    area, junction_polygons, slip_crossings = _surface(network, strips, rng)
    area = _without_medians(area, strips, rng)
    lines, crossings = _paint(strips, furniture, rng)
    crossings += slip_crossings
    lanes, centres, successors = lane_graph(network, strips)
    road_map = VectorMap(
        name=f"procedural-{seed}",
        lines=tuple(lines),
        crossings=tuple(crossings),
        road_segments=tuple(_polygons(area)),
        lanes=tuple(lanes),
        lane_centres_m=tuple(centres),
        lane_successors=tuple(successors),
        walkways=tuple(_walkways(area, rng)),
        sd_roads_m=weakly_aligned([s.reference_m for s in strips], rng),
        extras={"style": network.style.name, "left_hand": left_hand, "junctions": tuple(junction_polygons)},
    )
    return mirrored(road_map) if left_hand else road_map


def mirrored(road_map: VectorMap) -> VectorMap:
    """The map seen in a mirror (y -> -y): traffic that kept right keeps left."""
    flip = np.array([1.0, -1.0])

    def turned(polygons: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
        return tuple(scale(p, 1.0, -1.0, origin=(0, 0)) for p in polygons)

    return replace(
        road_map,
        lines=tuple(replace(line, points_m=line.points_m * flip) for line in road_map.lines),
        crossings=turned(road_map.crossings),
        road_segments=turned(road_map.road_segments),
        lanes=turned(road_map.lanes),
        lane_centres_m=tuple(line * flip for line in road_map.lane_centres_m),
        walkways=turned(road_map.walkways),
        sd_roads_m=tuple(line * flip for line in road_map.sd_roads_m),
        extras={**road_map.extras, "junctions": turned(road_map.extras["junctions"])},  # type: ignore[arg-type]
    )


Furniture = list[tuple[int, jn.Arm, jn.Approach]]


def _with_junctions(network: Network, rng: np.random.Generator) -> tuple[list[RoadStrip], Furniture]:
    """The roads with their markings cut back at the junctions, and what stands on every arm."""
    strips = [RoadStrip(r.reference_m, r.section, r.widenings, *r.clear_m) for r in network.roads]
    outlines = [strip.outline(0.3) for strip in strips]
    furniture: Furniture = []
    for node, arms in sorted(jn.arms_of(network).items()):
        if len(arms) < 2:
            continue
        for arm in arms:
            others = shapely.union_all([outlines[a.road] for a in arms if a.road != arm.road])
            approach = jn.make_approach(
                strips[arm.road], arm, others, network.curb_radius_m[node], network.style.crossings, rng
            )
            strips[arm.road] = jn.with_clearance(strips[arm.road], arm, approach.stop_m)
            furniture.append((arm.road, arm, approach))
    return strips, furniture


def _surface(
    network: Network, strips: list[RoadStrip], rng: np.random.Generator
) -> tuple[BaseGeometry, list[Polygon], list[Polygon]]:
    """The drivable surface without medians, the junctions' share of it, and crossings over slip lanes."""
    outlines = [strip.outline() for strip in strips]
    rounded: list[BaseGeometry] = []
    slips: list[BaseGeometry] = []
    crossings: list[Polygon] = []
    for node, arms in sorted(jn.arms_of(network).items()):
        if len(arms) < 2:
            continue
        hub_m = min(strips[a.road].section.width_m for a in arms) / 2
        surfaces: list[BaseGeometry] = [outlines[a.road] for a in arms]
        rounded.append(jn.junction_area(surfaces, network.nodes_m[node], network.curb_radius_m[node], hub_m))
        if rng.random() < network.style.slip_lanes:
            found = slip_lane(strips, arms, shapely.union_all([*surfaces, rounded[-1]]), rng)
            if found is not None:
                slips.append(found[0])
                crossings += [found[1]] if found[1] is not None else []
    drives = [drive for strip in strips for drive in _driveways(strip, rng)]
    area = shapely.union_all([*outlines, *rounded, *slips, *drives])
    # Hairline gaps and steps between the parts would become boundaries that nobody can see.
    area = area.buffer(0.05, join_style="mitre").buffer(-0.05, join_style="mitre")
    area = shapely.set_precision(area.simplify(0.015), 0.001)
    solid = [Polygon(p.exterior, [h for h in p.interiors if Polygon(h).area > 4.0]) for p in _polygons(area)]
    marked = shapely.union_all([LineString(s.line(0.0)).buffer(40, cap_style="flat") for s in strips])
    inner = [p for part_ in rounded for p in _polygons(part_.difference(marked)) if p.area > 20]
    return shapely.union_all(solid), inner, crossings


def _driveways(strip: RoadStrip, rng: np.random.Generator) -> list[BaseGeometry]:
    """Openings in the curb that lead to yards and car parks."""
    start, end = strip.clear_start_m + 8, strip.length_m - strip.clear_end_m - 8
    found: list[BaseGeometry] = []
    for side in (FORWARD, BACKWARD):
        count = rng.poisson(max(end - start, 0) / 110)
        for s, width, depth in rng.uniform((start, 3.2, 5), (max(start, end), 7, 14), (count, 3)):
            if any(w.side == side and w.start_m - 8 < s < w.end_m + 8 for w in strip.widenings) or end - start < 20:
                continue
            points, _ = strip.stretch(s - 1, s + 1)
            normal = left_normals(points)[1] * side
            curb = points[1] + left_normals(points)[1] * float(strip.curb_m(side, np.array([s]))[0])
            lane = LineString([curb - normal * 1.5, curb + normal * depth]).buffer(width / 2, cap_style="flat")
            apron = LineString([curb - normal * 1.5, curb + normal * 0.01]).buffer(width / 2 + 3, cap_style="flat")
            found.append(shapely.union(lane, apron).buffer(1.5).buffer(-1.5))
    return found


def _without_medians(area: BaseGeometry, strips: list[RoadStrip], rng: np.random.Generator) -> BaseGeometry:
    islands = []
    for strip in strips:
        low, high = strip.clear_start_m + rng.uniform(0, 1.5), strip.length_m - strip.clear_end_m - rng.uniform(0, 1.5)
        # A gap for turning halfway splits long medians.
        gaps = [(low, high)]
        if high - low > 90 and rng.random() < 0.4:
            middle = rng.uniform(0.35, 0.65) * (high - low) + low
            gaps = [(low, middle - 6), (middle + 6, high)]
        islands += [island for a, b in gaps if (island := strip.median(a, b)) is not None]
    if not islands:
        return area
    return shapely.set_precision(area.difference(shapely.union_all(islands)), 0.001)


def _paint(
    strips: list[RoadStrip], furniture: Furniture, rng: np.random.Generator
) -> tuple[list[MapLine], list[Polygon]]:
    lines = [line for strip in strips for line in strip.markings(rng)]
    crossings: list[Polygon] = []
    for index, arm, approach in furniture:
        strip = strips[index]
        if approach.crossing is not None:
            crossings.append(approach.crossing)
        if approach.has_stop_line and (bar := jn.stop_line(strip, arm, approach.stop_m, strip.section.wear)):
            lines.append(bar)
    return lines, crossings


def _walkways(area: BaseGeometry, rng: np.random.Generator) -> list[Polygon]:
    """Paved ground along the curbs; none in some neighbourhoods."""
    width = float(rng.uniform(1.6, 4.0))
    if rng.random() < 0.12:
        return []
    outer = shapely.union_all([Polygon(p.exterior) for p in _polygons(area)])
    ring = area.buffer(width, quad_segs=4).difference(area).intersection(outer.buffer(width))
    return [p for p in _polygons(shapely.set_precision(ring.simplify(0.02), 0.001)) if p.area > 6]


def _polygons(geometry: BaseGeometry) -> list[Polygon]:
    if isinstance(geometry, Polygon):
        return [geometry] if not geometry.is_empty else []
    if isinstance(geometry, MultiPolygon):
        return list(geometry.geoms)
    return [p for g in getattr(geometry, "geoms", ()) for p in _polygons(g)]


def crossing_edges_m(crossing: Polygon) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two longest edges of a crossing, each (2, 2)."""
    ring = np.asarray(crossing.exterior.coords)[:, :2]
    order = np.argsort(-np.linalg.norm(np.diff(ring, axis=0), axis=1), kind="stable")[:2]
    return ring[order[0] : order[0] + 2], ring[order[1] : order[1] + 2]
