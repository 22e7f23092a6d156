import cv2
import numpy as np
import pytest

from mapkd_core.data.image_masks import MASK_SIZE, UNKNOWN, ImageMask, image_key, mask_path, read_mask, write_mask
from mapkd_core.schema import FileFault


def test_masks_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    shape = MASK_SIZE[::-1]
    surface = rng.choice(np.array([0, 1, 2, 3, 4, 5, UNKNOWN], np.uint8), shape)
    mask = ImageMask(surface, *(rng.integers(0, 256, shape, np.uint8) for _ in range(2)))
    key = image_key(b"an image")
    write_mask(tmp_path, key, mask)
    back = read_mask(tmp_path, key)
    for name in ("surface", "paint", "drivable"):
        np.testing.assert_array_equal(getattr(back, name), getattr(mask, name))
    assert image_key(b"another") != key


def test_what_is_no_mask_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="mapkd masks"):
        read_mask(tmp_path, "none")
    for name, pixels in (("small", np.zeros((3, 3, 3), np.uint8)), ("other", np.full((360, 640, 3), 77, np.uint8))):
        cv2.imwrite(str(mask_path(tmp_path, name)), pixels)
        with pytest.raises(FileFault, match="is no mask"):
            read_mask(tmp_path, name)
    mask_path(tmp_path, "cut").write_bytes(b"\x89PNG")
    with pytest.raises(FileFault, match="make it again"):
        read_mask(tmp_path, "cut")
