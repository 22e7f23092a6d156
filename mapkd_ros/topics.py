"""The topics of each node with type and one sentence: for the nodes, and for the documentation made from here."""
from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mapkd_core.bags.drive_stream import LIDAR_TOPIC
from mapkd_core.bags.sensor_fields import CLOCK, POINT_CLOUD, TF_MESSAGE
from mapkd_core.cameras.topics import CAMERA_INFO, COMPRESSED_IMAGE, FFMPEG_PACKET, IMAGE, image_topic, info_topic
from mapkd_core.messages.occupancy_grid import OCCUPANCY_GRID as OCCUPANCY_GRID_TYPE


@dataclass(frozen=True)
class Topic:
    """One topic of a node."""

    name: str
    """Relative to the node's namespace, `~/` to the node's name, unless it begins with `/`; `<name>` is a camera's."""
    msg_type: str
    description: str
    """One sentence."""
    depth: int = 10
    """Messages that a publisher's queue keeps."""


MARKERS = Topic(
    "~/markers", "visualization_msgs/msg/MarkerArray",
    "for eyes: a LINE_STRIP per element, namespace = class, alpha = score, DELETE for vanished ones", 5,
)  # fmt: skip
VECTOR_MAP = Topic(
    "~/vector_map", "mapkd_ros/msg/VectorMap",
    "for planners: elements with ids, grid extent, cameras used with their stamps and ages, cameras missing, "
    "latency by stage", 5,
)  # fmt: skip
SEMANTIC_BEV = Topic(
    "~/semantic_bev", IMAGE, "the grid as an image, forward is up; made only while somebody subscribes", 1
)
OCCUPANCY_GRID = Topic(
    "~/occupancy_grid", OCCUPANCY_GRID_TYPE,
    "with `occupancy_grid: true`: 0 on the vehicle's side of the boundaries, 100 on them, -1 where nothing is known; "
    "made only while somebody subscribes", 1,
)  # fmt: skip
OVERLAY = Topic(
    "~/overlay/<name>", IMAGE,
    "each camera's image, undistorted, with the map and the horizon drawn in: shows whether the calibration is right; "
    "made only while somebody subscribes", 1,
)  # fmt: skip
DIAGNOSTICS = Topic(
    "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray",
    "once a second: rate, latency (median, p95), age, device, drops by reason, one status per camera",
)  # fmt: skip

_VIDEO = image_topic("<name>", "ffmpeg")
_JPEG, _RAW, _INFO = image_topic("<name>", "compressed"), image_topic("<name>", "raw"), info_topic("<name>")

STUDENT_INPUTS = (
    Topic(_JPEG, COMPRESSED_IMAGE,
          "JPEG or PNG, of a Bayer mosaic too; `image_transport: compressed` (the default)"),
    Topic(_RAW, IMAGE,
          "`image_transport: raw`: rgb, bgr, rgba, bgra, mono and the Bayer mosaics in 8 or 16 bits, yuv422, yuyv, "
          "nv12, nv21; what else a ROS installation's cv_bridge reads"),
    Topic(_VIDEO, FFMPEG_PACKET, "`image_transport: ffmpeg`: H.264, HEVC and others, where that package and PyAV are"),
    Topic(_INFO, CAMERA_INFO, "of the image as it is sent: same width and height; with every image, or latched once"),
    Topic("/tf_static", TF_MESSAGE, "a chain from each image's `frame_id` (optical frame) to `base_frame`"),
    Topic("/tf", TF_MESSAGE, "the moving parts of that chain"),
)  # fmt: skip
STUDENT_OUTPUTS = (MARKERS, VECTOR_MAP, SEMANTIC_BEV, OCCUPANCY_GRID, OVERLAY, DIAGNOSTICS)
PLAYER_OUTPUTS = (
    Topic(_JPEG, COMPRESSED_IMAGE, "`image_transport: compressed`; the file's own bytes, never encoded again"),
    Topic(_RAW, IMAGE, "`image_transport: raw`; rgb8"),
    Topic(_INFO, CAMERA_INFO, "same stamp and frame as the image; images are rectified: D = 0, R = 1, P = [K 0]"),
    Topic(LIDAR_TOPIC, POINT_CLOUD,
          "one sweep in `base_link`: `x y z` [m], `intensity` 0..255, `time` [s] relative to the stamp, all float32"),
    Topic("/tf", TF_MESSAGE, "`map` -> `base_link`, at the stamp of each camera and of the LiDAR"),
    Topic("/tf_static", TF_MESSAGE,
          "`base_link` -> the cameras' optical frames; latched, sent again for each scene, since rigs differ"),
    Topic("/clock", CLOCK, "with `clock: true`; at each message and every 20 ms between"),
)  # fmt: skip
BUILDER_INPUT = Topic(
    "student_node/vector_map", "mapkd_ros/msg/VectorMap", "the map of each set, in `base_frame`; remap it for another"
)
MAP_MARKERS = Topic(
    "~/map_markers", "visualization_msgs/msg/MarkerArray",
    "for eyes: the street as far as it was driven, in blocks of 32 m, those about the vehicle again and again", 5,
)  # fmt: skip
LOCAL_MAP = Topic(
    "~/local_map", "mapkd_ros/msg/VectorMap",
    "for planners: the map about the vehicle in `fixed_frame`, with ids that stay; latched", 1,
)  # fmt: skip
MAP_GRID = Topic(
    "~/occupancy_grid", OCCUPANCY_GRID_TYPE,
    "with `occupancy_grid: true`: 80 x 80 m about the vehicle in `base_frame`, 0 on its side of the boundaries, 100 on "
    "them, -1 where nothing was seen; made only while somebody subscribes", 1,
)  # fmt: skip
STREET_FRAME_TF = Topic(
    "/tf", TF_MESSAGE, "with `anchor`: where the frame `street_map` of map and markers lies below the poses' frame"
)
BUILDER_INPUTS = (
    BUILDER_INPUT,
    Topic("/tf", TF_MESSAGE, "where the vehicle was at each stamp: a chain from `base_frame` up to `fixed_frame`"),
    Topic("/tf_static", TF_MESSAGE, "the fixed parts of that chain"),
)
_BUILDER_STATUS = "once a second: sets, metres, memory, alignments and sets that were lost, by reason"
BUILDER_OUTPUTS = (
    MAP_MARKERS, LOCAL_MAP, MAP_GRID, STREET_FRAME_TF, replace(DIAGNOSTICS, description=_BUILDER_STATUS),
)  # fmt: skip
NODES: dict[str, tuple[tuple[Topic, ...], tuple[Topic, ...]]] = {
    "student_node": (STUDENT_INPUTS, STUDENT_OUTPUTS),
    "nuscenes_player": ((), PLAYER_OUTPUTS),
    "map_builder": (BUILDER_INPUTS, BUILDER_OUTPUTS),
}
"""Node -> (what it subscribes to, what it publishes). The recorder subscribes to what the first two publish."""


def overlay_topic(camera: str) -> Topic:
    """OVERLAY of this camera, whose name becomes a word that ROS takes."""
    word = re.sub(r"\W", "_", camera.lower(), flags=re.ASCII)
    return replace(OVERLAY, name=OVERLAY.name.replace("<name>", word if not word[:1].isdigit() else f"_{word}"))
