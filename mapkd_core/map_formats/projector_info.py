"""Autoware's `map_projector_info.yaml`: in which frame `local_x` and `local_y` of a Lanelet2 file are.

Source: Autoware's documentation of map_projection_loader. `LocalCartesianUTM` is metres of UTM from the origin's,
`LocalCartesian` the tangent plane there, `MGRS` metres in a square of 100 km, `Local` a frame of unknown place.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.files import write_atomic
from mapkd_core.map_formats.earth import EarthFrame, at_place, mgrs_corner, mgrs_square
from mapkd_core.mapping.street_map import MapOrigin
from mapkd_core.schema import FileFault, fit, number, optional, record, shown, text
from mapkd_core.yaml_file import read_yaml

NAME = "map_projector_info.yaml"
TYPES = ("LocalCartesianUTM", "LocalCartesian", "MGRS", "Local", "TransverseMercator")
_WHAT = "Autoware's map_projector_info"
_REMEDY = "see Autoware's map_projection_loader, or remove the file"
_ORIGIN = record({"latitude": number(-90, 90), "longitude": number(-180, 180)}, {"altitude": optional(number())})
_INFO = record({"projector_type": text()}, {"map_origin": optional(_ORIGIN), "mgrs_grid": optional(text())})
_SQUARE = re.compile(r"\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z]{2}")


@dataclass(frozen=True)
class ProjectorInfo:
    """What the file says."""

    projector_type: str
    """One of TYPES."""
    origin: MapOrigin | None = None
    """Where its metres begin: of a square that was read its south-western corner; None for `Local`."""
    mgrs_grid: str = ""

    @classmethod
    def of_frame(cls, origin: MapOrigin | None) -> ProjectorInfo:
        """The one in which a street map's own metres are `local_x` and `local_y`."""
        if origin is None:
            return cls("Local")
        return cls("LocalCartesian" if origin.utm_epsg is None else "LocalCartesianUTM", origin)

    @classmethod
    def in_mgrs(cls, origin: MapOrigin) -> ProjectorInfo:
        """The square of an origin in UTM. Raises ValueError for one without zone."""
        if origin.utm_epsg is None:
            raise ValueError("a map without UTM zone has no MGRS square; expected an origin in a zone")
        east, north = EarthFrame(origin).origin_utm_m
        return cls("MGRS", origin, mgrs_square(origin.utm_epsg, origin.latitude_deg, east, north))

    def offset_m(self) -> tuple[float, float]:
        """What is added to metres from the origin to have `local_x` and `local_y`."""
        if self.projector_type != "MGRS" or self.origin is None:
            return 0.0, 0.0
        east, north = np.mod(np.round(EarthFrame(self.origin).origin_utm_m, 6), 100_000.0)
        return float(east), float(north)

    def check(self, folder: Path) -> None:
        """Raises ValueError if the folder has a file that says something else."""
        path = folder / NAME
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != self.text():
            raise ValueError(f"{path} belongs to another map; write this one to a folder of its own")

    def write(self, folder: Path) -> None:
        """Writes the file. Raises ValueError if the folder has one that says something else."""
        self.check(folder)
        write_atomic(folder / NAME, self.text())

    def text(self) -> str:
        """The file's content."""
        lines = ["# of Autoware's map_projection_loader", f"projector_type: {self.projector_type}"]
        if self.projector_type == "MGRS":
            lines += ["vertical_datum: WGS84", f"mgrs_grid: {self.mgrs_grid}"]
        elif self.origin is not None:
            lines += [
                "vertical_datum: WGS84", "map_origin:", f"  latitude: {self.origin.latitude_deg!r}",
                f"  longitude: {self.origin.longitude_deg!r}", f"  altitude: {self.origin.altitude_m!r}",
            ]  # fmt: skip
        return "\n".join(lines) + "\n"


def read_projector_info(path: Path) -> ProjectorInfo:
    """What a file says. Raises FileNotFoundError, or FileFault that names what is wrong in it."""
    content: Any = read_yaml(path, _WHAT, _REMEDY)
    fit(content, _INFO, str(path), _WHAT, _REMEDY)
    by_lower = {name.lower(): name for name in TYPES}
    kind = by_lower.get(content["projector_type"].lower())
    fit(kind, text(*TYPES), f"{path}: projector_type {shown(content['projector_type'])}", _WHAT, _REMEDY)
    assert kind is not None
    square = content.get("mgrs_grid") or ""
    if kind == "MGRS":
        fit(bool(_SQUARE.fullmatch(square)), _true, f"{path}: mgrs_grid {shown(square)}", _WHAT, _REMEDY)
        try:
            return ProjectorInfo(kind, mgrs_corner(square), square)
        except ValueError as error:
            raise FileFault(f"{path}: mgrs_grid: {error}; {_REMEDY}") from error
    if kind == "Local":
        return ProjectorInfo(kind)
    place = content.get("map_origin")
    if place is None:
        fit(content, record({"map_origin": _ORIGIN}), str(path), _WHAT, _REMEDY)
    latitude, longitude = float(place["latitude"]), float(place["longitude"])
    altitude = float(place.get("altitude") or 0.0)
    try:
        if kind == "LocalCartesianUTM":
            return ProjectorInfo(kind, at_place(latitude, longitude, altitude))
        return ProjectorInfo(kind, MapOrigin(latitude, longitude, altitude))
    except ValueError as error:
        raise FileFault(f"{path}: {error}; {_REMEDY}") from error


def _true(value: object) -> None:
    text("an MGRS square such as 54SUE")("an MGRS square such as 54SUE" if value else value)
