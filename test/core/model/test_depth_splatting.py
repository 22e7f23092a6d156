"""Splatting: pixels fall where geometry says, and what they carry is neither lost nor doubled."""
import numpy as np
import torch
from rigs import ring

from mapkd_core.geometry import apply
from mapkd_core.grid import BevGrid
from mapkd_core.model.depth_splatting import DepthSplatting

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6)
SIZE, FEATURES = (96, 48), (24, 12)


def table(view):
    intrinsics, poses = ring(6, SIZE, focal=48.0)
    as_batch = lambda m: torch.from_numpy(m).float()[None]  # noqa: E731
    return view.lookup(as_batch(intrinsics), as_batch(poses), SIZE, FEATURES), intrinsics, poses


def test_every_pixel_falls_where_its_ray_is_at_that_depth():
    view = DepthSplatting(GRID, 4, (2.0, 12.0, 2.5))
    lookup, intrinsics, poses = table(view)
    checked = 0
    for camera in range(6):
        for d, depth in enumerate((2.0, 4.5, 7.0, 9.5)):
            for v in range(0, FEATURES[1], 3):
                for u in range(0, FEATURES[0], 5):
                    pixel = np.array([4 * u + 1.5, 4 * v + 1.5, 1.0])  # a feature covers four pixels, centred between
                    x, y, z = apply(poses[camera], (np.linalg.inv(intrinsics[camera]) @ pixel * depth)[None])[0]
                    col, row = np.floor((x + 12) / 0.6), np.floor((y + 6) / 0.6)
                    inside = 0 <= col < GRID.cols and 0 <= row < GRID.rows and -3 < z < 5
                    expected = row * GRID.cols + col if inside else GRID.rows * GRID.cols
                    assert lookup.cell[0, camera, d, v, u] == expected
                    checked += inside
    assert checked > 50


def test_nothing_is_lost_inside_the_grid():
    view = DepthSplatting(GRID, 4, (2.0, 12.0, 2.5))
    lookup, *_ = table(view)
    features = torch.rand(1, 6, 4, FEATURES[1], FEATURES[0])
    bev, seen = view(features, lookup)
    assert bev.shape == (1, 4, *GRID.shape) and seen.shape == (1, 1, *GRID.shape)
    weight = view.depth(features[0]).softmax(1)                                          # N D h w
    inside = (lookup.cell[0] < GRID.rows * GRID.cols).float()
    expected = torch.einsum("ndhw,nchw->c", weight * inside, features[0])
    torch.testing.assert_close(bev.sum((0, 2, 3)), expected, rtol=1e-4, atol=1e-3)
    assert (bev[0].abs().sum(0)[seen[0, 0] == 0] == 0).all() and 0 < seen.mean() < 1


def test_a_batch_keeps_its_samples_apart():
    view = DepthSplatting(GRID, 4, (2.0, 12.0, 2.5))
    lookup, *_ = table(view)
    two = type(lookup)(*(part.repeat(2, *[1] * (part.ndim - 1)) for part in lookup))
    features = torch.rand(2, 6, 4, FEATURES[1], FEATURES[0])
    both = view(features, two)[0]
    for k in range(2):
        torch.testing.assert_close(both[k], view(features[k : k + 1], lookup)[0][0], rtol=1e-4, atol=1e-4)


def test_a_feature_pixel_of_which_most_is_masked_falls_nowhere():
    view = DepthSplatting(GRID, 4, (2.0, 12.0, 2.5))
    lookup, intrinsics, poses = table(view)
    visible = torch.ones(1, 6, SIZE[1], SIZE[0], dtype=torch.bool)
    visible[:, :, :, ::4] = False  # a quarter of each feature pixel
    visible[:, 1, :, 1::4] = visible[:, 1, :, 2::4] = False  # three quarters
    calibration = (torch.from_numpy(part).float()[None] for part in (intrinsics, poses))
    cell = view.lookup(*calibration, SIZE, FEATURES, visible).cell
    others = [0, 2, 3, 4, 5]
    assert torch.equal(cell[:, others], lookup.cell[:, others]) and (cell[:, 1] == GRID.rows * GRID.cols).all()
