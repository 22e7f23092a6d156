"""A map of any format as the road map that labels are cut from, in the frame of a drive's poses."""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from mapkd_core.map_formats.earth import EarthFrame
from mapkd_core.map_formats.formats import MapName, map_name, read_map
from mapkd_core.map_formats.vector_maps import vector_map_of
from mapkd_core.mapping.street_map import MapOrigin
from mapkd_core.vector_map import VectorMap


def label_map(name: str, origin: MapOrigin | None = None) -> Callable[[], VectorMap]:
    """What `Frame.vector_map` is for frames on the map `name` (such as `lanelet2:FILE`), read when first asked for.

    Poses are in the map's own metres, or with `origin` in those of that place, to which the map is then moved.
    The map is kept per process. Raises ValueError for a name of no known form.
    """
    return partial(_loaded, map_name(name), origin)


@lru_cache(maxsize=4)
def _loaded(name: MapName, origin: MapOrigin | None) -> VectorMap:
    if name.format == "nuscenes":
        from mapkd_core.data.nuscenes_map import load_vector_map

        if origin is not None:
            raise ValueError(f"{name} is in metres of its own, in which nuScenes' poses are; expected no origin")
        return load_vector_map(name.path, name.location)
    street_map, _ = read_map(name)
    if origin is None or street_map.origin == origin:
        return vector_map_of(street_map, str(name))
    if street_map.origin is None:
        raise ValueError(f"{name} does not say where on Earth it lies; expected poses in its own metres, no origin")
    return vector_map_of(street_map, str(name), partial(_moved, EarthFrame(street_map.origin), EarthFrame(origin)))


def _moved(here: EarthFrame, there: EarthFrame, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
    return there.metres(here.degrees(points_m))
