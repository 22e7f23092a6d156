"""What Lanelet2 itself makes of a file: opened with each projector, and its routing graphs."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mapkd_core.map_formats.osm_file import OsmFile

PROJECTORS = ("UtmProjector", "MercatorProjector", "LocalCartesianProjector", "GeocentricProjector")


def opened_problems(file: OsmFile, without_rules: bool = False) -> Iterator[tuple[str, str]]:
    """(check, what) of `lanelet2_checks.CHECKS`; `without_rules` leaves regulatory elements out."""
    places = [node.lat_lon_deg for node in file.nodes.values()]
    place = places[0] if places else (0.0, 0.0)
    if place is None or None in places:
        yield "lanelet2.opens", "nodes have no latitude and longitude, without which lanelet2 puts them anywhere"
        return
    if any(len(way.nodes) < 1 for way in file.ways.values()):
        yield "lanelet2.opens", "a way has no node, which makes the file unreadable"
        return
    with tempfile.TemporaryDirectory() as folder:
        path = file.path
        if without_rules:
            path = Path(folder) / "map.osm"
            _without_rules(file.path, path)
        yield from _opened(file, path, place)


def _opened(file: OsmFile, path: Path, place: tuple[float, float]) -> Iterator[tuple[str, str]]:
    import lanelet2.io
    import lanelet2.projection

    lanelets = sum(relation.tags.get("type") == "lanelet" for relation in file.relations.values())
    used = {node for way in file.ways.values() for node in way.nodes}
    for name in PROJECTORS:
        kind = getattr(lanelet2.projection, name)
        projector = kind() if name == "GeocentricProjector" else kind(lanelet2.io.Origin(*place))
        try:
            lanelet_map, errors = lanelet2.io.loadRobust(str(path), projector)
        except RuntimeError as error:
            lanelet_map, errors = None, [str(error)]
        for line in errors:
            yield "lanelet2.opens", f"{name}: {' '.join(line.split())}"
        if lanelet_map is None or errors:
            continue
        layers = ("pointLayer", "lineStringLayer", "laneletLayer")
        have = tuple(len(getattr(lanelet_map, layer)) for layer in layers)
        areas = sum(way.tags.get("area") == "yes" or way.tags.get("area") == "true" for way in file.ways.values())
        if have[0] < len(used) or have[1:] != (len(file.ways) - areas, lanelets):
            yield "lanelet2.keeps", (
                f"{name}: {have[0]} points, {have[1]} lines, {have[2]} lanelets of {len(used)}, "
                f"{len(file.ways) - areas}, {lanelets}"
            )
        if name == "UtmProjector":
            yield from _routed(lanelet_map)


def _routed(lanelet_map: Any) -> Iterator[tuple[str, str]]:
    import lanelet2.routing
    import lanelet2.traffic_rules as rules

    place = rules.Locations.Germany  # the only one that the package knows
    of = {who: rules.create(place, getattr(rules.Participants, who)) for who in ("Vehicle", "Pedestrian")}
    for who, traffic_rules in of.items():
        graph: Any = lanelet2.routing.RoutingGraph(lanelet_map, traffic_rules)
        for error in graph.checkValidity():
            yield "lanelet2.routing", f"{who}: {error}"
    expected = {"road": (True, False), "crosswalk": (False, True)}
    for lanelet in lanelet_map.laneletLayer:
        subtype = lanelet.attributes["subtype"] if "subtype" in lanelet.attributes else ""
        passable = tuple(bool(traffic_rules.canPass(lanelet)) for traffic_rules in of.values())
        if subtype in expected and passable != expected[subtype]:
            yield "lanelet2.passable", f"lanelet {lanelet.id} ({subtype}): vehicle, pedestrian {passable}"


def _without_rules(source: Path, target: Path) -> None:
    tree = ElementTree.parse(source)  # read before, by `read_osm`
    root = tree.getroot()
    for relation in list(root.iter("relation")):
        if any(tag.get("v") == "regulatory_element" for tag in relation.iter("tag")):
            root.remove(relation)
            continue
        for member in list(relation.iter("member")):
            if member.get("role") == "regulatory_element":
                relation.remove(member)
    tree.write(target, encoding="utf-8")
