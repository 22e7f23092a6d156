#!/usr/bin/env python3
"""Plays nuScenes, a simulated drive in its folder format, or a rosbag2 as live ROS 2 topics.

    ros2 run mapkd_ros nuscenes_player --ros-args -p dataroot:=/data/nuscenes -p scene:=scene-0103 -p loop:=true
    ros2 run mapkd_ros nuscenes_player --ros-args -p bag:=drive.mcap -p rate:=0.5

Exit code 0 at the end of the drive and after SIGINT or SIGTERM, 2 when it cannot play; the reason is one line on
stderr. See docs/how-to/play.md.
"""
from __future__ import annotations

import signal
import sys

from mapkd_core.extras import EXTRAS
from mapkd_ros.stop_signals import SIGNALS, StopSignals

NO_ROS = "no ROS 2 in this shell: source /opt/ros/$ROS_DISTRO/setup.bash, or this project's scripts/env.sh"


def main() -> int:
    """Runs the player and returns the exit code."""
    # Reading the tables of a large data set takes half a minute: until it is done a signal ends it right away.
    # SIGINT is set as well, because shells start background jobs with that signal ignored.
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        return _run()
    except KeyboardInterrupt:
        return 0
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package == "rclpy":
            return _refuse(NO_ROS)
        if package in EXTRAS:
            return _refuse(f"needs {package}; install it with: pip install 'mapkd_ros[{EXTRAS[package]}]'")
        raise
    except (ValueError, OSError) as error:
        return _refuse(str(error))
    finally:
        StopSignals().ignore()


def help_text() -> str:
    """The docstring and the parameter table."""
    from mapkd_ros.player.player_node import PARAMETERS

    rows = [f"  {row.name:<22}{row.description} [{row.default!r}]" for row in PARAMETERS]
    return f"{__doc__}\nParameters [default]:\n" + "\n".join(rows)


def _refuse(reason: str) -> int:
    print(f"nuscenes_player: {reason}", file=sys.stderr, flush=True)
    return 2


def _run() -> int:
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import remove_ros_args

    try:
        others = remove_ros_args(sys.argv)[1:]
    except RuntimeError as error:  # of rclpy, for malformed --ros-args
        return _refuse(str(error).splitlines()[0])
    if "-h" in others or "--help" in others:
        print(help_text())
        return 0
    if others:
        return _refuse(f"unknown argument {others[0]!r}; give parameters as: --ros-args -p name:=value (see --help)")

    from mapkd_ros.player.player_node import NuscenesPlayer

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = NuscenesPlayer()
        signals = StopSignals()
        node.run(signals.stopping.is_set)
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
