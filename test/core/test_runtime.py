"""The torch runtime: same numbers as the plain network, look-ups once per calibration."""
import numpy as np
import pytest
import torch
from rigs import ring

from mapkd_core.artifact import ModelCard, load_model, save_artifact
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.runtime import TorchRuntime, pick_device
from mapkd_core.types import Batch

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
OPTIONS = {"variant": "nano", "image_size": [176, 64]}


@pytest.fixture
def card_path(tmp_path):
    torch.manual_seed(0)
    model = build_model("student", GRID, OPTIONS)
    intrinsics, poses = ring(size=(176, 64), focal=90.0)
    batch = Batch(
        torch.randn(2, 6, 3, 64, 176), torch.tensor(np.stack([intrinsics] * 2)).float(),
        torch.tensor(np.stack([poses] * 2)).float(),
    )
    for _ in range(3):
        model(batch)  # gives the batch norms statistics that folding must carry over
    card = ModelCard("tiny", "1", "student", OPTIONS, GRID, (176, 64))
    save_artifact(tmp_path / "tiny.json", card, model.state_dict())
    return tmp_path / "tiny.json"


def test_folded_network_gives_the_same_probabilities(card_path):
    model, _ = load_model(card_path)
    intrinsics, poses = ring(size=(176, 64), focal=90.0)
    images = np.random.default_rng(0).normal(size=(6, 3, 64, 176)).astype(np.float32)
    got = TorchRuntime(card_path, "cpu").probabilities(images, intrinsics, poses)
    batch = Batch(*(torch.from_numpy(array).float()[None] for array in (images, intrinsics, poses)))
    with torch.inference_mode():
        expected = model(batch).semantic.softmax(1)[0].numpy()
    assert got.shape == (4, *GRID.shape)
    assert np.abs(got - expected).max() < 1e-4
    assert np.allclose(got.sum(0), 1, atol=1e-5)


def test_lookup_is_computed_once_per_calibration(card_path):
    runtime = TorchRuntime(card_path, "cpu")
    images = np.zeros((6, 3, 64, 176), np.float32)
    intrinsics, poses = ring(size=(176, 64), focal=90.0)
    for _ in range(3):
        runtime.probabilities(images, intrinsics, poses)
    assert runtime.lookups.computed == 1
    moved = poses.copy()
    moved[2, 2, 3] += 0.01
    runtime.probabilities(images, intrinsics, moved)
    assert runtime.lookups.computed == 2
    runtime.probabilities(images, intrinsics * 1.01, moved)
    assert runtime.lookups.computed == 3


def test_devices():
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="not one of auto, cpu, cuda"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            pick_device("cuda")
