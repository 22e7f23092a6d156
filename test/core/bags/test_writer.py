"""Bags written without ROS, read back with an independent reader."""
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags writes and reads the bags")
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability

from mapkd_core.bags.drive_stream import DriveStream
from mapkd_core.bags.writer import write_bag
from mapkd_core.data.images import JpegFile, PixelImage
from mapkd_core.geometry import transform
from mapkd_core.types import CAMERAS, CameraView, Frame

BEGIN_NS = 1_533_201_470_448_696_000
RIG = transform([1.7, 0.1, 1.5], [0.5, -0.5, 0.5, -0.5])


def frames(count=2, image=None):
    def frame(place):
        stamp_ns = BEGIN_NS + place * 500_000_000
        views = tuple(
            CameraView(
                name,
                stamp_ns - 1_000_000 * (camera + 1),
                (8, 6),
                np.array([[10.0 + camera, 0, 4], [0, 11, 3], [0, 0, 1]]),
                RIG,
                image or PixelImage(np.full((6, 8, 3), 40 * camera, np.uint8)),
                transform([place, 2.0, 0]),
            )
            for camera, name in enumerate(CAMERAS)
        )
        points = np.array([[1, 2, 3, 100, 0.01 * place]], np.float32)
        return Frame(f"t{place}", "s", stamp_ns, views, transform([place, 2.0, 0]), lidar=lambda: points)

    return [frame(place) for place in range(count)]


def read(path):
    with AnyReader([path]) as reader:
        return [(c.topic, c.msgtype, stamp, reader.deserialize(raw, c.msgtype)) for c, stamp, raw in reader.messages()]


def stamp_of(header):
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_what_is_read_back_is_what_the_drive_says(tmp_path, storage):
    drive = DriveStream(frames(), image_transport="raw")
    summary = write_bag(drive, tmp_path / "bag", storage, progress=False)
    messages = read(tmp_path / "bag")
    expected = list(drive.records())
    assert summary.messages == len(messages) == len(expected) == sum(summary.messages_by_topic.values())
    assert [(topic.lstrip("/"), kind, stamp) for topic, kind, stamp, _ in messages] == [
        (record.topic.name.lstrip("/"), record.topic.msg_type, record.stamp_ns) for record in expected
    ]
    for (_, kind, stamp, message), record in zip(messages, expected, strict=True):
        fields = record.fields(record.stamp_ns)
        if kind == "tf2_msgs/msg/TFMessage":
            for sent, received in zip(fields["transforms"], message.transforms, strict=True):
                assert (received.header.frame_id, received.child_frame_id) == (
                    sent["header"]["frame_id"],
                    sent["child_frame_id"],
                )
                assert stamp_of(received.header) == stamp
                for part in ("translation", "rotation"):
                    assert vars(getattr(received.transform, part)).items() >= sent["transform"][part].items()
            continue
        assert stamp_of(message.header) == stamp and message.header.frame_id == fields["header"]["frame_id"]
        for name in ("data", "k", "p", "d"):
            if name in fields:
                assert np.array_equal(getattr(message, name), fields[name])
    assert {kind for _, kind, _, _ in messages} >= {"sensor_msgs/msg/Image", "sensor_msgs/msg/PointCloud2"}


def test_jpeg_files_are_stored_byte_by_byte(tmp_path):
    import cv2

    image = tmp_path / "a.jpg"
    cv2.imwrite(str(image), np.random.default_rng(1).integers(0, 255, (6, 8, 3), np.uint8))
    write_bag(DriveStream(frames(1, JpegFile(image))), tmp_path / "bag", progress=False)
    stored = [message for topic, _, _, message in read(tmp_path / "bag") if topic.endswith("/compressed")]
    assert len(stored) == 6
    assert all(message.data.tobytes() == image.read_bytes() and message.format == "jpeg" for message in stored)


def test_static_transforms_are_latched_and_the_rest_is_not(tmp_path):
    write_bag(DriveStream(frames(1)), tmp_path / "bag", progress=False)
    with AnyReader([tmp_path / "bag"]) as reader:
        qos = {connection.topic: connection.ext.offered_qos_profiles for connection in reader.connections}
    assert len(qos) == 15
    for topic, (profile,) in qos.items():
        latched = topic == "/tf_static"
        assert profile.durability == (QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE)
        assert profile.reliability == QosReliability.RELIABLE and profile.depth >= 1


def test_metadata_are_of_the_version_that_humble_reads(tmp_path):
    import yaml

    write_bag(DriveStream(frames(1)), tmp_path / "bag", progress=False)
    info = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert info["version"] == 8 and info["storage_identifier"] == "mcap"
    # A string that holds YAML with numbers: what every release from Foxy on parses.
    profiles = [entry["topic_metadata"]["offered_qos_profiles"] for entry in info["topics_with_message_count"]]
    assert all(isinstance(profile, str) and "durability: " in profile for profile in profiles)
    assert (info["starting_time"]["nanoseconds_since_epoch"], info["message_count"]) == (BEGIN_NS - 6_000_000, 21)


def test_nothing_is_overwritten_unasked_and_only_bags_ever(tmp_path):
    drive = DriveStream(frames(1))
    write_bag(drive, tmp_path / "bag", progress=False)
    with pytest.raises(FileExistsError, match="bag exists already; choose another folder or give --overwrite"):
        write_bag(drive, tmp_path / "bag", progress=False)
    write_bag(DriveStream(frames(2)), tmp_path / "bag", "sqlite3", overwrite=True, progress=False)
    assert sorted(file.name for file in (tmp_path / "bag").iterdir()) == ["bag.db3", "metadata.yaml"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "keep.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="photos is not a bag"):
        write_bag(drive, tmp_path / "photos", overwrite=True, progress=False)
    assert (tmp_path / "photos" / "keep.txt").read_text() == "mine"


def test_a_missing_image_leaves_no_half_bag_behind(tmp_path):
    drive = DriveStream(frames(1, JpegFile(Path("/nowhere/front.jpg"))))
    with pytest.raises(FileNotFoundError, match=r"/nowhere/front\.jpg"):
        write_bag(drive, tmp_path / "bag", progress=False)
    assert not (tmp_path / "bag").exists()


def test_unknown_storage_is_refused(tmp_path):
    with pytest.raises(ValueError, match="storage is 'zip'; expected one of mcap, sqlite3"):
        write_bag(DriveStream(frames(1)), tmp_path / "bag", "zip", progress=False)


def test_mcaps_own_reader_agrees(tmp_path):
    reader = pytest.importorskip("mcap.reader", reason="mcap is another implementation of the format")
    write_bag(DriveStream(frames(3)), tmp_path / "bag", progress=False)
    with open(tmp_path / "bag" / "bag.mcap", "rb") as stream:
        messages = list(reader.make_reader(stream).iter_messages())
    assert len(messages) == 3 * 20 + 1
    assert {schema.name for schema, _, _ in messages} == {
        "sensor_msgs/msg/CompressedImage",
        "sensor_msgs/msg/CameraInfo",
        "sensor_msgs/msg/PointCloud2",
        "tf2_msgs/msg/TFMessage",
    }
