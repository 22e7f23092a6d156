#!/usr/bin/env python3
"""The executable `map_builder`: VectorMaps and transforms in, a growing street map out.

    ros2 run mapkd_ros map_builder --ros-args -p map_file:=street.streetmap

Exit code 0 after SIGINT or SIGTERM, 2 when it cannot start or the map cannot be saved, with one line on stderr. See
docs/how-to/map-a-drive.md.
"""
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mapkd_ros.map_builder.builder_parameters import PARAMETERS
from mapkd_ros.node_main import only_ros_arguments, ros, run_main, spin
from mapkd_ros.parameters import help_text

if TYPE_CHECKING:
    from mapkd_ros.stop_signals import StopSignals


def main() -> int:
    """Runs the node until a signal comes; returns the exit code."""
    return run_main("map_builder", _run)


def _run(signals: StopSignals) -> int:
    if not only_ros_arguments(lambda: help_text(__doc__, PARAMETERS)):
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
    sys.exit(main())
