"""Short videos as a camera's encoder sends them, packet by packet."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest

LIVE: Mapping[str, str] = {"tune": "zerolatency", "preset": "ultrafast"}


def packets(
    images: Sequence[np.ndarray], encoder: str = "libx264", options: Mapping[str, str] = LIVE, keyframe_every: int = 4
) -> list[tuple[bytes, bool, int]]:
    """(data, keyframe, place of its image) of each packet; skips the test where the encoder is not there."""
    av = pytest.importorskip("av", reason="needs PyAV: pip install '.[video]'")
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no {encoder}")
    context = av.CodecContext.create(encoder, "w")
    context.height, context.width = images[0].shape[:2]
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 10), Fraction(10)
    context.gop_size, context.options = keyframe_every, {"x265-params": "log-level=none", **options}
    found = []
    for place, image in enumerate([*images, None]):
        frame = None
        if image is not None:
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts = place
        found += [(bytes(packet), packet.is_keyframe, packet.pts) for packet in context.encode(frame)]
    return found


def shades(count: int, size: tuple[int, int] = (160, 90)) -> list[np.ndarray]:
    """Images, each brighter than the one before."""
    return [np.full((size[1], size[0], 3), 20 + 200 * i // count, np.uint8) for i in range(count)]
