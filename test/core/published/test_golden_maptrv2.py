"""Imported MapTRv2 against outputs of the authors' code, under weights and inputs that a written rule makes.

The reference lies in test/support. Its encoder, transformer, decoder and head are the authors' own, unmodified
(github.com/hustvl/MapTR, branch maptrv2, e03f097, MIT); mmcv's and mmdetection's parts and the pooling, which is a CUDA
operator, were restated in plain PyTorch. As MapTR-tiny's, the decoder enlarges differences from layer to layer under
these weights: float32 holds the first ones alone, test_golden_decoders.py holds all.
"""
import numpy as np
import published
import pytest
import torch
from same_once import RESNETS

from mapkd_core.geometry import scale_intrinsics
from mapkd_core.model.build import build_model
from mapkd_core.model.vector_decoder import DecoderStart
from mapkd_core.published.importer import convert_checkpoint

NAME = "maptrv2_r50"
FEATURES = ("backbone", "neck", "pooled", "bev", "dec0")


def cut(name, whole):
    """The part of a tensor that the reference keeps, its cameras in MapTR's order."""
    if name in ("backbone", "neck"):
        channels, rows, cols = whole.shape[1:]
        return whole[list(published.IN_MAPTR), :: channels // 16, :: max(1, rows // 5), :: max(1, cols // 8)]
    if name in ("pooled", "bev"):
        return whole[:, ::32, :: whole.shape[2] // 40, :: whole.shape[3] // 20]
    return whole.transpose(1, 0, 2)[::29, :, ::5] if name == "dec0" else whole


def difference(golden, name, mine):
    assert mine.shape == golden[name].shape, (mine.shape, golden[name].shape)
    return np.abs(mine - golden[name]) / golden[f"stat_{name}"][1]


def network():
    published.check_rule(NAME)
    ours = convert_checkpoint(published.checkpoint(published.state_dict(NAME)), "maptrv2", "maptrv2")
    card = ours.card
    network = build_model(card.model, card.grid, card.input_size, card.options, for_weights=True)
    network.load_state_dict(ours.state, assign=True)
    return network.eval()


def lidar_pose():
    """`base_from_lidar` of the reference, so shifted that no pixel's place is near the border of a cell."""
    facts = published.keys(NAME)
    pose = np.eye(4)
    pose[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    pose[:3, 3] = 0.94 + 1e-4 * facts["lidar_x_shift_k"], 1e-4 * facts["lidar_y_shift_k"], 1.84
    return pose


def given(network):
    """Logits and vertices (0..1) of every layer, and the inner features."""
    width, height = network.padded
    scale = width / 1600
    intrinsics, poses = published.rig()
    found = {}
    tensor = lambda array: torch.from_numpy(np.asarray(array, np.float32))[None]  # noqa: E731
    for name, place in {"backbone": "backbone", "neck": "neck", "dec0": "decoder.layers.0.norms.2"}.items():
        network.get_submodule(place).register_forward_hook(
            lambda _, __, out, name=name: None if name in found else found.update({name: out.clone()})
        )
    network.view.shrink.register_forward_pre_hook(lambda _, inputs: found.update(pooled=inputs[0].clone()))
    with torch.inference_mode():
        calibration = tensor(scale_intrinsics(intrinsics, scale, scale)), tensor(poses)
        lookup = network.lookup(*calibration, base_from_lidar=tensor(lidar_pose()))
        bev = network.encoded(tensor(published.images(height, width)), lookup)
        start = DecoderStart(lookup.first, lookup.token, lookup.share)
        logits, vertices = network.decoder(bev.flatten(2).transpose(1, 2), start, deep=True)
    found["bev"] = bev
    return logits.numpy(), vertices.numpy(), {name: value.numpy() for name, value in found.items()}


@pytest.fixture(scope="module", autouse=True)
def _weights_are_kept_for_this_module_only():
    yield
    published.weight.cache_clear()


def test_maptrv2_gives_what_the_authors_code_gave():
    golden = published.golden(NAME)
    ours = network()
    RESNETS.watch(ours.backbone)
    logits, vertices, features = given(ours)
    for name, limit in {"backbone": 1e-4, "neck": 1e-4, "pooled": 1e-3, "bev": 1e-3, "dec0": 5e-4}.items():
        assert difference(golden, name, cut(name, features[name])).max() < limit, name
    classes, points = difference(golden, "cls", logits), difference(golden, "pts", vertices)
    assert classes[0].max() < 5e-4 and points[0].max() < 1e-3
    assert classes[1].max() < 2e-2 and points[1].max() < 5e-2
    for layer, limit in enumerate((1e-4, 1e-3, 2e-2)):
        assert np.median(points[layer]) < limit, layer
