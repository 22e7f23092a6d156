"""Poses of a live drive held to the roads of a navigation map, and on /tf where the map's frame then lies.

Odometry drifts and the map does not, so the map cannot stay in odometry's frame: it gets one of its own below it, as a
display and a planner need it, and nobody else's frame is moved.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import inverse, quaternion_from_rotation
from mapkd_core.map_formats.earth import place_in_words
from mapkd_core.map_formats.navigation_roads import open_anchor
from mapkd_core.mapping.street_map import MapOrigin
from mapkd_core.messages.classes import header_of
from mapkd_ros import qos, topics
from mapkd_ros.sensor_messages import message_class

if TYPE_CHECKING:
    from rclpy.node import Node

STREET_FRAME = "street_map"
"""Frame of the map and its markers while it is held to roads."""


class AnchoredPoses:
    """The anchor that the parameters `anchor`, `anchor_origin` and `start` name.

    `origin` is that of a map to go on with, and then that of the metres in which poses are corrected; None where the
    roads lie in metres of their own. Raises FileNotFoundError, ValueError that name the parameter's value.
    """

    def __init__(self, node: Node, values: Mapping[str, Any], origin: MapOrigin | None) -> None:
        place = place_in_words(values["anchor_origin"]) if values["anchor_origin"] else None
        self._anchor, self.origin = open_anchor(
            Path(values["anchor"]).expanduser(), place, origin, values["start"]
        )
        self._node = node
        self._publisher = qos.create_publisher(
            node, message_class(topics.STREET_FRAME_TF.msg_type), topics.STREET_FRAME_TF.name, qos.profile(depth=10)
        )

    @property
    def facts(self) -> dict[str, int]:
        """How often the way was compared with the roads, by what came of it."""
        return {f"places of the way {what}": count for what, count in self._anchor.states.most_common()}

    def corrected(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        """`map_from_base` (4, 4) of the next pose in order of time."""
        return self._anchor.corrected(pose)

    def tell(self, frame: str, stamp_ns: int, frame_from_base: NDArray[np.float64], map_from_base: NDArray) -> None:
        """Sends where the map's frame lies in the `frame` of the poses, by one pose in both."""
        frame_from_map = frame_from_base @ inverse(map_from_base)
        made = message_class
        w, x, y, z = map(float, quaternion_from_rotation(frame_from_map))
        tx, ty, tz = map(float, frame_from_map[:3, 3])
        placed = made("geometry_msgs/msg/Transform")(
            translation=made("geometry_msgs/msg/Vector3")(x=tx, y=ty, z=tz),
            rotation=made("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w),
        )
        stamped = made("geometry_msgs/msg/TransformStamped")(
            header=header_of(made, stamp_ns, frame), child_frame_id=STREET_FRAME, transform=placed
        )
        self._publisher.publish(made(topics.STREET_FRAME_TF.msg_type)(transforms=[stamped]))

    def close(self) -> None:
        """Destroys the publisher."""
        self._node.destroy_publisher(self._publisher)


def check_unused(values: Mapping[str, Any]) -> None:
    """Raises ValueError for parameters of an anchor that is not there."""
    named = [name for name in ("anchor_origin", "start") if values[name]]
    if named and not values["anchor"]:
        raise ValueError(f"parameter {named[0]} is {values[named[0]]!r}, and is of an anchor; name its file of roads")
