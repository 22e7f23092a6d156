"""Reading bags to play them: topics, QoS, time, loops, and every way in which a bag can be unusable."""
from itertools import islice

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: rclpy is not installed")
pytest.importorskip("rosbags", reason="rosbags reads the bags")

import bags
from bags import SECOND_NS, foreign, point, qos, string, transform_message
from rclpy.serialization import deserialize_message

from mapkd_ros.player.bag_player import BagStream, is_bag
from mapkd_ros.sensor_messages import message_class

pytestmark = pytest.mark.ros
BEGIN_NS = 1_000 * SECOND_NS


def drive_messages():
    """Static tf first, then a point each half second with a header 3 ms older than its log time."""
    messages = [(BEGIN_NS, "/tf_static", transform_message(BEGIN_NS, "cam_front"))]
    for place in range(4):
        at_ns = BEGIN_NS + place * SECOND_NS // 2
        messages.append((at_ns, "/point", point(at_ns - 3_000_000, float(place))))
        messages.append((at_ns + 1, "/name", string(f"n{place}")))
    return messages


@pytest.fixture(params=["mcap", "sqlite3"])
def bag(request, tmp_path):
    return bags.write(tmp_path / "bag", drive_messages(), request.param)


def refuse_warning(line):
    raise AssertionError(f"unexpected warning: {line}")


def points(items):
    return [
        (item.stamp_ns, deserialize_message(item.make(0), message_class("geometry_msgs/msg/PointStamped")))
        for item in items
        if item.topic == "/point"
    ]


def header_ns(message):
    return message.header.stamp.sec * SECOND_NS + message.header.stamp.nanosec


def test_all_topics_come_in_order_as_they_were_recorded(bag):
    stream = BagStream(bag, warn=refuse_warning)
    items = list(stream.items(loop=False))
    assert [(item.stamp_ns, item.topic) for item in items] == [(at, topic) for at, topic, _ in drive_messages()]
    assert {(outlet.topic, outlet.msg_type) for outlet in stream.outlets} == {
        ("/tf_static", "tf2_msgs/msg/TFMessage"),
        ("/point", "geometry_msgs/msg/PointStamped"),
        ("/name", "std_msgs/msg/String"),
    }
    with bags_reader(bag) as reader:
        assert [item.make(0) for item in items] == [bytes(raw) for _, _, raw in reader.messages()]


def bags_reader(path):
    from rosbags.rosbag2 import Reader

    return Reader(path)


def test_a_loop_moves_log_times_and_headers_alike(bag):
    stream = BagStream(bag, warn=refuse_warning)
    found = points(islice(stream.items(loop=True), 3 * 9))
    assert len(found) == 12
    stamps = [at for at, _ in found]
    assert stamps == sorted(set(stamps))
    for place, (at, message) in enumerate(found):
        assert message.point.x == place % 4
        assert header_ns(message) == at - 3_000_000
    turn_ns = stamps[4] - stamps[0]
    # 1.5 s from the first to the last point, then a pause of the points' own half second.
    assert turn_ns == pytest.approx(2 * SECOND_NS, abs=2)
    assert [b - a for a, b in zip(stamps, stamps[4:], strict=False)] == [turn_ns] * 8


def test_start_skips_messages_but_not_what_was_latched_before(bag):
    stream = BagStream(bag, start_s=0.9, warn=refuse_warning)
    items = list(stream.items(loop=False))
    assert items[0].topic == "/tf_static" and items[0].stamp_ns == BEGIN_NS + 900_000_000
    assert [item.topic for item in items[1:]] == ["/point", "/name"] * 2
    again = list(islice(stream.items(loop=True), 10))
    assert again[5].topic == "/tf_static" and again[5].stamp_ns > again[4].stamp_ns


def test_start_beyond_the_end(bag):
    with pytest.raises(ValueError, match=r"start is 60 s, but bag .* lasts 1\.5 s"):
        BagStream(bag, start_s=60.0)


def test_qos_is_that_of_the_recording(tmp_path):
    profiles = {"/point": qos(reliable=False), "/name": qos(latched=True)}
    path = bags.write(tmp_path / "bag", drive_messages(), profiles=profiles)
    outlets = {outlet.topic: outlet for outlet in BagStream(path, warn=refuse_warning).outlets}
    assert (outlets["/point"].reliable, outlets["/point"].latched) == (False, False)
    assert (outlets["/name"].reliable, outlets["/name"].latched, outlets["/name"].depth) == (True, True, 4)
    assert outlets["/tf_static"].latched and outlets["/tf_static"].reliable is None


