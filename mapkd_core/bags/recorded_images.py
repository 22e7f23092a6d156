"""Images from the messages of a bag's topics: raw, compressed, or packets of a video."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.compressed import compressed_size, compressed_source
from mapkd_core.cameras.encodings import image_size, rgb_from_image
from mapkd_core.cameras.video import KEYFRAME, VideoDecoder, rgb_from_frame


@dataclass(frozen=True, eq=False)
class RecordedImage:
    """A checked image, not yet decoded (of a video: not yet in RGB)."""

    message: Any
    size: tuple[int, int]
    """(width, height) in pixels."""

    def source(self) -> memoryview | NDArray[np.uint8]:
        """A JPEG's or PNG's bytes, or (H, W, 3) RGB of another image. Raises ImageError."""
        if hasattr(self.message, "planes"):
            return rgb_from_frame(self.message)
        return rgb_from_image(self.message) if hasattr(self.message, "step") else compressed_source(self.message)


class ImageReader:
    """Reads the messages of one camera's topic. Raises ModuleNotFoundError for videos without PyAV."""

    def __init__(self, image_transport: str) -> None:
        self._transport = image_transport
        self._video = VideoDecoder() if image_transport == "ffmpeg" else None

    def read(self, message: Any) -> list[tuple[int, RecordedImage]]:
        """(stamp in ns, image) of each image that a message completes: one, or of a video any number.

        Raises ImageError for a message that cannot be used.
        """
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        if self._video is not None:
            keyframe = bool(message.flags & KEYFRAME)
            found = self._video.decode(bytes(message.data), message.encoding, stamp_ns, keyframe)
            return [(at_ns, RecordedImage(frame, (frame.width, frame.height))) for at_ns, frame in found]
        size = image_size(message) if self._transport == "raw" else compressed_size(message)
        return [(stamp_ns, RecordedImage(message, size))]
