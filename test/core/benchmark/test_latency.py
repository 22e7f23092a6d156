"""The latency benchmark: a whole run on a tiny artifact, its refusals, and the stand-ins for a peer's packages."""
import argparse
import sys

import pytest
import torch
from tiny_student import save_tiny_student

from mapkd_core.benchmark import latency, latency_contenders, latency_peer, peer_checkout
from mapkd_core.commands.main import main
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model


def test_report_of_a_small_run(tmp_path, capsys, monkeypatch):
    small(monkeypatch)
    card, out = save_tiny_student(tmp_path), tmp_path / "latency.md"
    arguments = ["--networks", "--weights", str(card), "--backends", "torch", "torchscript", "--rounds", "2"]
    assert main(["benchmark", "latency", *arguments, "--busy", "0.1", "--out", str(out)]) == 0
    text = out.read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    for stage in ("decode", "prepare", "network", "vectorize", "total"):
        assert f"| tiny | torch fp32 | {stage} |" in text and f"| tiny | torchscript fp32 | {stage} |" in text
    assert "2 interleaved rounds, a neighbour on one core 10 % of the time" in text


OTHER_BUILD = """
import time
print("not an answer")
class Runtime:
    backend, precision = "old", "fp32"
class MapPredictor:
    runtime = Runtime()
    @classmethod
    def from_artifact(cls, path, device, threads, backend, precision):
        assert path.endswith("tiny.json") and backend == "torch" and {answers}
        return cls()
    def predict(self, jpegs, intrinsics, base_from_camera):
        assert len(jpegs) == len(intrinsics) == len(base_from_camera) == 6
        return self
    stage_ms = {{"decode": 1000.0, "prepare": 2000.0, "network": 4000.0, "vectorize": 8000.0}}
"""


def other_build(folder, answers="True"):
    (folder / "mapkd_core").mkdir(parents=True)
    (folder / "mapkd_core/__init__.py").touch()
    (folder / "mapkd_core/predictor.py").write_text(OTHER_BUILD.format(answers=answers))
    return folder


def small(monkeypatch):
    monkeypatch.setattr(latency_contenders, "CAMERA_SIZE", (192, 96))
    monkeypatch.setattr(latency, "matmul_gflops", lambda *_: 100.0)
    monkeypatch.setattr(latency, "memory_gbs", lambda *_: 10.0)


def test_another_build_runs_in_turn_and_what_is_not_served_is_told(tmp_path, capsys, monkeypatch):
    small(monkeypatch)
    card, other = save_tiny_student(tmp_path), other_build(tmp_path / "other")
    arguments = ["--networks", "--weights", str(card), "--backends", "torch", "--precisions", "fp32", "int8"]
    assert main(["benchmark", "latency", *arguments, "--rounds", "2", "--against", str(other)]) == 0
    text = capsys.readouterr().out
    assert "- tiny, torch int8: precision int8 is not served by backend torch; use backend onnx" in text
    table = text.partition("## Against")[2].splitlines()
    lines = [line.split("|")[1:-1] for line in table if line.startswith("| tiny")]
    rows = {line[1].strip(): [float(cell) for cell in line[2:]] for line in lines}
    assert list(rows) == ["decode", "prepare", "network", "vectorize", "total", "processor"]
    assert [rows[stage][2] for stage in rows][:5] == [1000, 2000, 4000, 8000, 15000]
    assert all(row[0] < row[2] and row[4] < 1 for row in list(rows.values())[:5])


def test_a_build_that_ends_is_named(tmp_path, capsys, monkeypatch):
    small(monkeypatch)
    other = other_build(tmp_path / "other", answers="False")
    arguments = ["--networks", "--weights", str(save_tiny_student(tmp_path)), "--backends", "torch"]
    assert main(["benchmark", "latency", *arguments, "--rounds", "1", "--against", str(other)]) == 2
    assert f"the code in {other} ended without an answer" in capsys.readouterr().err


def test_random_weights_and_peers_run_beside_eight_bits(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(latency_contenders, "random_student", lambda variant, folder: folder / f"{variant}.json")
    monkeypatch.setattr(latency_contenders, "network", lambda name, device: name)
    monkeypatch.setattr(
        latency_contenders, "student",
        lambda path, shown, options, *_: asked.append((shown, options.backend, options.precision)) or shown,
    )
    parser = argparse.ArgumentParser()
    latency.configure(parser)
    words = ["--networks", "student:nano", "hdmapnet", "--weights", "small", "--backends", "onnx", "openvino"]
    found, left_out = latency._contenders(parser.parse_args([*words, "--precisions", "int8"]), None, tmp_path)
    assert found == ["small", "small", "student:nano", "student:nano", "hdmapnet"] and not left_out
    eight = [("small", "onnx", "int8"), ("small", "openvino", "int8")]
    assert asked == [*eight, ("student:nano", "onnx", "fp32"), ("student:nano", "openvino", "fp32")]


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--networks", "--weights", "nano", "--against", "/nowhere"], "name a checkout of this project"),
    (["--against", "/nowhere"], "name them with --weights"),
    (["--rounds", "0"], "expected at least 1"), (["--busy", "1"], "a share of 0 to below 1"),
    (["--networks"], "nothing to time"), (["--networks", "--peer", "/nowhere"], "expected a checkout of the peer"),
])  # fmt: skip
def test_refusals(arguments, reason, capsys, monkeypatch):
    given = latency_contenders.Images([], (None, None), "none")
    monkeypatch.setattr(latency_contenders, "example_images", lambda _: given)
    assert main(["benchmark", "latency", *arguments]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("variant", ["vector_nano", "maptr_nano"])
def test_vector_students_are_counted_like_any(variant):
    options = {"variant": variant, "width": 16, "hidden": 16, "vectors": 5, "points": 4, "layers": 2}
    network = build_model("vector_student", BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3), (96, 64), options).eval()
    millions, gflop = latency_contenders._size(network, latency_contenders._student_call(network, (96, 64), "cpu"))
    assert millions == pytest.approx(sum(p.numel() for p in network.parameters()) / 1e6) and gflop > 0.01


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
