"""Frames of bags: which sets become frames, in any order of access, in any process."""
from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags need: pip install '.[bag]'")
from camera_bags import BEGIN_NS, PERIOD_NS, PLAIN, drive, info, write
from street_bags import pose_message

from mapkd_core.bags.bag_frames import BagFrames, BagOptions
from mapkd_core.cameras.rig import CameraRig, RigCamera
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.vector_map import MapLine, VectorMap

EACH = BagOptions(every_s=0.0)


def quiet(_: str) -> None:
    """Notes of no concern."""


def poses(count: int = 12, first: int = 0) -> list:
    """10 m/s along x, one pose at each image of the first camera and some after."""
    stamps = [BEGIN_NS + k * PERIOD_NS for k in range(first, count)]
    return [
        (at - 5, "/tf", pose_message(PLAIN, transform_from_yaw((at - BEGIN_NS) / 1e8, 0, 0), at)) for at in stamps
    ]


def bag(path: Path, messages: list) -> Path:
    return write(path, sorted(messages, key=lambda message: message[0]))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return bag(tmp_path / "a.mcap", drive(("left", "right"), 10) + poses())


def test_each_camera_has_the_pose_of_its_own_stamp(whole: Path) -> None:
    frames = BagFrames(whole, options=EACH, note=quiet)
    assert len(frames) == 10 and frames.cameras == ("left", "right") and frames.scene == "a"
    frame = frames[4]
    assert frame.stamp_ns == BEGIN_NS + 4 * PERIOD_NS and frame.map_from_base[0, 3] == pytest.approx(4.0)
    assert [view.map_from_base[0, 3] for view in frame.views] == pytest.approx([4.0, 4.02])
    assert len({one.token for one in frames}) == 10


def test_an_offset_moves_the_time_of_frames_and_cameras(whole: Path) -> None:
    frames = BagFrames(whole, options=BagOptions(every_s=0.0, time_offset_s=0.1), note=quiet)
    frame = frames[4]
    assert frame.stamp_ns == BEGIN_NS + 4 * PERIOD_NS and frame.map_from_base[0, 3] == pytest.approx(5.0)
    assert [view.map_from_base[0, 3] for view in frame.views] == pytest.approx([5.0, 5.02])


def test_any_order_and_another_process_give_the_same(whole: Path) -> None:
    frames = BagFrames(whole, options=EACH, note=quiet)
    again = pickle.loads(pickle.dumps(frames))
    for index in (7, 2, 2, 9, 0):
        one, other = frames[index], again[index]
        assert one.stamp_ns == other.stamp_ns == BEGIN_NS + index * PERIOD_NS
        assert one.views[1].image.rgb().tobytes() == other.views[1].image.rgb().tobytes()
    with pytest.raises(IndexError):
        frames[10]


def test_frames_are_thinned(whole: Path) -> None:
    stamps = [frame.stamp_ns for frame in BagFrames(whole, options=BagOptions(every_s=0.3), note=quiet)]
    assert stamps == [BEGIN_NS + k * PERIOD_NS for k in (0, 3, 6, 9)]


def test_sets_without_a_pose_are_counted(tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", drive(("left", "right"), 10) + poses(first=4))
    frames = BagFrames(path, options=EACH, note=quiet)
    assert [frame.stamp_ns for frame in frames] == [BEGIN_NS + k * PERIOD_NS for k in range(4, 10)]
    assert sum(count for reason, count in frames.faults.items() if "no pose in map" in reason) == 4


def test_sets_without_a_camera_are_counted(tmp_path: Path) -> None:
    late = BEGIN_NS + 30 * PERIOD_NS
    messages = [m for m in drive(("left", "right"), 60) if not (m[0] > late and "right" in m[1])]
    frames = BagFrames(bag(tmp_path / "a.mcap", messages + poses(65)), options=EACH, note=quiet)
    assert len(frames) == 30 and all(len(frame.views) == 2 for frame in frames)
    assert any("without right: training needs all cameras" in reason for reason in frames.faults)


def test_a_lens_is_straightened(tmp_path: Path) -> None:
    messages = [m for m in drive(("left",), 1) if "camera_info" not in m[1]] + poses(3)
    messages.append((BEGIN_NS, "/left/camera_info", info(BEGIN_NS, "left", (-0.2, 0.05, 0, 0, 0))))
    (frame,) = BagFrames(bag(tmp_path / "a.mcap", messages), options=EACH, note=quiet)
    (view,) = frame.views
    assert view.image.jpeg() is None and view.size == (64, 36)
    pixels = view.image.rgb()
    assert pixels.shape == (36, 64, 3) and view.image.rgb((16, 9)).shape[:2] in ((9, 16), (18, 32), (36, 64))


def test_only_frames_with_lines_are_labelled_and_motion_moves_them(whole: Path) -> None:
    frames = BagFrames(whole, options=EACH, note=quiet)
    line = VectorMap("m", lines=(MapLine(np.array([[35.5, 3.0], [60.0, 3.0]])),))
    found = frames.labelled(line)
    assert [round(float(pose[0, 3])) for pose in found.poses()] == [6, 7, 8, 9] and len(frames) == 10
    assert found[0].vector_map is not None and found[0].vector_map() is line and frames[0].vector_map is None
    moved = frames.moved(transform_from_yaw(3.0, 0, 0))
    assert len(moved.labelled(line)) == 7 and moved[0].map_from_base[0, 3] == pytest.approx(3.0)
    again = moved.moved(transform_from_yaw(0, 0, np.pi / 2))
    assert again[2].map_from_base[:2, 3] == pytest.approx([0, 5.0])
    prints = {f.fingerprint for f in (frames, found, moved, moved.labelled(line))}
    assert len(prints) == 4 and BagFrames(whole, options=EACH, note=quiet).fingerprint in prints


def test_names_that_files_cannot_have(tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", drive(("left", "right"), 3) + poses())
    topics = {name: (f"/{name}/image_raw/compressed", f"/{name}/camera_info") for name in ("left", "right")}
    for first, second in (("../left", "right"), ("Cam", "CAM")):
        rig = CameraRig((RigCamera(first, *topics["left"]), RigCamera(second, *topics["right"])))
        with pytest.raises(ValueError, match="name the cameras in a rig file"):
            BagFrames(path, rig, EACH, quiet)
