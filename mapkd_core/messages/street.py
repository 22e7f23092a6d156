"""A growing street map as messages: what lies about the vehicle for planners, and all of it for eyes.

Markers hold blocks of the map, each of one class in one square of ground. Blocks about the vehicle are sent again and
again, those that it has left stay on the display as they are: so the cost does not grow with the street.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.draw import CLASS_COLORS
from mapkd_core.mapping.street_map import StreetElement
from mapkd_core.mapping.tiles import Bounds
from mapkd_core.messages.classes import MessageClasses
from mapkd_core.messages.element_ids import MAX_ID
from mapkd_core.messages.markers import LINE_WIDTH_M, MARKER, MARKERS
from mapkd_core.messages.vector_map import VECTOR_MAP, element_messages

BLOCK_M = 32.0
"""Edge length of a block."""
_SIDE = 1 << 14
"""Blocks to either side of the origin that have ids of their own: 262 km."""
Block = tuple[str, int, int]
"""Class, column and row."""


def local_map_message(
    classes: MessageClasses, header: Any, elements: Sequence[StreetElement], bounds_m: Bounds, model: tuple[str, str],
    source_stamp: Any,
) -> Any:  # fmt: skip
    """The VectorMap of the rectangle about the vehicle, in the frame of `header`.

    `model` is name and version of the network, `source_stamp` that of the newest set in it.
    """
    name, version = model
    ids = [element.id % (MAX_ID + 1) for element in elements]
    message = classes(VECTOR_MAP)(header=header, model_name=name, model_version=version)
    message.elements = element_messages(classes, [element.map_element for element in elements], ids)
    message.x_min, message.y_min, message.x_max, message.y_max = map(float, bounds_m)
    message.camera_names, message.source_stamps, message.camera_ages = ["map"], [source_stamp], [0.0]
    return message


class StreetMarkers:
    """Turns elements into the markers of blocks."""

    def __init__(self) -> None:
        self._shown: dict[Block, NDArray[np.float64]] = {}
        self._first = True

    def array(
        self, classes: MessageClasses, header: Any, elements: Sequence[StreetElement], bounds_m: Bounds,
        everything: bool = False,
    ) -> Any:  # fmt: skip
        """The MarkerArray that brings all blocks within a rectangle up to date, all of whose elements are given.

        With `everything` it holds what was shown elsewhere too, for a display that came later.
        """
        new = _blocks(elements)
        inside = {key: points for key, points in new.items() if _within(key, bounds_m)}
        gone = [key for key in self._shown if _within(key, bounds_m) and key not in inside]
        for key in gone:
            del self._shown[key]
        self._shown.update(inside)
        Marker = classes(MARKER)
        markers = [Marker(header=header, action=Marker.DELETEALL)] if self._first else []
        self._first = False
        markers += [Marker(header=header, ns=key[0], id=_number(key), action=Marker.DELETE) for key in gone]
        chosen = self._shown if everything else inside
        markers += [_lines(classes, header, key, points) for key, points in chosen.items()]
        return classes(MARKERS)(markers=markers)


def _blocks(elements: Sequence[StreetElement]) -> dict[Block, NDArray[np.float64]]:
    """(S, 2, 3) segments by class and block; long ones are cut into pieces that fit."""
    found: dict[Block, list[NDArray[np.float64]]] = {}
    for element in elements:
        points = element.points_m
        lengths = np.linalg.norm(np.diff(points[:, :2], axis=0), axis=1)
        pieces = np.maximum(np.ceil(lengths / (BLOCK_M / 8)), 1).astype(int)
        parts = [np.linspace(a, b, n, endpoint=False) for a, b, n in zip(points, points[1:], pieces, strict=False)]
        fine = np.concatenate([*parts, points[-1:]])
        segments = np.stack([fine[:-1], fine[1:]], axis=1)
        cells = np.floor(segments.mean(1)[:, :2] / BLOCK_M).astype(int)
        for column, row in {(int(c), int(r)) for c, r in cells}:
            found.setdefault((element.label, column, row), []).append(segments[(cells == (column, row)).all(1)])
    return {key: np.concatenate(parts) for key, parts in found.items()}


def _within(key: Block, bounds_m: Bounds) -> bool:
    _, column, row = key
    x0, y0, x1, y1 = bounds_m
    return (
        column * BLOCK_M >= x0 and row * BLOCK_M >= y0 and (column + 1) * BLOCK_M <= x1 and (row + 1) * BLOCK_M <= y1
    )


def _number(key: Block) -> int:
    _, column, row = key  # the class is the marker's namespace
    return (column % (2 * _SIDE) * 2 * _SIDE + row % (2 * _SIDE)) % (MAX_ID + 1)


def _lines(classes: MessageClasses, header: Any, key: Block, segments: NDArray[np.float64]) -> Any:
    Marker, point = classes(MARKER), classes("geometry_msgs/msg/Point")
    marker = Marker(header=header, ns=key[0], id=_number(key), type=Marker.LINE_LIST, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = LINE_WIDTH_M
    marker.color.r, marker.color.g, marker.color.b = (channel / 255 for channel in CLASS_COLORS[key[0]])
    marker.color.a = 1.0
    marker.points = [point(x=x, y=y, z=z) for x, y, z in segments.reshape(-1, 3).tolist()]
    return marker
