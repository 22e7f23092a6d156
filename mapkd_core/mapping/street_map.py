"""The map of one or more drives: elements with ids in one metric frame, and the file that holds them without loss.

The file (`.streetmap`) is JSON lines: a head with frame, origin, metadata and the number of elements, then one element
a line. Numbers are written so that the same double comes back. Source: ours.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.files import write_atomic
from mapkd_core.schema import (
    LARGEST,
    FileFault,
    Misfit,
    Schema,
    flag,
    integer,
    mapping,
    number,
    numbers,
    optional,
    parse_json,
    read_bytes,
    record,
    text,
)
from mapkd_core.types import CLASSES, MapElement

SUFFIX = ".streetmap"
"""Ending of the file's name."""
_FORMAT = "mapkd-street-map-1"
_WHAT = "a street map of `mapkd map`"
_REMEDY = "build or convert the map again"


@dataclass(frozen=True)
class MapOrigin:
    """Where on Earth (0, 0, 0) of a map lies; x then points east and y north in the grid of the UTM zone.

    Without a zone x is east and y north at the origin itself. Raises ValueError for a place that is none.
    """

    latitude_deg: float
    """WGS84."""
    longitude_deg: float
    """WGS84."""
    altitude_m: float = 0.0
    """Above the ellipsoid."""
    utm_epsg: int | None = None
    """EPSG code of the UTM zone on WGS84, 32601 to 32660 (north) or 32701 to 32760 (south); None where none is chosen.
    Zones overlap at their edges, so that a reader takes this one and does not choose again."""

    def __post_init__(self) -> None:
        try:
            _ORIGIN(self.as_dict())
        except Misfit as misfit:
            raise ValueError(f"origin of a map: {misfit.text()}") from None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "latitude_deg": self.latitude_deg, "longitude_deg": self.longitude_deg, "altitude_m": self.altitude_m,
            "utm_epsg": self.utm_epsg,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class StreetElement:
    """One line of a street map: a divider, a boundary, or the outline of a crossing. Raises ValueError for a bad one.

    Two are not compared by `==`; `StreetMap.differences` does.
    """

    id: int
    """At least 0, unique in its map, and kept while the map grows."""
    label: str
    """One of CLASSES."""
    points_m: NDArray[np.float64]
    """(N, 3) vertices in the map's frame, N >= 2, metres; z is 0 where no elevation is known."""
    score: float = 1.0
    """Confidence 0..1."""
    sightings: int = 1
    """Sets of images in which it was seen; 0 for one that was taken from another map."""
    closed: bool = False
    """True for a ring; its last vertex then equals its first."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What other formats know of it (paint, color, subtype), by name; nothing here needs them."""

    def __post_init__(self) -> None:
        points = self.points_m
        if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] != 3 or points.dtype != np.float64:
            raise ValueError(
                f"points_m of element {self.id} is {points.dtype} of shape {points.shape}; expected float64 (N >= 2, 3)"
            )
        if not bool((np.abs(points) <= LARGEST).all()):
            raise ValueError(f"points_m of element {self.id} has values that are not finite, or beyond {LARGEST:g} m")
        if self.closed and not (len(points) > 3 and np.array_equal(points[0], points[-1])):
            raise ValueError(
                f"element {self.id} is closed; expected at least 4 vertices, the last equal to the first"
            )
        try:
            _FACTS({name: getattr(self, name) for name in _FACT_NAMES} | {"attributes": dict(self.attributes)})
        except Misfit as misfit:
            raise ValueError(f"element {self.id} of a map: {misfit.text()}") from None

    @property
    def map_element(self) -> MapElement:
        """The same as an element without id, (N, 3) vertices still in the map's frame."""
        return MapElement(self.label, self.points_m, self.score, self.closed)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class StreetMap:
    """The map of one or more drives. Raises ValueError for ids that come twice, and metadata that JSON cannot hold."""

    elements: tuple[StreetElement, ...] = ()
    frame: str = "map"
    """Name of the metric frame in which vertices are: x and y horizontal, z up."""
    origin: MapOrigin | None = None
    """None where the frame's place on Earth is unknown."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What made the map, and from what: JSON's values by name."""

    def __post_init__(self) -> None:
        if not self.frame or type(self.frame) is not str:
            raise ValueError(f"frame of a map is {self.frame!r}; expected a name such as 'map'")
        seen: set[int] = set()
        for element in self.elements:
            if element.id in seen:
                raise ValueError(f"id {element.id} comes twice in a map; expected each once")
            seen.add(element.id)
        try:
            same = json.loads(json.dumps(dict(self.metadata), allow_nan=False)) == dict(self.metadata)
        except (TypeError, ValueError) as error:
            raise ValueError(f"metadata of a map: {error}; expected what JSON can hold") from error
        if not same:
            raise ValueError("metadata of a map does not come back from JSON as it is; use texts as keys, and lists")

    @cached_property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y over all vertices; zeros for a map without elements."""
        if not self.elements:
            return 0.0, 0.0, 0.0, 0.0
        low = np.min([element.points_m.min(0) for element in self.elements], axis=0)
        high = np.max([element.points_m.max(0) for element in self.elements], axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @cached_property
    def paths_m(self) -> tuple[NDArray[np.float64], ...]:
        """(N, 3) the way of each drive, N >= 2, that a builder noted in the metadata; () where there is none."""
        ways = self.metadata.get("paths_m")
        if not isinstance(ways, list):
            ways = [self.metadata.get("path_m")]  # of maps with one way for all drives
        found = []
        for way in ways:
            try:
                places = np.array(way, np.float64)
            except (TypeError, ValueError, OverflowError):
                continue
            if places.ndim == 2 and places.shape[1] == 3 and len(places) > 1 and np.isfinite(places).all():
                found.append(places)
        return tuple(found)

    def of(self, label: str) -> tuple[StreetElement, ...]:
        """The elements of one class."""
        return tuple(element for element in self.elements if element.label == label)

    def differences(self, other: StreetMap, tolerance_m: float = 0.0) -> list[str]:
        """What differs from another map, in words; empty where nothing does but vertices up to `tolerance_m`."""
        found = [
            f"{name} is {mine!r}, not {theirs!r}"
            for name in ("frame", "origin", "metadata")
            if (mine := _plain(getattr(self, name))) != (theirs := _plain(getattr(other, name)))
        ]
        mine, theirs = ({element.id: element for element in one.elements} for one in (self, other))
        found += [f"element {key} is on one side only" for key in sorted(mine.keys() ^ theirs.keys())]
        for key in sorted(mine.keys() & theirs.keys()):
            a, b = mine[key], theirs[key]
            found += [
                f"{name} of element {key} is {one!r}, not {another!r}"
                for name in _FACT_NAMES
                if (one := _plain(getattr(a, name))) != (another := _plain(getattr(b, name)))
            ]
            if a.points_m.shape != b.points_m.shape:
                found.append(f"element {key} has {len(a.points_m)} vertices, not {len(b.points_m)}")
            elif (worst := float(np.abs(a.points_m - b.points_m).max())) > tolerance_m:
                found.append(f"vertices of element {key} differ by up to {worst:g} m")
        return found

    def write(self, path: str | Path) -> None:
        """Writes the file, whole or not at all. Raises OSError that names it."""
        head = {
            "format": _FORMAT,
            "frame": self.frame,
            "origin": None if self.origin is None else self.origin.as_dict(),
            "metadata": dict(self.metadata),
            "elements": len(self.elements),
        }
        lines = [head, *({**_facts(e), "points_m": e.points_m.tolist()} for e in self.elements)]
        write_atomic(path, "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines))

    @classmethod
    def read(cls, path: str | Path) -> StreetMap:
        """The map of a file. Raises FileNotFoundError, or FileFault that names the line and what is wrong in it."""
        source = Path(path)
        first, *rest = read_bytes(source, _WHAT).split(b"\n")
        head = parse_json(first, f"{source}:1", _WHAT, _HEAD, f"name a file that ends in {SUFFIX}")
        if rest and not rest[-1]:
            rest.pop()
        if len(rest) != head["elements"]:
            raise FileFault(f"{source} holds {len(rest)} of its {head['elements']} elements; {_REMEDY}")
        elements = []
        for place, line in enumerate(rest, 2):
            where = f"{source}:{place}"
            blob = parse_json(line, where, "an element of a street map", _ELEMENT, _REMEDY)
            points = np.asarray(blob.pop("points_m"), np.float64)
            try:
                facts = {name: blob[name] for name in _FACT_NAMES}
                elements.append(StreetElement(points_m=points, **facts))
            except ValueError as error:
                raise FileFault(f"{where}: {error}; {_REMEDY}") from error
        origin = head["origin"]
        try:
            place_on_earth = None if origin is None else MapOrigin(**{name: origin[name] for name in _ORIGIN_NAMES})
            return cls(tuple(elements), head["frame"], place_on_earth, head["metadata"])
        except ValueError as error:
            raise FileFault(f"{source}: {error}; {_REMEDY}") from error


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _facts(element: StreetElement) -> dict[str, Any]:
    return {name: _plain(getattr(element, name)) for name in _FACT_NAMES}


def _utm(value: Any) -> None:
    if type(value) is not int or not (32601 <= value <= 32660 or 32701 <= value <= 32760):
        raise Misfit("an EPSG code of UTM on WGS84, 32601 to 32660 or 32701 to 32760", value)


_ORIGIN_SCHEMAS: dict[str, Schema] = {
    "latitude_deg": number(-90, 90), "longitude_deg": number(-180, 180), "altitude_m": number(-20_000, 20_000),
    "utm_epsg": optional(_utm),
}  # fmt: skip
_ORIGIN_NAMES = tuple(_ORIGIN_SCHEMAS)
_ORIGIN = record(_ORIGIN_SCHEMAS)
_FACT_SCHEMAS: dict[str, Schema] = {
    "id": integer(0), "label": text(*CLASSES), "score": number(0, 1), "sightings": integer(0), "closed": flag,
    "attributes": mapping(text()),
}  # fmt: skip
_FACT_NAMES = tuple(_FACT_SCHEMAS)
_FACTS = record(_FACT_SCHEMAS)
_ELEMENT = record({**_FACT_SCHEMAS, "points_m": numbers(None, 3, at_least=2)})
_HEAD = record(
    {
        "format": text(_FORMAT), "frame": text(empty=False), "origin": optional(_ORIGIN),
        "metadata": record({}), "elements": integer(0),
    }
)  # fmt: skip
