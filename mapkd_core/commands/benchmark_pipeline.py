"""Measure the real node: from six images handed to DDS to the map in a listener's hands.

examples:
  mapkd benchmark pipeline
  mapkd benchmark pipeline --dataroot /data/nuscenes --image-transports compressed raw raw-large --out pipeline.md
  mapkd benchmark pipeline --rates 5 --image-transports compressed --minutes 10
  mapkd benchmark pipeline -p device:=cuda -p weights:=/models/student.json

Sender, student_node and listener run as processes of their own, in a ROS domain of their own, on this machine. For
every transport and rate: latency, sets that got no map and why, processor time of each process, memory of the node.
Transports: compressed, raw (default DDS settings), raw-large (config/fastdds_large_data.xml). Rate max: as fast as the
sender can. Without --dataroot the simulator renders three frames of 1600x900 first, half a minute on first use.
Needs ROS 2 and the built package in this shell, and Linux.
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from mapkd_core.benchmark.pipeline_options import configure, words

__all__ = ["configure", "run"]

SIMULATED = Path(".cache/benchmark_drive")
SIMULATED_FRAMES, SIMULATED_SIZE = 3, (1600, 900)
RUNNER = "mapkd_ros.pipeline_benchmark.run"
NO_ROS = (
    "no ROS 2, or no built mapkd_ros, in this shell: source /opt/ros/$ROS_DISTRO/setup.bash and the workspace's "
    "install/setup.bash (in a checkout made with `make setup`: . scripts/env.sh)"
)


def run(args: argparse.Namespace) -> int:
    """Starts the benchmark in the ROS package, which the core does not know; returns its exit code."""
    if importlib.util.find_spec("rclpy") is None or "AMENT_PREFIX_PATH" not in os.environ:
        raise ValueError(NO_ROS)
    dataroot = args.dataroot
    if dataroot is None:
        from mapkd_core.sim.export.kept_drive import kept_drive

        dataroot = kept_drive(SIMULATED, SIMULATED_FRAMES, SIMULATED_SIZE)
    return subprocess.run([sys.executable, "-m", RUNNER, *words(args, dataroot)], check=False).returncode
