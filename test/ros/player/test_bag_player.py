"""Reading bags to play them: topics, QoS, time, loops, and every way in which a bag can be unusable."""
from collections import Counter
from itertools import islice

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: rclpy is not installed")
pytest.importorskip("rosbags", reason="rosbags reads the bags")

import bags
import odd_bags
from bags import SECOND_NS, foreign, point, qos, string, transform_message
from rclpy.serialization import deserialize_message

from mapkd_core.bags.bag_files import is_bag
from mapkd_ros.player.bag_player import BagStream
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
    assert warning == "not played: /other_thing, /thing (nope_msgs/msg/Thing is not installed here)"


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


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_empty_bag(tmp_path, storage):
    with pytest.raises(ValueError, match=r"bag .*bag is empty: it holds 0 topics and no message"):
        BagStream(bags.write(tmp_path / "bag", [], storage))


def test_bag_of_which_nothing_can_be_played(tmp_path):
    path = bags.write(tmp_path / "bag", [(BEGIN_NS, "/thing", foreign(1))])
    with pytest.raises(ValueError, match="no message that can be played: message type nope_msgs/msg/Thing is not inst"):
        BagStream(path, warn=lambda line: None)


def test_other_encodings_and_bad_names_are_left_out_by_name(tmp_path):
    """Foxglove's annotations beside ROS 2 topics, and a topic that no publisher may have."""
    topics = ("/a", "/ann", "/camera front", "/bare")
    encodings = {"/ann": ("protobuf", "foxglove.ImageAnnotations"), "/bare": ("cdr", "")}
    path = odd_bags.mcap(tmp_path / "a.mcap", odd_bags.texts(3, topics=topics), encodings=encodings)
    warnings = []
    stream = BagStream(path, warn=warnings.append)
    assert [item.topic for item in stream.items(loop=False)] == ["/a"] * 3 and stream.message_count == 3
    assert warnings == [
        "not played: /ann (encoding protobuf); /camera front (no valid name); /bare (message type unknown)"
    ]
    assert stream.shortfall({"/a": 3}) == ""
    with pytest.raises(ValueError, match="no message that can be played: encoding protobuf, while ROS 2 publishes cdr"):
        BagStream(
            odd_bags.mcap(tmp_path / "b.mcap", odd_bags.texts(3, topics=("/ann",)), encodings=encodings), warn=str
        )


def test_a_recording_that_was_cut_off_is_played_up_to_there(tmp_path):
    path = odd_bags.mcap(tmp_path / "a.mcap", odd_bags.texts(40), whole=False)
    path.write_bytes(path.read_bytes()[:-120])
    warnings = []
    stream = BagStream(path, warn=warnings.append)
    played = Counter(item.topic for item in stream.items(loop=False))
    assert 60 < played.total() == stream.message_count < 80 and stream.shortfall(played) == ""
    assert "was cut off" in warnings[0]


def test_fewer_messages_than_announced_are_named_with_the_reason(tmp_path):
    path = odd_bags.mcap(tmp_path / "a.mcap", odd_bags.texts(20))
    odd_bags.metadata(tmp_path, ["a.mcap"], {"/a": 30, "/b": 20, "/gone": 2})
    stream = BagStream(tmp_path, warn=str)
    assert stream.message_count == 52
    lacking = stream.shortfall(Counter(item.topic for item in stream.items(loop=False)))
    assert ": 10 of /a, 2 of /gone: its metadata.yaml announces messages that its files do not hold" in lacking
    (tmp_path / "metadata.yaml").unlink()
    content = bytearray(path.read_bytes())
    content[500:510] = bytes(10)
    path.write_bytes(content)
    stream = BagStream(path, warn=str)
    lacking = stream.shortfall(Counter(item.topic for item in stream.items(loop=False)))
    assert "of /a" in lacking and "are damaged" in lacking


def test_messages_that_are_none_are_counted_and_the_others_are_played(tmp_path):
    stamped = [(at, "/point", bytes(bags.TYPES.serialize_cdr(message, message.__msgtype__)))
               for at, topic, message in drive_messages() if topic == "/point"]  # fmt: skip
    broken = [(at + 5, "/point", raw[:size]) for (at, _, raw), size in zip(stamped, (0, 3, 7), strict=False)]
    kind = {"/point": ("cdr", "geometry_msgs/msg/PointStamped")}
    stream = BagStream(odd_bags.mcap(tmp_path / "a.mcap", sorted(stamped + broken), encodings=kind), warn=str)
    made = [item.make(SECOND_NS) for item in stream.items(loop=False)]
    assert [message is None for message in made] == [False, True, False, True, False, True, False]
    assert "3 of /point: 3 of /point are no messages of its type" in stream.shortfall({"/point": 4})


def test_a_long_pause_in_a_bag_is_told_of_before_it_begins(tmp_path):
    messages = odd_bags.texts(2, topics=("/a",))
    path = odd_bags.mcap(tmp_path / "a.mcap", [(0, "/a", messages[0][2]), *messages])
    warnings = []
    assert len(list(BagStream(path, warn=warnings.append).items(loop=False))) == 3
    assert warnings == ["the bag holds nothing from second 0 to 1700000000; skip that with start"]
    assert len(list(BagStream(path, start_s=1.7e9, warn=str).items(loop=False))) == 2


def node_recording(path, extra=()):
    kinds = {
        "/car/student_node/vector_map": ("cdr", "mapkd_ros/msg/VectorMap"),
        "/camera/cam_front/camera_info": ("cdr", "sensor_msgs/msg/CameraInfo"),
        **dict(extra),
    }
    topics = (*kinds, "/car/student_node/overlay/cam_front", "/diagnostics", "/a")
    return odd_bags.mcap(path, odd_bags.texts(1, topics=topics), encodings=kinds)


def test_what_a_node_had_published_is_not_replayed_beside_a_live_one(tmp_path):
    path = node_recording(tmp_path / "a.mcap")
    warnings = []
    stream = BagStream(path, warn=warnings.append)
    assert {item.topic for item in stream.items(loop=False)} == {"/camera/cam_front/camera_info", "/a"}
    assert warnings == [
        "not played, because a student_node had published them: /car/student_node/vector_map, "
        "/car/student_node/overlay/cam_front, /diagnostics; outputs:=true plays them"
    ]
    assert len({item.topic for item in BagStream(path, warn=refuse_warning, outputs=True).items(loop=False)}) == 5


def test_cameras_in_one_namespace_with_a_map_are_no_outputs(tmp_path):
    camera = ("/car/student_node/info", ("cdr", "sensor_msgs/msg/CameraInfo"))
    path = node_recording(tmp_path / "a.mcap", [camera])
    topics = {item.topic for item in BagStream(path, warn=str).items(loop=False)}
    assert "/car/student_node/vector_map" not in topics and "/car/student_node/overlay/cam_front" in topics
