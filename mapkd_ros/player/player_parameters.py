"""The table of nuscenes_player's parameters; docs/reference/parameters.md is made from it."""
from __future__ import annotations

from mapkd_core.cameras.topics import FORMER_TRANSPORTS, IMAGE_TRANSPORTS
from mapkd_ros.parameters import Parameter
from mapkd_ros.player.playback import STAMPS

PARAMETERS = (
    Parameter("dataroot", "", "folder of nuScenes or of a simulated drive, the one that holds samples/; or a bag"),
    Parameter("bag", "", "rosbag2 to play instead of a dataroot: its folder, or an .mcap or .db3 file"),
    Parameter("version", "v1.0-mini", "folder of the tables inside dataroot"),
    Parameter("scene", "", "scene names, separated by commas, in the order of the data set; empty plays all"),
    Parameter("rate", 1.0, "speed of playing, 1 is real time", range=(0.01, 100.0)),
    Parameter("loop", False, "begin again at the end; time goes on to increase"),
    Parameter("start", 0.0, "seconds to skip at the beginning", range=(0.0, 1e10)),
    Parameter("hold", 0.0, "seconds for which a scene with a single keyframe is repeated, twice a second", (0.0, 1e6)),
    Parameter("image_transport", "compressed",
              "images as CompressedImage with the file's own bytes, or as Image (rgb8)",
              choices=IMAGE_TRANSPORTS, former_name="transport", former_words=FORMER_TRANSPORTS),
    Parameter("lidar", True, "publish lidar_top/points where the data have LiDAR"),
    Parameter("outputs", False, "of a bag, play also what a student_node had published when it was recorded"),
    Parameter("clock", False, "publish /clock, for nodes with use_sim_time"),
    Parameter("stamps", "original", "stamp messages as recorded, or as if they happened now", choices=STAMPS),
    Parameter("wait_for_subscribers", 0.0, "seconds to wait at most until every image topic has its subscribers",
              range=(0.0, 3600.0)),
    Parameter("subscribers", 1, "how many each image topic waits for: 2 for a node and a recorder", range=(1, 100)),
    Parameter("reliability", "auto", "QoS of sensor topics; auto is reliable, for a bag as it was recorded",
              choices=("auto", "reliable", "best_effort")),
    Parameter("depth", 5, "QoS queue length of sensor topics", range=(1, 1000)),
)  # fmt: skip
