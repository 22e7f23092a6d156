"""The vector student on the raster student's parts: its reading of the BEV, its attention, what a rig may be."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from rigs import ring
from torch.nn import functional

from mapkd_core.artifact import load_model
from mapkd_core.geometry import transform
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.model.grid_reading import GridAttention
from mapkd_core.model.student import Student
from mapkd_core.model.vector_config import vector_config
from mapkd_core.model.vector_decoder import anchors
from mapkd_core.training.stages import freeze_parts, start_from
from mapkd_core.types import Batch

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
SIZE = (96, 64)
TINY = {
    "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 16, "hidden": 16,
    "vectors": 5, "points": 4, "sampling_heads": 4, "many": 7, "repeats": 2, "dropout": 0.0,
}  # fmt: skip


def tiny(seed=0, **options):
    torch.manual_seed(seed)
    network = build_model("vector_student", GRID, SIZE, {**TINY, **options})
    for name, parameter in network.decoder.named_parameters():  # what starts at zero would hide what lies behind it
        if any(part in name for part in ("weights", "offsets.weight", "bend")) or name.endswith(".4.weight"):
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(part.weight)
    return network


def batch(count=2, cameras=6):
    intrinsics, poses = ring(cameras, SIZE, 50.0)
    poses = np.stack([poses, transform((0.3, 0.1, 0.2), (0.99, 0.0, 0.05, 0.1)) @ poses])[:count]
    return Batch(
        torch.randn(count, cameras, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(1)),
        torch.from_numpy(intrinsics).float().expand(count, -1, -1, -1), torch.from_numpy(poses).float(),
    )


def test_a_head_reads_the_map_where_its_offsets_say():
    torch.manual_seed(0)
    attention = GridAttention(features=3, width=8, heads=2, points=2)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    features, query, place = torch.randn(2, 3, 5, 7), torch.randn(2, 4, 8), torch.rand(2, 4, 2)
    found = attention(features, attention.table(query, place, (5, 7)))
    offset = attention.offsets(query).reshape(2, 4, 2, 2, 2) / torch.tensor([7.0, 5.0])
    weight = attention.weights(query).reshape(2, 4, 2, 2).softmax(-1)
    joined = torch.zeros(2, 4, 8)
    for b in range(2):
        for q in range(4):
            for head in range(2):
                read = torch.zeros(3)
                for k in range(2):
                    at = 2 * (place[b, q] + offset[b, q, head, k]) - 1
                    pixel = functional.grid_sample(features[b : b + 1], at.reshape(1, 1, 1, 2), align_corners=False)
                    read = read + weight[b, q, head, k] * pixel.flatten()
                joined[b, q, 4 * head : 4 * head + 4] = read @ attention.value[head]
    assert torch.allclose(found, attention.out(joined), atol=1e-5)


def test_decoupled_attention_is_across_elements_then_along_their_vertices():
    network = tiny().eval()
    layer = network.decoder.layers[0]
    torch.manual_seed(1)
    x, position = torch.randn(1, 20, 16), torch.randn(1, 20, 16)
    whole = layer.related(x, position)
    query, columns = (x + position).reshape(5, 4, 16), x.reshape(5, 4, 16)
    across = torch.stack([layer.own(query[:, p], query[:, p], columns[:, p])[0] for p in range(4)], 1)
    first = layer.norms[0](columns + across)
    along = first + position.reshape(5, 4, 16)
    inner = torch.stack([layer.inner(along[v], along[v], first[v])[0] for v in range(5)])
    assert torch.allclose(whole, layer.inner_norm(first + inner).reshape(1, 20, 16), atol=1e-5)


def test_the_decoder_reads_the_dense_map_beside_the_features():
    network = tiny()
    fine, semantic = torch.randn(1, 8, 20, 40), torch.randn(1, 4, *GRID.shape, requires_grad=True)
    read = network.read(fine, semantic)
    assert read.shape == (1, 8 + 9, 20, 40) and torch.equal(read[:, :8], fine) and not read.requires_grad
    classes = semantic.detach().softmax(1)[0, 1:].numpy()                               # 3 Y' X'
    assert np.allclose(read[0, 8:11, 3, 5], classes[:, 6:8, 10:12].mean((1, 2)), atol=1e-6)
    # Means of 4 by 4 cells; halfway between two centers it is the half of both.
    block = classes.reshape(3, 5, 8, 10, 8).mean((2, 4))
    between = read[0, 11:14, 0, 3:5].mean(-1)
    assert np.allclose(between, block[:, 0, :2].mean(-1), atol=1e-6)
    assert network.decoder.layers[0].read.value.shape[1] == 17
    assert tiny(evidence=()).decoder.layers[0].read.value.shape[1] == 8


@pytest.mark.parametrize(("options", "told"), [
    ({"evidence": [3]}, r"evidence 3 does not divide the BEV's \(20, 40\) cells"),
    ({"evidence": [0]}, "numbers of cells, 1 or more"),
    ({"view": "kernel", "frame": "base_link"}, "leave it out"),
])
def test_evidence_that_cannot_be_had_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        tiny(**options)


def test_elements_start_from_lines_all_over_the_map():
    lines = anchors(40, 20)
    assert lines.shape == (40, 20, 2) and lines.min() >= 0.01 and lines.max() <= 0.99
    quarters = {(float(x > 0.5), float(y > 0.5)) for x, y in lines.mean(1)}
    assert len(quarters) == 4
    ring = lines[3]
    assert torch.allclose(ring[0], ring[-1], atol=1e-6) and (lines[0, -1] - lines[0, 0]).abs().max() > 0.4
    network = tiny()
    with torch.inference_mode():
        places = network.decoder._queries()[2]
    assert torch.allclose(places.reshape(5, 4, 2), anchors(12, 4)[:5], atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"view": "lift_splat"}, {"anchors": False, "attention": "joint", "many": 0}])
def test_shapes_and_gradients(options):
    network = tiny(**options)
    prediction = network(batch(cameras=4))
    assert prediction.logits.shape == (3, 2, 5, 3) and prediction.points_m.shape == (3, 2, 5, 4, 2)
    assert prediction.semantic.shape == (2, 4, *GRID.shape)
    total = prediction.logits.square().sum() + prediction.points_m.square().sum() + prediction.semantic.square().sum()
    if "many" in options:
        assert prediction.many is None
    else:
        assert prediction.many.logits.shape == (3, 2, 7, 3) and prediction.repeats == 2
        total = total + prediction.many.logits.square().sum() + prediction.many.points_m.square().sum()
    total.backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("view", ["pillars", "lift_splat"])
def test_what_runs_on_a_vehicle_is_what_was_trained(view):
    network, made = tiny(view=view).eval(), batch()
    with torch.inference_mode():
        whole = network(made)
        assert whole.many is None
        one = network.infer(made.images, network.lookup(made.intrinsics, made.base_from_camera))
        assert torch.allclose(one.logits[-1], whole.logits[-1], atol=1e-5)
        assert torch.allclose(one.points_m[-1], whole.points_m[-1], atol=1e-4) and one.semantic is None
        moved = network.infer(made.images[:1], network.lookup(made.intrinsics[:1], made.base_from_camera[1:]))
    assert not torch.allclose(moved.points_m[-1, 0], whole.points_m[-1, 0], atol=1e-3), "calibration is an input"


def test_elements_do_not_see_those_of_training():
    network, made = tiny(), batch()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.eval()
    before = network(made)
    with torch.no_grad():
        network.decoder.further.weight.add_(1.0)
    after = network(made)
    assert torch.equal(before.points_m, after.points_m)
    assert not torch.allclose(before.many.points_m, after.many.points_m, atol=1e-3)


def test_it_begins_with_all_that_the_raster_student_knows():
    network = build_model("vector_student", GRID, SIZE, {"variant": "vector_nano"})
    shared = start_from(network, "nano")
    nano, _ = load_model("nano")
    assert set(shared) == set(nano.state_dict())
    made = batch(1)
    raster = Student(GRID, SIZE, nano.config).eval()
    raster.load_state_dict(nano.state_dict())
    with torch.inference_mode():
        assert torch.allclose(network.eval()(made).semantic, raster(made).semantic, atol=1e-5)


def test_frozen_parts_keep_weights_and_statistics():
    network = tiny()
    network.train()
    freeze_parts(network, ["trunk", "bev", "heads"])
    kept = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    prediction = network(batch())
    (prediction.logits.sum() + prediction.points_m.sum()).backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, kept[name])}
    assert changed == {"decoder"}
    with pytest.raises(ValueError, match="no part 'trunc', did you mean 'trunk'"):
        freeze_parts(network, ["trunc"])


def test_a_part_of_a_part_is_frozen_by_its_dotted_name():
    network = tiny().train()
    freeze_parts(network, ["trunk.stem"])
    assert not network.trunk.stem.training and not any(p.requires_grad for p in network.trunk.stem.parameters())
    assert network.trunk.stages.training and all(p.requires_grad for p in network.trunk.stages.parameters())
    with pytest.raises(ValueError, match=r"no part 'trunk.stam', did you mean 'trunk.stem'"):
        freeze_parts(network, ["trunk.stam"])


def test_a_backbone_by_name_gives_its_features_to_the_pillars():
    network = tiny(backbone="convnextv2-atto")
    assert network.feature_size == (6, 4)
    assert network(batch(1)).points_m.shape == (3, 1, 5, 4, 2)


def test_maptrv2_has_its_published_sizes_and_any_rig_cannot_be_bound():
    config = vector_config({"variant": "maptrv2"})
    assert (config.vectors, config.points, config.layers, config.many, config.repeats) == (50, 20, 6, 300, 6)
    assert (config.attention, config.view, config.backbone) == ("decoupled", "lift_splat", "resnet-50")
    for options, words in (
        ({"view": "pillars"}, "goes with frame: base_link"), ({"view": "ipm"}, "not one of kernel"),
        ({"attention": "local"}, "not one of joint"), ({"many": 3, "repeats": 0}, "repeats is 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            vector_config(options)


def test_positions_follow_the_vertices_where_asked():
    first, second = torch.rand(2, 1, 20, 2)
    position = torch.randn(1, 20, 16)
    placed = tiny(placed=True).decoder
    assert not torch.allclose(placed._located(position, first), placed._located(position, second))
    near = first + torch.tensor([0.5 / 24, 0.0])
    apart = [(placed._located(position, place) - placed._located(position, first)).norm() for place in (near, second)]
    assert 0 < apart[0] < apart[1], "near places have similar encodings"
    plain = tiny(placed=False).decoder
    assert torch.equal(plain._located(position, first), position)


def test_layers_look_as_far_as_they_are_told_before_training():
    def farthest(**options):
        return [float(layer.read.offsets.bias.detach().abs().max()) for layer in tiny(**options).decoder.layers]

    assert farthest() == [32.0, 12.0, 4.0] and farthest(reach=(8.0, 2.0)) == [32.0, 8.0, 8.0]
    assert farthest(reach=()) == [4.0, 4.0, 4.0]
    with pytest.raises(ValueError, match=r"reach is \(8.0, 0.0\); expected factors above 0"):
        tiny(reach=(8.0, 0.0))


def test_elements_start_where_their_anchors_lie_and_move_as_a_whole():
    torch.manual_seed(0)
    network = build_model("vector_student", GRID, SIZE, {**TINY, "bends": 3}).eval()
    with torch.no_grad():
        still = network(batch())
        lines = network.plane.metres(network.decoder.anchor[:5].sigmoid())              # V P 2
        assert torch.allclose(still.points_m, lines.expand_as(still.points_m), atol=1e-4)
        network.decoder.bend[2].bias.copy_(torch.tensor([20 / 24, 0, 0, 20 / 12, 0, 0]))    # K 2, a twentieth each
        moved = network(batch()).points_m[-1] - lines
    assert torch.allclose(moved[..., 0], torch.ones(()), atol=1e-4), "one metre ahead"
    assert torch.allclose(moved[..., 1], torch.linspace(-1, 1, 4).expand_as(moved[..., 1]), atol=1e-4), "and turned"


@pytest.mark.parametrize("view", ["pillars", "lift_splat"])
def test_a_camera_that_sends_nothing_has_no_say(view):
    network, given = tiny(view=view).eval(), batch(cameras=4)
    given.alive = torch.ones(2, 4, dtype=torch.bool)
    given.alive[1, 2] = False
    changed = replace(given, images=given.images.clone())
    changed.images[1, 2] = 9.0
    with torch.no_grad():
        one, two, seen = network(given), network(changed), network(replace(changed, alive=None))
    assert torch.equal(one.points_m, two.points_m) and torch.equal(one.semantic, two.semantic)
    assert not torch.allclose(one.semantic[1], seen.semantic[1], atol=1e-4)
