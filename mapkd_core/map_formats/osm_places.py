"""Where the nodes of a Lanelet2 file are in metres, and in which frame."""
from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from mapkd_core.map_formats.earth import EarthFrame, check_near, place_of, utm_epsg
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
    frame, has_frame = (own[0], True) if own is not None else (None, False)
    if origin is not None:
        frame, has_frame = origin, True
    if (not known.any() or (info is not None and info.projector_type == "Local" and own is None)) and origin is None:
        points = np.concatenate([local, up[:, None]], 1)
        return _named(file, points, "local_x and local_y"), None if not has_frame else frame
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
