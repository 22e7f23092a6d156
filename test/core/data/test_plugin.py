"""Frames from code of the user's own: the example of the documentation is run, and what is no plug-in is told."""
from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapkd_core.commands.main import main
from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.data.labels import map_elements
from mapkd_core.evaluation.identity import frames_fingerprint
from mapkd_core.frame_sources import open_frames, with_images, with_maps
from mapkd_core.grid import GRID_60X30
from mapkd_core.map_formats.earth import at_place
from mapkd_core.map_formats.vector_maps import street_map_of
from mapkd_core.mapping.street_map import StreetMap
from mapkd_core.sim.drive import SimDrive

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "own-frames.md"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a user works; what is imported from there is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in ("my_frames", "odd_frames"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def drive() -> SimDrive:
    return SimDrive(seed=3, size=(176, 64), frames=2, lidar=False)


def in_my_form(drive: SimDrive, folder: Path) -> Path:
    """The drive as the example's class reads it."""
    folder.mkdir()
    frames = list(drive)
    (folder / "cameras.json").write_text(json.dumps([
        {"name": view.name, "size": view.size, "intrinsics": view.intrinsics.tolist(),
         "base_from_camera": view.base_from_camera.tolist()} for view in frames[0].views
    ]))  # fmt: skip
    with (folder / "poses.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["stamp_ns", "x", "y", "yaw"])
        for frame in frames:
            pose = frame.map_from_base
            writer.writerow([frame.stamp_ns, pose[0, 3], pose[1, 3], np.arctan2(pose[1, 0], pose[0, 0])])
    for frame in frames:
        for view in frame.views:
            (folder / view.name).mkdir(exist_ok=True)
            bgr = cv2.cvtColor(view.image.rgb(), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / view.name / f"{frame.stamp_ns}.jpg"), bgr)
    true = street_map_of(drive.road_map)[0]
    StreetMap(true.elements, "map", at_place(48.1, 11.5), {}).write(folder / "town.streetmap")
    return folder


def example() -> str:
    (found,) = [part for part in PAGE.read_text().split("```python\n")[1:] if part.startswith("# file: my_frames.py")]
    return found.partition("```")[0]


def test_the_example_of_the_documentation_makes_frames_and_a_cache(
    place: Path, drive: SimDrive, capsys: pytest.CaptureFixture[str]
) -> None:
    text = example()
    assert 30 <= len([line for line in text.splitlines() if line.strip()]) <= 50
    (place / "my_frames.py").write_text(text)
    in_my_form(drive, place / "monday")
    frames, missing = open_frames("python:my_frames:MyFrames:monday")
    assert len(frames) == 2 and not missing
    for frame, wanted in zip(frames, drive, strict=True):
        assert [view.name for view in frame.views] == [view.name for view in wanted.views]
        ours = map_elements(frame.vector_map(), frame.map_from_base, GRID_60X30)
        theirs = map_elements(wanted.vector_map(), wanted.map_from_base, GRID_60X30)
        assert [e.label for e in ours].count("divider") == [e.label for e in theirs].count("divider") > 0
    assert main(["cache", "python:my_frames:MyFrames:monday", "cache", "--size", "88x32"]) == 0
    cached = CachedSamples(place / "cache", SampleOptions(GRID_60X30, (88, 32)))
    assert len(cached) == 2 and all(cached[k].elements for k in range(2))


ODD = """
from mapkd_core.types import Frame
class NoFrames:
    pass
class Numbers(list):
    def __init__(self): super().__init__([1, 2])
class Half(list):
    fingerprint = "first"
    def __init__(self):
        super().__init__(Frame(str(k), "s", k, (), None, None) for k in range(4))
number = 3
"""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("python:nowhere_at_all:X", "no module 'nowhere_at_all' here"),
        ("python:odd_frames:Missing", "odd_frames has no class or function 'Missing'"),
        ("python:odd_frames:number", "odd_frames has no class or function 'number'"),
        ("python:odd_frames:NoFrames", "gave NoFrames; expected frames: __len__ and __getitem__"),
        ("python::X", "names no code; expected python:MODULE:NAME"),
    ],
)
def test_what_is_no_plug_in_is_one_line(place: Path, name: str, told: str) -> None:
    (place / "odd_frames.py").write_text(ODD)
    with pytest.raises(ValueError, match=told):
        open_frames(name)


def test_things_that_are_no_frames_are_refused_and_frames_without_map_left_out(place: Path) -> None:
    (place / "odd_frames.py").write_text(ODD)
    with pytest.raises(ValueError, match=r"frame 0 is of type int; expected mapkd_core\.types\.Frame"):
        open_frames("python:odd_frames:Numbers")[0][0]
    frames, _ = open_frames("python:odd_frames:Half")
    assert len(frames) == 4 and len(with_maps(frames)) == len(with_images(frames)) == 0
    first = frames_fingerprint(frames)
    sys.modules["odd_frames"].Half.fingerprint = "second"
    assert frames_fingerprint(open_frames("python:odd_frames:Half")[0]) != first


def test_faults_of_the_users_own_code_pass_through(place: Path) -> None:
    (place / "odd_frames.py").write_text("import something_that_is_not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_installed"):
        open_frames("python:odd_frames:X")
