"""Ids that stay with their elements while the vehicle drives past them."""
from __future__ import annotations

import numpy as np

from mapkd_core.messages.element_ids import MAX_ID, REMEMBERED_MAPS, ElementIds
from mapkd_core.types import MapElement


def line(y: float, x0: float = -30.0, x1: float = 30.0, label: str = "divider") -> MapElement:
    x = np.linspace(x0, x1, 7)
    return MapElement(label, np.stack([x, np.full(7, y)], 1).astype(np.float32))


def crossing(x: float) -> MapElement:
    ring = np.array([[x, -6], [x + 4, -6], [x + 4, 6], [x, 6], [x, -6]], np.float32)
    return MapElement("ped_crossing", ring, closed=True)


def test_elements_keep_their_ids_in_whatever_order_they_come():
    ids = ElementIds()
    first = ids.assign([line(-3.5), line(0.0), line(3.5), line(3.5, label="boundary")])
    assert len(set(first)) == 4 and min(first) >= 1
    again = ids.assign([line(3.6, label="boundary"), line(3.6), line(-3.4), line(0.1)])
    assert again == [first[3], first[2], first[0], first[1]]


def test_a_drive_keeps_the_ids_of_lines_and_crossings():
    """20 maps at 15 m/s and 12 Hz; the dashed line's pieces and the crossing come nearer by 1.25 m a map."""
    ids = ElementIds()
    seen = []
    for i in range(20):
        moved = 1.25 * i
        elements = [line(1.8 + 0.02 * i), line(-1.7), crossing(25 - moved), line(6.0, -30, 30 - moved, "boundary")]
        seen.append(ids.assign(elements))
    assert all(now == seen[0] for now in seen)


def test_neighbouring_lanes_are_never_confused():
    ids = ElementIds()
    (left,) = ids.assign([line(3.5)])
    (right,) = ids.assign([line(0.0)])
    assert left != right


def test_classes_are_never_confused():
    ids = ElementIds()
    assert ids.assign([line(0.0)]) != ids.assign([line(0.0, label="boundary")])


def test_an_element_may_be_missed_for_some_maps():
    ids = ElementIds()
    (first,) = ids.assign([line(0.0)])
    for _ in range(REMEMBERED_MAPS):
        assert ids.assign([]) == []
    assert ids.assign([line(0.0)]) == [first]
    for _ in range(REMEMBERED_MAPS + 1):
        ids.assign([])
    assert ids.assign([line(0.0)]) == [first + 1]


def test_a_reset_gives_new_ids_and_ids_wrap_before_they_overflow():
    ids = ElementIds()
    (first,) = ids.assign([line(0.0)])
    ids.reset()
    assert ids.assign([line(0.0)]) == [first + 1]
    ids._next_id = MAX_ID
    ids.reset()
    assert ids.assign([line(0.0), line(5.0)]) == [MAX_ID, 1]


def test_two_elements_never_share_an_id():
    ids = ElementIds()
    ids.assign([line(0.0)])
    assert len(set(ids.assign([line(0.2), line(-0.2), line(0.4)]))) == 3


def test_how_far_an_element_may_move_is_a_matter_of_its_class():
    moves = (line, 1.1, 2.0), (lambda y: line(y, label="boundary"), 1.1, 2.0), (crossing, 2.5, 12.0)
    for element, near, far in moves:
        for moved, same in ((near, True), (far, False)):
            ids = ElementIds()
            assert (ids.assign([element(0.0)]) == ids.assign([element(moved)])) == same


def test_a_line_that_is_cut_shorter_or_seen_longer_is_the_same():
    for first, second in (((-30, 30), (10, 30)), ((10, 30), (-30, 30))):
        ids = ElementIds()
        assert ids.assign([line(0.0, *first)]) == ids.assign([line(0.2, *second)])
