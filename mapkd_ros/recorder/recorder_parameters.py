"""The recorder's parameters, and which topics they make it record."""
from __future__ import annotations

from mapkd_core.bags.drive_stream import LIDAR_TOPIC
from mapkd_core.bags.sensor_fields import POINT_CLOUD, TF_MESSAGE
from mapkd_core.cameras.rig import CameraRig, regular_rig
from mapkd_core.cameras.topics import CAMERA_INFO, FORMER_TRANSPORTS, IMAGE_TRANSPORTS, image_type
from mapkd_core.types import CAMERAS
from mapkd_ros.parameters import Parameter
from mapkd_ros.topics import OCCUPANCY_GRID, OVERLAY, STUDENT_OUTPUTS

PARAMETERS = (
    Parameter("output", "", "the .mcap file to write"),
    Parameter("overwrite", False, "replace a file that is there; it is kept until the new one is complete"),
    Parameter("image_transport", "compressed", "record camera/name/image_raw/compressed or camera/name/image_raw",
              choices=IMAGE_TRANSPORTS, former_name="transport", former_words=FORMER_TRANSPORTS),
    Parameter("rig", "", "rig file that names the topics of the cameras; empty: those of nuScenes' six cameras"),
    Parameter("node", "student_node", "name of the node whose outputs are recorded"),
)  # fmt: skip


def topics(image_transport: str, node: str, rig: CameraRig | None = None) -> dict[str, str]:
    """Topic -> message type of what is recorded, without a namespace."""
    found = {"/tf": TF_MESSAGE, "/tf_static": TF_MESSAGE, LIDAR_TOPIC: POINT_CLOUD}
    for camera in (rig or regular_rig(CAMERAS, image_transport)).cameras:
        found[camera.image] = image_type(camera.image_transport)
        if camera.camera_info:
            found[camera.camera_info] = CAMERA_INFO
    # These cost the node work for every subscriber, and can be made from the rest at any time.
    outputs = [topic for topic in STUDENT_OUTPUTS if topic not in (OVERLAY, OCCUPANCY_GRID)]
    return found | {topic.name.replace("~", node): topic.msg_type for topic in outputs}
