"""What arrives as a JPEG or PNG: whole images are read to the bit, damaged ones refused, sizes bounded beforehand."""
import struct
import zlib
from itertools import pairwise

import cv2
import numpy as np
import pytest

from mapkd_core.data.image_codec import MOST_PIXELS, decode, jpeg_size


def road(width=320, height=180):
    rng = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)
    return cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX)


def jpeg(*flags, pixels=None):
    pixels = road() if pixels is None else pixels
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90, *flags])[1].tobytes()


def png(pixels=None):
    return cv2.imencode(".png", road() if pixels is None else pixels)[1].tobytes()


def opencvs(data, flags=cv2.IMREAD_COLOR):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flags), cv2.COLOR_BGR2RGB)


def segments(data):
    """Where each of a JPEG's header segments begins, with its marker; the last is the start of scan."""
    at = 2
    while True:
        yield at, data[at + 1]
        if data[at + 1] == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def without_huffman_tables(data):
    places = [*segments(data), (len(data), 0)]
    return data[:2] + b"".join(data[a:b] for (a, marker), (b, _) in pairwise(places) if marker != 0xC4)


def with_fill_bytes(data):
    """A JPEG in which several bytes FF stand before every marker, as the standard allows."""
    places = [at for at, _ in segments(data)]
    return data[:2] + b"".join(
        b"\xff" * 5 + data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)
    )


@pytest.mark.parametrize(("width", "height"), [(320, 180), (321, 181), (7, 5), (1, 1)])
@pytest.mark.parametrize(
    ("reduction", "flags"),
    [(1, cv2.IMREAD_COLOR), (2, cv2.IMREAD_REDUCED_COLOR_2), (4, cv2.IMREAD_REDUCED_COLOR_4)],
)
@pytest.mark.parametrize("encode", [jpeg, png])
def test_pixels_are_opencvs_at_every_reduction(width, height, reduction, flags, encode):
    if reduction > 1 and min(width, height) < 32:
        return
    data = encode(pixels=road(width, height))
    least = (width // reduction, height // reduction)
    found = decode(data, None if reduction == 1 else least)
    assert np.array_equal(found, opencvs(data, flags))
    assert jpeg_size(data) == (width, height)


@pytest.mark.parametrize(
    ("least", "size"),
    [
        ((80, 90), (160, 90)), ((160, 45), (160, 90)), ((80, 91), (320, 180)), ((161, 45), (320, 180)),
        ((80, 45), (80, 45)),
    ],
)
@pytest.mark.parametrize("encode", [jpeg, png])
def test_neither_side_becomes_smaller_than_asked(least, size, encode):
    assert decode(encode(), least).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + bytes(60_000),
        lambda data: data + b"\xff" * 9,
        with_fill_bytes,
        without_huffman_tables,
        lambda data: data[:-2] + b"\xff" * 7 + data[-2:],
    ],
    ids=["zeros after the end", "ff after the end", "fill bytes", "no Huffman tables", "fill at end"],
)
def test_legal_oddities_are_read_without_a_word(change):
    faults = []
    assert np.array_equal(decode(change(jpeg()), faults=faults), opencvs(jpeg())) and faults == []
    assert jpeg_size(change(jpeg())) == (320, 180)


def test_gray_and_progressive_jpegs():
    gray = cv2.imencode(".jpg", road()[..., 0])[1].tobytes()
    assert np.array_equal(decode(gray), opencvs(gray))
    assert np.array_equal(decode(jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)), opencvs(jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)))


@pytest.mark.parametrize("at", [b"\xff\xd3", b"\xff\xd9"])
def test_stray_bytes_are_told_and_the_image_is_used(at, capfd):
    data = jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 10)
    place = data.rfind(at)
    faults = []
    pixels = decode(data[:place] + b"\x12\x34\x56\x78\x9a\xbc\xde" + data[place:], faults=faults)
    assert np.array_equal(pixels, opencvs(data))
    assert len(faults) == 1 and "extraneous bytes before marker" in faults[0]
    assert capfd.readouterr().err == ""  # the decoder itself prints nothing


def test_zeros_before_the_end_marker_are_padding():
    faults = []
    assert np.array_equal(decode(jpeg()[:-2] + bytes(5000) + b"\xff\xd9", faults=faults), opencvs(jpeg()))
    assert len(faults) == 1


def test_only_the_first_fault_is_logged_where_nobody_collects_them(caplog):
    data = jpeg()[:-2] + bytes(5000) + b"\xff\xd9"
    for _ in range(3):
        decode(data)
    assert len(caplog.records) <= 1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 10)])
def test_a_jpeg_cut_short_is_refused(share, end, flags, capfd):
    data = jpeg(*flags)
    with pytest.raises(ValueError, match="cut off or damaged"):
        decode(data[: int(share * len(data))] + end, (100, 50))
    assert capfd.readouterr().err == ""


def test_stray_bytes_do_not_hide_a_missing_end():
    data = jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 10)
    place = data.find(b"\xff\xd3")
    with pytest.raises(ValueError, match="cut off or damaged"):
        decode(data[:place] + b"\x12\x34" + data[place : len(data) // 2])


def test_a_lost_part_of_a_jpeg_is_refused():
    data = jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 10)
    first, second = data.find(b"\xff\xd3"), data.find(b"\xff\xd5")
    with pytest.raises(ValueError, match="cut off or damaged"):
        decode(data[:first] + data[first + 2 : second] + data[second:])


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_saying(width, height, depth=8, colour=2, data=b"x" * 40):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png_saying(7000, 7000), "cannot hold"),
        (png_saying(20_000, 20_000), f"at most {MOST_PIXELS}"),
        (png_saying(0, 5), "0x5 pixels"),
        (png_saying(4, 4, colour=9), "colour type"),
        (png_saying(4, 4)[:-12], "has no end"),
        (png()[:8] + struct.pack(">I", 2**31) + png()[12:], "a chunk claims 2147483648 bytes"),
        (png()[:-40] + b"\x00" + png()[-39:], "checksum"),
        (png()[:33] + chunk(b"acTL", struct.pack(">II", 1, 1)) + png()[33:], "animation"),
        (png()[:8] + png()[33:], "does not begin with one header"),
        (png()[: len(png()) // 2], "claims|has no end"),
    ],
)
def test_a_png_that_contradicts_itself_is_refused_before_it_is_decoded(data, words, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    for read in (jpeg_size, decode):
        with pytest.raises(ValueError, match=words):
            read(data)


def with_size(data, width, height):
    place = data.index(b"\xff\xc0")
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (with_size(jpeg(), 60_000, 60_000), "at most"),
        (with_size(jpeg(pixels=np.zeros((16, 16, 3), np.uint8)), 8000, 8000), "cannot hold"),
        (with_size(jpeg(), 0, 10), "0x10 pixels"),
        (jpeg()[:100], "no frame header"),
        (b"\xff\xd8" + b"\xff" * 10_000, "no frame header"),
        (b"\xff\xd8\xff\xd9", "no frame header"),
    ],
)
def test_a_jpeg_whose_header_cannot_be_true_is_refused_before_it_is_decoded(data, words):
    for read in (jpeg_size, decode):
        with pytest.raises(ValueError, match=words):
            read(data)
