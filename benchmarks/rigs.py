"""Vehicles of many kinds, for real: their simulated cameras send over DDS, student_node runs as a process of its own.

    python benchmarks/rigs.py measure --out benchmarks/results
    python benchmarks/rigs.py measure --only six four --frames 4
    python benchmarks/rigs.py play four

`measure` drives each vehicle through the same simulated streets, counts the maps for the sets of images that were sent,
and compares the node's class maps with the true map: mIoU as in docs/explanation/metrics.md. `play` sends one
vehicle's images again and again, for trying the node by hand (docs/how-to/your-vehicle.md).
"""
from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import torch
from rclpy.executors import SingleThreadedExecutor
from rig_drivers import Driver
from rig_vehicles import SIZE, VEHICLES, Vehicle

from mapkd_core.bags import sensor_fields
from mapkd_core.data.labels import map_elements
from mapkd_core.data.raster import rasterize
from mapkd_core.draw import write_png
from mapkd_core.files import write_atomic
from mapkd_core.grid import GRID_60X30
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.sim.drive import SimDrive
from mapkd_core.types import CLASSES
from mapkd_ros import large_data, qos
from mapkd_ros.child_process import ChildProcess, node_executable
from mapkd_ros.conversions import rgb_from_image, stamp_ns
from mapkd_ros.node.semantic_image import semantic_rgb
from mapkd_ros.sensor_messages import message_class, to_message

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (7, 21)
PERIOD_S = 0.5
READY_S = 40.0
PALETTE = semantic_rgb(np.arange(len(CLASSES) + 1, dtype=np.uint8)[None])[::-1, 0]
"""(4, 3) RGB of each class on ~/semantic_bev."""


