"""Predictions of other units and frames are told of; a map round the vehicle is not."""
from __future__ import annotations

import re

import numpy as np
import pytest

from mapkd_core.evaluation.odd_places import odd_places
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.frame_file import FrameRecord
from mapkd_core.types import MapElement

GRID = BevGrid((-30.0, 30.0), (-15.0, 15.0), 0.5)
LINES = np.array([[[-30.0, 3.0], [30.0, 3.0]], [[10.0, -14.0], [10.0, 14.0]]])


def told(lines: np.ndarray) -> str:
    elements = [MapElement("divider", line, 0.9) for line in lines]
    return " ".join(odd_places([FrameRecord("a", elements), FrameRecord("b", [])], GRID))


@pytest.mark.parametrize(("lines", "words"), [
    (100 * LINES, r"100 % of the predicted vertices, such as \(-3000, 300\), lie outside of the grid \(x -30 to 30"),
    (LINES + [1200.0, 800.0], "100 % .* in other units, or in another frame"),
    (LINES[..., ::-1], r"50 % of the predicted vertices, such as \(3, -30\)"),  # x to the right, y ahead
    (LINES / [60.0, 30.0], "All predicted vertices lie within 1 m of the vehicle; expected metres in the ego frame"),
])  # fmt: skip
def test_lines_of_other_units_or_frames_are_told_of(lines, words):
    assert re.search(words, told(lines))


def test_lines_in_the_grid_and_a_little_beyond_are_not():
    assert told(LINES) == told(LINES + 0.5) == "" and odd_places([FrameRecord("a", [])], GRID) == []
