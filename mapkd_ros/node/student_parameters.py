"""The table of student_node's parameters; config/student_node.yaml explains them to users."""
from __future__ import annotations

from mapkd_core.cameras.rig import RECTIFIED
from mapkd_core.cameras.synchronizer import WINDOW_NS
from mapkd_core.cameras.topics import RECEIVED_TRANSPORTS
from mapkd_core.runtime import BACKENDS, PRECISIONS
from mapkd_core.types import CAMERAS
from mapkd_ros.parameters import Parameter

PARAMETERS = (
    Parameter("weights", "", "path of the weights or their card (NAME.json); empty for those of the package"),
    Parameter("device", "auto", "where the network runs; auto takes a GPU if there is one",
              choices=("auto", "cpu", "cuda")),
    Parameter("backend", "auto", "what runs the network; auto takes the fastest that is sure to be there",
              choices=tuple(BACKENDS)),
    Parameter("precision", "auto", "numbers the network computes in; not every backend and device has all",
              choices=tuple(PRECISIONS)),
    Parameter("threads", 0, "CPU threads of the network; 0 leaves the number to the backend", range=(0, 256)),
    Parameter("overlap", False, "decode the next set while the network works on this one; gains where cores are left"),
    Parameter("rig", "", "rig file (YAML): each camera with its topics; empty: regular ones by the names in `cameras`"),
    Parameter("cameras", list(CAMERAS), "cameras used; NAME is read from camera/name/... in lower case"),
    Parameter("anchor", "", "camera whose stamp the map gets; empty: CAM_FRONT, or else the first camera"),
    Parameter("window_ms", WINDOW_NS / 1e6, "largest time between the oldest and newest image of a set [ms]",
              range=(1, 2000)),
    Parameter("queue_size", 10, "images of each camera that are kept while they wait for the others'", range=(1, 100)),
    Parameter("camera_timeout", 2.0, "maps go on without a camera that sends nothing usable for so long [s]; 0 waits",
              range=(0, 3600)),
    Parameter("min_cameras", 1, "no maps while fewer cameras than these send", range=(1, 1000)),
    Parameter("required_cameras", [""], "no maps while one of these is silent"),
    Parameter("image_transport", "compressed", "read camera/name/image_raw/compressed or camera/name/image_raw",
              choices=RECEIVED_TRANSPORTS),
    Parameter("rectified", "auto", "whether images come without lens distortion; auto goes by the topic's name",
              choices=RECTIFIED),
    Parameter("reliability", "auto",
              "delivery of images; auto asks for reliable and takes best effort where only that is offered",
              choices=("auto", "reliable", "best_effort")),
    Parameter("base_frame", "base_link", "vehicle frame of the map: x forward, y left, z up, origin on the ground",
              frame=True),
    Parameter("score_threshold", 0.0, "drop map elements with a score below this", range=(0, 1), read_only=False),
    Parameter("max_rate", 0.0, "most maps a second [Hz]; 0 for as many as the device manages", range=(0, 1000),
              read_only=False),
    Parameter("marker_lifetime", 0.0, "seconds that markers outlive the last map; 0 for three measured periods",
              range=(0, 3600)),
    Parameter("latch_vector_map", False, "keep the newest ~/vector_map for subscribers that come later"),
    Parameter("occupancy_grid", False, "offer ~/occupancy_grid, the drivable side of the map (needs nav_msgs)"),
    Parameter("diagnostics_period", 1.0, "seconds between messages on /diagnostics; 0 for none", range=(0, 60)),
    Parameter("autostart", True, "configure and activate itself at start; false leaves that to a lifecycle manager"),
    Parameter("always_run", False, "run the network even when nobody subscribes to an output", read_only=False),
)  # fmt: skip
