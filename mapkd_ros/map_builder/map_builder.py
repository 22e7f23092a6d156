#!/usr/bin/env python3
"""The executable `map_builder`: VectorMaps and transforms in, a growing street map out.

    ros2 run mapkd_ros map_builder --ros-args -p map_file:=street.streetmap

Exit code 0 after SIGINT or SIGTERM, 2 when it cannot start or the map cannot be saved, with one line on stderr. See
docs/how-to/map-a-drive.md.
"""
from __future__ import annotations

import _signal as signal  # the module in C, which takes no time to import
import os
import sys

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from mapkd_ros.stop_signals import StopSignals


def main() -> int:
    """Runs the node until a signal comes; returns the exit code."""
    from mapkd_ros.node_main import run_main

    return run_main("map_builder", _run)


def _help_text() -> str:
    from mapkd_ros.map_builder.builder_parameters import PARAMETERS
    from mapkd_ros.parameters import help_text

    return help_text(__doc__, PARAMETERS)


def _run(signals: StopSignals) -> int:
    from mapkd_ros.node_main import only_ros_arguments, ros, spin

    if not only_ros_arguments(_help_text):
        return 0
    from mapkd_ros.map_builder.builder_node import BuilderNode

    with ros():
        node = BuilderNode()
        if node.values["autostart"]:
            node.start()
        try:
            spin(node, signals)
        finally:
            node.close()
            node.destroy_node()
    return 0


if __name__ == "__main__":
    for stop in (signal.SIGINT, signal.SIGTERM):  # until `main` is ready for them
        signal.signal(stop, lambda *_: os._exit(0))
    sys.exit(main())
