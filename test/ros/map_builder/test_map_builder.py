"""The executable map_builder as a process: how it starts, ends, and what it says when it cannot."""
from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")
pytest.importorskip("rosbags", reason="the helpers write bags with rosbags")

import rclpy
import rclpy.executors
from street_bags import map_message, pose_message
from street_drives import poses, seen, street
from tf2_msgs.msg import TFMessage

from mapkd_core.mapping.street_map import StreetMap
from mapkd_ros import qos
from mapkd_ros.child_process import ChildProcess
from mapkd_ros.msg import VectorMap
from mapkd_ros.sensor_messages import message_class

pytestmark = pytest.mark.ros
PROGRAM = [sys.executable, "-m", "mapkd_ros.map_builder.map_builder"]
Start = Callable[..., ChildProcess]


@pytest.fixture
def start(private_domain: int) -> Iterator[Start]:
    made: list[ChildProcess] = []

    def run(*words: str) -> ChildProcess:
        made.append(ChildProcess("map_builder", [*PROGRAM, *words]))
        return made[-1]

    yield run
    for one in made:
        one.stop()


def drive(count: int, begin: Callable[[], object] = int, sent: Callable[[], object] = int) -> None:
    """Sends a drive's maps and poses, and waits until the builder shows the last of them in its own map."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("vehicle", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    shown: list[int] = []

    def show(message: VectorMap) -> None:
        stamp = message.header.stamp
        shown.append(stamp.sec * 1_000_000_000 + stamp.nanosec)

    node.create_subscription(VectorMap, "/map_builder/local_map", show, 10)
    maps = node.create_publisher(VectorMap, "/student_node/vector_map", qos.profile(depth=50))
    tf = node.create_publisher(TFMessage, "/tf", qos.profile(depth=50))
    until = time.monotonic() + 20
    while not (maps.get_subscription_count() and tf.get_subscription_count()) and time.monotonic() < until:
        time.sleep(0.05)
    begin()
    first_ns, stamp_ns = 1_700_000_000_000_000_000, 0
    for k, pose in enumerate(poses()[:count]):
        stamp_ns = first_ns + k * 100_000_000
        tf.publish(pose_message(message_class, pose, stamp_ns))
        maps.publish(map_message(message_class, seen(street(), pose), stamp_ns))
        time.sleep(0.03)
    sent()
    until = time.monotonic() + 20
    while stamp_ns not in shown and time.monotonic() < until:
        executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_map(start: Start, tmp_path: Path, number: int) -> None:
    file = tmp_path / "street.streetmap"
    process = start("--ros-args", "-p", f"map_file:={file}")
    drive(20)
    assert process.stop(number) == 0, process.output
    found = StreetMap.read(file)
    assert found.frame == "map" and len(found.of("boundary")) == 2 and found.metadata["sets"] == 20


def test_sets_that_come_while_the_node_is_held_up_are_kept(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "street.streetmap"
    process = start("--ros-args", "-p", f"map_file:={file}")
    pid = process.pid
    drive(40, begin=lambda: os.kill(pid, signal.SIGSTOP), sent=lambda: os.kill(pid, signal.SIGCONT))
    assert process.stop() == 0, process.output
    assert StreetMap.read(file).metadata["sets"] == 40


def test_a_map_in_lanelet2s_form_is_saved(start: Start, tmp_path: Path) -> None:
    lanelet2 = pytest.importorskip("lanelet2", reason="Lanelet2 needs: pip install '.[maps]'")
    file = tmp_path / "street.osm"
    process = start("--ros-args", "-p", f"map_file:={file}")
    drive(20)
    assert process.stop() == 0, process.output
    projector = lanelet2.projection.LocalCartesianProjector(lanelet2.io.Origin(1.0, 3.0))
    opened = lanelet2.io.load(str(file), projector)
    assert len(opened.lineStringLayer) >= 3 and len(opened.laneletLayer) >= 1


def test_a_map_whose_place_is_gone_at_the_end_is_kept_elsewhere(start: Start, tmp_path: Path) -> None:
    process = start("--ros-args", "-p", f"map_file:={tmp_path / 'new' / 'street.streetmap'}")
    drive(10)
    shutil.rmtree(tmp_path / "new")
    (tmp_path / "new").write_text("")
    assert process.stop() == 2
    assert process.output.strip().splitlines()[-1].startswith("map_builder: "), process.output
    assert "Traceback" not in process.output
    kept = Path(process.output.partition("the map is kept in ")[2].splitlines()[0])
    assert StreetMap.read(kept).metadata["sets"] == 10
    kept.unlink()
    kept.parent.rmdir()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ros-args", "-p", "load:=/none.streetmap"], "map_builder: /none.streetmap does not exist"),
        (["--ros-args", "-p", "anchor:=/none.shp", "-p", "anchor_origin:=48.1,11.5"], "there is no SD map /none"),
        (["--ros-args", "-p", "publish_rat:=3.0"], "publish_rat"),
        (["--ros-args", "-p", "map_file:=/tmp/a.geojson"], "where a drive's map lies is unknown"),
        (["--ros-args", "-p", "map_file:=/dev/null/a.streetmap"], "map_builder: "),
        (["--what"], "unknown argument '--what'"),
    ],
)
def test_what_cannot_be_ends_with_one_line(start: Start, words: list, told: str) -> None:
    process = start(*words)
    assert process.wait(40) == 2
    assert told in process.output and "Traceback" not in process.output


def test_help_explains_the_parameters(start: Start) -> None:
    process = start("--help")
    assert process.wait(30) == 0
    assert "map_file" in process.output and "local_range" in process.output
