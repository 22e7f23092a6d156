"""Devices, and images into the network's input."""
import numpy as np
import pytest
import torch
from tiny_student import GRID, OPTIONS, SIZE, tiny_images

from mapkd_core.artifact import ModelCard
from mapkd_core.data.images import normalise
from mapkd_core.runtime import RuntimeOptions, open_runtime
from mapkd_core.runtime.face import pick_device

CARD = ModelCard("tiny", "1", "student", OPTIONS, GRID, SIZE)


@pytest.fixture
def tiny_runtime(tiny_graph):
    """The tiny student in ONNX Runtime (planar memory), or in PyTorch (channels last)."""
    return lambda planar: open_runtime(tiny_graph, RuntimeOptions(device="cpu", backend="onnx" if planar else "torch"))


def test_devices():
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="not one of auto, cpu, cuda"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            pick_device("cuda")


@pytest.mark.parametrize("planar", [False, True])
def test_loaded_images_are_those_of_training(planar, tiny_runtime):
    runtime = tiny_runtime(planar)
    images = runtime.new_buffer(6)
    images[:] = tiny_images()
    loaded = torch.as_tensor(runtime.load(images))
    assert loaded.dtype == torch.float32
    assert np.allclose(loaded.numpy(), normalise(list(images), CARD.mean, CARD.std), atol=1e-6)
    assert loaded.is_contiguous(memory_format=torch.contiguous_format if planar else torch.channels_last)


@pytest.mark.parametrize("planar", [False, True])
def test_images_of_another_size_are_refused(planar, tiny_runtime):
    with pytest.raises(ValueError, match=r"expected uint8 \(N, 48, 96, 3\)"):
        tiny_runtime(planar).load(np.zeros((6, 96, 48, 3), np.uint8))
