"""Latency of the student node over DDS, this checkout against another: real nodes, one set of images after the other.

    git worktree add /tmp/before 477a8e9
    python benchmarks/node_latency.py --before /tmp/before --dataroot /data/nuscenes --out benchmarks/results

Both nodes run as processes, each with its own code, weights and graph. A set of six JPEGs of real keyframes goes to one
node, the next only when its markers are here, to the other, in an order that is drawn for each pair; so each has the
machine to itself, as far as other programs let it. Latency runs from handing the last image to DDS until the markers
are here. Beside it stands the processor time that the node used for the set, of which a busy machine changes little.
`--weights` names a card for this checkout's node, such as one with the other's weights. Criterion, set before the run:
at most 1.03 of the other's latency.
"""
from __future__ import annotations

import argparse
import array
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.utilities import get_rmw_implementation_identifier

from mapkd_core.bags import sensor_fields
from mapkd_core.bags.drive_stream import open_drive
from mapkd_core.benchmark.machine import cores, cpu_name
from mapkd_core.cameras.topics import CAMERA_INFO, COMPRESSED_IMAGE, image_topic, info_topic
from mapkd_core.files import write_atomic
from mapkd_core.types import Frame
from mapkd_ros import large_data, qos
from mapkd_ros.child_process import ChildProcess, private_domain
from mapkd_ros.sensor_messages import message_class, to_message

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("before", "now")
PATIENCE_S = 20.0
EXECUTABLES = ("mapkd_ros/node/student_node.py", "mapkd_ros/student_node.py")
"""Where a checkout has the node: today, and formerly."""


