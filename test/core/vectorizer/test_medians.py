"""Medians, strips of land whose two curbs run together: hollowed where that is sure, left alone where it is not."""
import cv2
import numpy as np
import pytest

from mapkd_core.data.raster import rasterize
from mapkd_core.grid import GRID_60X30
from mapkd_core.types import MapElement
from mapkd_core.vectorizer.evidence import BOUNDARY, Evidence
from mapkd_core.vectorizer.medians import hollow_medians
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize


def bar(width: int, level: int, length: int = 100, class_index: int = BOUNDARY) -> Evidence:
    """A horizontal bar of one class, as probable as `level` of 255, in the middle of an empty map."""
    probability = np.zeros((4, 80, 200), np.uint8)
    top = 40 - width // 2
    probability[class_index, top : top + width, 50 : 50 + length] = level
    probability[0] = 255 - probability[class_index]
    return Evidence.of(probability, probability.argmax(0).astype(np.uint8))


@pytest.mark.parametrize(("width", "level", "length", "hollow"), [
    (7, 255, 100, False),   # one line
    (8, 255, 100, False),
    (10, 255, 100, True),   # two lines, and the network is sure
    (10, 180, 100, False),  # a line of which it is not sure where it runs
    (14, 180, 100, True),   # too wide for that
    (10, 255, 15, False),   # too short
    (60, 255, 100, False),  # an area
])  # fmt: skip
def test_what_is_a_median(width: int, level: int, length: int, hollow: bool) -> None:
    evidence = bar(width, level, length)
    before = evidence.class_map.copy()
    found = hollow_medians(evidence, 12, 40)
    assert (found != before).any() == hollow
    np.testing.assert_array_equal(evidence.class_map, before)
    if hollow:
        rim = cv2.connectedComponents((found > 0).astype(np.uint8))[0] - 1
        assert rim == 1 and found[40, 100] == 0, "a rim all round, empty inside"


def test_other_classes_are_left_alone() -> None:
    evidence = bar(10, 255, class_index=1)
    assert hollow_medians(evidence, 12, 40) is evidence.class_map


def test_a_curb_round_a_narrow_spit_of_land_is_one_line() -> None:
    # Two bays with 0.45 m of land between them: the lines drawn along it, 1 m wide, run together to one bar.
    points = [[20, 10], [-10, 10], [-10, 5], [5, 5], [5, 4.55], [-6, 4.55], [-6, 0], [20, 0]]
    truth = MapElement("boundary", np.array(points, np.float32))
    semantic = rasterize([truth], GRID_60X30, with_direction=False).semantic.astype(np.float32)
    (line,) = vectorize(semantic, GRID_60X30)
    assert not line.closed
    assert np.linalg.norm(np.diff(line.points_m, axis=0), axis=1).sum() == pytest.approx(92, abs=3)
    assert len(vectorize(semantic, GRID_60X30, VectorizeConfig(strip_m=0))) > 1
