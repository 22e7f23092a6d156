"""The stream of a drive: everything in order of time, true camera stamps, and time that never jumps back."""
from itertools import islice

import numpy as np
import pytest
from real_data import NUSCENES, needs_nuscenes

from mapkd_core.bags.drive_stream import DriveStream, open_drive
from mapkd_core.data.images import PixelImage
from mapkd_core.geometry import transform
from mapkd_core.types import CAMERAS, CameraView, Frame

SECOND_NS = 1_000_000_000
CAMERA_OFFSETS_NS = {name: (place - 6) * 7_000_000 for place, name in enumerate(CAMERAS)}
"""CAM_FRONT_LEFT fires 42 ms before the frame's stamp, the others 7 ms apart."""


def frame_of(scene, stamp_ns, lidar=True, poses=True, rig_x_m=1.0):
    def pose(at_ns):
        return transform([at_ns % (1000 * SECOND_NS) / SECOND_NS, 0, 0]) if poses else None

    views = tuple(
        CameraView(
            name,
            stamp_ns + CAMERA_OFFSETS_NS[name],
            (8, 6),
            np.eye(3),
            transform([rig_x_m, 0, 1.5]),
            PixelImage(np.zeros((6, 8, 3), np.uint8)),
            pose(stamp_ns + CAMERA_OFFSETS_NS[name]),
        )
        for name in CAMERAS
    )
    points = (lambda: np.zeros((3, 5), np.float32)) if lidar else None
    return Frame(f"{scene}@{stamp_ns}", scene, stamp_ns, views, pose(stamp_ns), lidar=points)


def drive_of(scene, begin_s, count, period_s=0.5, **kwargs):
    return [frame_of(scene, round((begin_s + place * period_s) * SECOND_NS), **kwargs) for place in range(count)]


def images(records):
    return [record for record in records if "image_raw" in record.topic.name]


def test_every_message_of_a_frame_comes_once_and_in_order_of_time():
    records = list(DriveStream(drive_of("a", 100, 2)).records())
    names = [record.topic.name for record in records]
    for camera in CAMERAS:
        assert names.count(f"camera/{camera.lower()}/image_raw/compressed") == 2
        assert names.count(f"camera/{camera.lower()}/camera_info") == 2
    assert names.count("/tf_static") == 1 and names[0] == "/tf_static"
    assert names.count("lidar_top/points") == 2
    assert names.count("/tf") == 2 * 7  # six cameras and the frame itself, each at its own time
    stamps = [record.stamp_ns for record in records]
    assert stamps == sorted(stamps)


def test_cameras_keep_their_true_staggered_stamps():
    records = images(DriveStream(drive_of("a", 100, 1)).records())
    for record in records:
        camera = record.topic.name.split("/")[1].upper()
        assert record.stamp_ns == 100 * SECOND_NS + CAMERA_OFFSETS_NS[camera]
        sent = record.fields(record.stamp_ns)["header"]
        assert sent["stamp"]["sec"] * SECOND_NS + sent["stamp"]["nanosec"] == record.stamp_ns
    assert records[-1].stamp_ns - records[0].stamp_ns == 35_000_000


def test_calibration_and_pose_come_before_the_image_seen_from_there():
    names_at = {}
    for record in DriveStream(drive_of("a", 100, 1)).records():
        names_at.setdefault(record.stamp_ns, []).append(record.topic.name.split("/")[-1])
    assert names_at[100 * SECOND_NS + CAMERA_OFFSETS_NS["CAM_FRONT"]] == ["tf", "camera_info", "compressed"]


def test_fast_frames_whose_cameras_overlap_are_merged_in_order_of_time():
    frames = drive_of("a", 100, 4, period_s=0.02)
    records = list(DriveStream(frames).records())
    stamps = [record.stamp_ns for record in records]
    assert stamps[1:] == sorted(stamps[1:]) and len(images(records)) == 24
    order = [record.frame.token for record in images(records)]
    assert order != sorted(order)  # they do overlap


def test_scenes_far_apart_and_in_no_order_follow_each_other_after_one_period():
    frames = drive_of("a", 5_000, 3) + drive_of("b", 9_000, 1) + drive_of("c", 100, 2, period_s=0.25)
    fronts = [r for r in images(DriveStream(frames).records()) if "/cam_front/" in r.topic.name]
    offset = CAMERA_OFFSETS_NS["CAM_FRONT"]
    seconds = [(record.stamp_ns - offset) / SECOND_NS - 5_000 for record in fronts]
    assert seconds == [0.0, 0.5, 1.0, 1.5, 2.0, 2.25]


def test_each_scene_brings_its_own_rig_before_its_images():
    frames = drive_of("a", 0, 2) + drive_of("b", 0, 2, rig_x_m=3.0)
    records = list(DriveStream(frames).records())
    rigs = [(place, record) for place, record in enumerate(records) if record.topic.name == "/tf_static"]
    assert len(rigs) == 2 and all(record.topic.latched for _, record in rigs)
    xs = [record.fields(0)["transforms"][0]["transform"]["translation"]["x"] for _, record in rigs]
    assert xs == [1.0, 3.0]
    second = rigs[1][0]
    assert {r.frame.scene for r in records[:second]} == {"a"} and {r.frame.scene for r in records[second:]} == {"b"}


