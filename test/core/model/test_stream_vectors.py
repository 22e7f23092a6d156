"""The memory of a vector student: what is moved by a motion lies where the motion says, and a reset forgets all."""
import numpy as np
import pytest
import torch
from rigs import ring
from torch.nn import functional

from mapkd_core.geometry import inverse, transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_plane import BevPlane
from mapkd_core.model.build import build_model
from mapkd_core.model.drive_memory import DriveMemory, MemoryFusion, warped
from mapkd_core.model.stream_vectors import waves
from mapkd_core.model.vector_config import vector_config
from mapkd_core.types import Batch

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
SIZE = (96, 64)
PLANE = BevPlane(GRID, 0.6, (0.0,), "base_link")
TINY = {
    "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 16, "hidden": 16,
    "vectors": 5, "points": 4, "sampling_heads": 4, "dropout": 0.0,
}  # fmt: skip


def motion(*poses):
    return torch.from_numpy(np.stack([transform_from_yaw(*pose) for pose in poses])).float()


def tiny(seed=0, **options):
    torch.manual_seed(seed)
    network = build_model("vector_student", GRID, SIZE, {**TINY, "memory": 2, **options})
    for name, parameter in network.named_parameters():  # what starts at zero would hide what lies behind it
        zeros = ("weights", "offsets.weight", "bend", "memory.change", "memory.moved.2")
        if any(part in name for part in zeros) or name.endswith(".4.weight"):
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    return network


def batch(count, seed=1):
    intrinsics, poses = ring(4, SIZE, 50.0)
    images = torch.randn(count, 4, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(seed))
    fixed = (torch.from_numpy(m).float().expand(count, -1, -1, -1) for m in (intrinsics, poses))
    return Batch(images, *fixed)


def following(made, follows, motions):
    made.follows, made.current_from_previous = torch.tensor(follows), motions
    return made


def parts(made, which):
    return following(
        Batch(made.images[which], made.intrinsics[which], made.base_from_camera[which]),
        made.follows[which].tolist(), made.current_from_previous[which],
    )


def test_a_warped_map_has_each_point_where_the_motion_takes_it():
    moved = motion((1.3, -0.7, 0.2), (-2.0, 0.4, -0.5))
    x, y = (PLANE.points_m[:, 0, axis].unflatten(0, PLANE.size) for axis in (0, 1))
    plain = torch.stack([x, y]).expand(2, -1, -1, -1)  # each cell holds where it is, seen from the frame before
    found, seen = warped(plain, moved, PLANE)
    now = torch.stack([x, y, torch.zeros_like(x), torch.ones_like(x)], -1).double().numpy()
    before = np.einsum("bij,yxj->byxi", inverse(moved.double().numpy()), now)[..., :2]
    inside = (np.abs(before) <= [12, 6]).all(-1)
    assert np.array_equal(seen.numpy(), inside) and inside.any() and not inside.all()
    inner = (np.abs(before) <= [11.7, 5.7]).all(-1)                                     # from center to center
    assert np.allclose(found.permute(0, 2, 3, 1).numpy()[inner], before[inner], atol=1e-4)


def test_warping_is_bilinear_cell_by_cell():
    features, moved = torch.randn(1, 3, *PLANE.size), motion((0.83, -1.27, 0.3))
    found, seen = warped(features, moved, PLANE)
    back = inverse(moved[0].double().numpy())
    for row, col in ((2, 3), (9, 20), (17, 30), (10, 39)):
        x, y = -12 + 0.6 * (col + 0.5), -6 + 0.6 * (row + 0.5)
        u, v = (back @ [x, y, 0, 1])[:2]
        c, r = (u + 12) / 0.6 - 0.5, (v + 6) / 0.6 - 0.5
        assert bool(seen[0, row, col]) == (0 <= c + 0.5 <= 40 and 0 <= r + 0.5 <= 20)
        if not seen[0, row, col]:
            continue
        total = torch.zeros(3)
        for dr, dc in ((0, 0), (0, 1), (1, 0), (1, 1)):
            a, b = int(np.floor(r)) + dr, int(np.floor(c)) + dc
            share = (1 - abs(r - a)) * (1 - abs(c - b))
            total += share * features[0, :, min(max(a, 0), 19), min(max(b, 0), 39)]
        assert torch.allclose(found[0, :, row, col], total, atol=1e-4)


