"""Devices, and images into the network's input."""
import numpy as np
import pytest
import torch
from tiny_student import GRID, OPTIONS, SIZE, tiny_images

from mapkd_core.artifact import ModelCard
from mapkd_core.data.images import normalise
from mapkd_core.runtime.face import ImageLoader, pick_device

CARD = ModelCard("tiny", "1", "student", OPTIONS, GRID, SIZE)


def test_devices():
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="not one of auto, cpu, cuda"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            pick_device("cuda")


@pytest.mark.parametrize("planar", [False, True])
def test_loaded_images_are_those_of_training(planar):
    loader = ImageLoader(CARD, "cpu", planar=planar)
    images = loader.new_buffer(6)
    images[:] = tiny_images()
    loaded = loader.load(images)
    assert np.allclose(loaded.numpy(), normalise(list(images), CARD.mean, CARD.std), atol=1e-6)
    assert loaded.is_contiguous(memory_format=torch.contiguous_format if planar else torch.channels_last)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"expected uint8 \(N, 48, 96, 3\)"):
        ImageLoader(CARD, "cpu").load(np.zeros((6, 96, 48, 3), np.uint8))
