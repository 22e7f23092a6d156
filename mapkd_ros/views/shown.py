"""What a view shows: images, map and frames of one vehicle, by the names they have on this ROS graph."""
from __future__ import annotations

from dataclasses import dataclass

from mapkd_core.bags.drive_stream import LIDAR_TOPIC
from mapkd_core.cameras.rig import CameraRig
from mapkd_ros import topics

BUILDER = "map_builder"
BACK = ("back", "rear")
"""Words in the name of a camera that looks behind."""


@dataclass(frozen=True)
class ShownCamera:
    """One camera's image; topics are full names."""

    title: str
    image: str
    image_transport: str
    camera_info: str


@dataclass(frozen=True)
class Shown:
    """Everything that a view has a place for; topics are full names."""

    front: tuple[ShownCamera, ...]
    """Cameras of the upper row, left to right."""
    back: tuple[ShownCamera, ...]
    """Of the lower row."""
    markers: str
    map_markers: str
    """Of map_builder."""
    vector_map: str
    local_map: str
    """Of map_builder."""
    occupancy_grids: tuple[str, str]
    """Of the node and of map_builder."""
    semantic_bev: str
    lidar: str
    base_frame: str

    @property
    def cameras(self) -> tuple[ShownCamera, ...]:
        """All of them."""
        return self.front + self.back


def shown(rig: CameraRig, namespace: str = "", base_frame: str = "base_link", node: str = "student_node") -> Shown:
    """What the node of this name in this namespace has to show."""

    def full(topic: str) -> str:
        prefix = "/" + namespace.strip("/") if namespace.strip("/") else ""
        if topic.startswith("/"):
            return topic
        return f"{prefix}/{node}{topic[1:]}" if topic.startswith("~") else f"{prefix}/{topic}"

    cameras = [
        ShownCamera(camera.name.lower(), full(camera.image), camera.image_transport, full(camera.camera_info))
        for camera in rig.cameras
    ]
    back = [camera for camera in cameras if any(word in camera.title for word in BACK)]
    front = [camera for camera in cameras if camera not in back]
    if not back:  # names that do not tell
        front, back = cameras[: (len(cameras) + 1) // 2], cameras[(len(cameras) + 1) // 2 :]
    return Shown(
        _in_order(front),
        _in_order(back),
        full(topics.MARKERS.name),
        full(topics.MAP_MARKERS.name.replace("~", BUILDER)),
        full(topics.VECTOR_MAP.name),
        full(topics.LOCAL_MAP.name.replace("~", BUILDER)),
        (full(topics.OCCUPANCY_GRID.name), full(topics.MAP_GRID.name.replace("~", BUILDER))),
        full(topics.SEMANTIC_BEV.name),
        full(LIDAR_TOPIC),
        base_frame,
    )


def _in_order(cameras: list[ShownCamera]) -> tuple[ShownCamera, ...]:
    """Left, ahead, right, as far as names tell."""
    return tuple(sorted(cameras, key=lambda camera: ("right" in camera.title) - ("left" in camera.title)))
