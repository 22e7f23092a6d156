"""Doubts about what came in are found whenever it changes and logged once."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ros_messages import transform

from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.plausibility import Doubt
from mapkd_core.cameras.rig import CameraRig, RigCamera
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_ros.node.calibration_check import CalibrationCheck

AHEAD = (0.5, -0.5, 0.5, -0.5)
MODEL = CameraModel((160, 90), np.array([[80.0, 0, 80], [0, 80, 45], [0, 0, 1]]))


class Setup:
    """Cameras A, by transforms, and B, by the rig file; what was logged is in `said`."""

    def __init__(self) -> None:
        fixed = np.array([[0, 0, 1, 2], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])
        self.tree = TransformTree()
        self.inputs = {"A": SimpleNamespace(model=MODEL), "B": SimpleNamespace(model=MODEL)}
        rig = CameraRig((RigCamera("A", "a", "i"), RigCamera("B", "b", "j", base_from_camera=fixed)))
        self.mountings = Mountings(rig, self.tree, "base_link")
        self.mountings.frames.update(A="a_optical", B="ignored")
        self.said: list[str] = []
        self.of_a_drive: list[Doubt] = []
        self.check = CalibrationCheck(
            self.inputs, self.mountings, self.tree, lambda: self.of_a_drive, SimpleNamespace(warning=self.said.append)
        )

    def mount(self, height_m: float, parent: str = "base_link") -> None:
        self.tree.update([transform(parent, "a_optical", (1, 0, height_m), AHEAD)])

    @property
    def texts(self) -> list[str]:
        self.check.tell()
        return [str(doubt) for doubt in self.check.doubts()]


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_what_lacks_is_no_doubt_and_what_is_sound_neither(setup):
    assert setup.texts == []
    setup.mount(1.5)
    setup.inputs["B"].model = None
    assert setup.texts == [] and setup.said == []


def test_a_doubt_lasts_as_long_as_its_cause_and_is_logged_once(setup):
    for height_m in (-0.2, -0.25, -0.3):
        setup.mount(height_m)
        (text,) = setup.texts
        assert text.startswith(f"A: it sits {-height_m:.2f} m below the ground: the origin of base_frame must")
    setup.mount(1.5)
    assert setup.texts == []
    setup.inputs["A"].model = CameraModel((1600, 900), MODEL.intrinsics)
    assert setup.texts[0].startswith("A: the principal point") or "field of view" in setup.texts[0]
    assert len(setup.said) == 2 and all(text.startswith("calibration: A: ") for text in setup.said)


def test_two_parents_of_a_frame_are_told_for_the_cameras_below_it(setup):
    setup.mount(1.5, "base_link")
    setup.tree.update([transform("base_link", "chassis")])
    setup.mount(1.5, "chassis")
    (text,) = setup.texts
    assert text.startswith("A: frame 'a_optical' has 2 parents, base_link, chassis: two publishers of TF contradict")


def test_what_a_drive_shows_is_told_too_and_once_though_its_figures_move(setup):
    for error in (1.4, 1.5):
        setup.of_a_drive = [Doubt(("A",), f"looks {error} degrees lower")]
        assert setup.texts == [f"A: looks {error} degrees lower"]
    assert setup.said == ["calibration: A: looks 1.4 degrees lower"]
