"""The launch file, run as users run it. Skipped where ROS 2's launch is not installed (it has no wheel)."""
from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mapkd_core.mapping.street_map import StreetMap
from mapkd_ros.child_process import ChildProcess
from mapkd_ros.launch_arguments import ARGUMENTS

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


def test_player_and_node_in_a_namespace_and_a_clean_end(launch: Launch, listen: Any, dataroot: Path) -> None:
    process = launch(f"play:={dataroot}", "namespace:=ego", "device:=cpu")
    topics = {"/ego/student_node/vector_map": "mapkd_ros/msg/VectorMap"}
    heard = listen(topics, lambda heard: any(heard.values()), 60.0)
    assert heard["/ego/student_node/vector_map"], process.output
    assert process.stop(signal.SIGINT) == 0, process.output
    assert process.output.count("process has finished cleanly") == 2, process.output


def test_a_street_map_grows_and_is_saved(launch: Launch, listen: Any, dataroot: Path, tmp_path: Path) -> None:
    file = tmp_path / "street.streetmap"
    process = launch(f"play:={dataroot}", "map:=true", f"map_file:={file}", "device:=cpu")
    topics = {"/map_builder/local_map": "mapkd_ros/msg/VectorMap"}
    heard = listen(topics, lambda heard: any(heard.values()), 60.0)
    assert heard["/map_builder/local_map"][0].header.frame_id == "map", process.output
    assert process.stop(signal.SIGINT) == 0, process.output
    assert StreetMap.read(file).frame == "map"


def test_a_node_that_cannot_start_ends_the_launch_with_an_error(launch: Launch) -> None:
    process = launch("weights:=/nowhere/student.safetensors")
    assert process.wait(60) != 0
    assert "/nowhere/student" in process.output
    assert "student_node ended with exit code 2" in process.output


def test_arguments_are_explained(launch: Launch) -> None:
    process = launch("--show-args")
    assert process.wait(30) == 0
    for argument in ARGUMENTS:
        assert f"'{argument.name}':" in process.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("wieghts:=nano",), "unknown launch argument wieghts:=; did you mean 'weights'?"),
        (("params_file:=/nowhere.yaml",), "launch argument params_file: /nowhere.yaml does not exist"),
        (("rate:=fast", "play:=x"), "launch argument rate is 'fast'; expected a number"),
    ],
)
def test_arguments_that_make_no_sense_end_it_in_one_line(launch: Launch, words: tuple[str, ...], told: str) -> None:
    process = launch(*words)
    assert process.wait(30) != 0
    assert told in process.output and "process started" not in process.output and "Traceback" not in process.output


def test_the_node_gets_the_file_and_what_is_given_over_it(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("/**: {ros__parameters: {image_transport: raw, cameras: [A, B, C], threads: 1, precision: fp32}}\n")
    process = launch(f"params_file:={path}", "anchor:=C", "namespace:=ego", "large_data:=true", "precision:=auto")
    process.wait_for("waiting for 3 cameras (raw)", 60)
    assert "ego.student_node" in process.output
    assert "XMLPARSER" not in process.output and "raw images do not fit" not in process.output
    assert process.stop(signal.SIGINT) == 0, process.output