def test_a_loop_goes_on_one_period_later_and_repeats_the_inner_spacing():
    stream = DriveStream(drive_of("a", 100, 3))
    once = list(stream.records())
    thrice = list(islice(stream.records(loop=True), 3 * len(once)))
    for turn in range(3):
        again = thrice[turn * len(once) : (turn + 1) * len(once)]
        assert [r.stamp_ns - turn * 1_500_000_000 for r in again] == [r.stamp_ns for r in once]
        assert [r.topic for r in again] == [r.topic for r in once]


def test_a_loop_over_single_keyframes_has_nuscenes_keyframe_period():
    stream = DriveStream(drive_of("a", 100, 1) + drive_of("b", 5, 1))
    fronts = (r for r in stream.records(loop=True) if r.topic.name == "camera/cam_front/camera_info")
    stamps = [record.stamp_ns for record in islice(fronts, 6)]
    assert set(np.diff(stamps)) == {500_000_000}


def test_hold_repeats_a_single_keyframe_but_not_a_drive():
    stream = DriveStream(drive_of("a", 100, 1) + drive_of("b", 0, 3), hold_s=2.0)
    scenes = [record.frame.scene for record in stream.records() if record.topic.name.endswith("cam_front/camera_info")]
    assert scenes == ["a"] * 4 + ["b"] * 3 and len(stream) == 7


def test_start_skips_the_beginning_but_not_the_rig():
    stream = DriveStream(drive_of("a", 100, 4), start_s=0.9)
    records = list(stream.records())
    assert records[0].topic.name == "/tf_static" and len(images(records)) == 12
    assert min(record.stamp_ns for record in images(records)) == 101 * SECOND_NS - 42_000_000
    again = list(islice(stream.records(loop=True), 2 * len(records)))
    assert again[len(records)].stamp_ns - records[0].stamp_ns == SECOND_NS  # two frames, no pause for what is skipped


def test_start_beyond_the_end_says_how_long_it_is():
    with pytest.raises(ValueError, match=r"start is 7 s, but what there is to play lasts 2\.0 s"):
        DriveStream(drive_of("a", 100, 4), start_s=7.0)


def test_raw_images_have_the_raw_topic_and_type():
    records = images(DriveStream(drive_of("a", 100, 1), image_transport="raw").records())
    assert {record.topic.msg_type for record in records} == {"sensor_msgs/msg/Image"}
    assert records[1].topic.name == "camera/cam_front/image_raw"
    assert records[1].fields(0)["encoding"] == "rgb8"


@pytest.mark.parametrize(("lidar", "poses"), [(False, True), (True, False)])
def test_topics_are_those_with_something_to_say(lidar, poses):
    stream = DriveStream(drive_of("a", 100, 1, lidar=lidar, poses=poses))
    listed = {topic.name for topic in stream.topics}
    assert listed == {record.topic.name for record in stream.records()}
    assert ("lidar_top/points" in listed, "/tf" in listed) == (lidar, poses)


def test_lidar_can_be_left_out():
    stream = DriveStream(drive_of("a", 100, 1), lidar=False)
    assert "lidar_top/points" not in {record.topic.name for record in stream.records()}


def test_unusable_settings_are_refused():
    with pytest.raises(ValueError, match="image_transport is 'png'; expected compressed or raw"):
        DriveStream(drive_of("a", 0, 1), image_transport="png")
    with pytest.raises(ValueError, match="no frames to play"):
        DriveStream([])
    with pytest.raises(ValueError, match="frames of a scene must be in order of time"):
        DriveStream([frame_of("a", 2 * SECOND_NS), frame_of("a", SECOND_NS)])


def test_open_drive_counts_the_images_that_are_missing(tmp_path):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit reads the tables")
    from tiny_nuscenes import VERSION, write_tiny_nuscenes

    root = write_tiny_nuscenes(tmp_path, {"scene-1": 3, "scene-2": 1})
    assert [frame.scene for frame in open_drive(root, VERSION)] == ["scene-1"] * 3 + ["scene-2"]
    (root / "samples/CAM_BACK/scene-1-1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 24 camera images are missing, the first is .*scene-1-1\.jpg"):
        open_drive(root, VERSION)
    assert len(open_drive(root, VERSION, ["scene-2"])) == 1


@needs_nuscenes
def test_real_keyframes_keep_their_published_stamps():
    pytest.importorskip("nuscenes", reason="nuscenes-devkit reads the tables")
    from mapkd_core.bags.sensor_fields import compressed_image

    frames = open_drive(NUSCENES, "v1.0-mini", ["scene-0061"])
    records = list(DriveStream(frames).records())
    (front,) = [record for record in records if record.topic.name == "camera/cam_front/image_raw/compressed"]
    # The file's name tells when the camera fired.
    (file,) = (NUSCENES / "samples/CAM_FRONT").glob("n015-2018-07-24*")
    assert front.stamp_ns == int(file.stem.rsplit("__", 1)[1]) * 1000
    view = next(view for view in frames[0].views if view.name == "CAM_FRONT")
    assert compressed_image(view, front.stamp_ns)["data"].tobytes() == file.read_bytes()
    (points,) = [record for record in records if record.topic.name == "lidar_top/points"]
    assert 20_000 < points.fields(points.stamp_ns)["width"] < 40_000
    without_lidar = DriveStream(open_drive(NUSCENES, "v1.0-mini", ["scene-0103"]))
    assert "lidar_top/points" not in {topic.name for topic in without_lidar.topics}
