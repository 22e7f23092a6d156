"""A simulated drive played, predicted and mapped as the launch file does it; the saved map opens in Lanelet2."""
from __future__ import annotations

import importlib.util
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lanelet2", reason="Lanelet2 needs: pip install '.[maps]'")
pytest.importorskip("nuscenes", reason="the played folder needs: pip install '.[nuscenes]'")
import lanelet2

from mapkd_core.commands.main import main
from mapkd_ros.child_process import ChildProcess
from mapkd_ros.launch_arguments import launch_of

pytestmark = [pytest.mark.ros, pytest.mark.slow]
PATIENCE_S = 240.0
DEFAULTS = Path(__file__).parents[2] / "config" / "student_node.yaml"
Stop = Callable[[], str]
"""Ends what was started as a user does; returns what it said."""


def by_nodes(given: dict[str, str], start_node: Any) -> Stop:
    """The nodes with the parameters that the launch file gives them: it needs `launch_ros`, which has no wheel."""
    launch = launch_of(given, DEFAULTS)
    assert launch.player is not None and launch.builder is not None
    builder = start_node("map_builder", **launch.builder)
    others = [start_node("student_node", "--ros-args", "--params-file", str(launch.params_file), **launch.student),
              start_node("nuscenes_player", **launch.player)]  # fmt: skip

    def stop() -> str:
        assert [one.stop(signal.SIGINT) for one in (builder, *others)] == [0, 0, 0], builder.output
        return builder.output

    return stop


def by_launch(given: dict[str, str], start_node: Any) -> Stop:
    """The launch file itself, through `ros2 launch`."""
    if importlib.util.find_spec("launch_ros") is None or (ros2 := shutil.which("ros2")) is None:
        pytest.skip("launch_ros is not installed (it comes with ROS 2, not as a wheel)")
    words = [f"{name}:={word}" for name, word in given.items()]
    process = ChildProcess("ros2 launch", [ros2, "launch", "mapkd_ros", "student.launch.py", *words])

    def stop() -> str:
        code = process.stop(signal.SIGINT)
        assert code == 0 and process.output.count("process has finished cleanly") == 3, process.output
        return process.output

    return stop


@pytest.mark.parametrize("started", [by_nodes, by_launch])
def test_a_played_drive_becomes_a_map_that_lanelet2_routes_on(
    started: Callable[..., Stop], start_node: Any, listen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["sim", "export", "--out", "drive", "--seed", "11", "--frames", "16", "--size", "352x198"]) == 0
    file = tmp_path / "street.osm"
    given = {"play": str(tmp_path / "drive"), "map": "true", "map_file": str(file), "device": "cpu"}
    stop = started(given, start_node)

    def grown(heard: dict[str, list[Any]]) -> bool:
        """Both sides of the street and a line between them, for some metres."""
        newest = heard["/map_builder/local_map"][-1:]
        labels = [e.label_name for message in newest for e in message.elements if len(e.points) > 1]
        return labels.count("boundary") >= 2 and labels.count("divider") >= 1

    heard = listen({"/map_builder/local_map": "mapkd_ros/msg/VectorMap"}, grown, PATIENCE_S)
    said = stop()
    assert grown(heard), said
    assert f"{file}: " in said and "m driven" in said

    opened = lanelet2.io.load(str(file), lanelet2.projection.LocalCartesianProjector(lanelet2.io.Origin(1.0, 3.0)))
    roads = [one for one in opened.laneletLayer if one.attributes["subtype"] == "road"]
    assert roads and len(opened.lineStringLayer) >= 3
    rules = lanelet2.traffic_rules.create(
        lanelet2.traffic_rules.Locations.Germany, lanelet2.traffic_rules.Participants.Vehicle
    )
    graph = lanelet2.routing.RoutingGraph(opened, rules)
    assert not graph.checkValidity() and all(rules.canPass(one) for one in roads)
    capsys.readouterr()
    assert main(["map", "check", str(file)]) == 0, capsys.readouterr().out