class Bench:
    """The drivers of one vehicle, and a listener to the node's maps."""

    def __init__(self, vehicle: Vehicle) -> None:
        self.node = rclpy.create_node("rig_drivers")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.drivers = [Driver(self.node, camera, vehicle.latched) for camera in vehicle.cameras]
        transforms = message_class("tf2_msgs/msg/TFMessage")
        self.tf: Any = self.node.create_publisher(transforms, "/tf_static", qos.profile(depth=1, latched=True))
        mountings = {driver.frame: driver.camera.base_from_camera for driver in self.drivers}
        self.tf.publish(to_message("tf2_msgs/msg/TFMessage", sensor_fields.transforms("base_link", mountings, 0)))
        for driver in self.drivers:
            if vehicle.latched and not driver.camera.silent:
                driver.infos.publish(driver.info(0))
        self.maps: dict[int, Any] = {}
        self.grids: dict[int, np.ndarray] = {}

    def listen(self) -> None:
        vector_map = message_class("mapkd_ros/msg/VectorMap")
        self.node.create_subscription(vector_map, "/student_node/vector_map", self._on_map, 20)
        image = message_class("sensor_msgs/msg/Image")
        self.node.create_subscription(image, "/student_node/semantic_bev", self._on_grid, 20)

    def _on_map(self, message: Any) -> None:
        self.maps[stamp_ns(message.header.stamp)] = message

    def _on_grid(self, message: Any) -> None:
        rgb = rgb_from_image(message)
        classes = (rgb[..., None, :] == PALETTE).all(-1).argmax(-1)
        self.grids[stamp_ns(message.header.stamp)] = classes[::-1, ::-1].T  # (Y, X), the inverse of semantic_rgb

    def send(self, images: Sequence[np.ndarray]) -> int:
        stamp = time.time_ns()
        for driver, pixels in zip(self.drivers, images, strict=True):
            driver.send(pixels, stamp)
        return stamp

    def spin(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


def write_rig(vehicle: Vehicle, folder: Path) -> Path:
    """The rig file that a user would write, with its masks."""
    lines = ["cameras:"]
    for camera in vehicle.cameras:
        keys = f"image: {camera.topic}, image_transport: {camera.transport}"
        if vehicle.masked:
            write_png(folder / f"{camera.name}.png", vehicle.mask(camera)[..., None].repeat(3, 2))
            keys += f", mask: {camera.name}.png"
        lines.append(f"  {camera.name}: {{{keys}}}")
    (folder / "rig.yaml").write_text("\n".join(lines) + "\n")
    return folder / "rig.yaml"


def frames_of(
    vehicle: Vehicle, drives: Sequence[SimDrive], rendered: dict[object, list[np.ndarray]]
) -> list[list[np.ndarray]]:
    """Per frame of all drives the image of each camera; `rendered` keeps them for cameras that see the same."""
    if vehicle.own_body is not None:
        drives = [replace(drive, own_body=vehicle.own_body) for drive in drives]
    columns = []
    for camera in vehicle.cameras:
        key = (replace(camera, name="", encoding="", silent=False), vehicle.own_body)
        if key not in rendered:
            rendered[key] = [image for drive in drives for image in camera.images(drive)]
        columns.append(rendered[key])
    return [list(row) for row in zip(*columns, strict=True)]


def measure(
    vehicle: Vehicle, frames: Sequence[Sequence[np.ndarray]], truths: Sequence[np.ndarray], folder: Path
) -> list[str]:
    """The vehicle's row of the table."""
    bench = Bench(vehicle)
    bench.listen()
    parameters = ["-p", f"rig:={write_rig(vehicle, folder)}", "-p", "device:=cpu", "-p", "threads:=1"]
    expected = [camera.name for camera in vehicle.cameras if not camera.silent]
    with ChildProcess("student_node", [node_executable("student_node"), "--ros-args", *parameters]) as node:
        until = time.monotonic() + READY_S
        while not any(list(m.camera_names) == expected for m in bench.maps.values()):
            if time.monotonic() > until or node.returncode is not None:
                raise TimeoutError(f"no map of {vehicle.name}; the node says:\n{node.output}")
            bench.send(frames[0])
            bench.spin(PERIOD_S)
        sent = []
        for images in frames:
            sent.append(bench.send(images))
            bench.spin(PERIOD_S)
        bench.spin(1.0)
    bench.close()
    meter = IouMeter()
    for stamp, truth in zip(sent, truths, strict=True):
        if stamp in bench.grids:
            meter.update_classes(bench.grids[stamp], truth)
    complete = sum(stamp in bench.maps and list(bench.maps[stamp].camera_names) == expected for stamp in sent)
    scores = [f"{100 * value:.1f}" for value in meter.result().values()]
    sizes = {f"{c.size[0]}x{c.size[1]}" for c in vehicle.cameras}
    note = vehicle.note or vehicle.cameras[0].encoding
    return [vehicle.name, str(len(vehicle.cameras)), "mixed" if len(sizes) > 1 else min(sizes),
            f"{complete} of {len(sent)}", *scores, note]  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> str:
    heads = ["rig", "cameras", "images", "maps of sets", "mIoU", *CLASSES, "what is special"]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def report(rows: Sequence[Sequence[str]], frames: int) -> str:
    """The results file."""
    ros = os.environ.get("ROS_DISTRO", "from wheels")
    return f"""# Vehicles of many kinds over DDS, {date.today()}

    python benchmarks/rigs.py {' '.join(sys.argv[1:])}

{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, ROS 2 {ros},
Fast DDS with the large_data profile. student_node as it comes (`nano`, eight bits where the CPU has them), with a rig
file that names topics and transport alone, one set of images every {PERIOD_S} s, {frames} frames of each of
{len(SEEDS)} simulated drives (seeds {', '.join(map(str, SEEDS))}). A set counts when its map came, made of all cameras
that send. IoU in percent, of the class map against the true map of 60 x 30 m: with so few frames differences of one or
two points mean nothing.

{table(rows)}
"""


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    names = [vehicle.name for vehicle in VEHICLES]
    play = jobs.add_parser("play", help="send one vehicle's images again and again")
    play.add_argument("rig", choices=names)
    check = jobs.add_parser("measure", help="run them all and write the table")
    check.add_argument("--only", nargs="+", choices=names, help="these rigs alone")
    check.add_argument("--out", type=Path, help="folder for a dated results file")
    for job in (play, check):
        job.add_argument("--frames", type=int, default=8, help="of each of the two drives (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    drives = [SimDrive(seed=seed, size=SIZE, frames=args.frames, lidar=False) for seed in SEEDS]
    if args.job == "measure":  # raw images do not fit into the default shared memory
        os.environ.update(large_data.environment(ROOT))
    rclpy.init()
    by_name: Mapping[str, Vehicle] = {vehicle.name: vehicle for vehicle in VEHICLES}
    if args.job == "play":
        return play_forever(by_name[args.rig], drives)
    truths = [
        rasterize(map_elements(drive.road_map, drive.motion.pose(drive.time_s(i)), GRID_60X30), GRID_60X30).semantic
        for drive in drives
        for i in range(len(drive))
    ]
    rows: list[list[str]] = []
    rendered: dict[object, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only or names:
            frames = frames_of(by_name[name], drives, rendered)
            rows.append(measure(by_name[name], frames, truths, Path(folder)))
            print(" | ".join(rows[-1]), flush=True)
            if args.out:  # after each, so that an interrupted run leaves what it has
                write_atomic(args.out / f"rigs_{date.today()}.md", report(rows, args.frames).encode())
    return 0


def play_forever(vehicle: Vehicle, drives: Sequence[SimDrive]) -> int:
    bench, frames = Bench(vehicle), frames_of(vehicle, drives, {})
    print(f"sending {', '.join(driver.camera.topic for driver in bench.drivers)}; Ctrl-C ends it", flush=True)
    try:
        while True:
            for images in frames:
                bench.send(images)
                bench.spin(PERIOD_S)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
