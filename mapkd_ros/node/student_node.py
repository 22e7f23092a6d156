#!/usr/bin/env python3
"""The executable `student_node`: cameras in, vector map out.

    ros2 run mapkd_ros student_node --ros-args -p device:=cuda -p image_transport:=raw

Exit code 0 after SIGINT or SIGTERM, 2 when it cannot start, with one line on stderr. See docs/reference/node.md.
"""
from __future__ import annotations

import _signal as signal  # the module in C, which takes no time to import
import os
import sys

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mapkd_core.predictor import MapPredictor
    from mapkd_ros.stop_signals import StopSignals

def load_predictor(values: Mapping[str, Any]) -> MapPredictor:
    """The predictor that the parameters ask for; raises ValueError if its weights are missing, damaged or unfit."""
    from dataclasses import fields

    from mapkd_core.predictor import DEFAULT_WEIGHTS, MapPredictor
    from mapkd_core.runtime import RuntimeOptions

    options = RuntimeOptions(**{field.name: values[field.name] for field in fields(RuntimeOptions)})
    return MapPredictor.from_artifact(values["weights"] or DEFAULT_WEIGHTS, options)


def main() -> int:
    """Runs the node until a signal comes; returns the exit code."""
    from mapkd_core.extras import how_to_install
    from mapkd_ros.node_main import run_main

    remedies = {
        "onnxruntime": f"use backend:=torch, or {how_to_install('onnxruntime')}",
        "openvino": f"use backend:=onnx, or {how_to_install('openvino')}",
        "torch": f"use backend:=onnx, or {how_to_install('torch')}",
    }
    return run_main("student_node", _run, remedies)


def _help_text() -> str:
    from mapkd_ros.node.student_parameters import PARAMETERS
    from mapkd_ros.parameters import help_text

    return help_text(__doc__, PARAMETERS)


def _run(signals: StopSignals) -> int:
    from mapkd_core.runtime import wait_without_spinning

    wait_without_spinning()  # before torch is imported: the cores belong to the drivers and the player too
    from rclpy.executors import SingleThreadedExecutor

    from mapkd_ros.node_main import only_ros_arguments, ros

    if not only_ros_arguments(_help_text):
        return 0
    from mapkd_core.heap import keep_large_buffers

    keep_large_buffers()
    from mapkd_ros.node.mapping_node import MappingNode

    with ros():
        node = MappingNode(load_predictor)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            if node.values["autostart"]:
                node.start()
            signals.spin(executor)
        finally:
            if not node.close():
                os._exit(0)  # the network cannot be interrupted, and must not outlive what it publishes to
            executor.shutdown()
            node.destroy_node()
    return 0


if __name__ == "__main__":
    for stop in (signal.SIGINT, signal.SIGTERM):  # until `main` is ready for them
        signal.signal(stop, lambda *_: os._exit(0))
    sys.exit(main())
