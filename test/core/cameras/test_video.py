"""Videos packet by packet: each image with its own stamp, and what cannot be decoded by name."""
from __future__ import annotations

import numpy as np
import pytest
from video_stream import packets, shades

from mapkd_core.cameras.encodings import ImageError

pytest.importorskip("av", reason="needs PyAV: pip install '.[video]'")

from mapkd_core.cameras.video import VideoDecoder, rgb_from_frame

IMAGES = shades(10)


def decoded(stream, encoding: str) -> list[tuple[int, np.ndarray]]:
    decoder = VideoDecoder()
    return [
        (stamp, rgb_from_frame(frame))
        for data, keyframe, place in stream
        for stamp, frame in decoder.decode(data, encoding, 1000 + place, keyframe)
    ]


@pytest.mark.parametrize(
    ("encoder", "encoding"), [("libx264", "libx264"), ("libx264", "h264;yuv420p;bgr8;rgb8"), ("libx265", "hevc_nvenc")]
)
def test_every_packet_of_a_live_stream_is_an_image_with_its_stamp(encoder, encoding):
    found = decoded(packets(IMAGES, encoder), encoding)
    assert [stamp for stamp, _ in found] == list(range(1000, 1010))
    for (_, pixels), image in zip(found, IMAGES, strict=True):
        assert pixels.shape == image.shape and np.abs(pixels.astype(int) - image).max() <= 4


def test_images_that_were_encoded_out_of_order_keep_their_stamps():
    stream = packets(IMAGES, options={"preset": "medium"}, keyframe_every=10)
    assert [place for _, _, place in stream] != sorted(place for _, _, place in stream)
    found = decoded(stream, "libx264")
    assert len(found) >= 6
    for stamp, pixels in found:
        assert np.abs(pixels.astype(int) - IMAGES[stamp - 1000]).max() <= 4


def test_a_stream_begins_with_a_keyframe_and_goes_on_with_the_next_after_a_broken_packet():
    stream = packets(IMAGES)
    assert [stamp for stamp, _ in decoded(stream[1:], "libx264")] == list(range(1004, 1010))
    decoder = VideoDecoder()
    data, keyframe, _ = stream[0]
    assert len(decoder.decode(data, "libx264", 0, keyframe)) == 1
    with pytest.raises(ImageError, match="a packet of 3 bytes in libx264") as error:
        decoder.decode(b"\0\1\2", "libx264", 1, False)
    assert error.value.kind == "undecodable"
    stamps = [
        stamp for data, keyframe, place in stream[2:] for stamp, _ in decoder.decode(data, "libx264", place, keyframe)
    ]
    assert stamps == list(range(4, 10))


@pytest.mark.parametrize(("encoding", "words"), [
    ("cinepak9", "no codec that PyAV knows"), ("mp3", "no codec of images"), ("", "no codec that PyAV knows"),
    ("h264;gray;bayer_rggb8;bayer_rggb8", "a video of a Bayer mosaic"),
])  # fmt: skip
def test_what_is_no_video_of_colour_images_is_refused(encoding, words):
    with pytest.raises(ImageError, match=words) as error:
        VideoDecoder().decode(b"\0\0\0\1", encoding, 0, True)
    assert error.value.kind == "encoding"
