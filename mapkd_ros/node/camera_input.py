"""One camera's subscriptions: images and camera_info come in, are checked, and what is wrong can be told in words."""
from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from mapkd_core.cameras.calibration import CalibrationError, CameraModel, camera_model
from mapkd_core.cameras.rig import RigCamera
from mapkd_core.cameras.topics import RECEIVED_TRANSPORTS, image_type
from mapkd_ros import qos
from mapkd_ros.conversions import ImageError
from mapkd_ros.lasting_warning import MIXED_S, LastingWarning, mixed
from mapkd_ros.latched_or_not import LatchedOrNot
from mapkd_ros.node.camera_image import CameraImage, ImageReader
from mapkd_ros.qos_events import policy_name, subscription_events, warning_of_unfit_publisher
from mapkd_ros.rate import Rate
from mapkd_ros.sensor_messages import message_class

if TYPE_CHECKING:
    from rclpy.node import Node
    from sensor_msgs.msg import CameraInfo

MAINTAIN_PERIOD_S = 0.5
DEPTH = {"compressed": 4, "raw": 2, "ffmpeg": 30}
"""An image that had to be sent again comes together with the next ones, and must not be pushed out by them; of a video
no packet may be."""


class CameraInput:
    """Subscribes to one camera's topics and keeps its newest calibration.

    `on_image(camera, stamp_ns, image)` gets each sound image, `on_fault(kind, message)` each fault, and
    `on_calibration()` is called when `model` has become another one.
    Reliability `auto` asks for reliable delivery and falls back to best effort when a publisher offers only that.
    """

    def __init__(
        self,
        node: Node,
        camera: RigCamera,
        reliability: str,
        on_image: Callable[[str, int, CameraImage], None],
        on_calibration: Callable[[], None],
        on_fault: Callable[[str, str], None],
    ) -> None:
        from sensor_msgs.msg import CameraInfo

        self.camera = camera.name
        self.model: CameraModel | None = camera.model
        self.visible = camera.visible(camera.model) if camera.model is not None else None
        """(H, W) of the undistorted image, False where the camera sees its own vehicle; None where it does not."""
        self.rate = Rate()
        self.qos_note = ""
        self.refusal = ""
        """Why the newest message could not be read as an image; empty if it could."""
        self._node = node
        self._rig = camera
        self._transport = camera.image_transport
        self._reliability = str(qos.override(node, camera.image, "subscription", "reliability") or reliability)
        self._on_checked_image = on_image
        self._on_calibration = on_calibration
        self._on_fault = on_fault
        self._info_key: object = None
        self._bad_info = ""
        self._other_qos_wanted = False
        self._reader = ImageReader(camera.image_transport, camera.frame)
        self._mosaic = ""
        self._images = self._subscribe("best_effort" if reliability == "best_effort" else "reliable")
        # Best effort takes what any publisher offers; the messages are small and come again with every image, but
        # where they are latched.
        self._infos: LatchedOrNot | None = None
        if camera.camera_info:
            unfit = warning_of_unfit_publisher(node.get_logger(), camera.camera_info)
            self._infos = LatchedOrNot(
                node, CameraInfo, camera.camera_info, self._on_info, 1, False, "best_effort", unfit
            )

        self._mixed = [
            LastingWarning(partial(mixed, node, topic), node.get_logger(), round(MIXED_S / MAINTAIN_PERIOD_S))
            for topic in (self.topic, *([self._infos.topic] if self._infos else []))
        ]

    @property
    def mixed(self) -> str:
        """What is to be told while several publishers send as this camera; else empty."""
        return "; ".join(one.warning for one in self._mixed if one.warning)

    @property
    def topic(self) -> str:
        """The full name of the image topic, after remapping."""
        return str(self._images.topic_name)

    @property
    def _info_topic(self) -> str:
        return self._infos.topic if self._infos else "the rig file"

    def maintain(self) -> None:
        """Called every MAINTAIN_PERIOD_S: takes the second-best delivery where a publisher offers only that."""
        if self._infos:
            self._infos.maintain()
        for one in self._mixed:
            one.tick()
        if self._other_qos_wanted:
            self._other_qos_wanted = False
            self._node.destroy_subscription(self._images)
            self._images = self._subscribe("best_effort", fixed=("reliability",))
            self.qos_note = "best effort, as its publisher offers no reliable delivery"
            self._node.get_logger().info(f"{self.camera}: {self.topic} is received {self.qos_note}")

    def close(self) -> None:
        """Ends the subscriptions."""
        self._node.destroy_subscription(self._images)
        if self._infos:
            self._infos.close()

    def lack(self, now_ns: int) -> str:
        """What this camera still lacks in words for the user; empty if images and camera_info come in."""
        if self.rate.stopped(now_ns):
            return self._no_image_reason()
        if self._reader.waits_for_keyframe:
            return f"packets come on {self.topic}, but none with a keyframe yet"
        if self.model is None:
            topic = self._info_topic
            publishers = self._node.count_publishers(topic)
            reason = "has no publisher" if publishers == 0 else "has sent no usable calibration"
            return f"images come, but {topic} {reason}" + (f": {self._bad_info}" if self._bad_info else "")
        return ""

    def describe(self, now_ns: int) -> str:
        """One line of the start-up report."""
        lack = self.lack(now_ns)
        if lack:
            return lack
        assert self.model is not None
        notes = [f"{self.rate.hz(now_ns):.1f} Hz on {self.topic}", f"{self.model.size[0]}x{self.model.size[1]}"]
        if self._rig.model is not None:
            notes.append("calibration of the rig file")
        elif self._rig.is_rectified(self.topic):
            told = "as its topic says" if self._rig.rectified == "auto" else "as you say"
            notes.append(f"rectified, {told}: seen through P and R of camera_info")
        elif self.model.distortion_model:
            notes.append(f"undistorted here ({self.model.distortion_model}): if it is rectified, say rectified:=true")
        if self.visible is not None:
            notes.append(f"own vehicle masked ({100 - 100 * self.visible.mean():.0f} % of the image)")
        if self._mosaic:
            notes.append(f"colours restored here ({self._mosaic})")
        return ", ".join([*notes, *([self.qos_note] if self.qos_note else [])])

    def _no_image_reason(self) -> str:
        if self.rate.count:
            return f"no more images on {self.topic} after {self.rate.count}"
        if self.qos_note:
            return f"no image on {self.topic}: {self.qos_note}"
        offered = {info.topic_type for info in self._node.get_publishers_info_by_topic(self.topic)}
        wanted = image_type(self._transport)
        if offered - {wanted}:
            return f"{self.topic} carries {', '.join(sorted(offered))}; expected {wanted}"
        if offered:
            return f"no image yet on {self.topic}, though it has a publisher"
        base = self.topic.removesuffix(f"/{self._transport}")
        for other in RECEIVED_TRANSPORTS:
            topic = base if other == "raw" else f"{base}/{other}"
            if self._node.count_publishers(topic):
                return f"{self.topic} has no publisher; {topic} has one: set image_transport to {other}"
        return f"{self.topic} has no publisher"

    def _subscribe(self, reliability: str, fixed: tuple[str, ...] = ()) -> Any:
        return qos.create_subscription(
            self._node,
            message_class(image_type(self._transport)),
            self._rig.image,
            self._on_image,
            qos.profile(reliability, DEPTH[self._transport]),
            fixed,
            event_callbacks=subscription_events(self._on_incompatible_qos),
        )

    def _on_incompatible_qos(self, event: Any) -> None:
        policy = policy_name(event)
        if policy == "reliability" and self._reliability == "auto":
            # Subscriptions must not be replaced inside their own event; `maintain` does it.
            self._other_qos_wanted = True
            return
        self.qos_note = f"a publisher offers a QoS that does not fit ({policy})"
        if policy == "reliability":
            self.qos_note = "a publisher offers no reliable delivery; set the parameter reliability to auto"
        self._on_fault(f"incompatible QoS {self.camera}", f"{self.camera} ({self.topic}): {self.qos_note}")

    def _on_image(self, message: Any) -> None:
        self.rate.tick(time.monotonic_ns())
        try:
            found = self._reader.read(message)
        except ImageError as error:
            self.refusal = str(error)
            self._on_fault(f"{error.kind} {self.camera}", f"{self.camera} ({self.topic}): {error}")
            return
        self.refusal = ""
        for stamp_ns, image in found:
            self._mosaic = image.mosaic
            self._on_checked_image(self.camera, stamp_ns, image)

    def _on_info(self, info: CameraInfo) -> None:
        roi = info.roi
        # One CameraInfo comes with every image and hardly ever differs from the one before.
        key = (
            info.width, info.height, info.distortion_model, tuple(info.d), info.k.tobytes(), info.p.tobytes(),
            info.r.tobytes(), info.binning_x, info.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height,
        )  # fmt: skip
        if key == self._info_key:
            return
        self._info_key = key
        try:
            model = camera_model(info, self._rig.is_rectified(self.topic))
            self.visible = self._rig.visible(model)
        except CalibrationError as error:
            self.model, self._bad_info = None, str(error)
            self._on_fault(f"camera_info {self.camera}", f"{self.camera} ({self._info_topic}): {error}")
            return
        self.model = model
        self._on_calibration()
