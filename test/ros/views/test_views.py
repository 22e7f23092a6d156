"""The files for RViz and Foxglove: those that ship are those that are made, and others follow their arguments."""
from __future__ import annotations

import json
from pathlib import Path

import yaml

from mapkd_ros.views.__main__ import FOXGLOVE, RVIZ, main
from mapkd_ros.views.foxglove import STAGES


def made(folder: Path, *words: str) -> tuple[str, str]:
    assert main(["--out", str(folder), *words]) == 0
    return (folder / RVIZ).read_text(), (folder / FOXGLOVE).read_text()


def test_the_files_that_ship_are_made_from_the_defaults(root, tmp_path):
    rviz, foxglove = made(tmp_path)
    assert (root / "config" / RVIZ).read_text() == rviz and (root / "config" / FOXGLOVE).read_text() == foxglove


def test_namespace_frame_and_transport_are_everywhere(tmp_path):
    rviz, foxglove = made(tmp_path, "--namespace", "ego", "--base-frame", "foot", "--image-transport", "raw")
    for text in (rviz, foxglove):
        assert "base_link" not in text and "compressed\"" not in text and "/ego/student_node/markers" in text
        assert text.count("/ego/camera/cam_back/image_raw") == 1
    config = yaml.safe_load(rviz)["Visualization Manager"]
    assert config["Global Options"]["Fixed Frame"] == config["Views"]["Current"]["Target Frame"] == "foot"
    topics = [display["Topic"]["Value"] for display in config["Displays"] if "Topic" in display]
    assert len(topics) == 10 and all(topic.startswith("/ego/") for topic in topics)
    layout = json.loads(foxglove)
    assert layout["configById"]["3D!map"]["followTf"] == "foot"
    assert layout["configById"]["Image!cam_front"]["imageMode"]["imageSchemaName"] == "sensor_msgs/msg/Image"


def test_every_display_has_its_dock_and_every_panel_its_place(tmp_path):
    rig = tmp_path / "rig.yaml"
    rig.write_text("cameras:\n" + "".join(f"  {n}: {{image: /{n}/image, image_transport: raw}}\n" for n in "pqrs"))
    rviz, foxglove = made(tmp_path, "--rig", str(rig))
    window = yaml.safe_load(rviz)["Window Geometry"]
    for name in ("Displays", "Views", *"pqrs"):
        assert window[name] == {"collapsed": False}
        assert name.encode("utf-16-be").hex() in window["QMainWindow State"]
    layout = json.loads(foxglove)

    def leaves(part: object) -> list[str]:
        if isinstance(part, str):
            tabs = layout["configById"][part].get("tabs", ())
            return [part, *(leaf for tab in tabs for leaf in leaves(tab["layout"]))]
        return leaves(part["first"]) + leaves(part["second"])

    assert sorted(leaves(layout["layout"])) == sorted(layout["configById"])


def test_the_street_of_map_builder_has_its_tab_and_what_costs_is_hidden(tmp_path):
    panels = json.loads(made(tmp_path, "--namespace", "ego")[1])["configById"]
    street, above = panels["3D!street"], panels["3D!map"]
    assert street["topics"]["/ego/map_builder/map_markers"] == {"visible": True}
    assert street["followMode"] == "follow-position" and above["followMode"] == "follow-pose"
    assert street["cameraState"]["distance"] > above["cameraState"]["distance"]
    for grid in ("/ego/student_node/occupancy_grid", "/ego/map_builder/occupancy_grid"):
        assert above["topics"][grid] == {"visible": False}, "a topic that is made only while it is wanted"
    latency = {path["label"]: path["value"] for path in panels["Plot!latency"]["paths"]}
    assert latency["network"] == f"/ego/student_node/vector_map.stage_latency_ms[{STAGES.index('network')}]"
    counts = {path["value"] for path in panels["Plot!elements"]["paths"]}
    assert "/ego/map_builder/local_map.elements.length" in counts


def test_a_rig_that_cannot_be_read_is_one_line(tmp_path, capsys):
    assert main(["--rig", str(tmp_path / "nowhere.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
