"""From messages to checked images: stills one to one, videos as their packets complete them."""
from __future__ import annotations

import array

import numpy as np
import pytest
import ros_messages
from ros_messages import Fields
from video_stream import packets, shades

from mapkd_ros.conversions import ImageError
from mapkd_ros.node.camera_image import ImageReader


def packet(data: bytes, keyframe: bool, stamp_ns: int) -> Fields:
    header = Fields(stamp=ros_messages.stamp(stamp_ns), frame_id="camera")
    return Fields(header=header, encoding="libx264", flags=int(keyframe), data=array.array("B", data))


def test_an_image_gives_jpeg_bytes_or_rgb_pixels():
    data = ros_messages.jpeg()
    ((_, image),) = ImageReader("compressed").read(ros_messages.compressed(data))
    assert bytes(image.source()) == data and image.size == (64, 36) and image.frame_id == "camera"
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    ((_, image),) = ImageReader("raw", "front").read(ros_messages.image(pixels[..., ::-1], "bgr8"))
    np.testing.assert_array_equal(image.source(), pixels)
    assert image.size == (4, 2) and image.frame_id == "front"
    with pytest.raises(ImageError):
        ImageReader("compressed").read(ros_messages.compressed(b"nothing"))


def test_a_video_gives_its_images_from_the_first_keyframe_on():
    images = shades(6)
    reader = ImageReader("ffmpeg")
    found = []
    for data, keyframe, place in packets(images)[1:]:
        assert reader.waits_for_keyframe == (place <= 4)
        found += reader.read(packet(data, keyframe, 1000 + place))
    assert [stamp for stamp, _ in found] == [1004, 1005] and not reader.waits_for_keyframe
    for (_, image), expected in zip(found, images[4:], strict=True):
        assert image.size == (160, 90) and np.abs(image.source().astype(int) - expected).max() <= 4