def test_half_a_cell_at_the_edge_has_the_features_of_the_edge_undimmed():
    features = torch.ones(1, 1, *PLANE.size)
    found, seen = warped(features, motion((0.2, 0.1, 0.0)), PLANE)
    assert torch.allclose(found, features, atol=1e-5) and seen.all()


def test_a_vehicle_that_stands_still_sees_the_same_cells():
    features = torch.randn(2, 3, *PLANE.size)
    found, seen = warped(features, motion((0, 0, 0), (0, 0, 0)), PLANE)
    assert torch.allclose(found, features, atol=1e-4) and seen.all()


def fusion(seed=0):
    torch.manual_seed(seed)
    made = MemoryFusion(PLANE, 3, 8, 2)
    for parameter in (made.change.weight, made.moved[2].weight, made.moved[2].bias):
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    return made


def memory(count=2, seed=3):
    drawn = torch.Generator().manual_seed(seed)
    points = (torch.rand(count, 2, 4, 2, generator=drawn) - 0.5) * torch.tensor([16.0, 8.0])
    return DriveMemory(
        torch.randn(count, 3, *PLANE.size, generator=drawn), torch.randn(count, 2, 4, 8, generator=drawn), points
    )


def test_fusion_is_a_gated_unit_of_each_cell_where_there_was_a_map():
    unit, kept, present = fusion(), memory(), torch.randn(2, 3, *PLANE.size)
    moved, follows = motion((1.5, 0.2, 0.1), (3.0, 0.0, 0.0)), torch.tensor([True, False])
    found = unit.fused(present, kept, moved, follows)
    old, seen = warped(kept.bev, moved, PLANE)
    assert torch.equal(found[1], present[1]), "nothing is remembered of another drive"
    for row, col in ((0, 0), (4, 4), (10, 12), (19, 39), (12, 39)):
        now, then = present[0, :, row, col], old[0, :, row, col]
        gates = unit.gates.weight[:, :, 0, 0] @ torch.cat([now, then]) + unit.gates.bias
        update, reset = gates[:3].sigmoid(), gates[3:].sigmoid()
        wanted = now + (unit.change.weight[:, :, 0, 0] @ (reset * then)).tanh()
        expected = update * wanted + (1 - update) * then if seen[0, row, col] else now
        assert torch.allclose(found[0, :, row, col], expected, atol=1e-5)
    assert seen[0].any() and not seen[0].all()


def test_carried_vertices_are_where_moving_them_takes_them_and_queries_know_the_motion():
    unit, kept = fusion(), memory()
    kept.points_m[0, 1] = torch.tensor([-11.9, 0.0])  # three of four vertices leave the map behind the vehicle
    kept.points_m[0, 1, 0] = torch.tensor([5.0, 1.0])
    poses = ((-1.5, 0.2, 0.1), (0.4, -0.3, -0.2))
    found = unit.carried(kept, motion(*poses), torch.tensor([True, True]))
    assert found.here.tolist() == [[True, False], [True, True]]
    for b, (x, y, yaw) in enumerate(poses):
        for m in range(2):
            told = torch.tensor([x / 24, y / 12, np.cos(yaw) - 1, np.sin(yaw)])
            for p in range(4):
                px, py = kept.points_m[b, m, p].tolist()
                now = np.array([np.cos(yaw) * px - np.sin(yaw) * py + x, np.sin(yaw) * px + np.cos(yaw) * py + y])
                place = np.clip((now + [12, 6]) / [24, 12], 0, 1)
                assert np.allclose(found.place[b, m, p].numpy(), place, atol=1e-5)
                query = kept.query[b, m, p]
                expected = query + unit.moved(torch.cat([query, told.float()]))
                assert torch.allclose(found.query[b, m, p], expected, atol=1e-5)
    assert not unit.carried(kept, motion(*poses), torch.tensor([False, False])).here.any()


