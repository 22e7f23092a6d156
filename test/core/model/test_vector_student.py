"""The vector student: its attentions against plain readings of a map, calibrations, gradients, metres."""
import numpy as np
import pytest
import torch
from rigs import ring
from torch.nn import functional

from mapkd_core.geometry import apply, inverse, project, transform
from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_plane import BevPlane
from mapkd_core.model.build import build_model
from mapkd_core.model.kernel_attention import KernelAttention, projected
from mapkd_core.model.plane_points import NUSCENES_LIDAR
from mapkd_core.model.resnet import ResNet
from mapkd_core.model.token_sampling import PointAttention
from mapkd_core.model.vector_config import vector_config
from mapkd_core.types import Batch

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
SIZE = (96, 60)
SMALL = {"width": 32, "hidden": 16, "bev_cell_m": 1.5, "vectors": 6, "points": 4, "sampling_heads": 4}


def small(seed=0, **options):
    torch.manual_seed(seed)
    network = build_model("vector_student", GRID, SIZE, {**SMALL, **options})
    for name, parameter in network.named_parameters():  # what starts at zero would hide what lies behind it
        if "weights" in name or "offsets" in name:
            torch.nn.init.normal_(parameter, 0.0, 0.1)
        elif parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    return network


def batch_of(count=2, cameras=6):
    generator = torch.Generator().manual_seed(0)
    intrinsics, poses = ring(cameras, SIZE, 50.0)
    poses = np.stack([poses, transform((0.3, 0.1, 0.2), (0.99, 0.0, 0.05, 0.1)) @ poses])[:count]
    return Batch(
        torch.randn(count, cameras, 3, SIZE[1], SIZE[0], generator=generator),
        torch.from_numpy(intrinsics).float().expand(count, -1, -1, -1), torch.from_numpy(poses).float(),
    )


def test_point_attention_reads_a_map_as_a_bilinear_sampler_does():
    torch.manual_seed(0)
    attention = PointAttention(8, 12, heads=2, points=3, parts=2)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    tokens, query = torch.randn(2, 5 * 7, 8), torch.randn(2, 4, 12)
    place = torch.rand(2, 4, 2)
    found = attention(tokens, attention.table(query, place, (5, 7)))

    value = attention.value(tokens).reshape(2, 5, 7, 2, 4)
    offset = attention.offsets(query).reshape(2, 4, 2, 6, 2) / torch.tensor([7.0, 5.0])
    weight = attention.weights(query).reshape(2, 4, 2, 2, 3).softmax(-1).reshape(2, 4, 2, 6) / 2
    heads = []
    for head in range(2):
        at = 2 * (place[:, :, None] + offset[:, :, head]) - 1                           # B Q P 2
        read = functional.grid_sample(value[..., head, :].permute(0, 3, 1, 2), at, align_corners=False)
        heads.append((read * weight[:, :, head][:, None]).sum(-1))                      # B C Q
    expected = attention.out(torch.cat(heads, 1).transpose(1, 2))
    assert torch.allclose(found, expected, atol=1e-5)


def test_kernel_attention_reads_the_pixels_round_every_projection():
    torch.manual_seed(0)
    attention = KernelAttention(6, heights=2, kernel=(3, 5))
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    rows, cols, cells = 4, 6, 5
    features, query = torch.randn(2, 3, rows * cols, 6), torch.randn(2, cells, 6)
    pixels, seen = torch.rand(2, 3, cells, 2, 2) * 3 - 1, torch.rand(2, 3, cells) < 0.5
    seen[0, :, 0] = False  # a cell that nobody sees
    found = attention(features, attention.lookup(query, pixels, seen, (rows, cols)))

    value = attention.value(features).reshape(2, 3, rows, cols, 2, 3)
    weight = attention.weights(query).reshape(2, cells, 2, 15).softmax(-1)
    expected = torch.zeros(2, cells, 2, 3)
    for b in range(2):
        for k in range(cells):
            watching = [n for n in range(3) if seen[b, n, k]]
            for n in watching:
                for z in range(2):
                    u, v = (pixels[b, n, k, z] * torch.tensor([cols, rows])).round().int().tolist()
                    for s in range(15):
                        col, row = u + s // 3 - 2, v + s % 3 - 1
                        at = value[b, n, min(max(row, 0), rows - 1), min(max(col, 0), cols - 1), z]
                        expected[b, k, z] += weight[b, k, z, s] * at / len(watching)
    assert torch.allclose(found, attention.out(expected.flatten(2)), atol=1e-5)


def test_cells_fall_where_the_camera_model_says():
    plane = BevPlane(GRID, 1.5, (0.0, 1.0), "base_link")
    intrinsics, poses = ring(6, SIZE, 50.0)
    one = lambda array: torch.from_numpy(np.asarray(array)).float()[None]  # noqa: E731
    place, seen = projected(plane.points_m, one(intrinsics), one(poses), torch.eye(4)[None], SIZE)
    for camera in range(6):
        points = apply(inverse(poses[camera]), plane.points_m.numpy())
        pixels, depth = project(points, intrinsics[camera])
        ahead = depth > 0.1
        assert np.allclose(place[0, camera].numpy()[ahead] * SIZE, pixels[ahead], atol=1e-2)
        inside = (depth > 0) & (pixels > 0).all(-1) & (pixels < SIZE).all(-1)
        assert np.array_equal(seen[0, camera].numpy(), inside.any(-1)) and inside.any()


