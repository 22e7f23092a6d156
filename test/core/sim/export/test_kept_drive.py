"""A drive that a tool keeps: used again, made anew for another simulator, and nothing else is ever deleted."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.export import kept_drive as keeping
from mapkd_core.sim.export.claim import NOTE, claim
from mapkd_core.sim.export.kept_drive import kept_drive

SIZE = (64, 36)


@pytest.fixture(autouse=True)
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The export up to where it renders."""

    def export(drives: Sequence[SimDrive], out: Path, **_: Any) -> Path:
        claim(out, drives, ["scene-9001"], "v1.0-mini", 0.0)
        (out / "image.jpg").touch()
        return out

    monkeypatch.setattr(keeping, "export", export)


def test_a_drive_stays_until_its_options_or_the_simulator_change(tmp_path: Path) -> None:
    folder = kept_drive(tmp_path / "drive", 1, SIZE)
    facts = json.loads((folder / NOTE).read_text())["scenes"]["scene-9001"]
    assert (facts["frames"], facts["size"], facts["lidar"], facts["road"]) == (1, [64, 36], True, "procedural")
    (folder / "mark").touch()
    assert (kept_drive(folder, 1, SIZE) / "mark").exists()
    assert not (kept_drive(folder, 2, SIZE) / "mark").exists() and (folder / "image.jpg").exists()
    note = json.loads((folder / NOTE).read_text())
    (folder / NOTE).write_text(json.dumps({**note, "software": "of yesterday"}))
    (folder / "mark").touch()
    assert not (kept_drive(folder, 2, SIZE) / "mark").exists()
    assert json.loads((folder / NOTE).read_text()) == note


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds something else \(thesis.txt\)"):
        kept_drive(tmp_path, 1, SIZE)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
