"""A street map turned back into evidence: to go on with a map, to map onto a prior one, and to merge maps."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.polylines import Range
from mapkd_core.geometry import apply, distances_along
from mapkd_core.mapping.alignment import Alignment, Lines, fitted
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.crossing_cells import SEEN
from mapkd_core.mapping.line_samples import MOST_WEIGHT
from mapkd_core.mapping.options import STEP_M, MappingOptions
from mapkd_core.mapping.sighting import CROSSING, LINE_LABELS, Sighting, sighting
from mapkd_core.mapping.street_map import StreetElement, StreetMap
from mapkd_core.types import CLASSES

WEIGHT_A_SIGHTING = 0.3
"""What a sighting of middling score and distance weighs."""
PRIOR_SIGHTINGS = 10
"""An element of another map that nobody counted counts as seen so often."""
MERGE_M, MERGE_DEG = 5.0, 5.0
"""Maps of two drives are shifted and turned at most so far."""
_CROSSING = CLASSES[CROSSING]


def builder_from(street_map: StreetMap, options: MappingOptions | None = None) -> MapBuilder:
    """A builder that goes on with a map: its elements keep their ids, and are doubted where they are no longer seen."""
    builder = MapBuilder(options, street_map.frame, street_map.origin)
    seed(builder, street_map.elements)
    builder.sets, builder.driven_m = sets_of(street_map), driven_m_of(street_map)
    builder.take_paths(street_map.paths_m)
    return builder


def merged(
    first: StreetMap, second: StreetMap, options: MappingOptions | None = None, bound_m: float = MERGE_M,
    bound_deg: float = MERGE_DEG,
) -> tuple[StreetMap, Alignment]:
    """Two maps in one frame as one map, and how the second was moved: elements of the first keep their ids.

    Where both have lines, the second is shifted and turned to fit the first. Raises ValueError for frames of different
    names or origins, and for maps that do not fit within the bounds: then nothing tells which place is which.
    """
    if (first.frame, first.origin) != (second.frame, second.origin):
        raise ValueError(
            f"maps in the frames {first.frame!r} ({first.origin}) and {second.frame!r} ({second.origin}) cannot be "
            "merged; bring them into one frame"
        )
    builder = builder_from(first, options)
    found = fitted(lines_of(second.elements), lines_of(first.elements), bound_m, np.radians(bound_deg))
    if found.refused and found.pairs:
        raise ValueError(f"the maps do not fit onto each other: {found.refused}")
    fuse(builder, [moved(element, found.shift) for element in second.elements])
    builder.sets += sets_of(second)
    builder.driven_m += driven_m_of(second)
    builder.take_paths([apply(found.shift, way) for way in second.paths_m])
    return builder.street_map(), found


def seed(builder: MapBuilder, elements: Sequence[StreetElement]) -> None:
    """Takes elements with their ids into a builder, as what was there before: none of those ids may be there yet."""
    prior, first = builder.maker.prior, len(builder.maker.prior)
    sight, of = whole_sighting(elements)
    favor, against, seen, ids = _evidence(elements)
    begins = np.searchsorted(of, np.arange(len(elements) + 1))
    numbers = builder.lines.insert(
        sight.xyz_m, sight.along, sight.label, np.minimum(favor[of], MOST_WEIGHT), favor[of], sight.score, seen[of],
        ids[of], against=against[of], of=first + of, step=np.arange(len(of)) - begins[of],
    )  # fmt: skip
    for element, begin, end in zip(elements, begins[:-1], begins[1:], strict=True):
        prior.add(element, numbers[begin:end])
    _insert_crossings(builder, elements)
    prior.note_crossings(builder.crossings)
    for element in elements:
        if element.label == _CROSSING:
            builder.maker.remember_crossing(element.id, element.points_m[:-1, :2].mean(0))
    builder.maker.next_id = max([builder.maker.next_id, *(element.id + 1 for element in elements)])


def fuse(builder: MapBuilder, elements: Sequence[StreetElement]) -> None:
    """Takes the elements of another map, with all their evidence, into a builder.

    Those that have nothing in common with what is there stay as they are, with another id where theirs is taken.
    """
    if not elements:
        return
    sight, of = whole_sighting(elements)
    met = {int(k) for k in of[builder.lines.match(sight, builder.options).sighted]}
    again, alone = list[StreetElement](), list[StreetElement]()
    for k, element in enumerate(elements):
        (again if k in met or _covered(builder, element) else alone).append(element)
    taken = {element.id for element in builder.maker.prior.elements}
    _fuse_met(builder, again)
    builder.maker.next_id = max(builder.maker.next_id, max(element.id for element in elements) + 1)
    seed(builder, [one if one.id not in taken else replace(one, id=builder.maker.new_id()) for one in alone])


def _covered(builder: MapBuilder, element: StreetElement) -> bool:
    """Whether a crossing lies where there is one."""
    is_area = element.label == _CROSSING and element.closed
    return is_area and bool((builder.crossings.inside(element.points_m)[SEEN] > 0).any())


def _fuse_met(builder: MapBuilder, elements: Sequence[StreetElement]) -> None:
    """Takes in what the other map has of the same streets."""
    if not elements:
        return
    sight, of = whole_sighting(elements)
    favor, against, seen, _ = _evidence(elements)
    match = builder.lines.match(sight, builder.options)
    of_match = of[match.sighted]
    builder.lines.move(match.sample, sight, match.sighted, favor[of_match], seen[of_match])
    builder.lines.against[match.sample] += against[of_match]
    new = np.flatnonzero(~match.explained)
    builder.lines.insert(
        sight.xyz_m[new], sight.along[new], sight.label[new], np.minimum(favor, MOST_WEIGHT)[of[new]], favor[of[new]],
        sight.score[new], seen[of[new]], against=against[of[new]],
    )  # fmt: skip
    _insert_crossings(builder, elements)


def lines_of(elements: Sequence[StreetElement]) -> Lines:
    """Samples of all lines, the edges of crossings among them."""
    outlines = [replace(element, label=CLASSES[LINE_LABELS[0]]) for element in elements if element.label == _CROSSING]
    parts = [whole_sighting(some)[0] for some in ([e for e in elements if e.label != _CROSSING], outlines)]
    xy, along, label = (np.concatenate(values) for values in zip(
        *((sight.xyz_m[:, :2], sight.along, sight.label) for sight in parts), strict=True
    ))  # fmt: skip
    label[len(parts[0].label) :] = CROSSING
    return Lines(xy, along, label, np.ones(len(label)))


def whole_sighting(elements: Sequence[StreetElement]) -> tuple[Sighting, NDArray[np.int64]]:
    """Elements as if one set had shown them all, and the place in `elements` to which each sample belongs."""
    corners = np.concatenate([element.points_m[:, :2] for element in elements]) if elements else np.zeros((1, 2))
    (x0, y0), (x1, y1) = corners.min(0) - 1, corners.max(0) + 1
    is_line = [k for k, element in enumerate(elements) if element.label != _CROSSING]
    parts = [k for k in is_line if distances_along(elements[k].points_m[:, :2])[-1] >= STEP_M]
    shown = [elements[k].map_element for k in parts]
    sight = sighting(shown, np.eye(4), Range((x0, x1), (y0, y1)), np.inf)
    return sight, np.asarray(parts, np.int64)[sight.line]


def _insert_crossings(builder: MapBuilder, elements: Sequence[StreetElement]) -> None:
    favor, against, seen, _ = _evidence(elements)
    for k, element in enumerate(elements):
        if element.label == _CROSSING and element.closed:
            builder.crossings.insert(element.points_m, float(favor[k]), float(against[k]), int(seen[k]))


def _evidence(elements: Sequence[StreetElement]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Weight for, weight against, sightings and id of each element."""
    seen = np.array([element.sightings or PRIOR_SIGHTINGS for element in elements], np.int64)
    score = np.array([element.score for element in elements], np.float64)
    favor = np.minimum(WEIGHT_A_SIGHTING * seen, 2 * MOST_WEIGHT)
    share = np.clip(score * (seen + 1) / np.maximum(seen, 1), 0.05, 1.0)
    return favor, favor * (1 - share) / share, seen, np.array([element.id for element in elements], np.int64)


def sets_of(street_map: StreetMap) -> int:
    """How many sets a builder noted in a map's metadata; 0 where another made the map."""
    return int(_count(street_map, "sets"))


def driven_m_of(street_map: StreetMap) -> float:
    """How many metres a builder noted in a map's metadata; 0 where another made the map."""
    return float(_count(street_map, "driven_m"))


def _count(street_map: StreetMap, name: str) -> Any:
    value = street_map.metadata.get(name, 0)
    return value if type(value) in (int, float) and 0 <= value < 1e15 else 0


def moved(element: StreetElement, shift: NDArray[np.float64]) -> StreetElement:
    """An element after a rigid motion."""
    return replace(element, points_m=apply(shift, element.points_m))