@pytest.mark.parametrize("frame", ["base_link", "nuscenes_lidar"])
def test_places_of_the_plane_are_metres_of_the_vehicle(frame):
    plane = BevPlane(GRID, 1.5, (0.0,), frame)
    rows, cols = plane.size
    assert plane.size == ((8, 16) if frame == "base_link" else (16, 8))
    centre = lambda row, col: plane.metres(torch.tensor([(col + 0.5) / cols, (row + 0.5) / rows]))  # noqa: E731
    for row, col in ((0, 0), (3, 5), (rows - 1, cols - 1)):
        cell = plane.points_m.reshape(rows, cols, 3)[row, col]
        there = plane.base_from_plane[:3, :3] @ cell + plane.base_from_plane[:3, 3]
        assert torch.allclose(centre(row, col), there[:2], atol=0.05), "the LiDAR leans by 1.4 degrees"
    if frame == "nuscenes_lidar":
        ahead = centre(rows - 1, cols // 2)
        assert ahead[0] > 11 and abs(ahead[1]) < 1.5, "its rows run ahead, its columns to the right"
        assert NUSCENES_LIDAR[0, 1] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"frame": "base_link", "rig_bound": False, "can_bus": False, "layers": 1}])
def test_shapes_and_gradients(options):
    network = small(**options)
    cameras = 6 if network.rig_bound else 4
    prediction = network(batch_of(cameras=cameras))
    layers = network.config.layers
    assert prediction.logits.shape == (layers, 2, 6, 3) and prediction.points_m.shape == (layers, 2, 6, 4, 2)
    (prediction.logits.sum() + (prediction.points_m * torch.randn_like(prediction.points_m)).sum()).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def test_each_sample_of_a_batch_is_as_it_is_alone():
    network, batch = small().eval(), batch_of()
    batch.can_bus = torch.randn(2, 18)
    batch.base_from_lidar = torch.from_numpy(np.stack([NUSCENES_LIDAR, NUSCENES_LIDAR @ transform((1, 0, 0))])).float()
    with torch.inference_mode():
        both = network(batch)
        for k in range(2):
            alone = Batch(*(getattr(batch, n)[k : k + 1] for n in ("images", "intrinsics", "base_from_camera")))
            alone.can_bus, alone.base_from_lidar = batch.can_bus[k : k + 1], batch.base_from_lidar[k : k + 1]
            one = network(alone)
            assert torch.allclose(one.points_m[:, 0], both.points_m[:, k], atol=1e-4)
            assert torch.allclose(one.logits[:, 0], both.logits[:, k], atol=1e-4)
    assert not torch.allclose(both.points_m[:, 0], both.points_m[:, 1], atol=1e-2)


def test_position_and_yaw_in_degrees_are_not_read():
    network, motion = small().eval(), torch.randn(1, 18)
    moved = motion.clone()
    moved[0, [0, 1, 2, 17]] += 5
    turned = motion.clone()
    turned[0, 16] += 5
    with torch.inference_mode():
        same, other = (network.bev_queries(m) for m in (moved, turned))
        assert torch.equal(same, network.bev_queries(motion)) and not torch.allclose(other, same)


def test_a_camera_without_an_image_has_no_say():
    network, batch = small().eval(), batch_of(1)
    visible = torch.ones(1, 6, *SIZE[::-1], dtype=torch.bool)
    visible[:, 2] = False
    noise = batch.images.clone()
    noise[:, 2] = torch.randn_like(noise[:, 2])
    with torch.inference_mode():
        lookup = network.lookup(batch.intrinsics, batch.base_from_camera, visible)
        one, other = (network.infer(images, lookup).points_m for images in (batch.images, noise))
    assert torch.equal(one, other)


def test_resnets_have_the_sizes_that_the_papers_say():
    with torch.device("meta"):
        count = {name: sum(p.numel() for p in ResNet(name).parameters()) for name in ("resnet-18", "resnet-50")}
    assert count == {"resnet-18": 11_176_512, "resnet-50": 23_508_032}
    assert ResNet("resnet-18")(torch.zeros(1, 3, 64, 96)).shape == (1, 512, 2, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variant": "maptr_nana"}, "did you mean 'maptr_nano'"), ({"frame": "map"}, "not one of base_link"),
        ({"heads": 7}, "does not divide by 7"), ({"kernel_rows": 2}, "odd"), ({"backbone": "resnet-19"}, "resnet-18"),
    ],
)
def test_what_cannot_be_built_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_model("vector_student", GRID, SIZE, options)


def test_the_published_variants_differ_as_their_configs_do():
    nano, tiny = (vector_config({"variant": name}) for name in ("maptr_nano", "maptr_tiny"))
    assert (nano.heads, tiny.heads, nano.layers, tiny.layers, nano.vectors, tiny.vectors) == (4, 8, 2, 6, 100, 50)
