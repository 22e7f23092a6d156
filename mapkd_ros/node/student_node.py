#!/usr/bin/env python3
"""The executable `student_node`: cameras in, vector map out.

    ros2 run mapkd_ros student_node --ros-args -p device:=cuda -p image_transport:=raw

Exit code 0 after SIGINT or SIGTERM, 2 when it cannot start, with one line on stderr. See docs/reference/node.md.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mapkd_core.runtime import wait_without_spinning
from mapkd_ros.node.heap import keep_large_buffers
from mapkd_ros.node.student_parameters import PARAMETERS
from mapkd_ros.parameters import help_text
from mapkd_ros.stop_signals import StopSignals

if TYPE_CHECKING:
    from mapkd_core.predictor import MapPredictor

REMEDIES = {
    "onnxruntime": "backend onnx needs it: pip install onnxruntime (or onnxruntime-gpu); or use backend:=auto",
    "torch": "PyTorch is not installed for this Python; see the installation in README.md, or: pip install torch",
    "tf2_msgs": "install the package tf2_msgs (apt install ros-$ROS_DISTRO-tf2-msgs), or run `make setup`",
    "visualization_msgs": "install it (apt install ros-$ROS_DISTRO-visualization-msgs)",
    "diagnostic_msgs": "install it (apt install ros-$ROS_DISTRO-diagnostic-msgs)",
    "rclpy": "no ROS 2 in this shell: source /opt/ros/$ROS_DISTRO/setup.bash, or this project's scripts/env.sh",
}
UNBUILT = "the messages of mapkd_ros are not built or not found: run colcon build, then source install/setup.bash"


def load_predictor(values: Mapping[str, Any]) -> MapPredictor:
    """The predictor that the parameters ask for; raises ValueError if its weights are missing, damaged or unfit."""
    from mapkd_core.predictor import DEFAULT_WEIGHTS, MapPredictor

    return MapPredictor.from_artifact(
        values["weights"] or DEFAULT_WEIGHTS,
        device=values["device"],
        threads=values["threads"] or None,
        backend=values["backend"],
        precision=values["precision"],
    )


def main() -> int:
    """Runs the node until a signal comes; returns the exit code."""
    signals = StopSignals()
    wait_without_spinning()  # the cores belong to the drivers and the player too
    try:
        return _run(signals)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        remedy = UNBUILT if package == "mapkd_ros" else REMEDIES.get(package, "install it for the Python that runs ROS")
        return _refuse(f"{error}; {remedy}")
    except ValueError as error:
        return _refuse(str(error))
    except Exception as error:
        # ROS has no common class for messages whose libraries are not on the loader's path.
        if "typesupport" in f"{type(error).__name__} {error}".lower():
            return _refuse(UNBUILT)
        raise
    finally:
        signals.ignore()


def _refuse(reason: str) -> int:
    print(f"student_node: {reason}", file=sys.stderr, flush=True)
    return 2


def _run(signals: StopSignals) -> int:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import remove_ros_args

    try:
        others = remove_ros_args(sys.argv)[1:]
    except RuntimeError as error:  # of rclpy, for malformed --ros-args
        raise ValueError(str(error).splitlines()[0]) from error
    if "-h" in others or "--help" in others:
        print(help_text(__doc__, PARAMETERS))
        return 0
    if others:
        raise ValueError(f"unknown argument {others[0]!r}; give parameters as: --ros-args -p name:=value (see --help)")

    keep_large_buffers()
    from mapkd_ros.node.mapping_node import MappingNode

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = MappingNode(load_predictor)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            signals.spin(executor)
        finally:
            if not node.close():
                os._exit(0)  # the network cannot be interrupted, and must not outlive what it publishes to
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
