"""Where the nodes of a Lanelet2 file are in metres, and in which frame."""
from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from mapkd_core.map_formats.earth import EarthFrame, check_near, mgrs_corner, place_of, utm_epsg, utm_origin
from mapkd_core.map_formats.lanelet2_write import NOWHERE
from mapkd_core.map_formats.osm_file import OsmFile, meta_json
from mapkd_core.map_formats.projector_info import NAME, ProjectorInfo, read_projector_info
from mapkd_core.map_formats.report import Report
from mapkd_core.mapping.street_map import MapOrigin
from mapkd_core.schema import FileFault

Points = NDArray[np.float64]
_AGREE_M = 0.01
"""`local_x` and `local_y` that are farther from latitude and longitude are out of date."""


def places_of(file: OsmFile, origin: MapOrigin | None, report: Report) -> tuple[dict[int, Points], MapOrigin | None]:
    """(3,) of each node and the frame's origin: that asked for, our own writer's, Autoware's, or the map's middle.

    Raises FileFault for nodes of which some have one kind of position and some the other, FileNotFoundError never.
    """
    own = meta_json(file, "origin", lambda text: _origin(json.loads(text)))
    if not file.nodes:
        return {}, origin or (own[0] if own else None)
    nodes = list(file.nodes.values())
    info_path = file.path.with_name(NAME)
    info = read_projector_info(info_path) if info_path.is_file() else None
    local = np.array([node.local_m or (np.nan, np.nan) for node in nodes])
    degrees = np.array([node.lat_lon_deg or (np.nan, np.nan) for node in nodes])[:, ::-1]
    up = np.array([node.elevation_m for node in nodes])
    known = np.isfinite(degrees).all(1)
    report.add("local_x or local_y without the other: latitude and longitude count", sum(n.half_local for n in nodes))
    frame, has_frame = (own[0], True) if own is not None else (None, False)
    if origin is not None:
        frame, has_frame = origin, True
    if (not known.any() or (info is not None and info.projector_type == "Local" and own is None)) and origin is None:
        points = np.concatenate([local, up[:, None]], 1)
        return _named(file, points, "local_x and local_y"), None if not has_frame else frame
    if own is None:
        info = _checked_square(info, degrees[known], report) if info else _local_frame(degrees, local)
        if info is not None and info.projector_type == "TransverseMercator":
            report.add("projector TransverseMercator: read as the plane that touches the Earth at its origin")
    if not has_frame:
        frame = _frame_of_others(info, degrees[known])
    place = frame or NOWHERE
    try:
        check_near(place, degrees[known], "a node")
    except ValueError as error:
        raise FileFault(f"{file.path}: {error}") from error
    earth = EarthFrame(place)
    points = np.full((len(nodes), 3), np.nan)
    points[known] = earth.metres(np.concatenate([degrees[known], up[known, None]], 1))
    exact = _local(info, place, local)
    if exact is not None:
        near = np.abs(exact - points[:, :2]).max(1) <= _AGREE_M
        lacking = ~known & np.isfinite(exact).all(1)
        report.add(
            "node whose local_x and local_y are out of date: its latitude and longitude count",
            int((known & np.isfinite(exact).all(1) & ~near).sum()),
        )
        points[near | lacking, :2] = exact[near | lacking]
        points[lacking, 2] = up[lacking] - place.altitude_m
    return _named(file, points, "lat and lon"), frame


def _named(file: OsmFile, points: Points, what: str) -> dict[int, Points]:
    good = np.isfinite(points).all(1)
    if not good.all():
        lacking = list(file.nodes)[int(np.argmin(good))]
        raise FileFault(f"{file.path}: node {lacking} has no {what}, which other nodes have; expected all in one frame")
    return dict(zip(file.nodes, points, strict=True))


def _origin(value: object) -> tuple[MapOrigin | None]:
    """In a tuple, so that "of no known place" is not taken for "not said"."""
    if value is None:
        return (None,)
    if not isinstance(value, dict):
        raise ValueError("an origin is an object")
    return (MapOrigin(**value),)


def _frame_of_others(info: ProjectorInfo | None, degrees: Points) -> MapOrigin:
    if info is not None and info.origin is not None:
        place = info.origin  # Autoware's z is the elevation itself, whatever altitude its origin has
        return MapOrigin(place.latitude_deg, place.longitude_deg, 0.0, place.utm_epsg)
    return place_of(degrees)


def _checked_square(info: ProjectorInfo, degrees: Points, report: Report) -> ProjectorInfo:
    """The same; of an MGRS square that is another part of the world, the one in which the map lies."""
    if info.projector_type != "MGRS" or info.origin is None:
        return info
    try:
        check_near(info.origin, degrees, "a node")
        return info
    except ValueError:
        middle = place_of(degrees)
        if middle.utm_epsg is None:
            return ProjectorInfo("LocalCartesian", middle)
        here = ProjectorInfo.in_mgrs(middle).mgrs_grid
        report.add(f"mgrs_grid {info.mgrs_grid} of {NAME}: the map does not lie there but in {here}, which counts")
        return ProjectorInfo("MGRS", mgrs_corner(here), here)


def _local_frame(degrees: Points, local: Points) -> ProjectorInfo | None:
    """The frame of `local_x` and `local_y` where no file says it: of most nodes the same shift away from UTM.

    Such are those of Autoware's maps, in metres of an MGRS square; poses of a vehicle are in them too.
    """
    both = np.isfinite(degrees).all(1) & np.isfinite(local).all(1)
    middle = place_of(degrees[both]) if both.sum() > 1 else None
    if middle is None or middle.utm_epsg is None:
        return None
    frame = EarthFrame(middle)
    flat = frame.metres(np.concatenate([degrees[both], np.zeros((both.sum(), 1))], 1))[:, :2]
    shifts = flat - local[both]
    shift = np.median(shifts, axis=0)
    if 2 * int((np.abs(shifts - shift).max(1) <= _AGREE_M).sum()) <= len(shifts):
        return None
    east, north = np.round(frame.origin_utm_m + shift, 2)
    return ProjectorInfo("LocalCartesianUTM", utm_origin(middle.utm_epsg, float(east), float(north)))


def _local(info: ProjectorInfo | None, place: MapOrigin, local: Points) -> Points | None:
    """`local_x` and `local_y` in the frame; None where they are of another."""
    if info is None or info.projector_type == "TransverseMercator":
        return None
    standard = place.utm_epsg is None or place.utm_epsg == utm_epsg(place.latitude_deg, place.longitude_deg)
    if info.projector_type == "MGRS":  # squares of the zone that Autoware has there
        has_square = standard and place.utm_epsg is not None
        return local - ProjectorInfo("MGRS", place).offset_m() if has_square else None
    if info.origin is None:
        return local if place == NOWHERE else None
    same = (info.origin.latitude_deg, info.origin.longitude_deg) == (place.latitude_deg, place.longitude_deg)
    return local if same and standard else None
