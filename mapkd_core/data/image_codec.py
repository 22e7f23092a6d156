"""JPEG and PNG bytes to pixels, on a bus where anyone may send anything: sizes are bounded before memory is taken,
and what the decoder finds wrong is told instead of printed.

JPEGs go through libjpeg-turbo by way of simplejpeg, which hands over libjpeg's warnings; OpenCV prints them, Pillow
drops them. The pixels are OpenCV's to the bit.
"""
from __future__ import annotations

import logging
import re
import zlib

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

ImageBytes = bytes | memoryview | NDArray[np.uint8]

MOST_PIXELS = 1 << 26
"""8192 x 8192; a larger image is refused, since six of them are decoded at once."""
MOST_PIXELS_A_BYTE = 1024
"""A JPEG needs a bit at least for 64 pixels, and deflate packs 1032 bytes into one at best: no true image has more."""
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
_MOST_STRAY = 64
"""Webcams leave a few bytes between the parts of a JPEG, and it is whole; more are what a damaged part left unread."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by colour type (PNG specification, 11.2.1)."""
_MOST_CHUNKS = 1 << 16
# Any number of fill bytes may stand before a marker (ITU-T T.81, B.1.1.2).
_MARKER = re.compile(rb"\xff+([^\xff\x00])", re.DOTALL)
_STRAY = re.compile(r"(\d+) extraneous bytes before marker")
_LOG = logging.getLogger(__name__)


def jpeg_size(data: ImageBytes) -> tuple[int, int]:
    """(width, height) from a JPEG's or PNG's header, without decoding.

    Raises ValueError if it is neither, is cut off, or claims a size that its bytes cannot hold.
    """
    raw = memoryview(data)  # type: ignore[arg-type]
    if raw[:8] == _PNG:
        return _png_size(raw)
    if raw[:2] == b"\xff\xd8":
        return _jpeg_size(raw)
    raise ValueError(f"{len(raw)} bytes starting {bytes(raw[:4]).hex(' ')} are neither a JPEG nor a PNG image")


def decode(
    data: ImageBytes, min_size: tuple[int, int] | None = None, faults: list[str] | None = None
) -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG to (H, W, 3) RGB.

    With `min_size` (w, h) the decoder reduces by 2, 4 or 8 while the image stays at least that large
    (libjpeg's scaled inverse transform: less work, and a good low-pass filter before a resize).
    What is wrong with an image that can be used all the same (stray bytes between its parts) is appended to `faults`;
    without such a list the first one of the process is logged. Raises ValueError for an image that is cut off or
    damaged as far as the decoder can tell: a changed byte that leaves a legal JPEG is not found.
    """
    raw = memoryview(data)  # type: ignore[arg-type]
    width, height = jpeg_size(raw)
    reduction = 1
    if min_size is not None:
        reduction = next(r for r in _REDUCED if r == 1 or (width // r >= min_size[0] and height // r >= min_size[1]))
    if raw[:2] == b"\xff\xd8":
        least = {} if reduction == 1 else {"min_width": -(-width // reduction), "min_height": -(-height // reduction)}
        return _decode_jpeg(raw, least, faults)
    return _decode_png(raw, _REDUCED[reduction])


def has_16_bits(data: ImageBytes) -> bool:
    """True for a PNG of 16 bits a sample (PNG specification, 11.2.1)."""
    raw = memoryview(data)  # type: ignore[arg-type]
    return raw[:8] == _PNG and raw[24:25] == b"\x10"


def decode_as_stored(data: ImageBytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) of a gray image, in its 8 or 16 bits, else (H, W, 3 or 4): BGR(A) of a PNG, RGB of a JPEG.

    Raises ValueError.
    """
    raw = memoryview(data)  # type: ignore[arg-type]
    jpeg_size(raw)
    if raw[:2] == b"\xff\xd8":
        pixels = _decode_jpeg(raw, {}, None)
        return pixels[..., 0] if simplejpeg.decode_jpeg_header(raw)[2] == "Gray" else pixels
    values = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None:
        raise ValueError(f"undecodable PNG of {len(raw)} bytes; expected a whole file")
    return np.asarray(values)


def _decode_jpeg(raw: memoryview, least: dict[str, int], faults: list[str] | None) -> NDArray[np.uint8]:
    try:
        return np.asarray(simplejpeg.decode_jpeg(raw, **least), np.uint8)
    except ValueError as error:
        reason = str(error)
    except RuntimeError as error:
        raise ValueError(f"undecodable JPEG of {len(raw)} bytes: {error}") from error
    if not _is_whole(raw, reason):
        raise ValueError(f"JPEG of {len(raw)} bytes is cut off or damaged (decoder: {reason}); expected a whole file")
    try:
        pixels = np.asarray(simplejpeg.decode_jpeg(raw, **least, strict=False), np.uint8)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"undecodable JPEG of {len(raw)} bytes: {error}") from error
    _tell(reason, faults)
    return pixels


