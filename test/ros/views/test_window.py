"""The state of RViz's window, read back by the rules of QMainWindow::restoreState."""
from __future__ import annotations

import struct

from mapkd_ros.views.window import window_state


class Reader:
    """Takes a state apart; raises where it is not as Qt wants it."""

    def __init__(self, state: str) -> None:
        self.rest = bytes.fromhex(state)

    def take(self, form: str) -> int:
        size = struct.calcsize(form)
        (value,) = struct.unpack(form, self.rest[:size])
        self.rest = self.rest[size:]
        return value

    def integers(self, count: int) -> list[int]:
        return [self.take(">I") for _ in range(count)]

    def name(self) -> str:
        size = self.take(">I")
        text, self.rest = self.rest[:size].decode("utf-16-be"), self.rest[size:]
        return text

    def area(self) -> tuple[int, list[tuple[str, int, int]]]:
        """(orientation, [(name, position, length)])."""
        assert self.take(">B") == 0xFC
        orientation, docks = self.take(">B"), []
        for _ in range(self.take(">I")):
            assert self.take(">B") == 0xFB
            name = self.name()
            assert self.take(">B") == 1  # visible, and not a window of its own
            position, length, least, most = self.integers(4)
            assert least == 0 and most == 0xFFFFFF
            docks.append((name, position, length))
        return orientation, docks


def test_fronts_above_backs_below_panels_left_and_the_map_in_between():
    reader = Reader(window_state(("a", "b", "c"), ("d", "e"), ("Displays",), (1200, 1000)))
    assert reader.integers(2) == [0xFF, 0] and reader.take(">B") == 0xFD
    areas = {}
    for _ in range(reader.take(">I")):
        place, width, height = reader.integers(3)
        areas[place] = (width, height, *reader.area())
    assert areas[2] == (1200, 300, 1, [("a", 0, 400), ("b", 400, 400), ("c", 800, 400)])
    assert areas[3] == (1200, 300, 1, [("d", 0, 600), ("e", 600, 600)])
    assert areas[0] == (200, 400, 2, [("Displays", 0, 400)]) and set(areas) == {0, 2, 3}
    assert reader.integers(2) == [1000, 400]  # the map
    assert reader.integers(4) == [4, 4, 8, 8]  # rows take the corners
    assert reader.take(">B") == 0xFC and reader.integers(3) == [1, 2, 1] and reader.name() == "Tools"
    assert len(reader.rest) == 17
