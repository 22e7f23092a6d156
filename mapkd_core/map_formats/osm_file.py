"""The content of an `.osm` file of Lanelet2, as it stands there: nodes, ways and relations with their tags.

Read without `lanelet2`: of Autoware's maps without latitude and longitude its loader raises or puts all at one spot; it
drops a second node of an id in silence, and refuses a whole map for one line without vertices or one
regulatory element that it does not know.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

from mapkd_core.map_formats.xml_files import number_of, read_xml
from mapkd_core.schema import FileFault, shown

WHAT = "a Lanelet2 map"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Node:
    """A point."""

    lat_lon_deg: tuple[float, float] | None
    elevation_m: float
    local_m: tuple[float, float] | None
    added: bool
    """Whether our own writer has put it in to cut a line."""
    half_local: bool = False
    """Whether it has one of `local_x` and `local_y` alone, which says nothing beside latitude and longitude."""


@dataclass(frozen=True)
class Way:
    """A line by its nodes."""

    nodes: tuple[int, ...]
    tags: dict[str, str]


@dataclass(frozen=True)
class Relation:
    """A lanelet, an area, a rule: (type, id, role) of its members."""

    members: tuple[tuple[str, int, str], ...]
    tags: dict[str, str]

    def way(self, role: str) -> int | None:
        """The way of a role."""
        return next(iter(self.ways(role)), None)

    def ways(self, role: str) -> list[int]:
        """All ways of a role."""
        return [ref for kind, ref, name in self.members if kind == "way" and name == role]


@dataclass(frozen=True)
class OsmFile:
    """All that was not deleted."""

    path: Path
    nodes: dict[int, Node]
    ways: dict[int, Way]
    relations: dict[int, Relation]
    meta: dict[str, str] = field(default_factory=dict)
    """Attributes of `MetaInfo`."""


def read_osm(path: Path) -> OsmFile:
    """The content of a file. Raises FileNotFoundError, or FileFault that names the primitive and what is wrong."""
    root = read_xml(path, "osm", WHAT)
    nodes = _primitives(root, "node", path, _node)
    ways = _primitives(root, "way", path, _way)
    for key, way in ways.items():
        lacking = [ref for ref in way.nodes if ref not in nodes]
        if lacking:
            raise FileFault(f"{path}: way {key} has the node {lacking[0]}, which is not in the file; export it again")
    meta = root.find("MetaInfo")
    relations = _primitives(root, "relation", path, _relation)
    return OsmFile(path, nodes, ways, relations, {} if meta is None else meta.attrib)


def _primitives(
    root: ElementTree.Element, kind: str, path: Path, make: Callable[[ElementTree.Element, str], _T]
) -> dict[int, _T]:
    found: dict[int, _T] = {}
    for entry in root.iter(kind):
        if entry.get("action") == "delete":
            continue
        key = _id(entry.get("id"), f"{path}: id of a {kind}")
        if key in found:
            raise FileFault(f"{path}: {kind} {key} comes twice; expected each id once: Lanelet2 would drop one of them")
        found[key] = make(entry, f"{path}: {kind} {key}")
    return found


def _id(text: str | None, where: str) -> int:
    try:
        value = int(text or "")
    except ValueError:
        value = 2**63
    if not -(2**63) <= value < 2**63:
        raise FileFault(f"{where} is {shown(text)}; expected a whole number of 64 bits")
    return value


def _tags(entry: ElementTree.Element) -> dict[str, str]:
    return {tag.get("k", ""): tag.get("v", "") for tag in entry.iter("tag")}


def _node(entry: ElementTree.Element, where: str) -> Node:
    tags = _tags(entry)
    place = None
    if entry.get("lat") or entry.get("lon"):
        place = number_of(entry.attrib, "lat", where), number_of(entry.attrib, "lon", where)
        if abs(place[0]) > 90 or abs(place[1]) > 180:
            raise FileFault(f"{where}: lat {place[0]:g}, lon {place[1]:g}; expected degrees, -90 to 90 and -180 to 180")
    local, half = None, False
    if tags.get("local_x") or tags.get("local_y"):
        half = place is not None and not (tags.get("local_x") and tags.get("local_y"))
        local = None if half else (number_of(tags, "local_x", where), number_of(tags, "local_y", where))
    if place is None and local is None:
        raise FileFault(f"{where} has neither lat and lon nor local_x and local_y; expected one of both")
    up_m = number_of(tags, "ele", where) if tags.get("ele") else 0.0
    return Node(place, up_m, local, tags.get("mapkd:added") == "yes", half)


def _way(entry: ElementTree.Element, where: str) -> Way:
    return Way(tuple(_id(member.get("ref"), f"{where}: ref") for member in entry.iter("nd")), _tags(entry))


def _relation(entry: ElementTree.Element, where: str) -> Relation:
    members = tuple(
        (str(m.get("type")), _id(m.get("ref"), f"{where}: ref"), str(m.get("role"))) for m in entry.iter("member")
    )
    return Relation(members, _tags(entry))


def meta_json(file: OsmFile, name: str, parse: Callable[[str], Any]) -> Any:
    """A fact of our own writer; None where another has written the file. Raises FileFault for one that is damaged."""
    if file.meta.get("generator") != "mapkd" or name not in file.meta:
        return None
    try:
        return parse(file.meta[name])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        found = shown(file.meta[name])
        raise FileFault(f"{file.path}: MetaInfo {name} is {found}; expected what mapkd wrote") from error
