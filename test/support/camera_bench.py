"""A test bench for student_node over real DDS: six cameras to publish, its outputs to listen to."""
from __future__ import annotations

import array
import time
from collections.abc import Callable, Iterable, Mapping

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from mapkd_core.cameras.rig import CameraRig, regular_rig
from mapkd_core.cameras.topics import image_type
from mapkd_core.types import CAMERAS
from mapkd_ros.msg import VectorMap
from mapkd_ros.sensor_messages import message_class

SIZE = (160, 90)
MOUNTED_FACING_AHEAD = (0.5, -0.5, 0.5, -0.5)


def image(size: tuple[int, int] = SIZE) -> np.ndarray:
    """A road-like RGB image."""
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)
    cv2.line(pixels, (size[0] // 3, size[1]), (size[0] // 2, size[1] // 2), (240, 240, 240), 3)
    return pixels


def jpeg(size: tuple[int, int] = SIZE) -> bytes:
    return cv2.imencode(".jpg", image(size))[1].tobytes()


def header(camera: str, stamp_ns: int) -> Header:
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=camera.lower() + "_optical")


def compressed(camera: str, stamp_ns: int, data: bytes | None = None, text: str = "jpeg") -> CompressedImage:
    data = jpeg() if data is None else data
    return CompressedImage(header=header(camera, stamp_ns), format=text, data=array.array("B", data))


def raw(camera: str, stamp_ns: int, **changes: object) -> Image:
    width, height = SIZE
    fields = {"encoding": "rgb8", "width": width, "height": height, "step": 3 * width,
              "data": array.array("B", image(SIZE).tobytes())}  # fmt: skip
    return Image(header=header(camera, stamp_ns), **{**fields, **changes})


def camera_info(camera: str, stamp_ns: int = 0, focal: float = 80.0, **changes: object) -> CameraInfo:
    k = [focal, 0.0, SIZE[0] / 2, 0.0, focal, SIZE[1] / 2, 0.0, 0.0, 1.0]
    fields = {"width": SIZE[0], "height": SIZE[1], "k": k, "distortion_model": "plumb_bob", "d": [0.0] * 5}
    return CameraInfo(header=header(camera, stamp_ns), **{**fields, **changes})


def side_m(camera: str) -> float:
    """How far to the left it sits: no two cameras are in one place."""
    return 0.05 * (sum(map(ord, camera)) % 19)


def mounting(camera: str, height_m: float = 1.5, w: float = MOUNTED_FACING_AHEAD[0]) -> TransformStamped:
    stamped = TransformStamped(header=Header(frame_id="base_link"), child_frame_id=camera.lower() + "_optical")
    stamped.transform.translation.y = side_m(camera)
    stamped.transform.translation.z = height_m
    r = stamped.transform.rotation
    r.w, r.x, r.y, r.z = w, *MOUNTED_FACING_AHEAD[1:]
    return stamped


class CameraBench:
    """Publishes as six cameras and keeps what the node under test sends; `stamp_ns` is the last set's anchor stamp.

    With a rig it publishes as its cameras, on their topics.
    """

    def __init__(
        self, context: rclpy.Context, transport: str = "compressed", reliable: bool = True, rig: CameraRig | None = None
    ) -> None:
        rig = rig or regular_rig(CAMERAS, transport)
        self.node = rclpy.create_node("camera_bench", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.cameras = rig.names
        self.stamp_ns = 1_000_000_000_000
        self.maps: list[VectorMap] = []
        self.markers: list[MarkerArray] = []
        self.semantics: list[Image] = []
        self.status: dict[str, object] = {}
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=5, reliability=reliability)
        create = self.node.create_publisher
        self.makers = {c.name: raw if c.image_transport == "raw" else compressed for c in rig.cameras}
        kinds = {c.name: message_class(image_type(c.image_transport)) for c in rig.cameras}
        self.images = {c.name: create(kinds[c.name], c.image, qos) for c in rig.cameras}
        self.infos = {c.name: create(CameraInfo, c.camera_info, 5) for c in rig.cameras if c.camera_info}
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.tf_static = create(TFMessage, "/tf_static", latched)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.outputs: list = []
        self.taken: Callable[[str], int] | None = None
        """Where a test can tell: how many images of a camera the node under test has taken."""

    def listen(self) -> None:
        subscribe = self.node.create_subscription
        self.outputs = [
            subscribe(VectorMap, "/student_node/vector_map", self.maps.append, 10),
            subscribe(MarkerArray, "/student_node/markers", self.markers.append, 10),
            subscribe(Image, "/student_node/semantic_bev", self.semantics.append, 10),
        ]

    def send_calibration(self, cameras: Iterable[str] = (), **changes: object) -> None:
        for camera in cameras or self.infos:
            self.infos[camera].publish(camera_info(camera, **changes))

    def send_mountings(self, height_m: float = 1.5) -> None:
        self.tf_static.publish(TFMessage(transforms=[mounting(camera, height_m) for camera in self.cameras]))

    def send_set(self, replaced: Mapping[str, object] | None = None, step_ns: int = 100_000_000) -> int:
        """Publishes one image per camera; `replaced` maps cameras to another message, or to None to leave it out."""
        self.stamp_ns += step_ns
        sent: list[str] = []
        before = {camera: self.taken(camera) if self.taken else 0 for camera in self.cameras}
        for camera in self.cameras:
            message = (replaced or {}).get(camera, self.makers[camera](camera, self.stamp_ns))
            if message is not None:
                self.images[camera].publish(message)
                sent.append(camera)
        # The node keeps only the newest image of each camera: let it take this one.
        if self.taken is None:
            self.wait(lambda: False, 0.05)
        else:
            taken = self.taken
            assert self.wait(lambda: all(taken(camera) > before[camera] for camera in sent))
        return self.stamp_ns

    def wait(self, condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
        """Handles messages until the condition holds; False if it does not within the time."""
        deadline = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)
        return bool(condition())

    def mapped(self, stamp_ns: int) -> bool:
        """True once the map of the set with this stamp has come."""
        return any(m.header.stamp.sec * 10**9 + m.header.stamp.nanosec == stamp_ns for m in self.maps)

    @property
    def message(self) -> str:
        """What the node's own status says; empty before the first."""
        status = self.status.get("student_node: map")
        return str(status.message) if status else ""

    def value(self, key: str) -> int:
        """A counter of the node's diagnostics, 0 if it is not there (yet)."""
        return int(self.values().get(key, 0))

    def values(self) -> dict[str, str]:
        status = self.status.get("student_node: map")
        return {v.key: v.value for v in status.values} if status else {}

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.status.update({status.name: status for status in message.status})
