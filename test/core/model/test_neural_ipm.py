"""The warp of the cameras' ground maps: where a place of the plane lies in them, and who has a say."""
from __future__ import annotations

import numpy as np
import torch

from mapkd_core.geometry import apply, inverse, transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.model.neural_ipm import GroundWarp

GRID = BevGrid((-30.0, 30.0), (-15.0, 15.0), 0.75)
LOOKS_AHEAD = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])


def test_a_place_lies_ahead_and_to_the_right_of_its_camera() -> None:
    """A ground map's columns run ahead from unit 10 to 90, its rows to the right from -20 to 20 units."""
    warp, pose = GroundWarp(GRID, (8, 16)), transform_from_yaw(1.0, 0.5, 0.7) @ LOOKS_AHEAD
    found = warp.lookup(torch.from_numpy(pose).float()[None, None])
    unit_m = 30 / 60
    local = apply(inverse(pose), warp.points_m.numpy()) / unit_m
    col, row = (local[:, 2] - 10) * 16 / 80, (local[:, 0] + 20) * 8 / 40
    assert np.allclose(found.place[0, 0], np.stack([2 * col / 15 - 1, 2 * row / 7 - 1], 1), atol=1e-4)
    assert found.inside.all()


def test_a_camera_that_shows_nothing_at_all_has_no_say() -> None:
    warp = GroundWarp(GRID, (8, 16))
    poses = torch.from_numpy(np.stack([transform_from_yaw(0, 0, yaw) @ LOOKS_AHEAD for yaw in (0, 2)])).float()[None]
    visible = torch.zeros(1, 2, 4, 6, dtype=torch.bool)
    visible[0, 0, 1, 2] = True
    lookup = warp.lookup(poses, visible)
    assert lookup.inside[0, 0].all() and not lookup.inside[0, 1].any()
    ground = torch.rand(1, 2, 3, 8, 16)
    changed = ground.clone()
    changed[0, 1] += 5
    assert torch.equal(warp(ground, lookup), warp(changed, lookup))
    assert not torch.equal(warp(ground, warp.lookup(poses)), warp(changed, warp.lookup(poses)))
