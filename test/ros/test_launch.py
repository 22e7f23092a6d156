"""The launch file, run as users run it. Skipped where ROS 2's launch is not installed (it has no wheel)."""
from __future__ import annotations

import importlib.util
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mapkd_ros.child_process import ChildProcess

# The folder launch/ of this repository would satisfy `import launch`, so launch_ros is asked for first.
pytest.importorskip("launch_ros", reason="launch_ros is not installed (it comes with ROS 2, not as a wheel)")
pytestmark = pytest.mark.ros

Launch = Callable[..., ChildProcess]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """launch("play:=...") runs `ros2 launch` on the installed launch file until the test ends."""
    ros2 = shutil.which("ros2")
    if ros2 is None:
        pytest.skip("the command ros2 is not installed")
    started: list[ChildProcess] = []

    def start(*arguments: str) -> ChildProcess:
        command = [ros2, "launch", "mapkd_ros", "student.launch.py", *arguments]
        started.append(ChildProcess("ros2 launch", command, {"ROS_LOG_DIR": str(tmp_path)}))
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def launch_file(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("student_launch", root / "launch" / "student.launch.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_player_and_node_in_a_namespace_and_a_clean_end(launch: Launch, listen: Any, dataroot: Path) -> None:
    process = launch(f"play:={dataroot}", "namespace:=ego", "device:=cpu")
    topics = {"/ego/student_node/vector_map": "mapkd_ros/msg/VectorMap"}
    heard = listen(topics, lambda heard: any(heard.values()), 60.0)
    assert heard["/ego/student_node/vector_map"], process.output
    assert process.stop(signal.SIGINT) == 0, process.output
    assert process.output.count("process has finished cleanly") == 2, process.output


def test_a_node_that_cannot_start_ends_the_launch_with_an_error(launch: Launch, dataroot: Path) -> None:
    process = launch(f"play:={dataroot}", "weights:=/nowhere/student.safetensors")
    assert process.wait(60) != 0
    assert "/nowhere/student" in process.output
    assert "student_node ended with exit code 2" in process.output


def test_arguments_are_explained(launch: Launch) -> None:
    process = launch("--show-args")
    assert process.wait(30) == 0
    for name in ("play", "rviz", "weights", "device", "namespace", "image_transport", "large_data"):
        assert f"'{name}':" in process.output


def test_rviz_shows_the_topics_of_this_launch(launch_file: ModuleType, root: Path) -> None:
    text = (root / "config" / "mapkd.rviz").read_text()
    raw = launch_file.rviz_config(text, "/ego/", "raw")
    assert "Value: /ego/camera/cam_front/image_raw\n" in raw and "compressed\n" not in raw.split("Panels:")[1]
    assert "Value: /ego/student_node/markers\n" in raw
    assert launch_file.rviz_config(text, "", "compressed") == text


def test_the_old_name_of_the_transport_is_accepted(launch_file: ModuleType) -> None:
    from launch import LaunchContext

    context = LaunchContext()
    assert launch_file._image_transport(context, "raw") == "raw"
    context.launch_configurations["transport"] = "jpeg"
    assert launch_file._image_transport(context, "raw") == "compressed"
    context.launch_configurations["transport"] = "raw"
    assert launch_file._image_transport(context, "compressed") == "raw"
    context.launch_configurations["transport"] = "png"
    with pytest.raises(ValueError, match="image_transport is 'png'; expected 'compressed' or 'raw'"):
        launch_file._image_transport(context, "compressed")
