"""Pixels at depths: where they lie in space, and into which cell of a grid that is no square they fall."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from rigs import ring
from torch import nn

from mapkd_core.geometry import apply
from mapkd_core.grid import BevGrid
from mapkd_core.model.lift_splat import LiftSplat
from mapkd_core.model.ray_points import PUBLISHED_IMAGE_SIZE, published_intrinsics, ray_points

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6)
SIZE, FEATURES = (96, 48), (6, 3)


def test_features_fall_into_the_cells_in_which_their_points_lie() -> None:
    torch.manual_seed(0)
    view = LiftSplat(GRID, nn.Identity(), 5, 4, 4, (2.0, 10.0, 2.0))
    intrinsics, poses = ring(2, SIZE, focal=48.0, start=0.13)
    features = torch.randn(1, 2, 5, FEATURES[1], FEATURES[0])
    given = (torch.from_numpy(part).float()[None] for part in (intrinsics, poses))
    found = view.lift(features, SIZE, *given)
    expected, head = torch.zeros(4, *GRID.shape), view.head(features[0])
    depth, context = head[:, :4].softmax(1), head[:, 4:]
    for camera in range(2):
        for d in range(4):
            for v in range(FEATURES[1]):
                for u in range(FEATURES[0]):
                    pixel = np.array([16 * u + 7.5, 16 * v + 7.5, 1.0])
                    point = apply(poses[camera], (np.linalg.inv(intrinsics[camera]) @ pixel * (2 + 2 * d))[None])[0]
                    col, row = np.floor(GRID.cells_from_metres(point)).astype(int)
                    if 0 <= col < GRID.cols and 0 <= row < GRID.rows and -10 < point[2] < 10:
                        expected[:, row, col] += depth[camera, d, v, u] * context[camera, :, v, u]
    assert expected.abs().sum() > 1 and torch.allclose(found, view.expand(expected[None]), atol=1e-4)


def test_the_released_code_keeps_the_centre_of_the_first_pixel() -> None:
    """Both corners of an image: resized by the released code, its first pixel's centre stays at 0."""
    k = torch.eye(3).expand(1, 1, 3, 3)
    full_w, full_h = PUBLISHED_IMAGE_SIZE
    found = published_intrinsics(k, (400, 225))
    # ours: u' = (u + 0.5) s - 0.5; theirs: u' = u s, half a pixel less a half of the share farther on
    assert found[0, 0, :2, 2].tolist() == pytest.approx([0.5 - 200 / full_w, 0.5 - 112.5 / full_h])
    assert torch.equal(published_intrinsics(k, PUBLISHED_IMAGE_SIZE), k)


@pytest.mark.parametrize(("align", "first", "last"), [(False, 7.5, 87.5), (True, 0.0, 95.0)])
def test_a_feature_map_reaches_from_edge_to_edge_or_from_centre_to_centre(
    align: bool, first: float, last: float
) -> None:
    k = torch.tensor([[48.0, 0, 0], [0, 48, 0], [0, 0, 1]]).expand(1, 1, 3, 3)
    points = ray_points(k, torch.eye(4).expand(1, 1, 4, 4), SIZE, FEATURES, torch.tensor([1.0, 2.0]), align)
    assert points.shape == (1, 1, 2, 3, 6, 3)
    assert points[0, 0, 1, 0, [0, -1], 0].tolist() == pytest.approx([2 * first / 48, 2 * last / 48])
    assert points[0, 0, :, 0, 0, 2].tolist() == [1, 2]
