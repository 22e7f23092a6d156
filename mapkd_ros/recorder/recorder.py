#!/usr/bin/env python3
"""Records student_node's inputs and outputs to one MCAP file that opens in Foxglove.

    ros2 run mapkd_ros recorder --ros-args -p output:=out.mcap

Ends on SIGINT or SIGTERM with exit code 0; 2 when it cannot start or the disk is full, the reason is one line on
stderr. See docs/how-to/record.md.
"""
from __future__ import annotations

import _signal as signal  # the module in C, which takes no time to import
import os
import sys

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from pathlib import Path

    from mapkd_ros.stop_signals import StopSignals


def main() -> int:
    """Records until a signal comes; returns the exit code."""
    from mapkd_ros.node_main import run_main

    return run_main("recorder", _run)


def _help_text() -> str:
    from mapkd_ros.parameters import help_text
    from mapkd_ros.recorder.recorder_parameters import PARAMETERS

    return help_text(__doc__, PARAMETERS)


def _run(signals: StopSignals) -> int:
    from mapkd_ros.node_main import only_ros_arguments, ros, spin

    if not only_ros_arguments(_help_text):
        return 0
    from pathlib import Path

    import rclpy
    from ament_index_python.packages import get_package_share_directory

    from mapkd_core.cameras.rig_file import load_rig
    from mapkd_core.files import FolderLock
    from mapkd_ros import qos
    from mapkd_ros.parameters import declare
    from mapkd_ros.recorder.mcap_file import McapFile
    from mapkd_ros.recorder.recorder_node import Recorder
    from mapkd_ros.recorder.recorder_parameters import PARAMETERS, topics

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
    for stop in (signal.SIGINT, signal.SIGTERM):  # until `main` is ready for them
        signal.signal(stop, lambda *_: os._exit(0))
    sys.exit(main())
