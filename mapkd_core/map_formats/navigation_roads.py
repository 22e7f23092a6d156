"""Roads of a navigation map as what a drive is anchored on: their lines in metres, and where on Earth these begin."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.sd_map import ORIGINS, degrees_from_metres, origin_in_file, read_roads
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.map_formats.earth import EarthFrame, at_place
from mapkd_core.mapping.road_anchor import RoadAnchor
from mapkd_core.mapping.street_map import MapOrigin

SAME_PLACE = 1e-6
"""Origins on Earth that differ by less, in degrees and metres, are one."""


def open_anchor(
    path: Path, place: tuple[float, ...] | None = None, origin: MapOrigin | None = None, start: str = ""
) -> tuple[RoadAnchor, MapOrigin | None]:
    """The anchor of a file of roads, and the origin on Earth of the metres in which it corrects poses.

    The origin is that of the map to go on with (`origin`), or else the `place` (latitude, longitude) that the user
    names, the same where both are given, or else what the file says. Files named as nuScenes' maps are in its own
    spherical metres, without origin.
    `start` is where odometry begins in these metres, as `start_pose` takes it; empty where it begins in their frame.
    Raises FileNotFoundError, ValueError.
    """
    begin = start_pose(start) if start else None
    if origin is not None and place is not None:
        there = origin.latitude_deg, origin.longitude_deg, origin.altitude_m
        if any(abs(a - b) > SAME_PLACE for a, b in zip(place, there, strict=False)):
            raise ValueError(
                f"the map to go on with begins at {there[0]:.7f},{there[1]:.7f},{there[2]:g}, the anchor's origin is "
                f"{','.join(f'{value:g}' for value in place)}; leave the anchor's origin out"
            )
    if origin is None and place is None and path.stem in ORIGINS:
        return RoadAnchor(read_roads(path), begin), None
    centre = (origin.latitude_deg, origin.longitude_deg) if origin else place[:2] if place else None
    roads = read_roads(path, None if centre is None else (centre[0], centre[1]))
    if centre is None:
        centre = origin_in_file(path)
        assert centre is not None  # read_roads would have refused
    origin = origin or at_place(centre[0], centre[1], *(place or ())[2:])
    frame = EarthFrame(origin)
    lines = []
    for line in roads:
        degrees = degrees_from_metres(line, (centre[0], centre[1]))
        lines.append(frame.metres(np.column_stack([degrees, np.full(len(line), origin.altitude_m)]))[:, :2])
    return RoadAnchor(lines, begin), origin


def start_pose(text: str) -> NDArray[np.float64]:
    """(4, 4) map_from_odometry where odometry begins at `X,Y,DEGREES`. Raises ValueError for another form."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not np.isfinite(values).all() or max(map(abs, values)) > 1e7:
        raise ValueError(f"start {text!r} is not X,Y,DEGREES: metres in the anchor's frame, heading from its x axis")
    return transform_from_yaw(values[0], values[1], float(np.radians(values[2])))
