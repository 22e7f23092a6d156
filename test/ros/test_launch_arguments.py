"""What student.launch.py makes of its arguments, without ROS and its launch."""
from __future__ import annotations

from pathlib import Path

import pytest

from mapkd_core.types import CAMERAS
from mapkd_ros.launch_arguments import ARGUMENTS, check_given, launch_of


@pytest.fixture
def default_file(root: Path) -> Path:
    return root / "config" / "student_node.yaml"


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "/**: {ros__parameters: {image_transport: raw, base_frame: base_footprint, use_sim_time: true, "
        "cameras: [A, B]}}"
    )
    return path


def test_without_arguments_the_file_decides_everything(default_file, params):
    launch = launch_of({}, default_file)
    assert (launch.namespace, launch.params_file, launch.student, launch.player) == ("", default_file, {}, None)
    assert launch.rig.names == CAMERAS and launch.base_frame == "base_link" and not launch.use_sim_time
    mine = launch_of({"params_file": str(params), "play": "drive"}, default_file)
    assert mine.student == {} and mine.rig.names == ("A", "B") and mine.base_frame == "base_footprint"
    assert mine.use_sim_time and mine.rig.cameras[0].image_transport == "raw"
    assert mine.player is not None and mine.player["image_transport"] == "raw" and mine.player["clock"] is True


def test_arguments_win_over_the_file_and_only_those_that_are_given(default_file, params):
    given = {"params_file": str(params), "image_transport": "compressed", "device": "cpu", "use_sim_time": "false"}
    launch = launch_of({**given, "backend": "", "namespace": "/ego/", "autostart": "false"}, default_file)
    assert launch.student == {
        "image_transport": "compressed", "device": "cpu", "use_sim_time": False, "autostart": False
    }  # fmt: skip
    assert launch.namespace == "ego" and not launch.use_sim_time


def test_every_parameter_of_the_network_and_the_player_can_be_given(default_file):
    given = {"precision": "fp32", "backend": "torch", "anchor": "CAM_BACK", "weights": "small", "play": "/data",
             "version": "v1.0-trainval", "scene": "scene-0001", "rate": "2", "hold": "4.5",
             "loop": "false"}  # fmt: skip
    launch = launch_of(given, default_file)
    assert launch.student == {name: given[name] for name in ("weights", "backend", "precision", "anchor")}
    assert launch.player == {
        "dataroot": "/data", "version": "v1.0-trainval", "scene": "scene-0001", "rate": 2.0, "hold": 4.5, "loop": False,
        "stamps": "now", "clock": False, "wait_for_subscribers": 60.0,
    }  # fmt: skip


def test_a_map_is_built_where_it_is_asked_for(default_file, params, tmp_path):
    assert launch_of({}, default_file).builder is None
    one = launch_of({"map": "true", "params_file": str(params)}, default_file).builder
    assert one == {"base_frame": "base_footprint", "use_sim_time": True, "autostart": True}
    file = tmp_path / "a.streetmap"
    new = launch_of({"map": "true", "map_file": str(file), "autostart": "false"}, default_file).builder
    assert new["map_file"] == str(file) and "load" not in new and not new["autostart"]
    roads = {"map_anchor": "roads.geojson", "map_anchor_origin": "48.1,11.5", "map_start": "5,0,90"}
    held = launch_of({"map": "true", **roads, "anchor": "CAM_BACK"}, default_file)
    assert [held.builder[name] for name in ("anchor", "anchor_origin", "start")] == list(roads.values())
    assert held.student["anchor"] == "CAM_BACK"
    file.write_text("")
    assert launch_of({"map": "true", "map_file": str(file)}, default_file).builder["load"] == str(file)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"map_file": "a.streetmap"}, "give map:=true"), ({"map": "true", "map_file": "a.xodr2"}, "map_file.*a.xodr2"),
     ({"map": "yes"}, "expected true or false"), ({"map_anchor": "a.shp"}, "map_anchor .* give map:=true")],
)  # fmt: skip
def test_a_map_that_cannot_be_is_refused(default_file, given, words):
    with pytest.raises(ValueError, match=words):
        launch_of(given, default_file)


def test_a_tilde_is_the_home_folder(default_file, params, monkeypatch):
    monkeypatch.setenv("HOME", str(params.parent))
    assert launch_of({"params_file": "~/mine.yaml"}, default_file).params_file == params


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"params_file": "/nowhere/x.yaml"}, "launch argument params_file: /nowhere/x.yaml does not exist"),
        ({"rate": "fast", "play": "x"}, "launch argument rate is 'fast'; expected a number, 0.01 to 100: speed"),
        ({"rate": "1e9", "play": "x"}, "launch argument rate is '1e9'"),
        ({"hold": "long", "play": "x"}, "launch argument hold is 'long'"),
        ({"scene": "scene-0001"}, "launch argument scene is 'scene-0001', but nothing is played: give play:="),
        ({"device": "gpu"}, "launch argument device is 'gpu'; expected auto or cpu or cuda"),
        ({"use_sim_time": "yes"}, "launch argument use_sim_time is 'yes'; expected true or false"),
        ({"rig": "/nowhere/rig.yaml"}, "/nowhere/rig.yaml"),
    ],
)
def test_what_makes_no_sense_names_its_argument(default_file, given, words):
    with pytest.raises((ValueError, OSError), match=words):
        launch_of(given, default_file)


def test_unknown_arguments_are_refused_with_the_nearest():
    check_given([f"{argument.name}:=x" for argument in ARGUMENTS] + ["transport:=raw", "--noise"])
    with pytest.raises(ValueError, match=r"unknown launch argument wieghts:=; did you mean 'weights'\?"):
        check_given(["play:=x", "wieghts:=nano"])
    with pytest.raises(ValueError, match="unknown launch argument zzz:=; there are: play, version"):
        check_given(["zzz:=1"])


def test_the_old_name_of_the_transport_still_works_with_a_notice(default_file):
    notices: list[str] = []
    launch = launch_of({"transport": "jpeg"}, default_file, notices.append)
    assert launch.student == {"image_transport": "compressed"} and "image_transport:=compressed" in notices[0]
