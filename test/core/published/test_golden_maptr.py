"""Imported MapTR networks against the authors' own outputs, under weights and inputs that a written rule makes.

Tiny's six decoder layers cannot all be held to it: under these weights each layer enlarges a difference some sixty
times, so that a change of the BEV in its last digit moves the last layer's vertices by metres. Its first two layers are
held to the reference, the next two by the median of all vertices, and all six to nano's arithmetic by being its code.
"""
from __future__ import annotations

import numpy as np
import published
import pytest
import torch
from same_once import RESNETS

from mapkd_core.artifact import load_model
from mapkd_core.geometry import scale_intrinsics
from mapkd_core.model.vector_decoder import DecoderStart
from mapkd_core.published.importer import import_checkpoint
from mapkd_core.types import CLASSES
from mapkd_core.vector_elements import elements_of

CAN_BUS = [600, 1600, 0.5, 0.96, 0.01, 0.02, 0.28, 0.3, -0.2, 9.8, 0.01, -0.02, 0.15, 8, 0.1, 0.05, 0.57, 32.7]
FEATURES = ("backbone", "neck", "canbus", "pos", "tsa", "gkt", "bev", "dec0")


def tensor(array):
    return torch.from_numpy(np.asarray(array, np.float32))[None]


def imported(reference, name, tmp_path):
    """The network of a file as mmcv writes one, with the constant that mmcv adds."""
    published.check_rule(reference)
    (extra,) = published.keys(reference)["extra_keys_in_a_published_file"]
    state = {**published.state_dict(reference), extra["key"]: torch.tensor(extra["values"])}
    meta = {"mmcv_version": "1.4.0", "epoch": 24, "CLASSES": list(CLASSES), "config": "model = dict(...)"}
    torch.save({"meta": meta, "state_dict": state, "optimizer": {"param_groups": []}}, tmp_path / "authors.pth")
    import_checkpoint(tmp_path / "authors.pth", name, tmp_path / "ours.json")
    return load_model(tmp_path / "ours.json")[0]


def outputs(reference, network):
    """The network's class logits and vertices in 0..1, those of every layer, and its inner features."""
    width, height = network.padded  # the reference's images fill the rows that are padding otherwise
    intrinsics, poses = published.rig()
    scale = width / 1600
    lidar = np.eye(4)
    lidar[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    lidar[:3, 3] = 0.94 + 0.0001 * published.keys(reference)["lidar_x_shift_k"], 0, 1.84
    found = {}
    places = {"canbus": "bev_queries.motion", "tsa": "bev_queries.own", "backbone": "backbone", "neck": "neck",
              "gkt": "view", "bev": "norms.1", "dec0": "decoder.layers.0.norms.2"}
    handles = [
        network.get_submodule(place).register_forward_hook(
            lambda _, __, out, name=name: found.setdefault(name, out.clone())
        )
        for name, place in places.items()
    ]
    motion = torch.tensor([CAN_BUS])
    with torch.inference_mode():
        lookup = network.lookup(
            tensor(scale_intrinsics(intrinsics, scale, scale)), tensor(poses), None, motion, tensor(lidar)
        )
        bev = network.encoded(tensor(published.images(height, width)), lookup)
        start = DecoderStart(lookup.first, lookup.token, lookup.share)
        logits, vertices = network.decoder(bev, start, deep=True)
        cells = network.bev_queries.cell.weight + found["canbus"]
        found["tsa"] = found["tsa"] + cells
        found["gkt"] = found["gkt"] + lookup.query
        found["pos"] = network.bev_queries.position().T.reshape(1, -1, *network.plane.size)
    for handle in handles:
        handle.remove()
    assert motion.tolist() == [pytest.approx(CAN_BUS)], "the caller's numbers stay as they are"
    return logits.numpy(), vertices.numpy(), {name: value.numpy() for name, value in found.items()}


def cut(name, whole):
    """The part of a feature that the reference keeps, its cameras in MapTR's order."""
    if name in ("backbone", "neck"):
        channels, rows, cols = whole.shape[1:]
        return whole[list(published.IN_MAPTR), :: channels // 32, :: max(1, rows // 6), :: max(1, cols // 10)]
    if name in ("tsa", "gkt", "bev"):
        return whole[:, :: whole.shape[1] // 200, ::5]
    if name == "pos":
        return whole[:, ::5, ::8, ::4]
    return whole.transpose(1, 0, 2)[::17, :, ::3] if name == "dec0" else whole


def difference(golden, name, mine):
    assert mine.shape == golden[name].shape
    return np.abs(mine - golden[name]) / golden[f"stat_{name}"][1]


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    yield imported("maptr_nano_r18", "maptr_nano", tmp_path_factory.mktemp("nano"))
    published.weight.cache_clear()


def test_nano_gives_what_the_authors_network_gave(nano):
    golden = published.golden("maptr_nano_r18")
    logits, vertices, features = outputs("maptr_nano_r18", nano)
    for name in FEATURES:
        assert difference(golden, name, cut(name, features[name])).max() < 5e-4, name
    assert difference(golden, "cls", logits).max() < 5e-3
    assert difference(golden, "pts", vertices).max() < 5e-3
    low, high = vertices.min(3), vertices.max(3)
    box = np.concatenate([(low + high) / 2, high - low], -1)
    assert difference(golden, "box", box).max() < 5e-3
    decoded(golden, nano, logits[-1, 0], vertices[-1, 0])


def decoded(golden, network, logits, vertices):
    """The fifty best elements, as the authors' decoder gave them; equal scores may have swapped places."""
    points_m = network.plane.metres(torch.from_numpy(vertices)).numpy()
    elements = elements_of(1 / (1 + np.exp(-logits)), points_m)
    to_flat = np.linalg.inv(network.plane.base_from_flat.numpy().astype(np.float64))
    assert len(elements) == 50
    for element in elements:
        points = element.points_m[: network.config.points]  # a crossing's ring goes back to where it began
        mine = points @ to_flat[:2, :2].T + to_flat[:2, 3]
        same = golden["dec_labels"] == CLASSES.index(element.label)
        near = same & (np.abs(golden["dec_scores"] - element.score) < 1e-4)
        assert near.any()
        assert min(np.abs(mine - theirs).max() for theirs in golden["dec_pts"][near]) < 0.05
        assert element.closed == (element.label == "ped_crossing")


def test_tiny_gives_what_the_authors_network_gave(tmp_path):
    network = imported("maptr_tiny_r50", "maptr_tiny", tmp_path)
    RESNETS.watch(network.backbone)
    golden = published.golden("maptr_tiny_r50")
    logits, vertices, features = outputs("maptr_tiny_r50", network)
    for name in FEATURES:
        assert difference(golden, name, cut(name, features[name])).max() < 5e-4, name
    classes, points = difference(golden, "cls", logits), difference(golden, "pts", vertices)
    assert classes[0].max() < 5e-4 and points[0].max() < 5e-4
    assert classes[1].max() < 2e-2 and points[1].max() < 5e-2
    for layer, limit in enumerate((1e-4, 1e-3, 1e-2, 1e-1)):
        assert np.median(points[layer]) < limit, layer


def test_heads_that_no_shape_tells_matter(nano, monkeypatch):
    for layer in nano.decoder.layers:
        monkeypatch.setattr(layer.own, "num_heads", 8)
        monkeypatch.setattr(layer.own, "head_dim", 32)
    logits, _, _ = outputs("maptr_nano_r18", nano)
    assert difference(published.golden("maptr_nano_r18"), "cls", logits).max() > 1