def test_before_training_memory_changes_little_and_queries_nothing():
    unit, kept, present = MemoryFusion(PLANE, 3, 8, 2), memory(), torch.randn(2, 3, *PLANE.size)
    moved, follows = motion((1, 0, 0), (1, 0, 0)), torch.tensor([True, True])
    assert torch.equal(unit.carried(kept, moved, follows).query, kept.query)
    old, seen = warped(kept.bev, moved, PLANE)
    share = ((unit.fused(present, kept, moved, follows) - present) / (old - present))[seen[:, None].expand_as(old)]
    assert 0.02 < float(share.detach().median()) < 0.3


def test_the_best_elements_are_kept():
    logits = torch.tensor([[[-5.0, -5, -5], [-5, 2, -5], [1, -5, -5], [-5, -5, 0.5]]])
    query, points = torch.randn(1, 8, 8), torch.randn(1, 4, 2, 2)
    kept = fusion().kept(torch.zeros(1, 3, 2, 2), query, logits, points)
    assert torch.equal(kept.points_m, points[:, [1, 2]])
    assert torch.equal(kept.query, query.unflatten(1, (4, 2))[:, [1, 2]])


def test_frames_are_decoded_in_the_order_of_their_runs():
    assert waves([False, True, True, False, False, True]) == [[0, 3, 4], [1, 5], [2]]
    assert waves([True, True]) == [[0], [1]] and waves([]) == []


MOTIONS = ((0, 0, 0), (1.5, 0.1, 0.05), (1.4, 0.0, 0.0), (0, 0, 0), (2.0, 0.2, -0.1))
FOLLOWS = (False, True, True, False, True)


def test_a_batch_of_mixed_drives_is_its_frames_one_by_one_with_their_memory():
    network = tiny().eval()
    made = following(batch(5), list(FOLLOWS), motion(*MOTIONS))
    with torch.inference_mode():
        whole, left = network(made), None
        for k in range(5):
            one = network(parts(made, [k]), left)
            left = DriveMemory(*one.memory)
            assert torch.allclose(one.logits[:, 0], whole.logits[:, k], atol=1e-4)
            assert torch.allclose(one.points_m[:, 0], whole.points_m[:, k], atol=1e-3)
            assert torch.allclose(one.semantic[0], whole.semantic[k], atol=1e-4)
        assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(left, whole.memory, strict=True))


def test_what_is_given_is_remembered_by_the_first_run_of_a_batch_alone():
    network = tiny().eval()
    made = following(batch(3), [False, True, False], motion(*MOTIONS[:3]))
    with torch.inference_mode():
        left = DriveMemory(*network(parts(made, [0])).memory)
        both, apart = network(parts(made, [1, 2]), left), network(parts(made, [2]))
        assert torch.allclose(both.points_m[:, 1], apart.points_m[:, 0], atol=1e-4)
        assert torch.allclose(both.points_m[:, 0], network(made).points_m[:, 1], atol=1e-3)


def test_a_reset_frame_is_the_frame_alone_and_a_following_one_is_not():
    network, alone = tiny().eval(), tiny(memory=0).eval()
    alone.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("memory.")})
    made = following(batch(5), list(FOLLOWS), motion(*MOTIONS))
    with torch.inference_mode():
        whole, single = network(made), alone(made)
        for k, follows in enumerate(FOLLOWS):
            same = torch.allclose(whole.points_m[:, k], single.points_m[:, k], atol=1e-4)
            assert same != follows, k
        left = DriveMemory(*network(parts(made, [0, 1])).memory)
        reset = network(parts(made, [3]), left)
        assert torch.allclose(reset.points_m[:, 0], single.points_m[:, 3], atol=1e-4), "another drive"
        infer = network.infer(made.images[:1], network.lookup(made.intrinsics[:1], made.base_from_camera[:1]))
        assert torch.allclose(infer.points_m[-1, 0], single.points_m[-1, 0], atol=1e-4)


