"""The latency benchmark: a whole run on a tiny artifact, its refusals, and the stand-ins for a peer's packages."""
import sys

import pytest
import torch
from tiny_student import save_tiny_student

from mapkd_core.benchmark import latency, latency_contenders, latency_peer, peer_checkout
from mapkd_core.commands.main import main


def test_report_of_a_small_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(latency_contenders, "CAMERA_SIZE", (192, 96))
    monkeypatch.setattr(latency, "matmul_gflops", lambda *_: 100.0)
    monkeypatch.setattr(latency, "memory_gbs", lambda *_: 10.0)
    card, out = save_tiny_student(tmp_path), tmp_path / "latency.md"
    arguments = ["--networks", "--weights", str(card), "--backends", "torch", "torchscript", "--rounds", "2"]
    assert main(["benchmark", "latency", *arguments, "--busy", "0.1", "--out", str(out)]) == 0
    text = out.read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    for stage in ("decode", "prepare", "network", "vectorize", "total"):
        assert f"| tiny | torch fp32 | {stage} |" in text and f"| tiny | torchscript fp32 | {stage} |" in text
    assert "2 interleaved rounds, a neighbour on one core 10 % of the time" in text


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--rounds", "0"], "expected at least 1"), (["--busy", "1"], "a share of 0 to below 1"),
    (["--networks"], "nothing to time"), (["--networks", "--peer", "/nowhere"], "expected a checkout of the peer"),
])  # fmt: skip
def test_refusals(arguments, reason, capsys, monkeypatch):
    given = latency_contenders.Images([], (None, None), "none")
    monkeypatch.setattr(latency_contenders, "example_images", lambda _: given)
    assert main(["benchmark", "latency", *arguments]) == 2
    assert reason in capsys.readouterr().err


def test_stand_ins_leave_no_trace():
    before = set(sys.modules)
    original = torch.Tensor.cuda
    with latency_peer._stand_ins(), peer_checkout.cuda_calls("cpu"):
        import torch_scatter  # noqa: F401
        from torchvision.models.resnet import resnet18  # type: ignore[import-not-found]

        trunk = resnet18(pretrained=False, zero_init_residual=True)
        x = torch.zeros(1, 64, 16, 16).cuda()
    assert trunk.layer3(trunk.layer2(trunk.layer1(x))).shape == (1, 256, 4, 4)
    assert torch.Tensor.cuda is original
    assert not {"torchvision", "torch_scatter"} & (set(sys.modules) - before)
