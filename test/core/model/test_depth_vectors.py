"""MapTRv2's view and network at a small size: where pixels fall, what a blind camera adds, what training gets."""
import numpy as np
import pytest
import torch
from rigs import ring

from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.model.camera_depth import camera_numbers
from mapkd_core.model.vector_config import vector_config
from mapkd_core.runtime.forward import Eager, Scripted
from mapkd_core.types import Batch

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
SIZE = (128, 64)
OPTIONS = {
    "variant": "maptrv2_published", "backbone": "resnet-18", "bev_cell_m": 1.5, "width": 16, "hidden": 16, "vectors": 3,
    "points": 4, "layers": 2, "heads": 2, "sampling_heads": 4, "many": 6, "repeats": 2, "dropout": 0.0,
    "frame": "base_link",
}


def rig(count=1):
    intrinsics, poses = ring(size=SIZE, focal=64.0)
    return [torch.from_numpy(m).float()[None].repeat(count, 1, 1, 1) for m in (intrinsics, poses)]


def network():
    torch.manual_seed(0)
    return build_model("vector_student", GRID, SIZE, OPTIONS).eval()


def images(count=1):
    return torch.randn(count, 6, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(1))


def test_pixels_fall_where_their_rays_lead():
    """Checked through the plain pinhole camera, on cells of half the BEV's."""
    net = network()
    intrinsics, poses = rig()
    cell = net.lookup(intrinsics, poses).cell[0]                                        # N D h w
    depth, row, col = 12, 1, 3
    u, v = col * (net.padded[0] - 1) / (net.feature_size[0] - 1), row * (net.padded[1] - 1) / (net.feature_size[1] - 1)
    for camera in range(6):
        ray = np.linalg.inv(intrinsics[0, camera].double().numpy()) @ [u, v, 1]
        at = poses[0, camera, :3, :3].double().numpy() @ (ray * float(net.view.depths_m[depth]))
        x, y = at[:2] + poses[0, camera, :2, 3].double().numpy()
        inside = abs(x) < 12 and abs(y) < 6
        expected = int((y + 6) / 0.75) * 32 + int((x + 12) / 0.75) if inside else 16 * 32
        assert cell[camera, depth, row, col] == expected
    assert (cell < 16 * 32).any() and (cell == 16 * 32).any()


def test_in_a_lidars_frame_the_rows_lead_ahead():
    torch.manual_seed(0)
    net = build_model("vector_student", GRID, SIZE, {**OPTIONS, "frame": "nuscenes_lidar"}).eval()
    assert net.plane.size == (16, 8)
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    intrinsics, poses = rig()
    poses[..., :2, 3] += 0.11  # or some rays lie on borders of cells
    flat = network().lookup(intrinsics, poses).cell
    turned = net.lookup(intrinsics, poses, base_from_lidar=pose[None]).cell
    row, col = flat // 32, flat % 32
    both = (flat < 16 * 32) & (turned < 32 * 16)  # cells are cut towards zero: each has a rim of its own
    assert both.sum() > 0.8 * (flat < 16 * 32).sum()
    assert torch.equal(turned[both], (col * 16 + 15 - row)[both]), "ahead is up the rows, right up the columns"


def test_a_camera_that_shows_nothing_has_no_say():
    net, (intrinsics, poses) = network(), rig()
    visible = torch.ones(1, 6, SIZE[1], SIZE[0], dtype=torch.bool)
    visible[:, 2] = False
    dark = images()
    dark[:, 2] = 100.0
    with torch.no_grad():
        first, second = (net.infer(i, net.lookup(intrinsics, poses, visible)).points_m for i in (images(), dark))
        seeing = net.infer(dark, net.lookup(intrinsics, poses)).points_m
    assert torch.equal(first, second) and not torch.equal(second, seeing)


def test_numbers_of_a_camera_are_those_of_the_published_size():
    intrinsics = torch.tensor([[[[633.0, 0, 408], [0, 633, 245.5], [0, 0, 1]]]])
    pose = torch.arange(16.0).reshape(1, 1, 4, 4)
    numbers = camera_numbers(intrinsics, pose, (0.5, 0.5))[0, 0].tolist()
    assert numbers == [1266, 1266, 816, 491, 0.5, 0, 0, 0, 0.5, 0, *range(12)]


@pytest.mark.parametrize("count", [1, 2])
def test_training_gets_every_layer_and_the_further_elements(count):
    net = network().train()
    batch = Batch(images(count), *rig(count))
    prediction = net(batch)
    assert prediction.logits.shape == (2, count, 3, 3) and prediction.points_m.shape == (2, count, 3, 4, 2)
    assert prediction.many.logits.shape == (2, count, 6, 3) and prediction.repeats == 2
    (prediction.points_m.sum() + prediction.logits.sum() + prediction.many.logits.sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []
    alone = net.eval()(batch)
    assert alone.many is None
    lookup = net.lookup(batch.intrinsics, batch.base_from_camera)
    assert torch.equal(net.infer(batch.images, lookup).points_m[0], alone.points_m[-1])


def test_a_traced_network_gives_the_same():
    net, calibration = network(), rig()
    eager = Eager(net).eval()
    with torch.no_grad():
        lookup = net.lookup(*calibration)
        eager.lookup_type = type(lookup)
        found, expected = Scripted(eager)(images()[0], *lookup), eager(images()[0], *lookup)
    assert torch.allclose(found, expected, atol=1e-5)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="rig_bound: false, can_bus: false"):
        vector_config({**OPTIONS, "can_bus": True})
    with pytest.raises(ValueError, match="view 'camera_depth' lacks"):
        vector_config({**OPTIONS, "evidence": [1]})
