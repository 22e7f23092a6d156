"""The places of a Qt window's docks, in the form of QMainWindow::saveState, which RViz keeps as `QMainWindow State`.

Without it RViz puts all docks into one column of 256 pixels. The form is Qt's own (qmainwindowlayout.cpp,
qdockarealayout.cpp; version 0): big-endian integers and UTF-16 names.
"""
from __future__ import annotations

import struct
from collections.abc import Sequence

_START, _DOCKS, _ROW, _DOCK, _TOOL_BARS = 0xFF, 0xFD, 0xFC, 0xFB, 0xFC
_LEFT, _TOP, _BOTTOM = 0, 2, 3
"""Where an area of docks lies; 1 would be the right."""
_HORIZONTAL, _VERTICAL = 1, 2
_UNLIMITED = 0xFFFFFF
_SHOWN = 1
_TOOL_BAR = "Tools"
_CORNERS = (4, 4, 8, 8)
"""The corners belong to the area above (4) and below (8): upper left and right, lower left and right."""


def window_state(above: Sequence[str], below: Sequence[str], left: Sequence[str], size: tuple[int, int]) -> str:
    """Hexadecimal state of a window of `size` (w, h) pixels with these docks, each side sharing its length equally."""
    width, height = size
    row_px, column_px = height * 3 // 10, width // 6
    middle_px = height - (row_px if above else 0) - (row_px if below else 0)
    areas = []
    if left:
        areas.append((_LEFT, (column_px, middle_px), _area(left, _VERTICAL, middle_px)))
    if above:
        areas.append((_TOP, (width, row_px), _area(above, _HORIZONTAL, width)))
    if below:
        areas.append((_BOTTOM, (width, row_px), _area(below, _HORIZONTAL, width)))
    state = struct.pack(">IIBI", _START, 0, _DOCKS, len(areas))
    for place, (area_w, area_h), docks in areas:
        state += struct.pack(">III", place, area_w, area_h) + docks
    state += struct.pack(">II", width - (column_px if left else 0), middle_px) + struct.pack(">IIII", *_CORNERS)
    state += struct.pack(">BIII", _TOOL_BARS, 1, _TOP, 1) + _name(_TOOL_BAR)
    state += struct.pack(">BIiII", _SHOWN, 0, -1, 0, 0)
    return state.hex()


def _area(docks: Sequence[str], orientation: int, length_px: int) -> bytes:
    """Docks side by side."""
    state = struct.pack(">BBI", _ROW, orientation, len(docks))
    for place, dock in enumerate(docks):
        begin, end = (length_px * i // len(docks) for i in (place, place + 1))
        state += struct.pack(">B", _DOCK) + _name(dock)
        state += struct.pack(">BIIII", _SHOWN, begin, end - begin, 0, _UNLIMITED)
    return state


def _name(text: str) -> bytes:
    utf16 = text.encode("utf-16-be")
    return struct.pack(">I", len(utf16)) + utf16
