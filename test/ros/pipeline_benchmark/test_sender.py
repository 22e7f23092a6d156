"""The sender's timing, without a clock to wait for; its messages against those of the player."""
from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny_nuscenes

from mapkd_ros.pipeline_benchmark import sender as pipeline_sender
from mapkd_ros.pipeline_benchmark.sender import Cameras, Encoded, Log, Shot, offsets_ns, send_rounds

MS = 10**6


def shots(*offsets_ms: int) -> list[Shot]:
    message = Encoded("image", b"head", memoryview(b"tail"))
    return [Shot(camera, offset * MS, (message,)) for camera, offset in enumerate(offsets_ms)]


def test_cameras_fire_as_in_the_drive_and_always_within_the_period() -> None:
    assert offsets_ns(shots(0, 10, 43), 12.0) == [0, 10 * MS, 43 * MS]
    assert offsets_ns(shots(0, 20, 40), 25.0) == [0, 18 * MS, 36 * MS]
    assert offsets_ns(shots(0, 20, 40), 0.0) == [0, 0, 0]
    assert offsets_ns(shots(0, 0), 10.0) == [0, 0]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A clock that only sleeping, and what a test adds, moves on."""
    now = {"ns": 5_000 * MS}

    def sleep(seconds: float) -> None:
        now["ns"] += round(seconds * 1e9)

    monkeypatch.setattr(pipeline_sender.time, "monotonic_ns", lambda: now["ns"])
    monkeypatch.setattr(pipeline_sender.time, "time_ns", lambda: now["ns"] + 10**18)
    monkeypatch.setattr(pipeline_sender.time, "sleep", sleep)
    return now


def test_rounds_go_out_at_their_rate_and_are_logged(clock: dict[str, int]) -> None:
    log, sent = Log(["A", "B"], 10.0), []
    send_rounds([shots(0, 30)], 10.0, 0.5, lambda topic, data: sent.append(data) or 0, lambda: True, log)
    assert len(log.rounds) == 5 and len(sent) == 10 and log.behind_ns == 0
    assert [entry[0][1] for entry in log.rounds] == [(5_000 + 100 * i) * MS for i in range(5)]
    assert [entry[1][1] - entry[0][1] for entry in log.rounds] == [30 * MS] * 5
    assert all(stamp - before == 10**18 for entry in log.rounds for stamp, before, _ in entry)


def test_a_sender_that_is_late_never_sends_a_burst(clock: dict[str, int]) -> None:
    log = Log(["A"], 10.0)

    def slow(topic: str, data: bytes) -> int:
        clock["ns"] += 350 * MS
        return 2

    send_rounds([shots(0)], 10.0, 1.0, slow, lambda: True, log)
    begins = [entry[0][1] for entry in log.rounds]
    assert min(b - a for a, b in pairwise(begins)) >= 100 * MS
    assert log.behind_ns > 0 and log.put_off == 2 * len(log.rounds)


def test_flat_out_waits_for_nothing_and_stops_when_told(clock: dict[str, int]) -> None:
    log = Log(["A", "B"], 0.0)

    def quick(topic: str, data: bytes) -> int:
        clock["ns"] += MS
        return 0

    send_rounds([shots(0, 40)], 0.0, 0.1, quick, lambda: len(log.rounds) < 7, log)
    assert len(log.rounds) == 7 and clock["ns"] == (5_000 + 14) * MS


def test_a_message_that_dds_puts_off_is_sent_again() -> None:
    class Sender:
        def __init__(self, refusals: float) -> None:
            self.left, self.sent = refusals, 0

        def publish(self, data: bytes) -> None:
            self.left -= 1
            if self.left >= 0:
                raise RuntimeError("cannot publish data")
            self.sent += 1

    cameras = object.__new__(Cameras)
    cameras.senders = {"quick": Sender(0), "slow": Sender(3), "dead": Sender(float("inf"))}
    assert (cameras.publish("quick", b""), cameras.publish("slow", b"")) == (0, 3)
    assert cameras.senders["slow"].sent == 1
    with pytest.raises(TimeoutError, match="does the node still run"):
        cameras.publish("dead", b"")


@pytest.mark.ros
def test_messages_are_those_of_the_player_with_their_stamp_put_in(tmp_path: Path) -> None:
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    from rclpy.serialization import deserialize_message

    from mapkd_core.bags.drive_stream import DriveStream, open_drive
    from mapkd_ros.sensor_messages import message_class, to_message

    root = tiny_nuscenes.write_tiny_nuscenes(tmp_path, {"scene-0061": 2})
    for transport in ("compressed", "raw"):
        stream = DriveStream(open_drive(root, tiny_nuscenes.VERSION, lidar=False), transport, lidar=False)
        frames, rig = pipeline_sender.shots_of(stream)
        assert len(frames) == 2 and rig.topic.name == "/tf_static"
        records: dict[str, list[Any]] = {}
        for record in stream.records():
            if record.topic is not stream.static:
                kind, stamp_ns = record.topic.msg_type, record.stamp_ns
                wanted = to_message(kind, record.fields(stamp_ns))
                records.setdefault(record.topic.name, []).append((kind, stamp_ns, wanted))
        for place, frame in enumerate(frames):
            assert [shot.offset_ns for shot in frame] == sorted(shot.offset_ns for shot in frame)
            for message in (message for shot in frame for message in shot.messages if "camera" in message.topic):
                kind, stamp_ns, wanted = records[message.topic][place]
                assert deserialize_message(message.at(stamp_ns), message_class(kind)) == wanted
            pose = frame[0].messages[0]
            found = deserialize_message(pose.at(123_000_000_456), message_class("tf2_msgs/msg/TFMessage"))
            stamp = found.transforms[0].header.stamp
            assert (pose.topic, stamp.sec, stamp.nanosec) == ("/tf", 123, 456)
