"""Street maps as messages: blocks for eyes, ids for planners."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags has the message classes")
from camera_bags import PLAIN

from mapkd_core.mapping.street_map import StreetElement
from mapkd_core.messages.classes import header_of
from mapkd_core.messages.street import BLOCK_M, StreetMarkers, local_map_message
from mapkd_core.messages.vector_map import elements_of_message

HEADER = header_of(PLAIN, 5, "map")
ADD, DELETE, DELETEALL = 0, 2, 3


def line(x0: float, x1: float, key: int = 1, label: str = "divider") -> StreetElement:
    return StreetElement(key, label, np.array([[x0, 1.0, 0.5], [x1, 1.0, 0.5]]), 0.75, 7)


def actions(array) -> list[tuple[str, int]]:
    return sorted((m.ns, m.action) for m in array.markers)


def test_a_block_is_replaced_when_it_is_whole_and_else_left() -> None:
    book = StreetMarkers()
    first = book.array(PLAIN, HEADER, [line(0, 100)], (-10, -10, 100, 50))
    assert actions(first) == [("", DELETEALL), *[("divider", ADD)] * 3]
    assert len({m.id for m in first.markers[1:]}) == 3
    total = sum(abs(b.x - a.x) for m in first.markers[1:] for a, b in zip(m.points[::2], m.points[1::2], strict=True))
    assert total == pytest.approx(3 * BLOCK_M, abs=8)
    again = book.array(PLAIN, HEADER, [line(64, 100)], (40, -10, 100, 50))
    assert actions(again) == [("divider", ADD)]  # the one from 64 to 96; those behind stay as they are


def test_what_vanished_is_deleted_and_a_late_display_gets_all() -> None:
    book = StreetMarkers()
    first = book.array(PLAIN, HEADER, [line(0, 100), line(0, 30, 2, "boundary")], (-10, -10, 100, 50))
    boundary = next(m.id for m in first.markers if m.ns == "boundary")
    gone = book.array(PLAIN, HEADER, [line(0, 100)], (-10, -10, 100, 50))
    assert [(m.ns, m.id) for m in gone.markers if m.action == DELETE] == [("boundary", boundary)]
    book.array(PLAIN, HEADER, [line(200, 300)], (190, -10, 300, 50))
    assert len(book.array(PLAIN, HEADER, [line(200, 300)], (190, -10, 300, 50), everything=True).markers) == 3 + 3


def test_blocks_left_and_right_of_the_origin_are_told_apart() -> None:
    book = StreetMarkers()
    array = book.array(PLAIN, HEADER, [line(-64, 64)], (-100, -50, 100, 50))
    assert len({m.id for m in array.markers[1:]}) == 4 and all(0 <= m.id < 2**31 for m in array.markers)


def test_planners_get_ids_rectangle_and_heights() -> None:
    bounds = (-10.0, -20.0, 30.0, 40.0)
    message = local_map_message(PLAIN, HEADER, [line(0, 9, 4_000_000)], bounds, ("nano", "1.0"), HEADER.stamp)
    assert (message.x_min, message.y_min, message.x_max, message.y_max) == bounds
    (element,) = message.elements
    assert (element.id, element.label_name, element.points[0].z) == (4_000_000, "divider", 0.5)
    stamp_ns, (back,), view = elements_of_message(message)
    assert stamp_ns == 5 and view.x_m == (-10, 30) and back.score == pytest.approx(0.75)
    np.testing.assert_allclose(back.points_m, [[0, 1, 0.5], [9, 1, 0.5]])
