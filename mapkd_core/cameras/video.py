"""Video streams of cameras (H.264, HEVC) packet by packet into images. Needs PyAV."""
from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.encodings import ImageError, is_mosaic
from mapkd_core.data.image_codec import MOST_PIXELS

if TYPE_CHECKING:
    from av import VideoFrame

WAITING = 64
"""Packets whose image has not come out yet, at most."""
KEYFRAME = 1
"""Flag of an FFMPEGPacket that can be decoded without those before it (libav's AV_PKT_FLAG_KEY)."""
CODECS = {"264": "h264", "265": "hevc", "hevc": "hevc", "av1": "av1", "vp9": "vp9", "mjpeg": "mjpeg"}
"""Part of an encoder's name -> codec."""


class VideoDecoder:
    """One camera's stream. Images come out in the order in which they were taken, at the latest a few packets later.

    After a lost packet images may be wrong until the next keyframe, and a decoder does not tell; so ask for reliable
    delivery. Raises ModuleNotFoundError where PyAV is not installed.
    """

    def __init__(self) -> None:
        import av  # noqa: F401

        self._codec = ""
        self._context: Any = None
        self._stamps: OrderedDict[int, int] = OrderedDict()
        self._count = 0
        self._started = False

    def decode(self, data: bytes, encoding: str, stamp_ns: int, keyframe: bool) -> list[tuple[int, VideoFrame]]:
        """(stamp, image) of the images that this packet completes. Raises ImageError for one that cannot be decoded.

        Packets before the first keyframe give nothing.
        """
        import av

        codec = _codec(encoding)
        if codec != self._codec or self._context is None:
            self._context = _open(codec, encoding)
            self._codec, self._started = codec, False
        if not self._started and not keyframe:
            return []
        self._started = True
        self._count += 1
        packet = av.Packet(data)
        packet.pts = packet.dts = self._count
        self._stamps[self._count] = stamp_ns
        while len(self._stamps) > WAITING:
            self._stamps.popitem(last=False)
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            self._started = False  # what follows refers to what is lost
            raise ImageError("undecodable", f"a packet of {len(data)} bytes in {encoding}: {error}") from error
        return [(self._stamps.pop(frame.pts), frame) for frame in frames if frame.pts in self._stamps]


def rgb_from_frame(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of an image of a stream."""
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _codec(encoding: str) -> str:
    """The codec of `libx264`, or of ffmpeg_image_transport's newer `h264;yuv420p;bgr8;bgr8`.

    The latter's words are the codec, the format that was encoded, and the image's after and before cv_bridge. Raises
    ImageError for a Bayer mosaic that was encoded as it is.
    """
    words = encoding.lower().split(";")
    if len(words) > 2 and is_mosaic(words[2]):
        raise ImageError(
            "encoding", f"encoding {encoding!r} is a video of a Bayer mosaic; restore its colours before encoding"
        )
    return next((codec for part, codec in CODECS.items() if part in words[0]), words[0])


def _open(codec: str, encoding: str) -> Any:
    import av

    try:
        context = av.CodecContext.create(codec, "r")
    except (av.FFmpegError, ValueError) as error:
        raise ImageError("encoding", f"encoding {encoding!r} is no codec that PyAV knows: {error}") from error
    if context.type != "video":
        raise ImageError("encoding", f"encoding {encoding!r} is no codec of images; expected h264 or hevc")
    # Whole images at once, as several threads a stream would delay them by as many packets.
    context.thread_type, context.thread_count = "SLICE", 1
    context.options = {"flags": "low_delay", "max_pixels": str(MOST_PIXELS)}
    return context
