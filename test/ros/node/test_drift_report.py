"""Which maps are looked at, and what the user is told."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mapkd_core.cameras.line_drift import PitchEstimate
from mapkd_ros.node.drift_report import DriftReport

S = 1_000_000_000
JOB = SimpleNamespace(cameras=("A",), models=("model",), base_from_camera=np.eye(4)[None])


class Drift:
    """In place of the estimator."""

    def __init__(self, *errors: tuple[float, float]) -> None:
        self.seen: list[tuple] = []
        self.errors = errors

    def see(self, elements, cameras) -> None:
        self.seen.append((elements, cameras))

    def estimates(self) -> dict[str, PitchEstimate]:
        return {f"CAM_{place}": PitchEstimate(*error, 40) for place, error in enumerate(self.errors)}


def semantic(shift: int) -> np.ndarray:
    cells = np.zeros((20, 40), np.uint8)
    cells[5, shift : shift + 20] = 1
    return cells


@pytest.fixture
def report():
    one = DriftReport()
    one._drift = Drift()  # type: ignore[assignment]
    return one


def test_one_map_a_second_is_looked_at_and_none_while_the_vehicle_stands(report):
    for at_s, shift in ((10.0, 0), (10.5, 9), (11.2, 0), (12.5, 0), (12.6, 4), (13.0, 9)):
        result = SimpleNamespace(elements=["line"], semantic=semantic(shift))
        report.see(JOB, result, round(at_s * S))
    assert len(report._drift.seen) == 2  # at 10.0 and 12.6
    elements, cameras = report._drift.seen[0]
    assert elements == ["line"] and list(cameras) == ["A"] and cameras["A"].model == "model"


def test_what_is_surely_wrong_is_told_with_its_direction(report):
    report._drift.errors = ((1.4, 0.5), (-1.6, 0.5), (1.4, 0.8), (0.9, 0.2))
    up, down = report.doubts()
    assert up.cameras == ("CAM_0",) and down.cameras == ("CAM_1",)
    assert "spread with distance, as if it looked 1.4 +- 0.5 degrees lower than its transform says" in up.text
    assert "close in with distance, as if it looked 1.6 +- 0.5 degrees higher" in down.text
    assert report.values()["CAM_3"] == "+0.9 +- 0.2 (40 maps)"
