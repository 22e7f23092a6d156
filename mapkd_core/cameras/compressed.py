"""Compressed images by what their `format` says: most go to the decoder as they are, some need more, some are refused.

`format` follows compressed_image_transport: `ENCODING; CODEC compressed TARGET`, such as `rgb8; jpeg compressed bgr8`,
or the codec alone. Where TARGET is missing, the codec holds the values of ENCODING as they were.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.encodings import ENCODINGS, NOT_IMAGES, ImageError, eight_bits, is_mosaic, rgb_from_values
from mapkd_core.cameras.messages import CompressedImage
from mapkd_core.data.image_codec import decode_as_stored, has_16_bits, jpeg_size

_VIDEO = ("h264", "h265", "hevc", "av1", "vp9")


def compressed_size(message: CompressedImage) -> tuple[int, int]:
    """(width, height) in the header of a JPEG or PNG message, without decoding.

    Raises ImageError for another, and for a size that its bytes cannot hold; whether all is there only decoding tells.
    """
    encoding, codec, target = _format(message.format)
    if "compressedDepth" in message.format or encoding in NOT_IMAGES:
        raise ImageError(
            "encoding", f"format {message.format!r} is depth or another measurement; expected a color image"
        )
    if any(video in codec.lower() for video in _VIDEO):
        raise ImageError(
            "encoding", f"format {message.format!r} is a video stream; expected a JPEG or PNG, or the transport ffmpeg"
        )
    if any(is_mosaic(name) and name not in ENCODINGS for name in (encoding, target)):
        raise ImageError("encoding", f"format {message.format!r} is a Bayer mosaic that is not known here")
    try:
        width, height = jpeg_size(memoryview(message.data))
    except ValueError as error:
        raise ImageError("undecodable", f"format {message.format!r}: {error}") from error
    return width, height


def compressed_source(message: CompressedImage) -> memoryview | NDArray[np.uint8]:
    """The file's bytes where any decoder gives the image, else (H, W, 3) RGB. Raises ImageError.

    Of a Bayer mosaic, which compressed_image_transport stores as a gray image, the colours are restored. Of a PNG with
    16 bits a value it is decided here which of them count.
    """
    encoding = mosaic_encoding(message.format)
    data = memoryview(message.data)
    deep = has_16_bits(data)
    if not encoding and not deep:
        return data
    try:
        values = decode_as_stored(data)
    except ValueError as error:
        raise ImageError("undecodable", str(error)) from error
    if values.ndim == 3 and not deep:
        return data  # a driver that restored the colours and did not say so
    if deep:
        values = eight_bits((values >> 8).astype(np.uint8), (values & 255).astype(np.uint8))
    if values.ndim == 2:
        return rgb_from_values(np.asarray(values, np.uint8)[..., None], ENCODINGS[encoding or "mono8"])
    return rgb_from_values(np.asarray(values, np.uint8), ENCODINGS["bgra8" if values.shape[2] == 4 else "bgr8"])


def mosaic_encoding(text: str) -> str:
    """The encoding in a message's `format` where that says that the image is a Bayer mosaic; else empty."""
    encoding, _, target = _format(text)
    if is_mosaic(target):
        return target
    return encoding if is_mosaic(encoding) and not target else ""


def _format(text: str) -> tuple[str, str, str]:
    """Encoding, codec and target of a message's format; empty where it does not say."""
    encoding, semicolon, rest = text.partition(";")
    if not semicolon:
        return "", text.strip(), ""
    codec, _, target = rest.partition("compressed")
    return encoding.strip(), codec.strip(), target.strip()
