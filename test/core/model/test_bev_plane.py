"""The plane of a vector student's BEV: from shares of its sides to metres of the vehicle."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mapkd_core.geometry import apply, flattened
from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_plane import BevPlane
from mapkd_core.model.plane_points import NUSCENES_LIDAR

GRID = BevGrid((-30.0, 30.0), (-15.0, 9.0), 0.6)
PLACES = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.25, 0.5]])


def test_shares_of_the_sides_are_metres_forward_and_left() -> None:
    plane = BevPlane(GRID, 0.6, (0.0,), "base_link")
    assert plane.size == (40, 100)
    assert np.allclose(plane.metres(PLACES), [[-30, -15], [30, 9], [-15, -3]], atol=1e-4)


def test_in_a_lidars_frame_columns_run_to_the_right_and_rows_ahead() -> None:
    plane = BevPlane(GRID, 0.6, (0.0, 1.0), "nuscenes_lidar")
    assert plane.size == (100, 40) and plane.points_m.shape == (4000, 2, 3)
    right_ahead = np.array([[-9, -30], [15, 30], [-3, 0]])
    local = np.column_stack([right_ahead, np.zeros(3)])
    expected = apply(flattened(NUSCENES_LIDAR), local)[:, :2]
    assert np.allclose(plane.metres(PLACES), expected, atol=1e-4)
    assert plane.metres(PLACES)[0].tolist() == pytest.approx([-29, 9], abs=0.2)
