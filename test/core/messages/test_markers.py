"""Markers: what a display that applies them step by step ends up showing."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.draw import CLASS_COLORS
from mapkd_core.messages.markers import FAINTEST, MARKER, SHORTEST_LIFETIME_S, MarkerBook
from mapkd_core.types import CLASSES, MapElement

pytest.importorskip("rosbags", reason="rosbags has the message classes")
PLAIN = PlainMessages()
Marker = PLAIN(MARKER)


def header(sec: int = 5):
    stamp = PLAIN("builtin_interfaces/msg/Time")(sec=sec, nanosec=7)
    return PLAIN("std_msgs/msg/Header")(stamp=stamp, frame_id="base_link")


def element(label: str, score: float = 1.0, y: float = 0.0) -> MapElement:
    return MapElement(label, np.array([[0, y], [10, y + 1], [20, y]], np.float32), score)


class Display:
    """What RViz does with MarkerArrays."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, int], object] = {("old", 1): None}

    def apply(self, message) -> set[tuple[str, int]]:
        for marker in message.markers:
            if marker.action == Marker.DELETEALL:
                self.shown.clear()
            elif marker.action == Marker.DELETE:
                del self.shown[marker.ns, marker.id]
            else:
                self.shown[marker.ns, marker.id] = marker
        return set(self.shown)


def test_a_display_shows_exactly_the_newest_map():
    book, display = MarkerBook(), Display()
    divider, boundary = element("divider"), element("boundary")
    assert display.apply(book.array(PLAIN, header(), [divider, boundary], [1, 2])) == {("divider", 1), ("boundary", 2)}
    assert display.apply(book.array(PLAIN, header(), [divider, divider], [1, 3])) == {("divider", 1), ("divider", 3)}
    assert display.apply(book.array(PLAIN, header(), [], [])) == set()
    assert display.apply(book.array(PLAIN, header(), [boundary], [2])) == {("boundary", 2)}


def test_a_marker_is_a_line_in_the_maps_frame_and_stamp():
    (_, marker) = MarkerBook().array(PLAIN, header(), [element("divider", y=2.0)], [9]).markers
    assert marker.header == header()
    assert (marker.type, marker.action, marker.ns, marker.id) == (Marker.LINE_STRIP, Marker.ADD, "divider", 9)
    assert marker.pose.orientation.w == 1.0 and marker.scale.x > 0 and not marker.frame_locked
    assert [(p.x, p.y, p.z) for p in marker.points] == [(0, 2, 0), (10, 3, 0), (20, 2, 0)]


def test_heights_are_kept_where_an_element_has_them():
    points = np.array([[0, 0, 0.5], [1, 0, 0.25]], np.float32)
    (_, marker) = MarkerBook().array(PLAIN, header(), [MapElement("boundary", points)], [1]).markers
    assert [p.z for p in marker.points] == [0.5, 0.25]


def test_colour_tells_the_class_and_alpha_the_score():
    assert set(CLASS_COLORS) == set(CLASSES) and len(set(CLASS_COLORS.values())) == len(CLASSES)
    elements = [element(label, score) for label in CLASSES for score in (0.0, 0.5, 1.0)]
    markers = MarkerBook().array(PLAIN, header(), elements, range(9)).markers[1:]
    for i, marker in enumerate(markers):
        rgb = 255 * np.array([marker.color.r, marker.color.g, marker.color.b])
        np.testing.assert_allclose(rgb, CLASS_COLORS[CLASSES[i // 3]])
    np.testing.assert_allclose([m.color.a for m in markers], 3 * [FAINTEST, (1 + FAINTEST) / 2, 1.0])


def lifetime_s(book: MarkerBook) -> float:
    lifetime = book.array(PLAIN, header(), [element("divider")], [1]).markers[-1].lifetime
    return lifetime.sec + lifetime.nanosec / 1e9


def test_the_lifetime_follows_the_measured_period_and_markers_never_blink():
    book = MarkerBook()
    book.measure(0)
    assert lifetime_s(book) == 0.0  # for ever, until a period is known
    book.measure(2_000_000_000)
    assert lifetime_s(book) == pytest.approx(6.0)
    book.measure(7_000_000_000)  # slower at once
    assert lifetime_s(book) == pytest.approx(15.0)
    now = 7_000_000_000
    for _ in range(80):
        now += 100_000_000
        book.measure(now)
    assert lifetime_s(book) == pytest.approx(SHORTEST_LIFETIME_S, abs=0.05)
    assert lifetime_s(MarkerBook(lifetime_s=1.5)) == 1.5


def test_a_period_shrinks_slowly():
    book = MarkerBook()
    for now_s in (0.0, 5.0, 5.5, 6.0):
        book.measure(round(now_s * 1e9))
    assert lifetime_s(book) == pytest.approx(3 * (0.9 * (0.9 * 5 + 0.1 * 0.5) + 0.1 * 0.5))
    book.measure(round(5.8 * 1e9))  # a clock that went back says nothing
    assert lifetime_s(book) == pytest.approx(3 * (0.9 * (0.9 * 5 + 0.1 * 0.5) + 0.1 * 0.5))
