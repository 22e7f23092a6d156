"""Poses of the vehicle from bags: chains of transforms, each at its own time, and Odometry."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags need: pip install '.[bag]'")
from camera_bags import BEGIN_NS, PLAIN, write

from mapkd_core.bags.ego_poses import ODOMETRY, read_poses
from mapkd_core.bags.reader import BagReader
from mapkd_core.cameras.timed_transforms import NoTransformError, TimedTransforms
from mapkd_core.geometry import quaternion_from_rotation, transform_from_yaw, yaw_of
from mapkd_core.messages.classes import header_of
from mapkd_core.schema import FileFault

SECOND = 1_000_000_000


def _parts(x: float, y: float, yaw: float) -> tuple[Any, Any]:
    w, qx, qy, qz = quaternion_from_rotation(transform_from_yaw(x, y, yaw))
    return (x, y, 0.0), PLAIN("geometry_msgs/msg/Quaternion")(x=qx, y=qy, z=qz, w=w)


def tf(stamp_ns: int, parent: str, child: str, x: float, y: float = 0.0, yaw: float = 0.0) -> Any:
    (px, py, pz), turn = _parts(x, y, yaw)
    pose = PLAIN("geometry_msgs/msg/Transform")(translation=PLAIN("geometry_msgs/msg/Vector3")(x=px, y=py, z=pz),
                                                rotation=turn)  # fmt: skip
    stamped = PLAIN("geometry_msgs/msg/TransformStamped")(
        header=header_of(PLAIN, stamp_ns, parent), child_frame_id=child, transform=pose
    )
    return PLAIN("tf2_msgs/msg/TFMessage")(transforms=[stamped])


def odometry(stamp_ns: int, x: float, child: str = "base_link", frame: str = "odom") -> Any:
    (px, py, pz), turn = _parts(x, 0.0, 0.0)
    message = PLAIN(ODOMETRY)(header=header_of(PLAIN, stamp_ns, frame), child_frame_id=child)
    message.pose.pose.position = PLAIN("geometry_msgs/msg/Point")(x=px, y=py, z=pz)
    message.pose.pose.orientation = turn
    return message


def poses(path: Path, messages: list, **options: str) -> Any:
    with BagReader(write(path / "a.mcap", messages)) as bag:
        return read_poses(bag, **options)


def drive(parent: str, child: str, speed: float, period_ns: int = SECOND // 10, count: int = 21) -> list:
    return [
        (BEGIN_NS + k * period_ns, "/tf", tf(BEGIN_NS + k * period_ns, parent, child, speed * k * period_ns / SECOND))
        for k in range(count)
    ]


def test_each_transform_of_a_chain_is_taken_at_the_time_asked_for(tmp_path: Path) -> None:
    messages = drive("odom", "base_footprint", 10.0) + drive("map", "odom", 1.0, SECOND // 2, 5)
    messages.append((BEGIN_NS, "/tf_static", tf(0, "base_footprint", "base_link", 0.0, 0.5)))
    found = poses(tmp_path, sorted(messages, key=lambda m: m[0]))
    assert found.frame == "map" and found.source == "/tf"
    np.testing.assert_allclose(found.at(BEGIN_NS + 1_050_000_000)[:2, 3], [11.55, 0.5], atol=1e-9)
    in_odom = poses(tmp_path, sorted(messages, key=lambda m: m[0]), frame="odom")
    np.testing.assert_allclose(in_odom.at(BEGIN_NS + 1_050_000_000)[:2, 3], [10.5, 0.5], atol=1e-9)


def test_turns_go_the_short_way(tmp_path: Path) -> None:
    messages = [(BEGIN_NS, "/tf", tf(BEGIN_NS, "map", "base_link", 0, 0, 3.1)),
                (BEGIN_NS + SECOND, "/tf", tf(BEGIN_NS + SECOND, "map", "base_link", 0, 0, -3.1))]  # fmt: skip
    assert abs(yaw_of(poses(tmp_path, messages).at(BEGIN_NS + SECOND // 2))) == pytest.approx(np.pi)


def test_order_of_recording_does_not_matter(tmp_path: Path) -> None:
    messages = drive("map", "base_link", 10.0)
    found = poses(tmp_path, [(BEGIN_NS + k, "/tf", m) for k, (_, _, m) in enumerate(messages[::-1])])
    assert found.at(BEGIN_NS + SECOND // 4)[0, 3] == pytest.approx(2.5)


@pytest.mark.parametrize(("at_s", "words"), [(-0.01, "nearest"), (2.01, "nearest"), (3.0, "nearest")])
def test_nothing_is_made_up_beyond_the_poses(tmp_path: Path, at_s: float, words: str) -> None:
    found = poses(tmp_path, drive("map", "base_link", 10.0))
    assert found.at(BEGIN_NS - 4_000_000)[0, 3] == 0
    with pytest.raises(NoTransformError, match=words):
        found.at(BEGIN_NS + round(at_s * SECOND))


def test_nothing_is_made_up_within_a_gap(tmp_path: Path) -> None:
    found = poses(tmp_path, drive("map", "base_link", 10.0, 4 * SECOND, 3))
    assert found.at(BEGIN_NS + 4 * SECOND)[0, 3] == pytest.approx(40)
    with pytest.raises(NoTransformError, match=r"4\.0 s apart"):
        found.at(BEGIN_NS + 2 * SECOND)


def test_odometry_serves_where_transforms_do_not(tmp_path: Path) -> None:
    messages = [(BEGIN_NS + k, "/odom", odometry(BEGIN_NS + k * SECOND // 10, float(k))) for k in range(11)]
    found = poses(tmp_path, messages)
    assert (found.frame, found.source) == ("odom", "/odom")
    assert found.at(BEGIN_NS + SECOND // 20)[0, 3] == pytest.approx(0.5)
    both = sorted(drive("map", "base_link", 10.0) + messages, key=lambda m: m[0])
    assert poses(tmp_path, both).frame == "map" and poses(tmp_path, both, odometry="odom").frame == "odom"


@pytest.mark.parametrize(
    ("messages", "options", "words"),
    [
        (drive("world", "base_link", 1.0), {}, "base_link hangs on world.*--frame"),
        (drive("map", "car", 1.0), {}, "nothing names the frame base_link"),
        (drive("map", "base_link", 1.0), {"frame": "odom"}, "moved in odom"),
        (drive("map", "base_link", 1.0), {"odometry": "/odom"}, "holds no nav_msgs"),
        ([(BEGIN_NS, "/odom", odometry(BEGIN_NS, 0, "imu"))], {}, "'imu' moved, not 'base_link'"),
        ([(BEGIN_NS, "/odom", odometry(BEGIN_NS, 0))], {"frame": "map"}, "frame 'odom', not 'map'"),
        ([(BEGIN_NS, "/odom", odometry(BEGIN_NS, float("nan")))], {}, "no usable pose"),
        ([(BEGIN_NS, "/odom", (ODOMETRY, b"\0\1\0\0"))], {}, "no usable pose"),
        ([(BEGIN_NS, "/tf", ("tf2_msgs/msg/TFMessage", b"\0\1\0\0\xff\xff"))], {}, "nothing names"),
    ],
)
def test_a_bag_without_poses_says_what_it_has(tmp_path: Path, messages: list, options: dict, words: str) -> None:
    with pytest.raises(FileFault, match=words) as told:
        poses(tmp_path, messages, **options)
    assert "\n" not in str(told.value)


def test_old_transforms_are_forgotten_and_time_may_go_back() -> None:
    kept = TimedTransforms(keep_s=2.0)
    for k in range(100):
        kept.update(tf(BEGIN_NS + k * SECOND // 10, "map", "base_link", float(k)).transforms, fixed=False)
    assert kept.at("map", "base_link", BEGIN_NS + 9 * SECOND)[0, 3] == pytest.approx(90)
    with pytest.raises(NoTransformError) as told:
        kept.at("map", "base_link", BEGIN_NS + 5 * SECOND)
    assert not told.value.later
    with pytest.raises(NoTransformError) as told:
        kept.at("map", "base_link", BEGIN_NS + 11 * SECOND)
    assert told.value.later
    kept.update(tf(BEGIN_NS, "map", "base_link", 7.0).transforms, fixed=False)
    assert kept.at("map", "base_link", BEGIN_NS)[0, 3] == 7


def test_frames_in_a_circle_do_not_go_round() -> None:
    found = TimedTransforms()
    for parent, child in (("a", "b"), ("b", "a"), ("a", "a"), ("", "c")):
        found.update(tf(BEGIN_NS, parent, child, 1.0).transforms, fixed=True)
    assert found.ancestors("a") == ["b"]
    with pytest.raises(NoTransformError, match="no transform map <- a: a hangs on b"):
        found.at("map", "a", 0)
