"""The torch runtimes: same numbers as the plain network, look-ups once per calibration, refusals with a remedy."""
import numpy as np
import pytest
import torch
from tiny_student import GRID, save_tiny_student, tiny_images, tiny_rig

from mapkd_core.artifact import load_model
from mapkd_core.data.images import normalise
from mapkd_core.runtime import RuntimeOptions, TorchRuntime
from mapkd_core.runtime.torch_backend import check_combination
from mapkd_core.types import Batch


@pytest.fixture(scope="module")
def card_path(tmp_path_factory):
    return save_tiny_student(tmp_path_factory.mktemp("artifact"))


@pytest.fixture(scope="module")
def expected(card_path):
    model, card = load_model(card_path)
    images = normalise(list(tiny_images()), card.mean, card.std)
    batch = Batch(*(torch.from_numpy(array).float()[None] for array in (images, *tiny_rig())))
    with torch.inference_mode():
        return model(batch).semantic.softmax(1)[0].numpy()


def on_cpu(card_path, backend="torch", precision="fp32"):
    return TorchRuntime(card_path, RuntimeOptions(device="cpu", backend=backend, precision=precision))


@pytest.mark.parametrize("backend", ["torch", "torchscript"])
def test_same_probabilities_as_the_plain_network(card_path, expected, backend):
    runtime = on_cpu(card_path, backend)
    for _ in range(4):  # TorchScript specialises in its first calls
        got = runtime.probabilities(tiny_images(), *tiny_rig())
        assert got.shape == (4, *GRID.shape)
        assert np.abs(got - expected).max() < 1e-5
    assert np.allclose(got.sum(0), 1, atol=1e-5)


@pytest.mark.slow
def test_compiled_network_gives_the_same_probabilities(card_path, expected):
    runtime = on_cpu(card_path, "compile")
    assert np.abs(runtime.probabilities(tiny_images(), *tiny_rig()) - expected).max() < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("backend", "precision", "tolerance"), [
    ("torch", "fp32", 1e-3), ("torchscript", "fp32", 1e-3), ("cudagraph", "fp32", 1e-3), ("compile", "fp32", 1e-3),
    ("torch", "fp16", 2e-2), ("cudagraph", "fp16", 2e-2), ("cudagraph", "bf16", 1e-1),
])  # fmt: skip
def test_same_probabilities_on_a_gpu(card_path, expected, backend, precision, tolerance):
    runtime = TorchRuntime(card_path, RuntimeOptions(device="cuda", backend=backend, precision=precision))
    for _ in range(3):
        got = runtime.probabilities(tiny_images(), *tiny_rig())
        assert np.abs(got - expected).max() < tolerance


@pytest.mark.parametrize("backend", ["torch", "torchscript"])
def test_another_number_of_cameras(card_path, backend):
    runtime = on_cpu(card_path, backend)
    six = runtime.probabilities(tiny_images(), *tiny_rig())
    four = runtime.probabilities(tiny_images(4), *tiny_rig(4))
    assert four.shape == six.shape and np.abs(four - six).max() > 1e-4
    assert np.array_equal(runtime.probabilities(tiny_images(), *tiny_rig()), six)


def test_lookup_is_computed_once_per_calibration(card_path):
    runtime = on_cpu(card_path)
    intrinsics, poses = tiny_rig()
    for _ in range(3):
        runtime.probabilities(tiny_images(), intrinsics, poses)
    assert runtime.lookups.computed == 1
    moved = poses.copy()
    moved[2, 2, 3] += 0.01
    runtime.probabilities(tiny_images(), intrinsics, moved)
    assert runtime.lookups.computed == 2
    runtime.probabilities(tiny_images(), intrinsics * 1.01, moved)
    assert runtime.lookups.computed == 3


@pytest.mark.parametrize(("backend", "precision", "device", "reason"), [
    ("cudagraph", "fp32", "cpu", "needs device cuda, not cpu; use torchscript"),
    ("torch", "fp16", "cpu", "precision fp16 needs device cuda"),
    ("onnx", "fp32", "cpu", "not one of PyTorch's"),
])  # fmt: skip
def test_refused_combinations_name_the_remedy(backend, precision, device, reason):
    with pytest.raises(ValueError, match=reason):
        check_combination(RuntimeOptions(backend=backend, precision=precision, device=device))


def test_bf16_needs_instructions(monkeypatch):
    monkeypatch.setattr("mapkd_core.runtime.torch_backend.has_any", lambda flags: False)
    with pytest.raises(ValueError, match="no bf16 instructions"):
        check_combination(RuntimeOptions(backend="torch", precision="bf16", device="cpu"))
    check_combination(RuntimeOptions(backend="torch", precision="bf16", device="cuda"))


def test_bf16_keeps_its_geometry_exact(card_path, expected, monkeypatch):
    monkeypatch.setattr("mapkd_core.runtime.torch_backend.has_any", lambda flags: True)
    runtime = on_cpu(card_path, precision="bf16")
    got = runtime.probabilities(tiny_images(), *tiny_rig())
    assert got.dtype == np.float32 and np.abs(got - expected).max() < 0.1
    assert runtime.geometry.view.points_m.dtype == torch.float32
