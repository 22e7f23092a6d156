"""Maps as messages in a file."""
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags has the message classes")
from mapkd_core.artifact import ModelCard
from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.bags.reader import BagReader
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.map_recording import MapRecording
from mapkd_core.types import MapElement

CARD = ModelCard("student", "1.2.3", "student", {}, BevGrid((-10.0, 30.0), (-5.0, 5.0), 0.5), (352, 128))
SECOND_NS = 1_000_000_000


def line(y):
    return MapElement("divider", np.array([[0, y], [20, y]], np.float32), 0.5)


def test_messages_are_those_of_the_node_and_ids_follow_elements_until_time_jumps(tmp_path):
    with MapRecording(tmp_path / "a.mcap", CARD, "base") as recording:
        for stamp_ns, elements in ((5, [line(1.0)]), (6, [line(9.0), line(1.1)]), (60, [line(1.1)])):
            at_ns = stamp_ns * SECOND_NS
            recording.add(at_ns, at_ns + 3, {"A": at_ns, "B": at_ns - 500_000_000}, ["C"], elements, {"network": 4.0})
    read = PlainMessages().types.deserialize_cdr
    with BagReader(tmp_path / "a.mcap") as bag:
        found = [(m.topic.name, m.log_ns, read(m.data, m.topic.msg_type)) for m in bag.messages()]
    maps = [message for topic, _, message in found if topic == "/student_node/vector_map"]
    assert [[element.id for element in message.elements] for message in maps] == [[1], [2, 1], [3]]
    assert (maps[0].header.stamp.sec, maps[0].header.frame_id) == (5, "base")
    assert maps[0].camera_ages.tolist() == [0.0, 0.5] and maps[0].missing_cameras == ["C"]
    assert maps[0].stage_latency_ms.tolist() == [4.0] and found[0][1] == 5 * SECOND_NS + 3
    markers = [message for topic, _, message in found if topic == "/student_node/markers"]
    assert [(m.ns, m.id) for m in markers[1].markers] == [("divider", 2), ("divider", 1)]
