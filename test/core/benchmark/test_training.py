"""The training benchmark times each part of a step and leaves nothing behind."""
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
    assert all(f"| {part} |" in text for part in ("loading", "forward", "backward", "optimizer", "step"))
    assert [path.name for path in tmp_path.iterdir()] == ["t.md"]


def test_two_builds_take_turns(capsys):
    words = ["--steps", "1", "--warmup", "0", "--threads", "1", "--data.workers", "0", "--against", str(ROOT)]
    assert main(["benchmark", "training", *words, *TINY]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].strip("| ") for row in rows] == ["part", "loading", "forward", "backward", "optimizer", "step"]
    assert all(float(value) > 0 for row in rows[2:4] for value in row[1:5]), "forward and backward cost something"


def test_refusals(capsys):
    assert main(["benchmark", "training", "--against", "nowhere"]) == 2
    assert "name a checkout of this project" in capsys.readouterr().err
    assert main(["benchmark", "training", "--steps", "0"]) == 2
    assert "expected at least 1" in capsys.readouterr().err
