"""Message-shaped objects for tests of pure functions, so that these run without a ROS installation."""
from __future__ import annotations

import array
from types import SimpleNamespace as Fields

import cv2
import numpy as np


def stamp(nanoseconds: int = 0) -> Fields:
    return Fields(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def image(pixels: np.ndarray, encoding: str, padding: int = 0, **changes: object) -> Fields:
    """A raw Image of (H, W) or (H, W, C) uint8, each row followed by `padding` bytes of value 77."""
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=77)
    fields = {
        "height": height, "width": width, "encoding": encoding, "step": rows.shape[1],
        "data": array.array("B", rows.tobytes()), "is_bigendian": 0, "header": Fields(stamp=stamp(), frame_id="camera"),
    }  # fmt: skip
    return Fields(**{**fields, **changes})


def jpeg(width: int = 64, height: int = 36, extension: str = ".jpg", value: int = 120) -> bytes:
    return cv2.imencode(extension, np.full((height, width, 3), value, np.uint8))[1].tobytes()


def compressed(data: bytes, text: str = "jpeg") -> Fields:
    header = Fields(stamp=stamp(), frame_id="camera")
    return Fields(data=array.array("B", data), format=text, header=header)


def camera_info(width: int = 64, height: int = 36, focal: float = 50.0, **changes: object) -> Fields:
    k = np.array([focal, 0, width / 2 - 0.5, 0, focal, height / 2 - 0.5, 0, 0, 1.0])
    fields = {
        "width": width, "height": height, "k": k, "r": np.eye(3).ravel(), "p": np.zeros(12),
        "d": [], "distortion_model": "", "binning_x": 0, "binning_y": 0,
        "roi": Fields(x_offset=0, y_offset=0, width=0, height=0),
    }  # fmt: skip
    return Fields(**{**fields, **changes})


def transform(parent: str, child: str, xyz=(0.0, 0.0, 0.0), wxyz=(1.0, 0.0, 0.0, 0.0)) -> Fields:
    x, y, z = xyz
    w, i, j, k = wxyz
    pose = Fields(translation=Fields(x=x, y=y, z=z), rotation=Fields(w=w, x=i, y=j, z=k))
    return Fields(header=Fields(frame_id=parent, stamp=stamp()), child_frame_id=child, transform=pose)
