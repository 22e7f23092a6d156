#!/usr/bin/env python3
"""Plays nuScenes, a simulated drive in its folder format, or a rosbag2 as live ROS 2 topics.

    ros2 run mapkd_ros nuscenes_player --ros-args -p dataroot:=/data/nuscenes -p scene:=scene-0103 -p loop:=true
    ros2 run mapkd_ros nuscenes_player --ros-args -p bag:=drive.mcap -p rate:=0.5

Exit code 0 at the end of the drive and after SIGINT or SIGTERM, 2 when it cannot play; the reason is one line on
stderr. See docs/how-to/play.md.
"""
from __future__ import annotations

import _signal as signal  # the module in C, which takes no time to import
import os
import sys

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from mapkd_ros.stop_signals import StopSignals


def main() -> int:
    """Runs the player and returns the exit code."""
    from mapkd_ros.node_main import run_main

    return run_main("nuscenes_player", _run)


def _help_text() -> str:
    from mapkd_ros.parameters import help_text
    from mapkd_ros.player.player_parameters import PARAMETERS

    return help_text(__doc__, PARAMETERS)


def _run(signals: StopSignals) -> int:
    from mapkd_ros.node_main import interruptible, only_ros_arguments, ros

    with interruptible():  # reading the tables of a large data set takes half a minute
        if not only_ros_arguments(_help_text):
            return 0
        from mapkd_ros.player.player_node import NuscenesPlayer

    with ros():
        with interruptible():
            node = NuscenesPlayer()
        node.run(signals.stopping.is_set)
        node.destroy_node()
    return 0


if __name__ == "__main__":
    for stop in (signal.SIGINT, signal.SIGTERM):  # until `main` is ready for them
        signal.signal(stop, lambda *_: os._exit(0))
    sys.exit(main())