def test_types_that_are_not_installed_are_left_out_with_one_warning(tmp_path):
    messages = [*drive_messages(), (BEGIN_NS, "/thing", foreign(1)), (BEGIN_NS, "/other_thing", foreign(2))]
    warnings = []
    stream = BagStream(bags.write(tmp_path / "bag", messages), warn=warnings.append)
    assert {item.topic for item in stream.items(loop=False)} == {"/tf_static", "/point", "/name"}
    (warning,) = warnings
    assert "/other_thing, /thing (nope_msgs/msg/Thing)" in warning


def test_a_topic_of_two_types_is_played_with_its_first(tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for message in (string("a"), point(BEGIN_NS, 1.0)):
            kind = message.__msgtype__
            connection = writer.add_connection("/both", kind, typestore=bags.TYPES)
            writer.write(connection, BEGIN_NS, bags.TYPES.serialize_cdr(message, kind))
    warnings = []
    stream = BagStream(tmp_path / "bag", warn=warnings.append)
    assert len(list(stream.items(loop=False))) == 1 and [o.msg_type for o in stream.outlets] == ["std_msgs/msg/String"]
    assert warnings == ["/both changes its type in this bag; only std_msgs/msg/String is played"]


def test_a_topic_can_be_left_out_in_silence(bag):
    stream = BagStream(bag, warn=refuse_warning, skip_topics=("/name",))
    assert {item.topic for item in stream.items(loop=False)} == {"/tf_static", "/point"}


def test_a_storage_file_alone_is_a_bag_too(bag):
    (file,) = [file for file in bag.iterdir() if file.name != "metadata.yaml"]
    assert is_bag(bag) and is_bag(file) and not is_bag(bag.parent)
    expected = [item.stamp_ns for item in BagStream(bag).items(loop=False)]
    assert [item.stamp_ns for item in BagStream(file).items(loop=False)] == expected
    (bag / "metadata.yaml").unlink()
    assert [item.stamp_ns for item in BagStream(bag).items(loop=False)] == expected


def test_missing_bag(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no bag .*gone"):
        BagStream(tmp_path / "gone")


def test_folder_that_is_no_bag(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match=r"images is not a rosbag2; expected a folder with metadata\.yaml, or"):
        BagStream(tmp_path / "images")


def test_bag_of_ros_1(tmp_path):
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(ValueError, match=r"old\.bag is a bag of ROS 1; convert it first: rosbags-convert"):
        BagStream(tmp_path / "old.bag")


@pytest.mark.parametrize("name", ["noise.mcap", "noise.db3"])
def test_file_with_a_bags_name_and_other_content(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is no bag" * 50)
    with pytest.raises(ValueError, match=f"{name} is not a readable rosbag2: [^\\n]+$"):
        BagStream(tmp_path / name)


def test_recording_that_was_cut_off(tmp_path):
    bag = bags.write(tmp_path / "bag", drive_messages())
    content = (bag / "bag.mcap").read_bytes()
    (bag / "bag.mcap").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"is not a readable rosbag2|is damaged"):
        list(BagStream(bag).items(loop=False))


def test_metadata_that_is_not_yaml(tmp_path):
    bag = bags.write(tmp_path / "bag", drive_messages())
    (bag / "metadata.yaml").write_text("{ not: [yaml")
    with pytest.raises(ValueError, match="bag is not a readable rosbag2"):
        BagStream(bag)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_empty_bag(tmp_path, storage):
    with pytest.raises(ValueError, match=r"bag .*bag is empty: it holds 0 topics and no message"):
        BagStream(bags.write(tmp_path / "bag", [], storage))


def test_bag_of_which_nothing_can_be_played(tmp_path):
    path = bags.write(tmp_path / "bag", [(BEGIN_NS, "/thing", foreign(1))])
    with pytest.raises(ValueError, match="no message that can be played: message type nope_msgs/msg/Thing is not inst"):
        BagStream(path, warn=lambda line: None)
