"""What the length of the node's image queues costs in latency: two nodes at once, each with its own, in turn.

    python benchmarks/queue_depth.py --depths 1 4 --seconds 80

Both nodes run as processes, with a stand-in for the network, so that the times are those of transport, synchronizer and
messages alone, a few of the 50 and more milliseconds that a map takes. The sender gives each its rounds of six 1600x900
JPEGs, 5 ms from image to image, the other's in between; the order changes every ten seconds. Latency runs from handing
the last image of a round to DDS until the VectorMap is here. `--burst` hands over all six at once, with the small
shared memory of Fast DDS's defaults: then images get lost. Criterion, set before the run: without losses the longer
queue takes at most 1.03 of the shorter's time.
"""
from __future__ import annotations

import argparse
import array
import os
import platform
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.utilities import get_rmw_implementation_identifier

from mapkd_core.artifact import ModelCard
from mapkd_core.bags import sensor_fields
from mapkd_core.benchmark.machine import cores, cpu_name
from mapkd_core.cameras.topics import CAMERA_INFO, COMPRESSED_IMAGE, image_topic, info_topic
from mapkd_core.files import write_atomic
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import PredictedMap
from mapkd_core.sim.rig import N015
from mapkd_core.types import CAMERAS
from mapkd_ros import large_data, qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.sensor_messages import message_class, to_message

NAMES = ("a", "b")
ROOT = Path(__file__).resolve().parents[1]


class StandIn:
    """In place of the network: an empty map at once."""

    card = ModelCard("none", "1.0", "student", {}, BevGrid(), (352, 128))
    device, engine, own_cameras = "cpu", "none", ()

    def camera_order(self, names: Any) -> list[int]:
        return list(range(len(names)))

    def prepare(self, *given: Any) -> Any:
        return SimpleNamespace(faults=())

    def complete(self, prepared: Any) -> PredictedMap:
        return PredictedMap([], np.zeros((4, *self.card.grid.shape), np.float32), {})


def run_node(name: str, depth: int) -> None:
    from mapkd_ros.node.mapping_node import MappingNode

    rclpy.init()
    topics = [f"/{name}/{image_topic(camera, 'compressed')}" for camera in CAMERAS]
    overrides = [Parameter(f"qos_overrides.{topic}.subscription.depth", value=depth) for topic in topics]
    node = MappingNode(lambda values: StandIn(), namespace=name, parameter_overrides=overrides)
    node.start()
    rclpy.spin(node)


