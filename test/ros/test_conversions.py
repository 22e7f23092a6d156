"""Images from messages: every supported encoding gives the same RGB, everything else is refused by kind."""
from __future__ import annotations

import array

import numpy as np
import pytest
from ros_messages import Fields, compressed, image, jpeg, stamp

from mapkd_core.cameras import encodings
from mapkd_core.data.images import decode
from mapkd_core.messages.classes import seconds_and_ns
from mapkd_ros.conversions import (
    ImageError,
    compressed_size,
    image_fields,
    image_size,
    rgb_from_image,
    stamp_ns,
)

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = np.full((5, 7, 1), 9, np.uint8)


@pytest.mark.parametrize("padding", [0, 11])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], 2)),
        ("bgra8", np.concatenate([RGB[..., ::-1], ALPHA], 2)),
    ],
)
def test_every_colour_encoding_gives_the_same_rgb_with_and_without_row_padding(encoding, pixels, padding):
    message = image(pixels, encoding, padding)
    assert image_size(message) == (7, 5)
    result = rgb_from_image(message)
    assert result.dtype == np.uint8 and result.flags.c_contiguous
    np.testing.assert_array_equal(result, RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_gray_becomes_three_equal_channels(encoding):
    result = rgb_from_image(image(RGB[..., 0], encoding, 3))
    np.testing.assert_array_equal(result, np.repeat(RGB[..., :1], 3, 2))


def test_the_last_row_may_come_without_padding():
    message = image(RGB, "rgb8", 4)
    message.data = message.data[:-4]
    np.testing.assert_array_equal(rgb_from_image(message), RGB)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"encoding": "16UC1"}, "encoding", "encoding '16UC1' is depth"),
        ({"encoding": "jpeg_turbo"}, "encoding", "expected one of rgb8, .*convert it in the camera driver"),
        ({"encoding": ""}, "encoding", "encoding ''"),
        ({"width": 0}, "layout", "0x5 pixels"),
        ({"step": 20}, "layout", "step 20 is less than a rgb8 row: 7 \\* 3"),
        ({"data": array.array("B", bytes(104))}, "layout", "104 bytes of data; 5 rows of step 21 need 105"),
        ({"data": array.array("B")}, "layout", "0 bytes of data"),
        ({"width": 8}, "layout", "step 21 is less"),
        ({"height": 6}, "layout", "105 bytes of data; 6 rows"),
    ],
)
def test_a_raw_image_that_contradicts_itself_is_refused(changes, kind, words):
    with pytest.raises(ImageError, match=words) as error:
        rgb_from_image(image(RGB, **{"encoding": "rgb8", **changes}))
    assert error.value.kind == kind


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_compressed_image_tells_its_size_without_decoding(extension):
    assert compressed_size(compressed(jpeg(64, 36, extension))) == (64, 36)
    assert compressed_size(compressed(jpeg() + bytes(100), "rgb8; jpeg compressed bgr8")) == (64, 36)  # padded


@pytest.mark.parametrize(
    ("data", "text", "kind", "words"),
    [
        (b"", "jpeg", "undecodable", "0 bytes"),
        (b"not an image at all", "jpeg", "undecodable", "neither a JPEG nor a PNG"),
        (jpeg()[:30], "jpeg", "undecodable", "no frame header"),
        (jpeg(extension=".png"), "16UC1; compressedDepth png", "encoding", "depth or another"),
    ],
)
def test_a_broken_compressed_image_is_refused(data, text, kind, words):
    with pytest.raises(ImageError, match=words) as error:
        compressed_size(compressed(data, text))
    assert error.value.kind == kind


def test_message_bytes_reach_the_decoder_without_a_copy():
    message = compressed(jpeg(value=200))
    assert abs(int(decode(memoryview(message.data)).mean()) - 200) <= 2


def test_stamps_survive_the_round_trip():
    for nanoseconds in (0, 999_999_999, 10**9, 1_532_402_927_612_460_000):
        assert stamp_ns(Fields(**seconds_and_ns(nanoseconds))) == nanoseconds == stamp_ns(stamp(nanoseconds))


def test_an_outgoing_image_has_the_layout_that_we_read():
    fields = image_fields(RGB[:, ::-1])
    assert isinstance(fields["data"], array.array)  # rclpy copies anything else byte by byte
    np.testing.assert_array_equal(rgb_from_image(Fields(**fields)), RGB[:, ::-1])


@pytest.mark.parametrize("encoding", [
    "bgr8", "rgba8", "mono8", "8UC3", "rgb16", "mono16", "bayer_rggb8", "bayer_gbrg8", "bayer_grbg16", "yuv422",
    "yuv422_yuy2", "nv21",
])  # fmt: skip
def test_colours_are_those_of_cv_bridge(encoding):
    pytest.importorskip("cv_bridge.boost.cv_bridge_boost", reason="comes with a ROS 2 installation")
    from cv_bridge import CvBridge
    from sensor_msgs.msg import Image

    known = encodings.ENCODINGS[encoding]
    step = 32 * known.channels * known.value_bytes
    rows = 36 if known.planar else 24
    data = np.random.default_rng(2).integers(0, 256, rows * step, np.uint8)
    message = Image(encoding=encoding, width=32, height=24, step=step, data=array.array("B", data.tobytes()))
    theirs = CvBridge().imgmsg_to_cv2(message, "rgb8")
    np.testing.assert_allclose(rgb_from_image(message).astype(int), theirs, atol=1 if known.value_bytes == 2 else 0)
