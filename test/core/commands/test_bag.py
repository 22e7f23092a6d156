"""`mapkd bag` as a user runs it: what it writes, and what it says when it cannot."""
import re

import pytest
from tiny_nuscenes import VERSION, write_tiny_nuscenes

from mapkd_core.commands.main import main

pytest.importorskip("nuscenes", reason="nuscenes-devkit reads the tables")
AnyReader = pytest.importorskip("rosbags.highlevel", reason="rosbags writes and reads the bags").AnyReader


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory):
    return write_tiny_nuscenes(tmp_path_factory.mktemp("nuscenes"), {"scene-1": 3, "scene-2": 1})


def counts(path):
    with AnyReader([path]) as reader:
        return {topic: info.msgcount for topic, info in reader.topics.items()}


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_writes_all_scenes(dataroot, tmp_path, capsys, storage):
    out = tmp_path / "drive"
    assert main(["bag", "--dataroot", str(dataroot), "--out", str(out), "--storage", storage]) == 0
    written = counts(out)
    assert written["/camera/cam_front/image_raw/compressed"] == 4 and written["/lidar_top/points"] == 4
    assert (written["/tf_static"], written["/tf"]) == (2, 28)
    printed = capsys.readouterr().out
    assert "4 frames" in printed and re.search(r"\n +28  /tf\n", printed)


def test_writes_one_scene_held_raw_without_lidar(dataroot, tmp_path, capsys):
    options = ["--scene", "scene-2", "--hold", "1.5", "--transport", "raw", "--no-lidar"]
    assert main(["bag", "--dataroot", str(dataroot), "--out", str(tmp_path / "drive"), *options]) == 0
    assert "--transport is called --image-transport now" in capsys.readouterr().err
    written = counts(tmp_path / "drive")
    assert written["/camera/cam_back/image_raw"] == 3 and "/lidar_top/points" not in written


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dataroot", "/no/such/folder"], "there is no nuScenes folder /no/such/folder"),
        (["--version", "v1.0-nope"], f"has no v1.0-nope/; versions here: {VERSION}"),
        (["--scene", "scene-9"], "unknown scene scene-9"),
    ],
)
def test_mistakes_end_with_one_line_and_no_bag(dataroot, tmp_path, capsys, options, words):
    given = ["--dataroot", str(dataroot), "--out", str(tmp_path / "drive"), *options]
    assert main(["bag", *given]) == 2
    complaint = capsys.readouterr().err.strip()
    assert complaint.startswith("mapkd bag: ") and words in complaint and "\n" not in complaint
    assert not (tmp_path / "drive").exists()


def test_a_bag_that_is_there_is_left_alone(dataroot, tmp_path, capsys):
    given = ["bag", "--dataroot", str(dataroot), "--out", str(tmp_path)]
    assert main(given) == 2
    assert "exists already" in capsys.readouterr().err


def test_missing_table_and_missing_image_are_named(tmp_path, capsys):
    root = write_tiny_nuscenes(tmp_path / "data", {"scene-1": 2})
    given = ["bag", "--dataroot", str(root), "--out", str(tmp_path / "drive")]
    (root / "samples/CAM_FRONT/scene-1-1.jpg").unlink()
    assert main(given) == 2
    assert "samples/CAM_FRONT/scene-1-1.jpg" in capsys.readouterr().err
    (root / VERSION / "ego_pose.json").unlink()
    assert main(given) == 2
    assert "ego_pose.json" in capsys.readouterr().err


def test_repair_says_what_it_found_and_where_the_new_bag_is(tmp_path, capsys):
    import odd_bags

    odd_bags.mcap(tmp_path / "out.mcap", odd_bags.texts(20), whole=False)
    assert main(["bag", "repair", str(tmp_path / "out.mcap")]) == 0
    printed = capsys.readouterr().out
    assert "out.mcap was cut off" in printed and "out_repaired.mcap holds what could be read of " in printed
    assert "40 messages" in printed and "\n      20  /a\n" in printed
    assert main(["bag", "repair", str(tmp_path / "gone")]) == 2
    assert capsys.readouterr().err == f"mapkd bag repair: there is no bag {tmp_path / 'gone'}\n"


def test_overwrite_keeps_the_old_bag_where_the_disk_is_full(dataroot, tmp_path, capsys):
    given = ["bag", "--dataroot", str(dataroot), "--out", str(tmp_path / "drive"), "--scene", "scene-2"]
    for storage in ("mcap", "sqlite3"):
        assert main([*given, "--storage", storage, "--overwrite"]) == 0
        before = counts(tmp_path / "drive")
        resource = pytest.importorskip("resource")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
        try:
            assert main([*given, "--storage", storage, "--overwrite", "--image-transport", "raw"]) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        complaint = capsys.readouterr().err.strip()
        assert "\n" not in complaint and str(tmp_path / "drive") in complaint
        assert counts(tmp_path / "drive") == before and [p.name for p in tmp_path.iterdir()] == ["drive"]
