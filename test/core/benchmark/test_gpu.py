"""The GPU day goes on where it stopped, past cases that fail, and past those that end their process."""
import json
import os
import time
from pathlib import Path

import pytest

from mapkd_core.benchmark import gpu
from mapkd_core.benchmark.gpu_cases import Case, Record, Setting, measure, run_part, tf32
from mapkd_core.commands.main import main

PART = '''
import os, time
from mapkd_core.benchmark.gpu_cases import Case
def cases(setting):
    yield Case("good", lambda: {"value": 1})
    yield Case("fatal", lambda: os._exit(3))
    yield Case("behind", lambda: {"value": 2})
    yield Case("long", lambda: time.sleep(60) or {})
def table(values):
    return ", ".join(values)
'''


@pytest.fixture
def part(tmp_path, monkeypatch):
    (tmp_path / "made_up_part.py").write_text(PART)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", paths)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "made_up_part"


def test_a_case_that_ends_its_process_costs_only_itself(part, tmp_path):
    setting = Setting("cpu", True, tmp_path, 12.0)
    began = time.monotonic()
    assert run_part(part, "p", setting) == "time is over"
    assert time.monotonic() - began < 40
    record = Record(tmp_path / "parts", "p")
    assert {case: values["value"] for case, values in record.values().items()} == {"good": 1, "behind": 2}
    assert record.results()["fatal"] == {"ended": "the process ended with exit code 3"}
    assert record.results()["long"] == {"cut": "cut off when the part's 12 s were over"}


def test_what_has_no_result_is_measured_again_and_nothing_else(tmp_path):
    record, calls = Record(tmp_path, "p"), []

    def failing():
        calls.append("failing")
        if len(calls) < 3:
            raise ValueError("no\n  luck")
        return {"value": 3}

    def good():
        calls.append("good")
        return {"value": 1}

    def lacking():
        import no_such_package_anywhere  # type: ignore[import-not-found]  # noqa: F401

    cases = [Case("good", good), Case("failing", failing), Case("lacking", lacking)]
    assert measure(cases, record) == 0
    assert record.results()["failing"] == {"error": "ValueError: no luck"}
    assert record.results()["lacking"] == {"missing": "pip install no_such_package_anywhere"}
    with record.path.open("a") as file:
        file.write('{"case": "cut in the mid')
    assert measure(cases, record) == 0
    assert calls == ["good", "failing", "failing"] and list(record.values()) == ["good", "failing"]


def test_a_gpu_that_is_lost_ends_the_process(tmp_path):
    def lost():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    record = Record(tmp_path, "p")
    assert measure([Case("lost", lost), Case("behind", dict)], record) == 75
    assert "behind" not in record.results()
    assert measure([Case("lost", lost), Case("behind", dict)], record, ["lost"]) == 0


def test_without_tf32_cudnn_stays_on():
    import torch

    before = torch.backends.cudnn.allow_tf32
    with tf32(allowed=not before):
        assert torch.backends.cudnn.allow_tf32 != before and torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32 == before


def test_report(part, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", {"p": (part, 1.0, "A heading")})
    command = ["benchmark", "gpu", "--out", str(tmp_path), "--device", "cpu", "--tiny", "--minutes", "0.1"]
    assert main(command) == 1
    text = (tmp_path / "gpu_day.md").read_text()
    assert "## A heading\n\ngood" in text and "Not finished: time is over" in text
    assert "p: time is over (" in capsys.readouterr().out


def test_refusals(tmp_path, capsys):
    assert main(["benchmark", "gpu", "--out", str(tmp_path), "--minutes", "0", "--device", "cpu"]) == 2
    assert "expected more than 0" in capsys.readouterr().err
    import torch

    if not torch.cuda.is_available():
        assert main(["benchmark", "gpu", "--out", str(tmp_path)]) == 2
        assert "torch sees no CUDA device" in capsys.readouterr().err


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu(tmp_path):
    pytest.importorskip("lightning_fabric", reason="training needs: pip install '.[train]'")
    pytest.importorskip("onnxscript")
    assert main(["benchmark", "gpu", "--out", str(tmp_path), "--device", "cpu", "--tiny"]) == 0
    for part in gpu.PARTS:
        lines = [json.loads(line) for line in (tmp_path / "parts" / f"{part}.jsonl").read_text().splitlines()]
        assert {line["case"] for line in lines} == {line["case"] for line in lines if "values" in line}, part
    assert (tmp_path / "weights" / "student_gpu.safetensors").stat().st_size > 0
    assert "**no**" not in Path(tmp_path / "gpu_day.md").read_text()
