"""An element of a street map as tags of a Lanelet2 linestring, and back.

`type` and `subtype` are Lanelet2's (its documentation, "Linestrings"); what they cannot say stands in tags `mapkd:...`,
which other software passes over.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mapkd_core.map_formats.xml_files import xml_text
from mapkd_core.mapping.street_map import StreetElement

OWN = "mapkd:"
ATTRIBUTE = OWN + "attribute:"
FOREIGN = "lanelet2:"
"""Attributes of an element that begin so are Lanelet2's own tags, which are written again as they were."""

PAINTS = {
    "solid": ("line_thin", "solid"),
    "dashed": ("line_thin", "dashed"),
    "double": ("line_thin", "solid_solid"),
    "none": ("virtual", ""),
}
EDGES = {
    "curb": ("curbstone", "high"), "guard_rail": ("guard_rail", ""), "wall": ("wall", ""), "fence": ("fence", ""),
}  # fmt: skip
"""By the attribute `edge` of a boundary."""
CROSSING = ("pedestrian_marking", "")
CROSSING_TYPES = ("pedestrian_marking", "zebra_marking")
DIVIDER_TYPES = ("line_thin", "line_thick", "virtual")
BOUNDARY_TYPES = ("road_border", "curbstone", "guard_rail", "wall", "fence", "jersey_barrier")
_PAINT_OF = {"solid": "solid", "dashed": "dashed", "solid_solid": "double", "solid_dashed": "double",
             "dashed_solid": "double"}  # fmt: skip
_EDGE_OF = {kind: edge for edge, (kind, _) in EDGES.items()}
_FACTS = ("id", "label", "part", "score", "sightings", "closed")


def tags_of(element: StreetElement, part: str) -> dict[str, str]:
    """The tags of one part (such as `1/3`) of an element's line."""
    attributes = element.attributes
    if element.label == "divider":
        paint = attributes.get("paint", "")
        kind = PAINTS.get(paint, ("line_thin", ""))
    else:
        kind = EDGES.get(attributes.get("edge", ""), ("road_border", "")) if element.label == "boundary" else CROSSING
    tags = {"type": kind[0]} | ({"subtype": kind[1]} if kind[1] else {})
    if element.label == "divider" and attributes.get("color") in ("white", "yellow"):
        tags["color"] = attributes["color"]
    for key, value in attributes.items():
        if key.startswith(FOREIGN):
            tags[xml_text(key[len(FOREIGN) :])] = xml_text(value)
        else:
            tags[xml_text(ATTRIBUTE + key)] = xml_text(value)
    facts = (element.id, element.label, part, repr(element.score), element.sightings, "yes" if element.closed else "no")
    return tags | {OWN + name: str(fact) for name, fact in zip(_FACTS, facts, strict=True)}


def facts_of(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Id, label, part, score and so on, and attributes, as `tags_of` wrote them; None for a line of other software.

    Raises ValueError for facts that are damaged.
    """
    if OWN + "id" not in tags:
        return None
    lacking = [name for name in _FACTS if OWN + name not in tags]
    if lacking:
        raise ValueError(f"it has a tag {OWN}id but no {OWN}{lacking[0]}")
    part, _, parts = tags[OWN + "part"].partition("/")
    return {
        "id": int(tags[OWN + "id"]),
        "label": tags[OWN + "label"],
        "score": float(tags[OWN + "score"]),
        "sightings": int(tags[OWN + "sightings"]),
        "closed": tags[OWN + "closed"] == "yes",
        "part": int(part),
        "parts": int(parts or 1),
        "attributes": attributes_of(tags),
    }


def attributes_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The attributes of an element from all tags of its line, those of other software beginning with `lanelet2:`."""
    written = {key[len(ATTRIBUTE) :]: value for key, value in tags.items() if key.startswith(ATTRIBUTE)}
    own = OWN + "id" in tags
    result = dict(written)
    if not own:
        kind, subtype = tags.get("type", ""), tags.get("subtype", "")
        if kind == "virtual":
            result["paint"] = "none"
        elif kind in DIVIDER_TYPES and subtype in _PAINT_OF:
            result["paint"] = _PAINT_OF[subtype]
        result.update({"edge": edge} if (edge := _EDGE_OF.get(kind)) else {})
        if kind in DIVIDER_TYPES and tags.get("color") in ("white", "yellow"):
            result["color"] = tags["color"]
    return result | {FOREIGN + key: tags[key] for key in tags if _is_foreign(key, tags, result)}


def _is_foreign(key: str, tags: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    """Whether writing the element again would not bring this tag back by itself."""
    if key.startswith(OWN) or key in ("lane_change",):
        return False
    if key == "color":
        return attributes.get("color") != tags[key]
    if key not in ("type", "subtype"):
        return True
    label = tags.get(OWN + "label") or label_of(tags) or "divider"
    expected = PAINTS.get(attributes.get("paint", ""), ("line_thin", "")) if label == "divider" else (
        EDGES.get(attributes.get("edge", ""), ("road_border", "")) if label == "boundary" else CROSSING
    )
    return tags[key] != expected[key == "subtype"]


def label_of(tags: Mapping[str, str]) -> str | None:
    """The class of a line of other software; None where it is no element of our maps."""
    kind = tags.get("type", "")
    if kind in CROSSING_TYPES:
        return "ped_crossing"
    return "divider" if kind in DIVIDER_TYPES else "boundary" if kind in BOUNDARY_TYPES else None