class Sender:
    def __init__(self, burst: bool) -> None:
        self.node, self.pause_s = rclpy.create_node("sender"), 0.0 if burst else 0.005
        noise = np.random.default_rng(0).integers(0, 255, (57, 100, 3), np.uint8)
        jpeg = cv2.imencode(".jpg", cv2.resize(noise, (1600, 900), interpolation=cv2.INTER_CUBIC))[1].tobytes()
        self.data = array.array("B", jpeg)
        self.sent: dict[str, dict[int, int]] = {name: {} for name in NAMES}
        self.heard: dict[str, dict[int, int]] = {name: {} for name in NAMES}
        image, info = message_class(COMPRESSED_IMAGE), message_class(CAMERA_INFO)
        latched = qos.profile(depth=1, latched=True)
        self.images = {}
        for name in NAMES:
            kind = message_class("mapkd_ros/msg/VectorMap")
            self.node.create_subscription(kind, f"/{name}/student_node/vector_map", self.listener(name), 10)
            for camera, k in zip(CAMERAS, N015.intrinsics(), strict=True):
                publisher: Any = self.node.create_publisher(image, f"/{name}/{image_topic(camera, 'compressed')}", 5)
                self.images[name, camera] = publisher
                infos: Any = self.node.create_publisher(info, f"/{name}/{info_topic(camera)}", latched)
                infos.publish(info(width=1600, height=900, k=k.ravel().tolist(), d=[], distortion_model="plumb_bob"))
        mountings = dict(zip(map(str.lower, CAMERAS), N015.base_from_cameras, strict=True))
        self.tf: Any = self.node.create_publisher(message_class("tf2_msgs/msg/TFMessage"), "/tf_static", latched)
        self.tf.publish(to_message("tf2_msgs/msg/TFMessage", sensor_fields.transforms("base_link", mountings, 0)))
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        threading.Thread(target=self.executor.spin, daemon=True).start()

    def listener(self, name: str) -> Any:
        return lambda m: self.heard[name].setdefault(stamp_ns(m.header.stamp), time.monotonic_ns())

    def run(self, seconds: float, rate_hz: float) -> None:
        until = time.monotonic() + 60
        while not all(p.get_subscription_count() for p in self.images.values()) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(3)
        began = time.monotonic()
        for turn in range(int(2 * seconds * rate_hz)):
            name = NAMES[(turn + turn // int(20 * rate_hz)) % 2]
            time.sleep(max(0.0, began + turn / (2 * rate_hz) - time.monotonic()))
            self.send(name, time.time_ns())
        time.sleep(2)

    def send(self, name: str, now_ns: int) -> None:
        header = {"stamp": {"sec": now_ns // 10**9, "nanosec": now_ns % 10**9}}
        for camera in CAMERAS:
            fields = {"header": {**header, "frame_id": camera.lower()}, "format": "jpeg", "data": self.data}
            message = to_message(COMPRESSED_IMAGE, fields)
            if camera == CAMERAS[-1]:
                self.sent[name][now_ns] = time.monotonic_ns()
            self.images[name, camera].publish(message)
            time.sleep(self.pause_s)

    def latencies_ms(self, name: str) -> np.ndarray:
        sent, heard = self.sent[name], self.heard[name]
        return np.array([(heard[stamp] - sent[stamp]) / 1e6 for stamp in sent if stamp in heard])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs=2, default=(1, 4), help="of the two nodes (default 1 4)")
    parser.add_argument("--seconds", type=float, default=80.0, help="of sending (default 80)")
    parser.add_argument("--rate", type=float, default=12.0, help="rounds a second for each node (default 12)")
    parser.add_argument("--burst", action="store_true", help="the images of a round at once, default shared memory")
    parser.add_argument("--out", type=Path, help="folder for a dated Markdown file; printed only if not given")
    parser.add_argument("--node", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.node:
        run_node(args.node[0], int(args.node[1]))
        return
    if not args.burst:
        os.environ.update(large_data.environment(ROOT, os.environ.get("ROS_DISTRO", "")))
    script = [sys.executable, __file__, "--node"]
    nodes = [subprocess.Popen([*script, name, str(d)]) for name, d in zip(NAMES, args.depths, strict=True)]
    try:
        rclpy.init()
        sender = Sender(args.burst)
        sender.run(args.seconds, args.rate)
    finally:
        for node in nodes:
            node.kill()
    text = report(sender, args)
    print(text)
    if args.out:
        write_atomic(args.out / f"queue_depth_{date.today().isoformat()}.md", text)
    sys.stdout.flush()
    os._exit(0)  # the executor's thread does not end


def report(sender: Sender, args: argparse.Namespace) -> str:
    found = [sender.latencies_ms(name) for name in NAMES]
    command = f"--depths {args.depths[0]} {args.depths[1]} --seconds {args.seconds:g} --rate {args.rate:g}"
    lines = [
        f"# Length of image queues, {date.today().isoformat()}",
        "",
        f"    python benchmarks/queue_depth.py {command}{' --burst' if args.burst else ''}",
        "",
        f"{cpu_name()}, {cores()} cores, Python {platform.python_version()}, {get_rmw_implementation_identifier()}, "
        f"load average {os.getloadavg()[0]:.0f}. Two nodes at once, no network in them.",
        "",
        "| depth | maps of rounds | latency from the last image: median / p75 / p95 ms |",
        "|---|---|---|",
    ]
    for name, depth, ms in zip(NAMES, args.depths, found, strict=True):
        quartiles = " / ".join(f"{value:.2f}" for value in np.percentile(ms, (50, 75, 95)))
        lines.append(f"| {depth} | {len(ms)} of {len(sender.sent[name])} | {quartiles} |")
    rng = np.random.default_rng(0)
    first, second = ([np.median(rng.choice(ms, len(ms))) for _ in range(2000)] for ms in found)
    low, high = np.percentile(np.divide(second, first), (2.5, 97.5))
    ratio = np.median(found[1]) / np.median(found[0])
    lines += ["", f"Ratio of the medians {ratio:.3f}, 95 % of resamples {low:.3f} to {high:.3f}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
