"""Raw images: every encoding of a driver gives the colours it holds, with any row padding; the rest is refused."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from mosaics import RGB, mosaic
from ros_messages import image

from mapkd_core.cameras.encodings import ENCODINGS, ImageError, image_size, rgb_from_image


def yuv_422(first: str) -> np.ndarray:
    """(24, 32, 2): luma and, alternating, one of the two colour differences that two pixels share."""
    planes = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    y = planes[:768].reshape(24, 32)
    u, v = (planes[768 + 192 * k : 768 + 192 * (k + 1)].reshape(12, 16).repeat(2, 0) for k in (0, 1))
    colours = np.stack([u, v], -1).reshape(24, 32)
    return np.stack([colours, y] if first == "colour" else [y, colours], -1)


def yuv_420(swapped: bool) -> np.ndarray:
    """(36, 32): luma, then interleaved colour differences of 2 x 2 pixels."""
    planes = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    u, v = planes[768:960].reshape(12, 16), planes[960:].reshape(12, 16)
    colours = np.stack([v, u] if swapped else [u, v], -1).reshape(12, 32)
    return np.concatenate([planes[:768].reshape(24, 32), colours])


def in_16_bits(values: np.ndarray) -> np.ndarray:
    """The same, little-endian, with something in the lower halves."""
    return (values.astype("<u2") * 256 + 77).view(np.uint8).reshape(values.shape[0], -1)


BGR, ALPHA = RGB[..., ::-1], np.full((24, 32, 1), 9, np.uint8)
EIGHT_BITS = {
    "rgb8": RGB, "bgr8": BGR, "8UC3": BGR,
    "rgba8": np.concatenate([RGB, ALPHA], 2), "bgra8": np.concatenate([BGR, ALPHA], 2),
    "8UC4": np.concatenate([BGR, ALPHA], 2),
    **{f"bayer_{order}8": mosaic(order) for order in ("rggb", "bggr", "gbrg", "grbg")},
    "yuv422": yuv_422("colour"), "uyvy": yuv_422("colour"), "yuv422_yuy2": yuv_422("luma"), "yuyv": yuv_422("luma"),
    "nv12": yuv_420(False), "nv21": yuv_420(True),
}  # fmt: skip
SIXTEEN_BITS = {
    "rgb16": RGB, "bgr16": BGR, "16UC3": BGR, "rgba16": EIGHT_BITS["rgba8"], "bgra16": EIGHT_BITS["bgra8"],
    "16UC4": EIGHT_BITS["bgra8"], **{f"bayer_{o}16": mosaic(o) for o in ("rggb", "bggr", "gbrg", "grbg")},
}  # fmt: skip
GRAY = ("mono8", "8UC1", "mono16")


def message(values: np.ndarray, encoding: str, padding: int = 0, **changes):
    return image(values, encoding, padding, **{"height": 24, "width": 32, **changes})


def test_every_encoding_is_tested():
    assert set(EIGHT_BITS) | set(SIXTEEN_BITS) | set(GRAY) == set(ENCODINGS)


@pytest.mark.parametrize("padding", [0, 10])
@pytest.mark.parametrize("encoding", [*EIGHT_BITS, *SIXTEEN_BITS])
def test_every_encoding_gives_its_colours(encoding, padding):
    values = EIGHT_BITS.get(encoding)
    if values is None:
        values = in_16_bits(SIXTEEN_BITS[encoding])
    sent = message(values, encoding, padding)
    assert image_size(sent) == (32, 24)
    found = rgb_from_image(sent)
    assert found.shape == (24, 32, 3) and found.dtype == np.uint8 and found.flags.c_contiguous
    tolerance = 4 if ENCODINGS[encoding].even[0] else 0  # eight-bit luma and colour differences are rounded
    for row in (slice(2, 10), slice(14, 22)):  # away from the seams, which demosaicing blurs
        for col in (slice(2, 14), slice(18, 30)):
            assert np.abs(found[row, col].astype(int) - RGB[row, col]).max() <= tolerance


def test_the_order_of_bytes_is_honoured():
    sent = message(in_16_bits(RGB).reshape(24, -1, 2)[..., ::-1].reshape(24, -1), "rgb16", is_bigendian=1)
    np.testing.assert_array_equal(rgb_from_image(sent), RGB)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("encoding", ["mono16", "rgb16"])
def test_a_sensor_that_fills_the_lower_bits_alone_is_as_bright_as_any(encoding, bits):
    bright = np.maximum(RGB, np.uint8(1))
    bright[0, 0] = 255  # some pixel of an image is
    values = bright if encoding == "rgb16" else bright[..., :1]
    sent = values.astype("<u2") << (bits - 8)
    sent[1:] += (1 << (bits - 8)) - 1  # what its lower bits say does not count
    found = rgb_from_image(message(sent.view(np.uint8).reshape(24, -1), encoding))
    np.testing.assert_array_equal(found, np.broadcast_to(values, bright.shape))


@pytest.mark.parametrize(("largest", "shift"), [(0x3FF, 2), (0x400, 4), (0xFFF, 4), (0x1000, 6), (0x4000, 8)])
def test_the_range_is_the_smallest_that_holds_the_largest_value(largest, shift):
    values = np.full((24, 32), 0x80, "<u2")
    values[3, 5] = largest
    found = rgb_from_image(message(values.view(np.uint8).reshape(24, -1), "mono16"))[..., 0]
    assert found[3, 5] == largest >> shift and found[0, 0] == 0x80 >> shift


@pytest.mark.parametrize("lacking", [0, 10, 11])
def test_the_last_row_may_come_without_its_padding(lacking):
    sent = message(RGB, "rgb8", 10)
    sent.data = sent.data[: len(sent.data) - lacking]
    if lacking <= 10:
        np.testing.assert_array_equal(rgb_from_image(sent), RGB)
        return
    with pytest.raises(ImageError, match="rows of step"):
        rgb_from_image(sent)


def test_an_image_that_is_black_in_all_16_bits_is_black():
    assert not rgb_from_image(message(np.zeros((24, 64), np.uint8), "mono16")).any()


@pytest.mark.parametrize("encoding", GRAY)
def test_gray_becomes_three_equal_channels(encoding):
    values = RGB[..., 0] if encoding != "mono16" else in_16_bits(RGB[..., 0])
    np.testing.assert_array_equal(rgb_from_image(message(values, encoding, 3)), np.repeat(RGB[..., :1], 3, 2))


@pytest.mark.parametrize(("encoding", "changes", "kind", "words"), [
    ("16UC1", {}, "encoding", "'16UC1' is depth or another measurement"),
    ("32FC1", {}, "encoding", "depth"),
    ("jpeg_turbo", {}, "encoding", "'jpeg_turbo'; expected one of rgb8, .*convert it in the camera driver"),
    ("nv12", {"height": 23}, "layout", "32x23 pixels; nv12 needs even numbers"),
    ("yuyv", {"width": 31}, "layout", "yuyv needs even numbers"),
    ("nv12", {"height": 26}, "layout", "1152 bytes of data; 39 rows of step 32 need 1248"),
    ("mono16", {}, "layout", "step 32 is less than a mono16 row: 32 \\* 2"),
    ("bayer_rggb8", {"height": 40}, "layout", "40 rows"),
])  # fmt: skip
def test_what_contradicts_itself_or_is_no_image_is_refused(encoding, changes, kind, words):
    with pytest.raises(ImageError, match=words) as error:
        rgb_from_image(message(yuv_420(False), encoding, **changes) if encoding != "yuyv" else
                       message(yuv_422("luma"), encoding, **changes))  # fmt: skip
    assert error.value.kind == kind
