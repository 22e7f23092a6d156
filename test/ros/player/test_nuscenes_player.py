"""The executable: exit codes, and one line for everything that it refuses to play."""
from __future__ import annotations

import os
import signal
import sys

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: rclpy is not installed")
pytest.importorskip("nuscenes", reason="nuscenes-devkit reads the tables")
pytest.importorskip("rosbags", reason="rosbags reads and writes bags")

import bags
import odd_bags
from tiny_nuscenes import VERSION, add_what_all_of_nuscenes_has, write_tiny_nuscenes

from mapkd_ros.player import nuscenes_player

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory):
    return write_tiny_nuscenes(tmp_path_factory.mktemp("nuscenes"), {"scene-1": 3, "scene-2": 1})


@pytest.fixture
def in_process(monkeypatch, capfd):
    """Runs the player's main here, which saves the start of a process; returns (exit code, stderr)."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["nuscenes_player", *map(str, arguments)])
        code = nuscenes_player.main()
        return code, capfd.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def given(**parameters):
    return ["--ros-args", *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}"))]


def refused(result, *words):
    code, (_, complaint) = result
    assert code == 2
    assert complaint.startswith("nuscenes_player: ") and complaint.count("\n") == 1, complaint
    assert all(word in complaint for word in words), complaint
    return True


def test_nothing_to_play(in_process):
    assert refused(in_process(), "give either dataroot or bag")
    assert refused(in_process(*given(dataroot="/a", bag="/b")), "give either dataroot or bag")


def test_scenes_of_all_of_nuscenes_whose_images_were_not_unpacked(in_process, tmp_path):
    scenes = {"scene-0001": 1, "scene-0061": 2, "scene-0103": 1}
    root, version = write_tiny_nuscenes(tmp_path, scenes, "v1.0-trainval"), "v1.0-trainval"
    add_what_all_of_nuscenes_has(root / version)
    assert refused(in_process(*given(dataroot=root)), "no v1.0-mini/", "versions here: v1.0-trainval")
    for name in ("scene-0001-0", "scene-0103-0"):
        (root / f"samples/CAM_BACK/{name}.jpg").unlink()
    missing = "CAM_BACK/scene-0001-0.jpg is missing"
    assert refused(in_process(*given(dataroot=root, version=version)), missing, "(images are here of scene-0061)")
    (root / "samples/CAM_FRONT/scene-0061-1.jpg").unlink()  # its first keyframe is whole
    whole = refused(in_process(*given(dataroot=root, version=version, scene="scene-0061")), "1 of 12 camera images")
    assert whole and refused(in_process(*given(dataroot=root, version=version, scene="scene-0103")), "none of those")


def test_unusable_data_root(in_process, dataroot):
    assert refused(in_process(*given(dataroot="/no/such")), "there is no nuScenes folder /no/such")
    assert refused(in_process(*given(dataroot=dataroot, version="v1.0-test")), "has no v1.0-test/", VERSION)
    assert refused(in_process(*given(dataroot=dataroot, scene="scene-7")), "unknown scene scene-7", "scene-1, scene-2")
    assert refused(in_process(*given(dataroot=dataroot, start=60.0)), "start is 60 s", "lasts 2.0 s")


def test_missing_table_and_missing_image(in_process, tmp_path):
    root = write_tiny_nuscenes(tmp_path / "data", {"scene-1": 2})
    (root / "samples/CAM_BACK/scene-1-1.jpg").unlink()
    assert refused(in_process(*given(dataroot=root)), "1 of 12 camera images are missing", "CAM_BACK/scene-1-1.jpg")
    (root / VERSION / "sample_data.json").unlink()
    assert refused(in_process(*given(dataroot=root)), "lacks the tables sample_data.json")


def test_image_that_breaks_in_the_middle_of_the_drive(in_process, tmp_path):
    root = write_tiny_nuscenes(tmp_path / "data", {"scene-1": 2})
    (root / "samples/CAM_BACK/scene-1-1.jpg").write_bytes(b"half a pict")
    code, (_, complaint) = in_process(*given(dataroot=root, rate=10.0))
    assert code == 2 and "image of CAM_BACK" in complaint and "scene-1-1.jpg" in complaint


def test_unusable_bags(in_process, tmp_path):
    assert refused(in_process(*given(bag=tmp_path / "gone")), "there is no bag")
    (tmp_path / "folder").mkdir()
    assert refused(in_process(*given(bag=tmp_path / "folder")), "folder is not a rosbag2")
    empty = bags.write(tmp_path / "empty", [])
    assert refused(in_process(*given(bag=empty)), "is empty")


def test_a_bag_that_lacks_what_it_announces_is_played_and_ends_with_an_error(in_process, tmp_path):
    odd_bags.mcap(tmp_path / "a.mcap", odd_bags.texts(5))
    odd_bags.metadata(tmp_path, ["a.mcap"], {"/a": 5, "/b": 9})
    code, (said, complaint) = in_process(*given(bag=tmp_path, rate=10.0))
    assert code == 2 and "published 10 messages" in said + complaint
    last = complaint.splitlines()[-1]
    assert last.startswith(f"nuscenes_player: not played of {tmp_path}: 4 of /b: its metadata.yaml announces")


def test_wrong_parameters_and_arguments(in_process, dataroot):
    assert refused(in_process(*given(dataroot=dataroot, rate=0.0)), "rate is 0.0; expected 0.01 to 100")
    assert refused(in_process(*given(dataroot=dataroot, image_transport="png")), "image_transport is 'png'")
    assert refused(in_process(*given(data_root=dataroot)), "unknown parameter 'data_root'; did you mean 'dataroot'?")
    assert refused(in_process("--loop"), "unknown argument '--loop'", "--ros-args -p name:=value")
    assert refused(in_process("--ros-args", "-p", "rate"), "rate")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_tables_are_read_ends_it_in_good_order(in_process, dataroot, monkeypatch, number):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background job
    monkeypatch.setattr("mapkd_ros.player.player_node.open_drive", lambda *_: os.kill(os.getpid(), number))
    code, (_, complaint) = in_process(*given(dataroot=dataroot))
    assert (code, complaint) == (0, "")


def test_help_lists_every_parameter(in_process):
    code, (printed, _) = in_process("--help")
    from mapkd_ros.player.player_parameters import PARAMETERS

    assert code == 0 and all(f"  {row.name} " in printed for row in PARAMETERS)