def _is_whole(raw: memoryview, reason: str) -> bool:
    """Whether the first thing that a decoder complained of leaves the image as it was: stray bytes, or padding."""
    stray = _STRAY.search(reason)
    if stray is None:
        return False
    data = bytes(raw)
    end = data.rfind(b"\xff\xd9")  # the decoder tells the first complaint only, which may hide a missing end
    return end > 0 and (int(stray[1]) <= _MOST_STRAY or end - len(data[:end].rstrip(b"\0\xff")) >= int(stray[1]))


def _tell(reason: str, faults: list[str] | None, told: list[str] = []) -> None:  # noqa: B006 (one for the process)
    if faults is not None:
        faults.append(reason)
    elif not told:
        told.append(reason)
        _LOG.warning("an image is used though its decoder says: %s (further ones are not logged)", reason)


def _decode_png(raw: memoryview, flags: int) -> NDArray[np.uint8]:
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f"undecodable PNG of {len(raw)} bytes: {error.err}") from error
    if image is None:
        raise ValueError(f"undecodable PNG of {len(raw)} bytes; expected a whole file")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), np.uint8)


def _jpeg_size(raw: memoryview) -> tuple[int, int]:
    at, end = 2, len(raw)
    while (found := _MARKER.search(raw, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # stand alone, without a length
            continue
        length = int.from_bytes(raw[at : at + 2], "big")
        if marker in (0xD9, 0xDA) or length < 2 or at + length > end:
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            if length < 8 or raw[at + 2] != 8:
                raise ValueError(f"JPEG with a frame header of {length} bytes, {raw[at + 2]} bits a sample; expected 8")
            size = int.from_bytes(raw[at + 5 : at + 7], "big"), int.from_bytes(raw[at + 3 : at + 5], "big")
            _check_size(size, size[0] * size[1] <= MOST_PIXELS_A_BYTE * end, end)
            return size
        at += length
    raise ValueError(f"JPEG of {end} bytes is cut off or damaged: it has no frame header")


def _png_size(raw: memoryview) -> tuple[int, int]:
    at, end, packed, chunks = 8, len(raw), 0, 0
    size, row_bits = (0, 0), 0
    while True:
        length, kind = int.from_bytes(raw[at : at + 4], "big"), bytes(raw[at + 4 : at + 8])
        chunks += 1
        if at + 12 > end or chunks > _MOST_CHUNKS:
            raise ValueError(f"PNG of {end} bytes is cut off: it has no end")
        if length > end - at - 12:
            raise ValueError(f"PNG of {end} bytes is cut off: a chunk claims {length} bytes, {end - at - 12} follow")
        if zlib.crc32(raw[at + 4 : at + 8 + length]) != int.from_bytes(raw[at + 8 + length : at + 12 + length], "big"):
            raise ValueError(f"PNG of {end} bytes is damaged: a chunk's checksum is another one")
        if (chunks == 1) != (kind == b"IHDR") or (kind == b"IHDR" and length != 13):
            raise ValueError(f"PNG of {end} bytes does not begin with one header of 13 bytes")
        if kind == b"IHDR":
            size = int.from_bytes(raw[at + 8 : at + 12], "big"), int.from_bytes(raw[at + 12 : at + 16], "big")
            row_bits = size[0] * raw[at + 16] * _PNG_SAMPLES.get(raw[at + 17], 0)
        elif kind in (b"acTL", b"fcTL", b"fdAT"):
            raise ValueError(f"PNG of {end} bytes is an animation; expected one image")
        elif kind == b"IDAT":
            packed += length
        elif kind == b"IEND":
            break
        at += 12 + length
    if row_bits == 0 and size[0]:
        raise ValueError(f"PNG of {end} bytes has bit depth 0 or an unknown colour type")
    _check_size(size, size[1] * (1 + row_bits // 8) <= MOST_PIXELS_A_BYTE * (packed + 64), end)
    return size


def _check_size(size: tuple[int, int], plausible: bool, end: int) -> None:
    if min(size) == 0:
        raise ValueError(f"its header says {size[0]}x{size[1]} pixels")
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"its header says {size[0]}x{size[1]} pixels; at most {MOST_PIXELS} are read")
    if not plausible:
        raise ValueError(f"its header says {size[0]}x{size[1]} pixels, which {end} bytes cannot hold; it is damaged")