def start_node(name: str, checkout: Path, parameters: Sequence[str]) -> ChildProcess:
    """The node of a checkout in the namespace `name`. Raises ValueError if there is none."""
    found = [checkout / place for place in EXECUTABLES if (checkout / place).is_file()]
    if not found:
        raise ValueError(f"{checkout} has no {' or '.join(EXECUTABLES)}; expected a checkout of mapkd_ros")
    given = [word for parameter in parameters for word in ("-p", parameter)]
    path = os.pathsep.join([str(checkout), os.environ.get("PYTHONPATH", "")])
    command: list[str | Path] = [sys.executable, found[0], "--ros-args", "-r", f"__ns:=/{name}", *given]
    return ChildProcess(name, command, {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"})


class Sender:
    """Sends real keyframes to both nodes and hears their markers."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.node, self.frames = rclpy.create_node("sender"), frames
        self.bytes = [[array.array("B", view.image.jpeg() or b"") for view in frame.views] for frame in frames]
        self.heard: dict[tuple[str, int], int] = {}
        self.images: dict[tuple[str, str], Any] = {}
        latched = qos.profile(depth=1, latched=True)
        names = [view.name for view in frames[0].views]
        self.infos: dict[tuple[str, str], Any] = {}
        for name in NAMES:
            markers = message_class("visualization_msgs/msg/MarkerArray")
            self.node.create_subscription(markers, f"/{name}/student_node/markers", self._listener(name), 10)
            for camera in names:
                topic = f"/{name}/{image_topic(camera, 'compressed')}"
                kind = message_class(COMPRESSED_IMAGE)
                self.images[name, camera] = self.node.create_publisher(kind, topic, qos.profile(depth=5))
                topic = f"/{name}/{info_topic(camera)}"
                self.infos[name, camera] = self.node.create_publisher(message_class(CAMERA_INFO), topic, 5)
        mountings = {view.name.lower(): view.base_from_camera for view in frames[0].views}
        self.tf: Any = self.node.create_publisher(message_class("tf2_msgs/msg/TFMessage"), "/tf_static", latched)
        self.tf.publish(to_message("tf2_msgs/msg/TFMessage", sensor_fields.transforms("base_link", mountings, 0)))

    def _listener(self, name: str) -> Any:
        def heard(message: Any) -> None:
            stamps = [m.header.stamp for m in message.markers if m.header.stamp.sec]
            if stamps:
                self.heard.setdefault((name, stamps[0].sec * 10**9 + stamps[0].nanosec), time.monotonic_ns())

        return heard

    def connect(self) -> None:
        """Waits until both nodes take images. Raises RuntimeError if they do not."""
        until = time.monotonic() + 120
        while not all(publisher.get_subscription_count() for publisher in self.images.values()):
            if time.monotonic() > until:
                raise RuntimeError("a node does not subscribe to the images")
            rclpy.spin_once(self.node, timeout_sec=0.1)

    def latency_ms(self, name: str, turn: int) -> float | None:
        """Of one set; None if no map comes."""
        frame, images = self.frames[turn % len(self.frames)], self.bytes[turn % len(self.frames)]
        stamp_ns = time.time_ns()
        for view in frame.views:
            info = sensor_fields.camera_info(view, stamp_ns)
            self.infos[name, view.name].publish(to_message(CAMERA_INFO, info))
        for view, data in zip(frame.views, images, strict=True):
            header = {"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}, "frame_id": view.name.lower()}
            message = to_message(COMPRESSED_IMAGE, {"header": header, "format": "jpeg", "data": data})
            sent_ns = time.monotonic_ns()
            self.images[name, view.name].publish(message)
        while (name, stamp_ns) not in self.heard and time.monotonic_ns() < sent_ns + PATIENCE_S * 1e9:
            rclpy.spin_once(self.node, timeout_sec=0.05)
        heard_ns = self.heard.get((name, stamp_ns))
        return None if heard_ns is None else (heard_ns - sent_ns) / 1e6


def processor_ms(pid: int) -> float:
    """Processor time of a process and all its threads."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes folder whose keyframes are sent")
    parser.add_argument("--pairs", type=int, default=200, help="sets for each node (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=600.0, help="end after so long (default: %(default)s)")
    parser.add_argument("--weights", default="", help="card for this checkout's node; default: its own nano")
    parser.add_argument("-p", dest="parameters", action="append", default=[], help="parameter of both, name:=value")
    parser.add_argument("--out", type=Path, help="folder for a dated Markdown file; printed only if not given")
    args = parser.parse_args()
    frames = [frame for frame in open_drive(args.dataroot, "v1.0-mini", lidar=False)]
    os.environ.update(private_domain(int(np.random.default_rng().integers(1, 100))))
    os.environ.update(large_data.environment(ROOT, os.environ.get("ROS_DISTRO", "")))
    checkouts = dict(zip(NAMES, (args.before.resolve(), ROOT), strict=True))
    given = {"before": args.parameters, "now": [*args.parameters, *([f"weights:={args.weights}"] * bool(args.weights))]}
    nodes = {name: start_node(name, checkouts[name], given[name]) for name in NAMES}
    rows: list[dict[str, tuple[float, float]]] = []
    lost = dict.fromkeys(NAMES, 0)
    try:
        rclpy.init()
        sender = Sender(frames)
        sender.connect()
        rng, until = np.random.default_rng(0), time.monotonic() + args.seconds
        for turn in range(-2 * len(frames), args.pairs):  # the first sets warm up
            if time.monotonic() > until:
                break
            row: dict[str, tuple[float, float]] = {}
            for name in rng.permutation(NAMES):
                before = processor_ms(nodes[name].pid)
                latency_ms = sender.latency_ms(name, turn)
                lost[name] += latency_ms is None
                if latency_ms is not None:
                    row[name] = latency_ms, processor_ms(nodes[name].pid) - before
            if turn >= 0 and len(row) == len(NAMES):
                rows.append(row)
        engines = {name: _engine(node.output) for name, node in nodes.items()}
    finally:
        for node in nodes.values():
            node.stop()
    if not rows:
        print("\n".join(f"{name}: {node.tail()}" for name, node in nodes.items()), file=sys.stderr)
        return 1
    text = report(rows, lost, engines, args)
    print(text)
    if args.out:
        write_atomic(args.out / f"node_latency_{date.today().isoformat()}.md", text)
    return 0


def _engine(output: str) -> str:
    """The node's own line about what it loaded."""
    return next((line.split("]: ")[-1].strip() for line in output.splitlines() if "nano" in line), "unknown")


def report(
    rows: Sequence[dict[str, tuple[float, float]]], lost: dict[str, int], engines: dict[str, str], args: Any
) -> str:
    weights = ["--weights CARD"] if args.weights else []
    words = [f"--pairs {args.pairs}", *weights, *(f"-p {p}" for p in args.parameters)]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "opencv-python-headless"))
    lines = [
        f"# Latency of the node over DDS, against 477a8e9, {date.today().isoformat()}",
        "",
        f"    python benchmarks/node_latency.py --before CHECKOUT --dataroot /data/nuscenes {' '.join(words)}",
        "",
        f"{cpu_name()}, {cores()} cores, Python {platform.python_version()}, {versions}, "
        f"{get_rmw_implementation_identifier()}, load average {os.getloadavg()[0]:.0f}. {len(rows)} pairs, six real "
        f"1600x900 JPEGs a set; sets without a map: {', '.join(f'{name} {count}' for name, count in lost.items())}.",
        "",
        *(f"- {name}: {engine}" for name, engine in engines.items()),
        "",
        "p25 / median / p75; ratios with 95 % of resamples of pairs.",
        "",
        "| | before | now | ratio of medians | median ratio of a pair |",
        "|---|---|---|---|---|",
    ]
    for place, what in enumerate(("latency from the last image, ms", "processor time of the node, ms")):
        lines.append(_row(what, *([row[name][place] for row in rows] for name in NAMES)))
    return "\n".join(lines) + "\n"


def _row(what: str, before: Sequence[float], now: Sequence[float]) -> str:
    rng = np.random.default_rng(0)
    places = rng.integers(len(before), size=(2000, len(before)))  # pairs stay pairs
    ratios = np.median(np.array(now)[places], axis=1) / np.median(np.array(before)[places], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    cells = [" / ".join(f"{value:.1f}" for value in np.percentile(times, (25, 50, 75))) for times in (before, now)]
    ratio = statistics.median(now) / statistics.median(before)
    pairs = statistics.median(b / a for a, b in zip(before, now, strict=True))
    return f"| {what} | {cells[0]} | {cells[1]} | {ratio:.3f} ({low:.3f} to {high:.3f}) | {pairs:.3f} |"


if __name__ == "__main__":
    sys.exit(main())
