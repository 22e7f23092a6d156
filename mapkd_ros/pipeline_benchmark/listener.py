"""The listener of the pipeline benchmark: notes when each map arrives, and the node's own counters.

    python -m mapkd_ros.pipeline_benchmark.listener --log heard.json

Ends on SIGINT or SIGTERM. Started by mapkd_ros.pipeline_benchmark.run.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_ros.conversions import stamp_ns
from mapkd_ros.node_main import ros, run_main, spin

if TYPE_CHECKING:
    from rclpy.node import Node

    from mapkd_ros.stop_signals import StopSignals

STUDENT = "student_node"
DEPTH = 20


class Ear:
    """Subscribes to the node's outputs as a planner and a display would; all times are monotonic, in ns."""

    def __init__(self, node: Node) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from visualization_msgs.msg import MarkerArray

        from mapkd_ros.msg import VectorMap

        self.maps: list[dict[str, Any]] = []
        self.markers: list[tuple[int, int]] = []
        """(stamp, time of arrival) of each array that adds something."""
        self.diagnostics: list[tuple[int, dict[str, dict[str, str]]]] = []
        """(time of arrival, status -> key -> value)."""
        node.create_subscription(VectorMap, f"/{STUDENT}/vector_map", self._on_map, DEPTH)
        node.create_subscription(MarkerArray, f"/{STUDENT}/markers", self._on_markers, DEPTH)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, DEPTH)

    def write(self, path: Path) -> None:
        """Everything as JSON."""
        path.write_text(json.dumps(self.__dict__))

    def _on_map(self, message: Any) -> None:
        arrived_ns = time.monotonic_ns()
        self.maps.append(
            {
                "stamp_ns": stamp_ns(message.header.stamp),
                "arrived_ns": arrived_ns,
                "source_stamps_ns": [stamp_ns(stamp) for stamp in message.source_stamps],
                "cameras": list(message.camera_names),
                "stage_ms": dict(zip(message.stage_names, message.stage_latency_ms, strict=True)),
                "elements": len(message.elements),
            }
        )

    def _on_markers(self, message: Any) -> None:
        arrived_ns = time.monotonic_ns()
        added = next((marker for marker in message.markers if marker.action == marker.ADD), None)
        if added is not None:
            self.markers.append((stamp_ns(added.header.stamp), arrived_ns))

    def _on_diagnostics(self, message: Any) -> None:
        arrived_ns = time.monotonic_ns()
        values = {status.name: {pair.key: pair.value for pair in status.values} for status in message.status}
        self.diagnostics.append((arrived_ns, values))


def main() -> int:
    """Listens until a signal comes and writes the log; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    return run_main("pipeline_listener", lambda signals: _listen(args.log, signals))


def _listen(log: Path, signals: StopSignals) -> int:
    import rclpy

    with ros():
        node = rclpy.create_node("pipeline_listener")
        ear = Ear(node)
        print("listening", flush=True)
        spin(node, signals)
        ear.write(log)
        node.destroy_node()
    return 0


if __name__ == "__main__":
    sys.exit(main())
