"""Maps that took a drive to make: refused before it where they could not be written, kept where writing them fails."""
from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from mapkd_core.files import inside
from mapkd_core.map_formats.formats import MapName, check_written
from mapkd_core.mapping.street_map import SUFFIX, MapOrigin, StreetMap
from mapkd_core.output_file import check_writable


def check_target(name: MapName, origin: MapOrigin | None) -> None:
    """Finds before a drive what would keep its map from being written after it; `origin` is where on Earth it lies.

    Raises ValueError or OSError with the reason, ModuleNotFoundError without the format's packages.
    """
    if name.format == "geojson" and origin is None:
        raise ValueError(
            f"{name.file}: GeoJSON holds places on Earth, and where a drive's map lies is unknown; write a {SUFFIX} "
            f"file, and then: mapkd map convert FILE{SUFFIX} {name.file.name} --origin LAT,LON"
        )
    check_written(name)
    if name.format == "nuscenes":
        from mapkd_core.map_formats.expansion import free_place

        free_place(name.path, name.location)
    if name.format == "lanelet2":
        from mapkd_core.map_formats.lanelet2_write import Lanelet2Options, projector_info

        projector_info(origin, Lanelet2Options()).check(name.path.parent)
    check_writable(name.file)


def rescued(street_map: StreetMap, name: MapName) -> Path | None:
    """Keeps a map that could not be written as a `.streetmap` beside its place or in the folder for temporary files.

    Nothing that is there is written over. None where there is no room for it either.
    """
    beside = name.file.with_suffix(SUFFIX)
    if not beside.exists():
        with contextlib.suppress(OSError, ValueError):
            street_map.write(beside)
            return beside
    with contextlib.suppress(OSError, ValueError):
        path = inside(tempfile.mkdtemp(prefix="mapkd-"), beside.name)
        street_map.write(path)
        return path
    return None
