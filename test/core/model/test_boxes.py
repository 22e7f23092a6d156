"""Boxes of the papers' networks: where things land, and what must not leak."""
import numpy as np
import pytest
import torch
from rigs import ring

from mapkd_core.geometry import apply, inverse, project
from mapkd_core.grid import BevGrid
from mapkd_core.model.hd_prior import wipe_blocks
from mapkd_core.model.lift_splat import LiftSplat
from mapkd_core.model.neural_ipm import GroundWarp
from mapkd_core.model.point_pillars import PointPillars
from mapkd_core.model.ray_points import ray_points
from mapkd_core.model.sd_prior import SdPrior, sine_position

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def test_pillars_padding_and_far_points_change_nothing():
    torch.manual_seed(0)
    net = PointPillars(GRID, 8, 8)
    points = torch.rand(2, 50, 5) * torch.tensor([20, 10, 1, 100, 0.1]) - torch.tensor([10.0, 5, 0, 0, 0])
    mask = torch.ones(2, 50)
    far = torch.cat([points, torch.full((2, 7, 5), 500.0), torch.zeros(2, 9, 5)], 1)
    far_mask = torch.cat([mask, torch.ones(2, 7), torch.zeros(2, 9)], 1)
    net.train()  # batch statistics are where padding would leak in
    assert torch.allclose(net(points, mask), net(far, far_mask), atol=1e-5)


def test_pillars_put_a_point_where_it_is():
    net = PointPillars(GRID, 8, 8).eval()
    points = torch.tensor([[[6.05, 2.05, 0.0, 10.0, 0.0]]])
    bev = net._pillars(points, torch.ones(1, 1))
    _, rows, cols = np.nonzero(bev[0].detach().numpy())
    expected = GRID.cells_from_metres(np.array([6.05, 2.05])).astype(int)
    assert set(cols) == {expected[0]} and set(rows) == {expected[1]}


def test_ray_points_project_back_to_their_pixels():
    intrinsics, poses = ring(6, (176, 64), 90.0)
    tensors = (torch.from_numpy(m)[None].float() for m in (intrinsics, poses))
    points = ray_points(*tensors, (176, 64), (11, 4), torch.arange(4.0, 45.0))[0].double().numpy()  # N D h w 3
    for camera in range(6):
        pixels, depth = project(apply(inverse(poses[camera]), points[camera]), intrinsics[camera])
        assert np.allclose(depth, np.arange(4, 45)[:, None, None], atol=1e-3)
        assert np.allclose(pixels[..., 0], (np.arange(11) + 0.5) * 16 - 0.5, atol=1e-2)
        assert np.allclose(pixels[..., 1], ((np.arange(4) + 0.5) * 16 - 0.5)[:, None], atol=1e-2)


def test_lift_splat_keeps_the_mass_that_lands_on_the_grid():
    """With every depth's weight summing to one, the BEV of one feature is its context spread along its ray."""
    intrinsics, poses = ring(1, (176, 64), 90.0)
    net = LiftSplat(BevGrid((-60.0, 60.0), (-60.0, 60.0), 0.5), torch.nn.Conv2d(3, 8, 16, 16), 8, 4, 4)
    torch.nn.init.zeros_(net.head.weight)
    torch.nn.init.constant_(net.head.bias, 1.0)
    torch.nn.init.eye_(net.expand.weight.data[:, :, 0, 0])
    torch.nn.init.zeros_(net.expand.bias)
    bev = net(torch.zeros(1, 1, 3, 64, 176), *(torch.from_numpy(m)[None].float() for m in (intrinsics, poses)))
    tensors = (torch.from_numpy(m)[None].float() for m in (intrinsics, poses))
    heights = ray_points(*tensors, (176, 64), (11, 4), net.depths_m)[..., 2]
    landed = (heights.abs() < 10).float().mean().item()
    assert bev[0, 0].sum().item() == pytest.approx(11 * 4 * landed, rel=1e-3)


def test_ground_warp_puts_a_camera_ahead_of_itself():
    """What a camera's ground map holds straight ahead appears ahead of that camera in the BEV."""
    warp = GroundWarp(GRID, (8, 16))
    _, poses = ring(4)
    ground = torch.zeros(1, 4, 1, 8, 16)
    ground[0, 1, 0, 3:5, 2:4] = 1.0  # camera 1 looks left (+y); the middle rows are straight ahead of it
    bev = warp(ground, warp.lookup(torch.from_numpy(poses)[None].float()))[0, 0]
    assert bev.shape == GRID.shape
    rows, cols = np.nonzero(bev.numpy() > 0.1)
    x, y = GRID.metres_from_cells(np.stack([cols + 0.5, rows + 0.5], -1)).mean(0)
    assert y > 2 and abs(x) < 1


def test_sine_position_is_unique_and_bounded():
    code = sine_position(12, 25, 64, torch.device("cpu"))[0]
    assert code.shape == (300, 64) and code.abs().max() <= 1
    assert torch.cdist(code, code).add(torch.eye(300) * 9).min() > 1e-3


def test_sd_prior_reads_the_road_map():
    torch.manual_seed(0)
    prior = SdPrior(8, dim=16, heads=2, hidden=16).eval()
    bev = torch.randn(1, 8, 40, 80)
    with torch.inference_mode():
        empty, _ = prior(bev, -torch.ones(1, 1, 40, 80))
        road, taps = prior(bev, torch.ones(1, 1, 40, 80))
    assert empty.shape == bev.shape and (empty - road).abs().max() > 1e-4
    assert taps["bev_small"].shape == (1, 8, 5, 10) and taps["bev_sd"].shape == (1, 16, 5, 10)


@pytest.mark.parametrize("ratio", [0.5, -1.0])
def test_wiping_only_removes_and_background_fills(ratio):
    generator = torch.Generator().manual_seed(3)
    classes = torch.randint(0, 4, (2, 100, 200), generator=generator)
    onehot = torch.nn.functional.one_hot(classes, 4).permute(0, 3, 1, 2)
    wiped = wipe_blocks(onehot, ratio, generator)
    assert torch.all(wiped[:, 1:] <= onehot[:, 1:])
    assert torch.all(wiped.sum(1) == 1)
    kept = wiped[:, 1:].sum() / onehot[:, 1:].sum()
    assert 0.2 < kept < 0.95
