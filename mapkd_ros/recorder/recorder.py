#!/usr/bin/env python3
"""Records student_node's inputs and outputs to one MCAP file that opens in Foxglove.

    ros2 run mapkd_ros recorder --ros-args -p output:=out.mcap

Ends on SIGINT or SIGTERM with exit code 0; 2 when it cannot start or the disk is full, the reason is one line on
stderr. See docs/how-to/record.md.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.bags.drive_stream import LIDAR_TOPIC
from mapkd_core.bags.sensor_fields import POINT_CLOUD, TF_MESSAGE
from mapkd_core.cameras.rig import CameraRig, regular_rig
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.cameras.topics import CAMERA_INFO, FORMER_TRANSPORTS, IMAGE_TRANSPORTS, image_type
from mapkd_core.files import FolderLock
from mapkd_core.types import CAMERAS
from mapkd_ros import qos
from mapkd_ros.node_main import only_ros_arguments, ros, run_main, spin
from mapkd_ros.parameters import Parameter, declare, help_text
from mapkd_ros.topics import OCCUPANCY_GRID, OVERLAY, STUDENT_OUTPUTS

if TYPE_CHECKING:
    from mapkd_ros.stop_signals import StopSignals

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


def main() -> int:
    """Records until a signal comes; returns the exit code."""
    return run_main("recorder", _run)


def _run(signals: StopSignals) -> int:
    if not only_ros_arguments(lambda: help_text(__doc__, PARAMETERS)):
        return 0
    import rclpy
    from ament_index_python.packages import get_package_share_directory

    from mapkd_ros.recorder.mcap_file import McapFile
    from mapkd_ros.recorder.recorder_node import Recorder

    with ros():
        node = rclpy.create_node("recorder")
        values = declare(node, PARAMETERS)
        qos.check_overrides(node)
        if not values["output"]:
            raise ValueError("output is empty; give a file: --ros-args -p output:=out.mcap")
        path = Path(values["output"]).expanduser()
        rig = load_rig(values["rig"]) if values["rig"] else None
        wanted = topics(values["image_transport"], values["node"], rig)
        with FolderLock(path.parent, f".{path.name}.lock"):
            old = _make_room(path, values["overwrite"])
            file = McapFile(path, Path(get_package_share_directory("mapkd_ros")))
            try:
                recorder = Recorder(node, file, wanted, f"{values['node']}/")
                qos.tell_unused_overrides(node)
                node.get_logger().info(f"recording {len(wanted)} topics to {values['output']}")
                spin(node, signals)
                recorder.declare_the_rest()
                file.close()
            except OSError as error:
                raise OSError(
                    f"{path}: {error.strerror or error}; the {file.saved} messages until then are in it: "
                    "`mapkd bag repair` gives it an index, most programs need one"
                ) from error
            finally:
                file.close()
            if old is not None:
                old.unlink(missing_ok=True)
        node.get_logger().info(f"recorded {file.count} messages")
        node.destroy_node()
    return 0


def _make_room(path: Path, overwrite: bool) -> Path | None:
    """Moves a file that is in the way aside; it goes when the new one is complete. Returns where it is."""
    old = path.with_name(f".{path.name}.old")
    if path.exists() or path.is_symlink():
        if not overwrite:
            raise FileExistsError(f"{path} exists already; give another output, or overwrite:=true")
        if not path.is_file():
            raise FileExistsError(f"{path} is not a file, so it is not overwritten; give another output")
        if not old.exists():  # else it waits there since a recording that was killed
            path.rename(old)
    return old if overwrite and old.exists() else None


if __name__ == "__main__":
    sys.exit(main())
