"""Decode, resize with intrinsics, normalise."""
import cv2
import numpy as np
import pytest

from mapkd_core.data import images
from mapkd_core.geometry import project


def image(width=640, height=360):
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 255 - x], -1).astype(np.uint8)


def jpeg(pixels, quality=95):
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def test_decode_keeps_rgb_order():
    decoded = images.decode(jpeg(image()))
    assert decoded.shape == (360, 640, 3)
    assert np.abs(decoded.astype(int) - image()).mean() < 2


@pytest.mark.parametrize(
    ("wanted", "got"),
    [((352, 128), (640, 360)), ((160, 64), (160, 90)), ((80, 40), (80, 45)), ((10, 10), (80, 45))],
)
def test_decoder_reduces_but_never_below_the_wanted_size(wanted, got):
    height, width = images.decode(jpeg(image()), min_size=wanted).shape[:2]
    assert (width, height) == got


def test_size_from_header_of_jpeg_and_png():
    assert images.jpeg_size(jpeg(image())) == (640, 360)
    assert images.jpeg_size(cv2.imencode(".png", image())[1].tobytes()) == (640, 360)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"not an image at all", b"\x00" * 1000])
def test_rubbish_is_a_value_error(data):
    with pytest.raises(ValueError):
        images.jpeg_size(data)
    with pytest.raises(ValueError):
        images.decode(data, (8, 8))


def test_truncated_header_is_a_value_error():
    with pytest.raises(ValueError):
        images.decode(jpeg(image())[:200])


def test_resize_moves_the_intrinsics_with_the_image():
    """A bright dot at a known point must lie where the resized intrinsics project that point."""
    intrinsics = np.array([[500.0, 0, 320], [0, 500.0, 180], [0, 0, 1]])
    point = np.array([0.3, 0.1, 2.0])
    (u, v), _ = project(point, intrinsics)
    dot = np.zeros((360, 640, 3), np.uint8)
    cv2.circle(dot, (round(u), round(v)), 6, (255, 255, 255), -1)
    small, scaled = images.resize(dot, intrinsics, (320, 90))
    weights = small[..., 0].astype(float)
    rows, cols = np.indices(weights.shape)
    found = (cols * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()
    assert np.allclose(found, project(point, scaled)[0], atol=0.5)


def test_resize_after_a_reduced_decode_scales_from_the_full_size():
    intrinsics = np.array([[500.0, 0, 320], [0, 500.0, 180], [0, 0, 1]])
    reduced = images.decode(jpeg(image()), (160, 64))
    _, scaled = images.resize(reduced, intrinsics, (160, 64), of_size=(640, 360))
    assert np.allclose(scaled[0, 0], 125) and np.allclose(scaled[1, 1], 500 * 64 / 360)


def test_normalise_is_imagenets():
    one = image(8, 4)
    planes = images.normalise([one, one])
    expected = (one / 255.0 - images.IMAGENET_MEAN) / images.IMAGENET_STD
    assert planes.shape == (2, 3, 4, 8) and planes.dtype == np.float32
    assert np.allclose(planes[1], expected.transpose(2, 0, 1), atol=1e-5)


def test_missing_file_names_the_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        images.JpegFile(tmp_path / "nowhere.jpg").rgb()


def test_damaged_file_names_the_path(tmp_path):
    path = tmp_path / "bad.jpg"
    path.write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"bad\.jpg"):
        images.JpegFile(path).rgb((4, 4))


def test_shrinking_keeps_what_is_thinner_than_a_pixel():
    dots = np.zeros((64, 64, 3), np.uint8)
    dots[::4, ::4] = 255
    intrinsics = np.array([[50.0, 0, 31.5], [0, 50, 31.5], [0, 0, 1]])
    small, _ = images.resize(dots, intrinsics, (16, 16))
    into = np.zeros((16, 16, 3), np.uint8)
    images.resize_into(dots, into)
    assert (abs(small.astype(int) - 255 / 16) < 1).all() and np.array_equal(small, into)
    large, _ = images.resize(small, intrinsics, (64, 64))
    assert large.shape == (64, 64, 3) and (abs(large.astype(int) - 255 / 16) < 1).all()
