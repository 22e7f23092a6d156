"""Which images count, camera by camera; over DDS: test_mapping_node_cameras.py."""
from __future__ import annotations

import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.rig import CameraRig, RigCamera
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_ros.node.camera_image import CameraImage
from mapkd_ros.node.usable import UsableImages

S = 1_000_000_000
JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
MODEL = CameraModel((64, 48), np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]))


def image(data: bytes = JPEG, size: tuple[int, int] = (64, 48)) -> CameraImage:
    return CameraImage(SimpleNamespace(data=data, format="jpeg"), size, "optical")  # type: ignore[arg-type]


@pytest.fixture
def made():
    rig = CameraRig(tuple(RigCamera(name, name, "", base_from_camera=np.eye(4)) for name in "AB"))
    inputs = {name: SimpleNamespace(model=MODEL, refusal="") for name in "AB"}
    one = UsableImages(inputs, Mountings(rig, TransformTree(), "base_link"), (32, 24))  # type: ignore[arg-type]
    yield one, inputs
    one.close()


def test_an_image_counts_with_stamp_calibration_and_size(made):
    one, inputs = made
    assert one.usable("A", 1, image(), 0) and one.reason("A") == ""
    assert one.usable("A", 1, image(), 0) and one.usable("A", 1, image(), 0) and one.reason("A") == ""  # two bridges
    assert not one.usable("A", 1, image(), 0) and "stays the same" in one.reason("A")
    assert not one.usable("A", 0, image(), 0) and "is 0" in one.reason("A")
    assert not one.usable("A", 2, image(size=(32, 24)), 0) and "image is 32x24" in one.reason("A")
    inputs["A"].model = None
    assert not one.usable("A", 3, image(), 0) and one.reason("A") == ""  # told as what lacks
    inputs["A"].model = MODEL
    assert one.usable("A", 4, image(), 0) and one.usable("B", 4, image(), 0)
    inputs["B"].refusal = "not an image"
    assert one.reason("B") == "not an image"


def test_a_camera_that_failed_is_tried_apart_until_it_is_sound(made):
    one, _ = made
    job = SimpleNamespace(cameras=("A", "B"), camera_set=SimpleNamespace(images=(image(JPEG[:200]), image())))
    one.failed(job)
    assert one.reason("A") and not one.reason("B") and one.usable("B", 1, image(), 0)
    assert not one.usable("A", 1, image(JPEG[:200]), 0)
    time.sleep(0.05)
    assert not one.usable("A", 2, image(), 0), "its sound image is only tried"
    until = time.monotonic() + 5
    while one.reason("A") and time.monotonic() < until:
        time.sleep(0.01)
    assert one.usable("A", 3, image(), 0) and one.reason("A") == ""


def test_a_camera_of_another_clock_is_told_by_the_agreement_of_two_others():
    rig = CameraRig(tuple(RigCamera(name, name, "", base_from_camera=np.eye(4)) for name in "ABC"))
    inputs = {name: SimpleNamespace(model=MODEL, refusal="") for name in "ABC"}
    one = UsableImages(inputs, Mountings(rig, TransformTree(), "base_link"), (32, 24))  # type: ignore[arg-type]
    hour = 3600 * S
    assert one.usable("A", 9 * S, image(), 0)
    assert one.usable("B", 9 * S + hour, image(), 0)  # one against one
    assert one.usable("C", 9 * S, image(), 0)
    assert not one.usable("B", 9 * S + hour + 1, image(), S)
    assert one.reason("B").startswith("its stamps are 3600 s ahead of the others': another clock; set the clocks")
    assert one.usable("A", 10 * S, image(), S) and one.usable("C", 10 * S, image(), S)
    assert one.usable("B", 11 * S + hour, image(), 4 * S), "the others' stamps are of long ago"


def test_of_a_recording_that_loops_one_image_does_not_count_and_no_more():
    rig = CameraRig(tuple(RigCamera(name, name, "", base_from_camera=np.eye(4)) for name in "ABC"))
    inputs = {name: SimpleNamespace(model=MODEL, refusal="") for name in "ABC"}
    one = UsableImages(inputs, Mountings(rig, TransformTree(), "base_link"), (32, 24))  # type: ignore[arg-type]
    stamps = (99 * S, 100 * S, S, 2 * S)
    counted = [[one.usable(name, stamp, image(), S) for name in "ABC"] for stamp in stamps]
    assert counted == [[True] * 3, [True] * 3, [False, True, True], [True] * 3]
