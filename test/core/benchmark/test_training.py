"""The training benchmark times each part of a step and leaves nothing behind."""
from contextlib import nullcontext
from pathlib import Path

import pytest

from mapkd_core.commands.main import main

pytest.importorskip("lightning_fabric", reason="training needs: pip install '.[train]'")
ROOT = Path(__file__).parents[3]
TINY = [
    "--data.train", "simdrive-v1:train:small:1", "--data.image_size", "[96, 48]", "--batch_size", "1",
    "--model_options", "{variant: nano, image_width: 8, bev_width: 8, view_channels: 8}",
    "--accelerator", "cpu",
]  # fmt: skip


def test_report(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "training", "--steps", "2", "--warmup", "0", "--report", "t.md", *TINY]) == 0
    text = (tmp_path / "t.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "samples/s" in text
    assert all(f"| {part} |" in text for part in ("loading", "teachers", "forward", "backward", "optimizer", "step"))
    assert [path.name for path in tmp_path.iterdir()] == ["t.md"]


def test_a_teachers_answers_are_timed_apart(tmp_path, capsys, monkeypatch):
    """Another seed's network teaches; half precision is asked of it alone."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--name", "t", "--steps", "1", "--val_batches", "1", "--data.val", TINY[1], *TINY]) == 0
    taught = ["--teacher", "runs/t", "--method", "kd_mse", "--teacher_precision", "bf16-mixed"]
    taught += ["--precision", "bf16-mixed", "--calibrate_steps", "4"]  # steps as a run's, its own precision included
    asked = []
    noted = lambda name, device: asked.append(name) or nullcontext()  # noqa: E731
    monkeypatch.setattr("mapkd_core.distill.frozen.half_precision", noted)
    capsys.readouterr()
    assert main(["benchmark", "training", "--steps", "1", "--warmup", "0", *taught, *TINY]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| teachers |"))
    assert float(row.split("|")[2]) > 0 and asked == ["bf16-mixed"]


def test_two_builds_take_turns(capsys):
    words = ["--steps", "1", "--warmup", "0", "--threads", "1", "--data.workers", "0", "--against", str(ROOT)]
    assert main(["benchmark", "training", *words, *TINY]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    parts = ["loading", "teachers", "forward", "backward", "optimizer"]
    assert [row[0].strip("| ") for row in rows] == ["part", *parts, "step"]
    assert all(float(value) > 0 for row in rows[3:5] for value in row[1:5]), "forward and backward cost something"


def test_refusals(capsys):
    assert main(["benchmark", "training", "--against", "nowhere"]) == 2
    assert "name a checkout of this project" in capsys.readouterr().err
    assert main(["benchmark", "training", "--steps", "0"]) == 2
    assert "expected at least 1" in capsys.readouterr().err