def test_carried_elements_take_the_places_of_the_worst_from_the_second_layer_on():
    network = tiny().eval()
    made = batch(2)
    with torch.inference_mode():
        first = network(parts(following(made, [False, False], motion(*MOTIONS[:2])), [0]))
        decoder, fine = network.decoder, torch.randn(1, 8, *network.plane.size)
        bev = network.read(fine)
        carried = network.memory.carried(DriveMemory(*first.memory), motion(MOTIONS[1]), torch.tensor([True]))
        carried = carried._replace(here=torch.tensor([[True, True]]))
        alone, both = (decoder.decoded(bev, decoder.start(), carried=c) for c in (None, carried))
        assert torch.equal(alone.logits[0], both.logits[0]), "the first layer is the present's"
        x = torch.randn(1, 20, 16)
        position, place = torch.randn(1, 20, 16), torch.rand(1, 20, 2)
        scores = decoder.classify[0](x.reshape(5, 4, 16).mean(1)).amax(-1)
        ranked = scores.argsort(descending=True)
        found = [part.unflatten(1, (5, 4))[0] for part in decoder._replaced(x, position, place, carried)]
        own = [part.reshape(5, 4, -1) for part in (x, position, place)]
        assert all(torch.equal(f[:3], o[ranked[:3]]) for f, o in zip(found, own, strict=True))
        assert torch.equal(found[0][3:], carried.query[0]) and torch.equal(found[2][3:], carried.place[0])
        assert torch.equal(found[1][3], decoder.vertex.weight[:, :16])


def test_gradients_reach_every_parameter_through_the_frames_before():
    network = tiny(many=7, repeats=2)
    prediction = network(following(batch(3), [False, True, True], motion(*MOTIONS[:3])))
    assert prediction.many.logits.shape == (3, 3, 7, 3)
    prediction.logits[:, 2].sum().backward()
    silent = [n for n, p in network.memory.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    features = network.trunk.stem[0][0].weight.grad
    assert features is not None and features.abs().sum() > 0


@pytest.mark.parametrize("options", [
    {"memory": 5}, {"layers": 1, "memory": 2}, {"memory": 2, "view": "kernel"},
])
def test_a_memory_that_cannot_be_had_is_refused(options):
    with pytest.raises(ValueError, match="it goes with the views pillars and lift_splat, two layers or more"):
        vector_config({"variant": "vector_nano", "vectors": 5, "evidence": [], **options})


def test_features_stay_bounded_however_long_the_drive():
    unit = fusion()
    with torch.no_grad():
        unit.change.weight.mul_(50)
        kept, moved, follows = memory(1), motion((0, 0, 0)), torch.tensor([True])
        for _ in range(200):
            present = torch.rand(1, 3, *PLANE.size)
            kept = kept._replace(bev=unit.fused(present, kept, moved, follows))
    assert kept.bev.abs().max() <= 2.0


def test_a_drawn_line_stays_on_its_place_in_the_world_over_frames():
    """Features and vertices of one place in the world, moved step by step, are where the pose says."""
    step = motion((-1.2, 0.0, 0.05))
    features = torch.zeros(1, 1, *PLANE.size)
    features[0, 0, 10, 30] = 1.0
    point = torch.tensor([[-12 + 0.6 * 30.5, -6 + 0.6 * 10.5, 0.0, 1.0]])
    for _ in range(3):
        features, _ = warped(features, step, PLANE)
        point = point @ step[0].T
    weight = functional.normalize(features.flatten(), p=1, dim=0)
    assert torch.allclose(weight @ PLANE.points_m[:, 0, :2], point[0, :2], atol=0.15)
