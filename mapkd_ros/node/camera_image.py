"""From the messages of an image topic to checked images, which are decoded only when a set of them is used."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.video import KEYFRAME, VideoDecoder, rgb_from_frame
from mapkd_ros.conversions import (
    compressed_size,
    compressed_source,
    image_size,
    mosaic_of,
    rgb_from_image,
    stamp_ns,
)

if TYPE_CHECKING:
    from av import VideoFrame
    from sensor_msgs.msg import CompressedImage, Image


@dataclass(frozen=True, eq=False)
class CameraImage:
    """A checked image as it came, not yet decoded (of a video: not yet in RGB)."""

    message: Image | CompressedImage | VideoFrame
    size: tuple[int, int]
    """(width, height) in pixels."""
    frame_id: str
    mosaic: str = ""
    """Encoding of a Bayer mosaic whose colours are restored here."""

    def source(self) -> memoryview | NDArray[np.uint8]:
        """A JPEG's or PNG's bytes, or (H, W, 3) RGB pixels of another image."""
        if hasattr(self.message, "planes"):
            return rgb_from_frame(self.message)
        return rgb_from_image(self.message) if hasattr(self.message, "step") else compressed_source(self.message)


class ImageReader:
    """Reads the messages of one camera; `frame` stands in for their own frame_id where it is not empty.

    Raises ModuleNotFoundError where a video cannot be decoded because PyAV is not installed.
    """

    def __init__(self, image_transport: str, frame: str = "") -> None:
        self._transport, self._frame = image_transport, frame
        self._video = VideoDecoder() if image_transport == "ffmpeg" else None
        self._begun = self._video is None

    @property
    def waits_for_keyframe(self) -> bool:
        """True for a video until its first image."""
        return not self._begun

    def read(self, message: Any) -> list[tuple[int, CameraImage]]:
        """(stamp in ns, image) of each image that this message completes: one, or of a video any number.

        Raises ImageError for a message that cannot be used.
        """
        stamp, frame = stamp_ns(message.header.stamp), self._frame or message.header.frame_id
        if self._video is not None:
            keyframe = bool(message.flags & KEYFRAME)
            found = self._video.decode(bytes(message.data), message.encoding, stamp, keyframe)
            self._begun = self._begun or bool(found)
            return [(at, CameraImage(image, (image.width, image.height), frame)) for at, image in found]
        size = image_size(message) if self._transport == "raw" else compressed_size(message)
        return [(stamp, CameraImage(message, size, frame, mosaic_of(message)))]
