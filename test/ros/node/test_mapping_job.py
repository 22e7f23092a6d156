"""What the predictor gets for one set, and how its refusals are told."""
from __future__ import annotations

import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from ros_messages import compressed, image, jpeg

from mapkd_core.artifact import ModelCard
from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.synchronizer import CameraSet
from mapkd_core.data.images import decode
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import CameraError, PredictedMap
from mapkd_ros.conversions import ImageError
from mapkd_ros.node.camera_image import CameraImage
from mapkd_ros.node.mapping_job import MappingJob, complete_job, prepare_job

K = np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]])
CAMERAS = ("CAM_FRONT", "CAM_BACK")


class Recorder:
    """A predictor that keeps what it was given."""

    card = ModelCard("recorder", "1", "student", {}, BevGrid(), (160, 120))
    device, engine = "cpu", "torch fp32"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.given: tuple = ()
        self.faults: tuple = ()

    def prepare(self, images, intrinsics, base_from_camera, image_sizes=None, masks=None):
        self.given = (images, intrinsics, base_from_camera, image_sizes)
        if self.error:
            raise self.error
        return SimpleNamespace(faults=self.faults)

    def complete(self, prepared) -> PredictedMap:
        return PredictedMap([], np.zeros((4, 2, 2), np.float32), {"network": 1.0})


def run_job(job: MappingJob, predictor: Recorder, tables: dict) -> PredictedMap:
    return complete_job(prepare_job(job, predictor, tables), predictor)


def job(messages, models) -> MappingJob:
    images = tuple(CameraImage(message, (640, 480), "camera") for message in messages)
    mountings = np.stack([np.eye(4), 2 * np.eye(4)])
    complete_ns = time.monotonic_ns() - 3_000_000
    return MappingJob(CameraSet(5, CAMERAS, (5, 6), images), tuple(models), mountings, complete_ns, (None, None))


def test_undistorted_images_pass_through_as_they_came():
    pixels = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    data = jpeg(640, 480)
    predictor = Recorder()
    result = run_job(job([compressed(data), image(pixels, "rgb8")], [CameraModel((640, 480), K)] * 2), predictor, {})
    images, intrinsics, base_from_camera, sizes = predictor.given
    assert bytes(images[0]) == data
    np.testing.assert_array_equal(images[1], pixels)
    np.testing.assert_array_equal(intrinsics, [K, K])
    np.testing.assert_array_equal(base_from_camera[1], 2 * np.eye(4))
    assert sizes == [(640, 480), (640, 480)]
    assert list(result.stage_ms) == ["wait", "convert", "network"]
    assert 3.0 <= result.stage_ms["wait"] < 1000


def test_a_distorted_image_is_straightened_at_the_size_the_decoder_gives():
    distortion = (-0.3, 0.08, 0.0, 0.0)
    model = CameraModel((640, 480), K, "plumb_bob", distortion)
    rows, cols = np.mgrid[:480, :640]
    ray = np.array([[0.3, 0.2, 1.0]])
    seen = cv2.projectPoints(ray, np.zeros(3), np.zeros(3), K, np.array(distortion))[0][0, 0]
    blob = (255 * np.exp(-((cols - seen[0]) ** 2 + (rows - seen[1]) ** 2) / 200)).astype(np.uint8)
    data = cv2.imencode(".jpg", np.repeat(blob[..., None], 3, 2))[1].tobytes()
    predictor, tables = Recorder(), {}
    plain = CameraModel((640, 480), K)
    run_job(job([compressed(data), compressed(data)], [model, plain]), predictor, tables)
    images, intrinsics, _, sizes = predictor.given
    assert sizes == [(160, 120), (640, 480)] and images[0].shape == (120, 160, 3) and len(tables) == 1
    weights = images[0][..., 0].astype(float)
    grid_rows, grid_cols = np.mgrid[:120, :160]
    found = np.array([(weights * grid_cols).sum(), (weights * grid_rows).sum()]) / weights.sum()
    pinhole = intrinsics[0] @ ray[0]
    np.testing.assert_allclose(found, pinhole[:2], atol=0.4)
    assert decode(bytes(images[1])).shape == (480, 640, 3)


def test_a_refused_image_is_told_by_its_cameras_name():
    jobs = job([compressed(jpeg())] * 2, [CameraModel((640, 480), K)] * 2)
    with pytest.raises(ImageError, match="CAM_BACK: undecodable image of 9 bytes") as error:
        run_job(jobs, Recorder(CameraError(1, "undecodable image of 9 bytes")), {})
    assert error.value.kind == "undecodable CAM_BACK"
    with pytest.raises(ValueError, match="camera 1: something else"):  # whatever its words are
        run_job(jobs, Recorder(ValueError("camera 1: something else")), {})


def test_a_distorted_image_that_cannot_be_decoded_is_told_by_its_cameras_name():
    broken = compressed(jpeg(640, 480)[:200])
    model = CameraModel((640, 480), K, "plumb_bob", (0.1, 0, 0, 0))
    with pytest.raises(ImageError, match="CAM_FRONT: ") as error:
        run_job(job([broken, broken], [model, model]), Recorder(), {})
    assert error.value.kind == "undecodable CAM_FRONT"


def test_an_image_used_despite_a_fault_is_told_by_its_camera():
    predictor = Recorder()
    predictor.faults = ((1, "3 extraneous bytes"),)
    prepared = prepare_job(job([compressed(jpeg())] * 2, [CameraModel((640, 480), K)] * 2), predictor, {})
    assert prepared.faults == (("CAM_BACK", "3 extraneous bytes"),)
