"""A video of drawn maps that browsers play. Needs PyAV."""
from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "crf": "23"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "7", "crf": "33", "b": "0"},
    "libsvtav1": {"preset": "9", "crf": "38"},
}
"""Encoders whose videos browsers play, best first, with options for speed; not every build of PyAV has each."""
SHORTEST_NS, LONGEST_NS = 5_000_000, 1_000_000_000
"""How long an image may stand: a recording's pause of an hour must not be one of the video."""
_TICKS = 90_000
"""A second, in the time base that MP4 players handle best."""


def encoder() -> str:
    """The best encoder there is. Raises ModuleNotFoundError without PyAV, ValueError where it has none of these."""
    import av

    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise ValueError(
        f"PyAV {av.__version__} has none of the encoders {', '.join(ENCODERS)}, whose videos browsers play; install "
        "another build of it (pip install --force-reinstall av), or give --no-video"
    )


class OverlayVideo:
    """An MP4 file of images (H, W, 3) RGB of one size, each standing until the next one's stamp."""

    def __init__(self, path: Path) -> None:
        import av

        self._name = encoder()
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = None
        self._ticks = 0
        self._last_ns: int | None = None
        self._step_ns = LONGEST_NS // 10

    def __enter__(self) -> OverlayVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None and (error is None or isinstance(error, KeyboardInterrupt)):
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        """Adds an image; one row or column goes where a side is odd, and what lies beyond the first one's sides."""
        import av

        height, width = (side // 2 * 2 for side in image.shape[:2])
        if self._stream is None:
            self._stream = self._container.add_stream(self._name, rate=Fraction(30))
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            self._stream.options = ENCODERS[self._name]
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
        if self._last_ns is not None:
            step_ns = stamp_ns - self._last_ns
            self._step_ns = min(max(step_ns, SHORTEST_NS), LONGEST_NS) if step_ns > 0 else self._step_ns
            self._ticks += round(self._step_ns * _TICKS / 1e9)
        self._last_ns = stamp_ns
        canvas = np.zeros((self._stream.height, self._stream.width, 3), np.uint8)
        part = image[: self._stream.height, : self._stream.width]
        canvas[: part.shape[0], : part.shape[1]] = part
        frame = av.VideoFrame.from_ndarray(canvas, format="rgb24")
        frame.pts, frame.time_base = self._ticks, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
