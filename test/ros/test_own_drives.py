"""The tutorial of own drives from the bag to the node: a vehicle of four cameras, a map of our builder, own weights."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags need: pip install '.[bag]'")
pytest.importorskip("lanelet2", reason="maps need: pip install '.[maps]'")
from simulated_bags import NAMES, four_camera_bag

from mapkd_core.commands.main import main
from mapkd_core.data.labels import map_elements
from mapkd_core.grid import GRID_60X30
from mapkd_core.map_formats.earth import at_place
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.sim.drive import SimDrive

pytestmark = [pytest.mark.ros, pytest.mark.slow]
MAP = "/student_node/vector_map"
PATIENCE_S = 90.0
RIG = """image: /car/{name}/image_raw/compressed
camera_info: /car/{name}/camera_info
cameras: {front: , left: , rear: , right: }
"""


def built_map(drive: SimDrive, path: Path) -> None:
    """The Lanelet2 map that `mapkd map convert` makes of a drive past everything, seen as it is."""
    builder = MapBuilder(origin=at_place(48.1, 11.5))
    begin, end = drive.time_s(0) - 0.5, drive.time_s(len(drive) - 1) + 0.5
    for time_s in np.arange(begin, end, 0.1):
        pose = drive.motion.pose(time_s)
        builder.add(map_elements(drive.road_map, pose, GRID_60X30), pose, drive.stamp_ns(time_s))
    builder.street_map().write(path.with_suffix(".streetmap"))
    assert main(["map", "convert", str(path.with_suffix(".streetmap")), str(path)]) == 0
    assert main(["map", "check", str(path)]) == 0


def test_from_a_bag_to_the_node(
    start_node: Any, listen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    drive = SimDrive(seed=3, size=(176, 64), frames=4, lidar=False)
    bag = four_camera_bag(tmp_path / "monday.mcap", drive)
    (tmp_path / "town").mkdir()
    built_map(drive, tmp_path / "town" / "town.osm")
    (tmp_path / "rig.yaml").write_text(RIG)

    # bag + map -> labelled frames
    words = ["--map", "lanelet2:town/town.osm", "--rig", "rig.yaml", "--size", "176x64", "--every", "0"]
    assert main(["cache", f"bag:{bag}", "cache", *words, "--image", "check.png"]) == 0
    assert (tmp_path / "check.png").is_file()

    # -> own weights, of the own cameras
    steps = ["--batch_size", "2", "--steps", "3", "--val_every", "3", "--save_every", "3", "--warmup_steps", "1"]
    config = Path(__file__).parents[2] / "config/train/small/student.yaml"
    data = ["--data.train", "cache:cache", "--data.val", "cache:cache", "--data.workers", "0"]
    assert main(["train", "--config", str(config), "--name", "own", *data, *steps]) == 0
    assert main(["export", "runs/own", "--out", "own.json", "--frames", "1"]) == 0
    card = json.loads((tmp_path / "own.json").read_text())
    assert "own" in json.dumps(card)
    assert main(["evaluate", "--weights", "own.json", "--data", "cache:cache"]) == 0
    capsys.readouterr()

    # -> the node, while the bag plays
    student = start_node(
        "student_node", weights=str(tmp_path / "own.json"), rig=str(tmp_path / "rig.yaml"), device="cpu", threads=1
    )
    student.wait_for("waiting for 4 cameras", PATIENCE_S)
    start_node("nuscenes_player", bag=str(bag), loop=True, wait_for_subscribers=60.0)
    heard = listen({MAP: "mapkd_ros/msg/VectorMap"}, lambda found: len(found[MAP]) >= 2, PATIENCE_S)
    assert len(heard[MAP]) >= 2, f"no map after {PATIENCE_S:g} s; the node says:\n{student.output}"
    for message in heard[MAP]:
        assert message.header.frame_id == "base_link" and list(message.camera_names) == list(NAMES)
        assert message.model_name == card["name"] and list(message.missing_cameras) == []
