"""Subscribes to what a student_node sees and publishes, and to the street of map_builder, and shows both."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mapkd_core.cameras.rig import CameraRig
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import Moment
from mapkd_core.messages.vector_map import elements_of_message
from mapkd_core.viewing.recording import log_one
from mapkd_core.viewing.rerun_log import RerunLog
from mapkd_ros import qos, topics
from mapkd_ros.latched_or_not import transform_inputs
from mapkd_ros.msg import VectorMap
from mapkd_ros.node.camera_input import CameraInput
from mapkd_ros.viewer.live_moments import LiveMoments

if TYPE_CHECKING:
    from rclpy.node import Node

MAINTAIN_S = 1.0


class LiveView:
    """Shows each map of the node called `of_node` in this namespace; `new_log(grid)` is asked for at the first one."""

    def __init__(
        self, node: Node, rig: CameraRig, new_log: Callable[[BevGrid], RerunLog], base_frame: str = "base_link",
        of_node: str = "student_node",
    ) -> None:
        self.log: RerunLog | None = None
        self._node, self._new_log = node, new_log
        self.live = LiveMoments(rig, base_frame, self._show)
        self._inputs = {
            camera.name: CameraInput(node, camera, "auto", self.live.on_image, lambda: None, self._on_fault)
            for camera in rig.cameras
        }
        self._transforms = transform_inputs(node, self.live.on_transforms)
        self._maps = qos.create_subscription(
            node, VectorMap, topics.VECTOR_MAP.name.replace("~", of_node), self._on_map, qos.profile(depth=10)
        )
        self._street = qos.create_subscription(
            node, VectorMap, topics.LOCAL_MAP.name.replace("~", "map_builder"), self._on_street,
            qos.profile(depth=1, latched=True),
        )  # fmt: skip
        self._timer = node.create_timer(MAINTAIN_S, self._maintain)

    @property
    def moments(self) -> int:
        """How many were shown."""
        return self.log.moments if self.log else 0

    @property
    def topic(self) -> str:
        """Full name of the maps' topic."""
        return str(self._maps.topic_name)

    def _show(self, moment: Moment, grid: BevGrid) -> None:
        if self.log is None:
            self.log = self._new_log(grid)
        try:
            log_one(moment, self.log)
        except ValueError as error:  # an image that cannot be decoded
            self.live.faults[str(error)] += 1

    def _on_map(self, message: VectorMap) -> None:
        self.live.on_map(message, {name: given.model for name, given in self._inputs.items()})

    def _on_street(self, message: VectorMap) -> None:
        """The street stands in the frame of the poses, and needs one to be placed."""
        if self.log is None or message.header.frame_id.lstrip("/") != self.live.frame:
            return
        try:
            _, elements, _ = elements_of_message(message)
        except ValueError as error:
            self.live.faults[f"{self._street.topic_name}: {error}"] += 1
            return
        self.log.street(elements)

    def _on_fault(self, kind: str, message: str) -> None:
        self.live.faults[message] += 1

    def _maintain(self) -> None:
        for camera in self._inputs.values():
            camera.maintain()
        for transforms in self._transforms:
            transforms.maintain()
