"""Compressed images are taken by what their format says."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from mosaics import RGB, mosaic
from ros_messages import compressed, jpeg

from mapkd_core.cameras.compressed import compressed_size, compressed_source
from mapkd_core.cameras.encodings import ImageError


def stored(values: np.ndarray, extension: str = ".jpg") -> bytes:
    return cv2.imencode(extension, values, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


@pytest.mark.parametrize("text", ["jpeg", "png", "", "rgb8; jpeg compressed bgr8", "bayer_rggb8; jpeg compressed bgr8"])
def test_what_any_decoder_reads_is_handed_on_as_it_is(text):
    assert bytes(compressed_source(compressed(jpeg(), text))) == jpeg()


@pytest.mark.parametrize("order", ["rggb", "grbg"])
@pytest.mark.parametrize(("extension", "text"), [
    (".jpg", "bayer_{}8; jpeg compressed "), (".png", "bayer_{}8; png compressed "),
    (".png", "bayer_{}16; png compressed "), (".png", "bayer_{0}8; png compressed bayer_{0}8"),
])  # fmt: skip
def test_colours_of_a_mosaic_are_restored(order, extension, text):
    values = mosaic(order)
    data = stored(values.astype(np.uint16) * 256 + 5 if "16" in text else values, extension)
    sent = compressed(data, text.format(order))
    assert compressed_size(sent) == (32, 24)
    found = compressed_source(sent)
    assert isinstance(found, np.ndarray)
    away = np.abs(found[3:9, 3:13].astype(int) - RGB[3:9, 3:13]).max()
    assert away <= (12 if extension == ".jpg" else 0)  # JPEG rounds the pattern of a mosaic


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("text", ["{}16; png compressed ", "png", "rgb16; png compressed bgr16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_of_16_bits_is_as_bright_as_any(channels, text, bits):
    bgra = np.dstack([RGB[..., ::-1], np.full(RGB.shape[:2], 255, np.uint8)])
    bgra[0, 0] = 255
    values = bgra[..., :channels].squeeze()
    data = stored(values.astype(np.uint16) << (bits - 8), ".png")
    found = compressed_source(compressed(data, text.format("mono" if channels == 1 else "rgb")))
    expected = np.repeat(values[..., None], 3, 2) if channels == 1 else bgra[..., 2::-1]
    np.testing.assert_array_equal(found, expected)


def test_a_mosaic_whose_colours_a_driver_has_restored_stays_as_it_is():
    data = stored(RGB[..., ::-1])
    assert bytes(compressed_source(compressed(data, "bayer_rggb8; jpeg compressed "))) == data


@pytest.mark.parametrize(("text", "words"), [
    ("16UC1; compressedDepth png", "depth"),
    ("32FC1; compressedDepth", "depth"),
    ("16UC1; png compressed ", "depth or another measurement"),
    ("h264", "video stream; expected a JPEG or PNG, or the transport ffmpeg"),
    ("bayer_xyzw8; jpeg compressed ", "Bayer mosaic that is not known"),
    ("BAYER_RGGB8; jpeg compressed ", "Bayer mosaic that is not known"),
])  # fmt: skip
def test_what_is_no_colour_image_is_refused_by_its_format(text, words):
    with pytest.raises(ImageError, match=words) as error:
        compressed_size(compressed(jpeg(extension=".png"), text))
    assert error.value.kind == "encoding"


def test_a_broken_mosaic_is_refused():
    with pytest.raises(ImageError, match="JPEG of 40 bytes is cut off"):
        compressed_source(compressed(stored(mosaic("rggb"))[:40], "bayer_rggb8; jpeg compressed "))


def test_a_mosaic_cut_short_is_refused():
    data = stored(mosaic("rggb"))
    with pytest.raises(ImageError, match="cut off or damaged") as error:
        compressed_source(compressed(data[: len(data) - 40], "bayer_rggb8; jpeg compressed "))
    assert error.value.kind == "undecodable"
