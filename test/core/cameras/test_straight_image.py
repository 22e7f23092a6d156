"""Images as a network takes them."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.encodings import ImageError
from mapkd_core.cameras.straight_image import check_size, straight_image

K = np.array([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])


def test_an_image_without_distortion_stays_as_it_came():
    data = memoryview(b"a JPEG that nobody decodes here")
    image, intrinsics, size = straight_image(data, CameraModel((160, 90), K), (16, 9), {}, [])
    assert image is data and intrinsics is K and size == (160, 90)


def test_an_image_with_distortion_is_straightened_at_the_size_that_is_needed():
    pixels = np.full((90, 160, 3), 50, np.uint8)
    pixels[:, :80] = 200
    model = CameraModel((160, 90), K, "plumb_bob", (-0.1, 0.0, 0.0, 0.0))
    straight, intrinsics, size = straight_image(pixels, model, (80, 45), {}, [])
    assert size == (160, 90) and np.array_equal(intrinsics, K) and straight[45, 60, 0] == 200
    data = memoryview(cv2.imencode(".jpg", pixels)[1].tobytes())
    reduced, intrinsics, size = straight_image(data, model, (80, 45), {}, [])
    assert size == (80, 45) and reduced.shape == (45, 80, 3)
    assert intrinsics[0, 0] == pytest.approx(50) and abs(int(reduced[22, 30, 0]) - 200) < 5


def test_a_size_other_than_the_calibrated_one_is_refused_with_both():
    check_size((1600, 900), (1600, 900))
    with pytest.raises(ImageError, match="800x450, its camera_info says 1600x900") as error:
        check_size((800, 450), (1600, 900))
    assert error.value.kind == "size"
