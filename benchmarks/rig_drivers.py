"""The drivers of simulated cameras: images in any encoding, and camera_info, as messages on their topics."""
from __future__ import annotations

import array
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from rig_vehicles import DISTORTION, Camera

from mapkd_core.bags import sensor_fields
from mapkd_core.cameras.topics import CAMERA_INFO, image_type
from mapkd_ros import qos
from mapkd_ros.conversions import image_fields
from mapkd_ros.sensor_messages import message_class, to_message


def yuv_planes(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y (H, W), U and V (H / 2, W / 2)."""
    height, width = pixels.shape[:2]
    planes = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420)
    half = (2, height // 2, width // 2)
    return planes[:height], *planes[height:].reshape(half)


def mosaic(pixels: np.ndarray, order: str) -> np.ndarray:
    """(H, W) as behind a Bayer filter."""
    result = np.empty(pixels.shape[:2], np.uint8)
    for place, color in enumerate(order):
        row, col = divmod(place, 2)
        result[row::2, col::2] = pixels[row::2, col::2, "rgb".index(color)]
    return result


def raw_values(pixels: np.ndarray, encoding: str) -> np.ndarray:
    """The bytes (rows, row bytes) of an image in a raw encoding."""
    height, width = pixels.shape[:2]
    if encoding.startswith("bayer_"):
        return mosaic(pixels, encoding[6:10])
    if encoding.startswith("nv"):
        y, u, v = yuv_planes(pixels)
        return np.vstack([y, np.stack([u, v] if encoding == "nv12" else [v, u], -1).reshape(height // 2, width)])
    if encoding.startswith("yuv422"):
        y, u, v = yuv_planes(pixels)
        colors = np.stack([u.repeat(2, 0), v.repeat(2, 0)], -1).reshape(height, width)
        return np.stack([y, colors] if encoding.endswith("yuy2") else [colors, y], -1).reshape(height, 2 * width)
    made = {
        "rgb8": lambda: pixels,
        "bgra8": lambda: cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA),
        "mono8": lambda: cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY),
        "rgb16": lambda: (pixels.astype("<u2") << 8).view(np.uint8),
    }[encoding]()
    return made.reshape(height, -1)


class Driver:
    """One camera's driver: makes its messages from pixels."""

    def __init__(self, node: Any, camera: Camera, latched: bool) -> None:
        self.camera = camera
        self.images = node.create_publisher(message_class(image_type(camera.transport)), camera.topic, 10)
        info_topic = camera.topic.split("/image_")[0] + "/camera_info"
        profile = qos.profile(depth=1, latched=True) if latched else 10
        self.infos = node.create_publisher(message_class(CAMERA_INFO), info_topic, profile)
        self.latched = latched
        self._video: Any = None

    def info(self, stamp: int) -> Any:
        camera = self.camera
        width, height = camera.size
        p = np.zeros((3, 4))
        p[:, :3] = camera.p if camera.rectified else camera.k
        return to_message(CAMERA_INFO, {
            "header": sensor_fields.header(stamp, self.frame), "width": width, "height": height,
            "distortion_model": camera.lens, "d": list(DISTORTION.get(camera.lens, ())), "k": camera.k.ravel(),
            "r": (camera.r if camera.rectified else np.eye(3)).ravel(), "p": p.ravel(),
        })  # fmt: skip

    @property
    def frame(self) -> str:
        return f"{self.camera.name}_optical"

    def send(self, pixels: np.ndarray, stamp: int) -> None:
        if self.camera.silent:
            return
        if not self.latched:
            self.infos.publish(self.info(stamp))
        for fields in self._fields(pixels):
            header = sensor_fields.header(stamp, self.frame)
            self.images.publish(to_message(image_type(self.camera.transport), {"header": header, **fields}))

    def _fields(self, pixels: np.ndarray) -> Iterator[dict[str, Any]]:
        encoding = self.camera.encoding
        if self.camera.transport == "ffmpeg":
            yield from self._packets(pixels)
        elif self.camera.transport == "raw":
            values = raw_values(pixels, encoding)
            yield {**image_fields(pixels), "encoding": encoding, "step": values.shape[1],
                   "data": array.array("B", np.ascontiguousarray(values).tobytes())}  # fmt: skip
        else:
            order, _, codec = encoding.rpartition(" ")
            shown = mosaic(pixels, order[6:10]) if order else pixels[..., ::-1]
            data = cv2.imencode(f".{codec}", shown)[1].tobytes()
            yield {"format": f"{order}; {codec} compressed " if order else codec, "data": array.array("B", data)}

    def _packets(self, pixels: np.ndarray) -> Iterator[dict[str, Any]]:
        import av

        if self._video is None:
            self._video = av.CodecContext.create(self.camera.encoding, "w")
            self._video.width, self._video.height = self.camera.size
            self._video.pix_fmt, self._video.framerate, self._video.gop_size = "yuv420p", 2, 4
            self._video.options = {"tune": "zerolatency", "preset": "veryfast", "x265-params": "log-level=none"}
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24").reformat(format="yuv420p")
        for packet in self._video.encode(frame):
            yield {"width": pixels.shape[1], "height": pixels.shape[0], "encoding": self.camera.encoding,
                   "flags": int(packet.is_keyframe), "data": array.array("B", bytes(packet))}  # fmt: skip
