"""The view transform: samples lie where geometry says, whatever the calibration."""
import numpy as np
import torch
from rigs import ring
from torch.nn import functional

from mapkd_core.geometry import apply, inverse, project
from mapkd_core.grid import BevGrid
from mapkd_core.model.pillar_sampling import PillarSampling

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6)
SIZE = (352, 128)
FEATURES = (88, 32)


def tables(view, intrinsics, poses):
    as_batch = lambda m: torch.from_numpy(m).float()[None]  # noqa: E731
    return view.lookup(as_batch(intrinsics), as_batch(poses), SIZE, FEATURES)


def position_features(count=6):
    """Features that hold their own camera, column and row."""
    cols, rows = np.meshgrid(np.arange(FEATURES[0]), np.arange(FEATURES[1]))
    maps = [np.stack([np.full_like(cols, n), cols, rows]) for n in range(count)]
    return torch.from_numpy(np.stack(maps)).float()[None]


def test_every_sample_is_where_the_projection_says():
    view = PillarSampling(GRID, heights_m=(0.0, 1.0))
    intrinsics, poses = ring()
    bev, seen = view(position_features(), tables(view, intrinsics, poses))
    assert bev.shape == (1, 2 * 3, *GRID.shape) and seen.shape == (1, 2, *GRID.shape)
    centres = GRID.cell_centres_m()
    checked = 0
    for z_index, z in enumerate((0.0, 1.0)):
        for row in range(0, GRID.rows, 3):
            for col in range(0, GRID.cols, 3):
                camera, u, v = bev[0, 3 * z_index : 3 * z_index + 3, row, col].tolist()
                point = np.array([*centres[row, col], z])
                margins = []
                for n in range(6):
                    (pu, pv), depth = project(apply(inverse(poses[n]), point), intrinsics[n])
                    fu, fv = (pu + 0.5) / 4 - 0.5, (pv + 0.5) / 4 - 0.5
                    margin = min((fu + 0.5) / 88, (87.5 - fu) / 88, (fv + 0.5) / 32, (31.5 - fv) / 32)
                    margins.append(((margin if depth > 0.5 else -1), fu, fv))
                best = int(np.argmax([m[0] for m in margins]))
                if margins[best][0] <= 0:
                    assert seen[0, z_index, row, col] == 0 and (camera, u, v) == (0, 0, 0)
                    continue
                checked += 1
                assert abs(seen[0, z_index, row, col].item() - 1) < 1e-5
                assert abs(camera - best) < 1e-4
                assert abs(u - np.clip(margins[best][1], 0, 87)) < 1e-3
                assert abs(v - np.clip(margins[best][2], 0, 31)) < 1e-3
    assert checked > 100


def test_gathering_equals_grid_sample():
    """One camera: the look-up and torch's own bilinear sampling agree."""
    view = PillarSampling(GRID, heights_m=(0.0,))
    intrinsics, poses = ring(1)
    table = tables(view, intrinsics, poses)
    features = torch.randn(1, 1, 5, FEATURES[1], FEATURES[0])
    bev, seen = view(features, table)
    positions, _ = view(position_features(1), table)
    u, v = positions[0, 1], positions[0, 2]
    grid = torch.stack([(2 * u + 1) / FEATURES[0] - 1, (2 * v + 1) / FEATURES[1] - 1], -1)[None]
    expected = functional.grid_sample(features[:, 0], grid, align_corners=False, padding_mode="border")
    visible = seen[0, 0] > 0.5
    assert visible.any() and (~visible).any()
    assert torch.allclose(bev[0, :, visible], expected[0, :, visible], atol=1e-4)
    assert torch.all(bev[0, :, ~visible] == 0)


def test_a_turned_rig_turns_the_map():
    """Turning all cameras by 180 degrees and swapping the BEV's ends gives the same samples."""
    view = PillarSampling(GRID, heights_m=(0.0,))
    features = torch.randn(1, 6, 4, FEATURES[1], FEATURES[0])
    plain, _ = view(features, tables(view, *ring()))
    turned, _ = view(features, tables(view, *ring(start=np.pi)))
    assert torch.allclose(plain, turned.flip(2, 3), atol=2e-3)


def test_camera_order_does_not_matter():
    view = PillarSampling(GRID)
    features = torch.randn(1, 6, 4, FEATURES[1], FEATURES[0])
    intrinsics, poses = ring()
    order = [3, 0, 5, 1, 4, 2]
    plain, _ = view(features, tables(view, intrinsics, poses))
    shuffled, _ = view(features[:, order], tables(view, intrinsics[order], poses[order]))
    assert torch.allclose(plain, shuffled, atol=1e-5)


def test_batch_items_have_their_own_calibration():
    view = PillarSampling(GRID)
    features = torch.randn(2, 6, 4, FEATURES[1], FEATURES[0])
    rigs = [ring(), ring(start=0.3, height_m=1.8)]
    both = view.lookup(
        torch.tensor(np.stack([r[0] for r in rigs])).float(), torch.tensor(np.stack([r[1] for r in rigs])).float(),
        SIZE, FEATURES,
    )
    together, _ = view(features, both)
    for i, rig in enumerate(rigs):
        alone, _ = view(features[i : i + 1], tables(view, *rig))
        assert torch.allclose(together[i], alone[0], atol=1e-5)


def test_what_a_camera_shows_of_its_own_vehicle_is_not_sampled():
    view = PillarSampling(GRID, heights_m=(0.0,))
    intrinsics, poses = (torch.from_numpy(part).float()[None] for part in ring())
    visible = torch.ones(1, 6, SIZE[1], SIZE[0], dtype=torch.bool)
    visible[0, 2] = False
    lookup = view.lookup(intrinsics, poses, SIZE, FEATURES, visible)
    taken = lookup.pixel[lookup.weight > 0] // (FEATURES[0] * FEATURES[1])
    assert set(taken.tolist()) == {0, 1, 3, 4, 5}
    visible[:] = False
    assert not view.lookup(intrinsics, poses, SIZE, FEATURES, visible).weight.any()
