"""Images, calibration, points and poses as the fields of ROS messages: plain dicts, no ROS needed.

A nested message is a dict, a sequence of messages a list of dicts, numbers come as numpy arrays. The player fills the
installed message classes with them, the bag writer those of rosbags, so both send the same.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.topics import optical_frame
from mapkd_core.data.images import jpeg_size
from mapkd_core.geometry import Matrix, quaternion_from_rotation
from mapkd_core.messages.classes import seconds_and_ns
from mapkd_core.types import CameraView

Fields = dict[str, Any]

POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
CLOCK = "rosgraph_msgs/msg/Clock"

MAP_FRAME, BASE_FRAME = "map", "base_link"

_JPEG_QUALITY = 95
_FLOAT32 = 7
_POINT_FIELDS = ("x", "y", "z", "intensity", "time")


def header(stamp_ns: int, frame_id: str) -> Fields:
    """std_msgs/Header."""
    return {"stamp": seconds_and_ns(stamp_ns), "frame_id": frame_id}


def image_fields(image_transport: str) -> Callable[[CameraView, int], Fields]:
    """(view, stamp in ns) -> its image as a transport sends it, one of cameras.topics.IMAGE_TRANSPORTS."""
    return raw_image if image_transport == "raw" else compressed_image


def compressed_image(view: CameraView, stamp_ns: int) -> Fields:
    """CompressedImage with the file's own bytes; only an image that never was a file is encoded here."""
    data = view.image.jpeg()
    if data is None:
        bgr = cv2.cvtColor(view.image.rgb(), cv2.COLOR_RGB2BGR)
        encoded, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        assert encoded
        data = buffer.tobytes()
    try:
        size = jpeg_size(data)
    except ValueError as error:
        raise ValueError(f"image of {view.name}, {_origin(view)}: {error}") from error
    _check_size(view, size)
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "png"
    return {
        "header": header(stamp_ns, optical_frame(view.name)),
        "format": kind,
        "data": np.frombuffer(data, np.uint8),
    }


def raw_image(view: CameraView, stamp_ns: int) -> Fields:
    """Image of encoding rgb8."""
    pixels = np.ascontiguousarray(view.image.rgb())  # H W 3
    height, width = pixels.shape[:2]
    _check_size(view, (width, height))
    return {
        "header": header(stamp_ns, optical_frame(view.name)),
        "height": height,
        "width": width,
        "encoding": "rgb8",
        "is_bigendian": 0,
        "step": 3 * width,
        "data": pixels.reshape(-1),
    }


def camera_info(view: CameraView, stamp_ns: int) -> Fields:
    """CameraInfo of a rectified image (nuScenes' and the simulator's are): no distortion, R = 1, P = [K 0]."""
    width, height = view.size
    projection = np.zeros((3, 4))
    projection[:, :3] = view.intrinsics
    return {
        "header": header(stamp_ns, optical_frame(view.name)),
        "height": height,
        "width": width,
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "k": np.asarray(view.intrinsics, np.float64).reshape(9),
        "r": np.eye(3).reshape(9),
        "p": projection.reshape(12),
        "binning_x": 0,
        "binning_y": 0,
        "roi": {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
    }


def point_cloud(points: NDArray[np.float32], stamp_ns: int) -> Fields:
    """PointCloud2 in `base_link` of a `Frame.lidar()` (P, 5).

    Float32 fields x, y, z [m], intensity 0..255, and time: seconds relative to the header's stamp, zero or negative.
    """
    values = np.array(points, "<f4", order="C")
    values[:, 4] = 0.0 - values[:, 4]
    fields = [
        {"name": name, "offset": 4 * place, "datatype": _FLOAT32, "count": 1}
        for place, name in enumerate(_POINT_FIELDS)
    ]
    return {
        "header": header(stamp_ns, BASE_FRAME),
        "height": 1,
        "width": len(values),
        "fields": fields,
        "is_bigendian": False,
        "point_step": 20,
        "row_step": 20 * len(values),
        "data": values.reshape(-1).view(np.uint8),
        "is_dense": True,
    }


def transforms(parent: str, parent_from_child: Mapping[str, Matrix], stamp_ns: int) -> Fields:
    """TFMessage that places children in one parent, all at one time."""
    return {
        "transforms": [
            {"header": header(stamp_ns, parent), "child_frame_id": child, "transform": _transform(matrix)}
            for child, matrix in parent_from_child.items()
        ]
    }


def _transform(matrix: Matrix) -> Fields:
    w, x, y, z = (float(value) for value in quaternion_from_rotation(matrix))
    translation = dict(zip("xyz", (float(value) for value in matrix[:3, 3]), strict=True))
    return {"translation": translation, "rotation": {"x": x, "y": y, "z": z, "w": w}}


def _check_size(view: CameraView, size: tuple[int, int]) -> None:
    if size != view.size:
        raise ValueError(
            f"image of {view.name}, {_origin(view)}, is {size[0]}x{size[1]}, but its calibration holds for "
            f"{view.size[0]}x{view.size[1]}; correct width and height in sample_data.json, or the image"
        )


def _origin(view: CameraView) -> str:
    return str(getattr(view.image, "path", "in memory"))
