"""Maps by name on a command line: which format, which file."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mapkd_core.data.argoverse2_map import is_map_name, map_file
from mapkd_core.data.nuscenes_map import expansion_file
from mapkd_core.map_formats.lanelet2_write import Lanelet2Options
from mapkd_core.map_formats.opendrive_write import Version as OpenDriveVersion
from mapkd_core.map_formats.opendrive_write import write_opendrive
from mapkd_core.map_formats.report import Report
from mapkd_core.mapping.street_map import SUFFIX, MapOrigin, StreetMap
from mapkd_core.suggestion import did_you_mean

SUFFIXES = {SUFFIX: "streetmap", ".osm": "lanelet2", ".geojson": "geojson", ".json": "geojson", ".xodr": "opendrive"}
FORMATS = ("streetmap", "lanelet2", "geojson", "opendrive", "nuscenes", "argoverse2")
FORMS = (
    "FILE.streetmap, FILE.osm (Lanelet2), FILE.geojson, FILE.xodr (OpenDRIVE), FORMAT:FILE, or "
    "nuscenes:DATAROOT:LOCATION; argoverse2:LOG is read alone"
)


@dataclass(frozen=True)
class MapName:
    """A map's format and place."""

    format: str
    path: Path
    location: str = ""

    def __str__(self) -> str:
        return f"{self.format}:{self.path}" + (f":{self.location}" if self.location else "")

    @property
    def file(self) -> Path:
        """The file that holds it."""
        if self.format == "argoverse2" and self.path.is_dir():
            return map_file(self.path)
        return expansion_file(self.path, self.location) if self.format == "nuscenes" else self.path


@dataclass(frozen=True)
class WriteOptions:
    """How a map is written, as far as a format has a choice."""

    lanelet2: Lanelet2Options = field(default_factory=Lanelet2Options)
    opendrive: OpenDriveVersion = "1.7"


def map_name(text: str) -> MapName:
    """What a name stands for. Raises ValueError for another form."""
    head, _, rest = text.partition(":")
    if head in FORMATS and rest:
        if head != "nuscenes":
            return MapName(head, Path(rest).expanduser())
        folder, _, location = rest.rpartition(":")
        if not folder:
            raise ValueError(f"map {text!r} names no location; expected nuscenes:DATAROOT:LOCATION")
        return MapName(head, Path(folder).expanduser(), location)
    if is_map_name(Path(text).name) or (Path(text).expanduser() / "map").is_dir():
        return MapName("argoverse2", Path(text).expanduser())
    suffix = Path(text).suffix.lower()
    if suffix not in SUFFIXES:
        hint = did_you_mean(head, FORMATS) if rest else ""
        raise ValueError(f"map {text!r} is of no known format; expected {FORMS}{hint}")
    return MapName(SUFFIXES[suffix], Path(text).expanduser())


def read_map(name: MapName, origin: MapOrigin | None = None) -> tuple[StreetMap, Report]:
    """A map, and what of its file is no part of it; `origin` is the frame to read it in, where the format has degrees.

    Raises FileNotFoundError, FileFault, ModuleNotFoundError without the format's packages.
    """
    if name.format == "streetmap":
        return StreetMap.read(name.path), Report()
    if name.format == "nuscenes":
        from mapkd_core.map_formats.expansion import read_nuscenes

        return read_nuscenes(name.path, name.location)
    if name.format == "argoverse2":
        from mapkd_core.map_formats.vector_maps import read_argoverse2

        return read_argoverse2(name.file)
    return _reader(name.format)(name.path, origin)


def _reader(kind: str) -> Callable[[Path, MapOrigin | None], tuple[StreetMap, Report]]:
    if kind == "lanelet2":
        from mapkd_core.map_formats.lanelet2_read import read_lanelet2

        return read_lanelet2
    if kind == "geojson":
        from mapkd_core.map_formats.geojson import read_geojson

        return read_geojson
    from mapkd_core.map_formats.opendrive_read import read_opendrive

    return read_opendrive


def check_written(name: MapName) -> None:
    """Raises ValueError for a format that is read alone."""
    if name.format == "argoverse2":
        raise ValueError(f"{name} cannot be written: maps of Argoverse 2 are read alone; name a file of another format")


def write_map(street_map: StreetMap, name: MapName, options: WriteOptions | None = None) -> Report:
    """Writes a map and tells what the format cannot hold. Raises ValueError, OSError, ModuleNotFoundError."""
    options = options or WriteOptions()
    check_written(name)
    if name.format == "streetmap":
        street_map.write(name.path)
        return Report()
    if name.format == "lanelet2":
        from mapkd_core.map_formats.lanelet2_write import write_lanelet2

        return write_lanelet2(street_map, name.path, options.lanelet2)
    if name.format == "geojson":
        from mapkd_core.map_formats.geojson import write_geojson

        return write_geojson(street_map, name.path)
    if name.format == "nuscenes":
        from mapkd_core.map_formats.expansion import write_nuscenes

        return write_nuscenes(street_map, name.path, name.location, options.lanelet2.traffic)
    return write_opendrive(street_map, name.path, options.lanelet2.traffic, options.opendrive)
