"""Wrong pitch told by lines: parallel lines of a flat road as a wrong calibration puts them on the ground."""
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mapkd_core.cameras import line_drift
from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.line_drift import GAIN, OFFSET_DEG, LineDrift
from mapkd_core.cameras.plausibility import Mounted
from mapkd_core.geometry import apply, inverse, transform, transform_from_yaw
from mapkd_core.types import MapElement

MODEL = CameraModel((800, 450), np.array([[600.0, 0, 400], [0, 600, 225], [0, 0, 1]]))
FRONT = transform((1.5, 0.0, 1.6), (0.5, -0.5, 0.5, -0.5))
BACK = transform_from_yaw(0, 0, np.pi) @ FRONT


def wrong(true: np.ndarray, up_deg: float = 0.0, higher_m: float = 0.0) -> np.ndarray:
    changed = true.copy()
    changed[:3, :3] = true[:3, :3] @ Rotation.from_euler("x", up_deg, degrees=True).as_matrix()
    changed[2, 3] += higher_m
    return changed


def seen_with(points: np.ndarray, true: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Where a calibration puts ground points (P, 2) that a camera sees."""
    rays = apply(inverse(true), np.column_stack([points, np.zeros(len(points))])) @ given[:3, :3].T
    scale = -given[2, 3] / rays[:, 2]
    return (given[:3, 3] + rays * scale[:, None])[:, :2]


def road(true: np.ndarray, given: np.ndarray, rng: np.random.Generator, bend: float = 0.0) -> list[MapElement]:
    ahead = np.sign(true[0, 2])
    x = ahead * np.linspace(8, 26, 19)
    lines = []
    for y in (-5.2, -1.8, 1.7, 5.1):
        points = np.stack([x, y + bend * x**2 / 2], 1)
        lines.append(seen_with(points, true, given) + rng.normal(0, 0.03, (len(x), 2)))
    return [MapElement("divider", line.astype(np.float32)) for line in lines]


def shown_deg(true: np.ndarray, given: np.ndarray, maps: int = 30, bend: float = 0.0, name: str = "A") -> float:
    rng, drift = np.random.default_rng(3), LineDrift()
    for _ in range(maps):
        drift.see(road(true, given, rng, bend), {name: Mounted(MODEL, given)})
    return drift.estimates()[name].error_deg * GAIN + OFFSET_DEG  # what a network would show in full


@pytest.mark.parametrize("true", [FRONT, BACK], ids=["front", "back"])
@pytest.mark.parametrize("up_deg", [-1.0, 0.0, 1.0])
def test_lines_show_the_pitch_error_on_straight_and_bent_roads(true, up_deg):
    for bend in (0.0, 1 / 150):  # far lines move so much that it is only about linear
        assert shown_deg(true, wrong(true, up_deg), bend=bend) == pytest.approx(up_deg, abs=0.05 + 0.25 * abs(up_deg))


def test_a_wrong_height_leaves_lines_parallel():
    assert shown_deg(FRONT, wrong(FRONT, higher_m=0.2)) == pytest.approx(0, abs=0.05)


def test_a_camera_is_judged_by_what_it_sees_best_alone():
    rng, drift = np.random.default_rng(3), LineDrift()
    given = wrong(BACK, 1.5)
    for _ in range(30):
        both = road(FRONT, FRONT, rng) + road(BACK, given, rng)
        drift.see(both, {"front": Mounted(MODEL, FRONT), "back": Mounted(MODEL, given)})
    found = drift.estimates()
    assert abs(found["front"].error_deg - (0 - OFFSET_DEG) / GAIN) < 0.3
    assert found["back"].error_deg * GAIN + OFFSET_DEG == pytest.approx(1.5, abs=0.5)
    assert found["back"].doubtful and not found["front"].doubtful and found["back"].maps == 30


def test_too_few_maps_lines_or_a_side_camera_say_nothing():
    rng, drift = np.random.default_rng(3), LineDrift()
    side = transform_from_yaw(0, 0, np.pi / 2) @ FRONT
    for _ in range(line_drift.FEWEST_MAPS - 1):
        drift.see(road(FRONT, FRONT, rng), {"A": Mounted(MODEL, FRONT), "side": Mounted(MODEL, side)})
    assert drift.estimates() == {}
    for _ in range(40):
        drift.see(road(FRONT, FRONT, rng)[:1], {"A": Mounted(MODEL, FRONT)})
        drift.see([], {"A": Mounted(MODEL, FRONT)})
    assert drift.estimates() == {}
    drift.see(road(FRONT, FRONT, rng), {"A": Mounted(MODEL, FRONT)})
    assert list(drift.estimates()) == ["A"]


def test_a_corrected_mounting_begins_anew():
    rng, drift = np.random.default_rng(3), LineDrift()
    given = wrong(FRONT, 1.5)
    for _ in range(30):
        drift.see(road(FRONT, given, rng), {"A": Mounted(MODEL, given)})
    assert drift.estimates()["A"].doubtful
    for _ in range(25):
        drift.see(road(FRONT, FRONT, rng), {"A": Mounted(MODEL, FRONT)})
    assert drift.estimates()["A"].maps == 25 and not drift.estimates()["A"].doubtful


@pytest.mark.parametrize(("error_deg", "sigma_deg", "doubtful"), [
    (0.9, 0.1, False), (-1.1, 0.1, True), (1.5, 0.8, False), (-1.7, 0.8, True),
])  # fmt: skip
def test_a_doubt_needs_a_degree_and_twice_the_deviation(error_deg, sigma_deg, doubtful):
    assert line_drift.PitchEstimate(error_deg, sigma_deg, 30).doubtful == doubtful


def test_older_maps_fade():
    sums = line_drift._Sums(FRONT)
    for shown in [0.0] * 100 + [0.02] * 300:
        sums.add(2.0, 2.0 * shown)
    kept = 1 - 1 / line_drift.MEMORY_MAPS
    expected = np.degrees(0.02 * (1 - kept**300) / (1 - kept**400))
    assert sums.estimate().error_deg * GAIN + OFFSET_DEG == pytest.approx(expected)


def test_what_lies_beside_or_behind_the_camera_says_nothing():
    rng, given = np.random.default_rng(3), wrong(FRONT, 1.0)
    lines = [np.asarray(e.points_m, np.float64) for e in road(FRONT, given, rng)]
    bent = [np.concatenate([[[-6.0, y + 3], [1.0, y - 2], [2.4, y]], line]) for line in lines for y in line[:1, 1]]
    assert line_drift._spreading(bent, given) == pytest.approx(line_drift._spreading(lines, given))
