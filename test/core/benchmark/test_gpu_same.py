"""What runs on a GPU runs on one that is pretended: no tensor is left behind on the CPU, and results are equal."""
import pytest
import torch
from pretended_gpu import pretended_gpu

from mapkd_core.benchmark import gpu_same, gpu_same_training
from mapkd_core.benchmark.gpu_cases import Setting
from mapkd_core.distill.methods import METHODS
from mapkd_core.sim.drive import SimDrive
from mapkd_core.training.drive_batches import DriveBatches

pytest.importorskip("lightning_fabric", reason="training needs: pip install '.[train]'")
pytest.importorskip("numba")


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    return Setting("cuda", True, tmp_path_factory.mktemp("gpu"), 60.0)


def test_a_tensor_left_behind_is_found(monkeypatch):
    with pretended_gpu(monkeypatch):
        there = torch.ones(3).to("cuda")
        assert there.device.type == "cuda" and (there + 1).device.type == "cuda"
        assert torch.zeros(2, device="cuda").device.type == "cuda"
        assert (there * torch.tensor(2.0)).cpu().tolist() == [2, 2, 2]
        with pytest.raises(RuntimeError, match="found cuda:0, and cpu"):
            there + torch.ones(3)
        with pytest.raises(TypeError, match=r"use \.cpu"):
            there.numpy()
        weight = torch.ones(3, requires_grad=True)
        (weight.to("cuda") * there).sum().backward()
        assert weight.grad.tolist() == [1, 1, 1]


QUICK = ("mapkd_code", "bridgeta")


@pytest.mark.parametrize("method", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in METHODS])
def test_every_method_keeps_to_its_device(setting, method, monkeypatch):
    gpu_same_training._networks(setting)  # made and rendered on the CPU
    with pretended_gpu(monkeypatch):
        found = gpu_same_training._method(setting, method)
    assert found["same"], found


@pytest.mark.parametrize("weather", ["wet", pytest.param("night", marks=pytest.mark.slow)])
def test_the_simulator_keeps_to_its_device(setting, weather, monkeypatch):
    with pretended_gpu(monkeypatch):
        images, points = gpu_same._images(setting, weather), gpu_same._points(setting, weather)
    assert images["same"] and "the same bytes" in images["note"], images
    assert points["same"], points


def test_a_student_keeps_to_its_device(setting, monkeypatch):
    monkeypatch.setattr(gpu_same, "_frame", lambda: SimDrive(3, size=(64, 32), frames=1, lidar=False)[0])
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    with pretended_gpu(monkeypatch):
        found = gpu_same._student(setting, "nano", "torch", "fp32", exact=True)
    assert found["same"], found


@pytest.mark.slow
def test_batches_are_rendered_where_the_network_is(setting, monkeypatch):
    config = gpu_same_training.distill_config(setting)
    expected = next(DriveBatches(config, "cpu", frames=2, pool=2))
    with pretended_gpu(monkeypatch):
        batch = next(DriveBatches(config, "cuda", frames=2, pool=2))
        assert batch.images.device.type == batch.semantic.device.type == "cuda"
        difference = (batch.images.cpu() - expected.images).abs().mean()
    assert batch.tokens == expected.tokens and difference < 0.05
