"""Six cameras for the pipeline benchmark: sends images encoded beforehand at an exact rate and logs each sending.

    python -m mapkd_ros.pipeline_benchmark.sender --dataroot /data/nuscenes --rate 10 --log sent.json

Messages and topics are those of nuscenes_player, but nothing is read, decoded or serialized while time is taken, so
that the sender leaves the processor to the node. Started by mapkd_ros.pipeline_benchmark.run.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapkd_core.bags import sensor_fields
from mapkd_core.bags.drive_stream import DriveStream, Record, open_drive
from mapkd_core.cameras.topics import IMAGE_TRANSPORTS
from mapkd_ros.node_main import ros, run_main
from mapkd_ros.sensor_messages import message_class, to_message

MOST_FRAMES = 6
"""A frame of raw images takes 26 MB."""
QUIET_S = 2.5
"""Pause before and after what is measured: the node's counters come once a second."""
SUBSCRIBERS_S = 30.0
SHARE_OF_PERIOD = 0.9
"""Cameras fire one after the other as in the drive, at a high rate within this share of the period."""
DEPTH = 5
MOST_TRIES, PUT_OFF_S = 1000, 0.001
"""Flat out, DDS now and then takes no further message for some milliseconds."""
_HEADER_AT = {sensor_fields.TF_MESSAGE: 8}
"""Where the first stamp lies in the serialized message: after four bytes of encapsulation, and a sequence's length."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A serialized message whose stamp is put in when it is sent."""

    topic: str
    before: bytes
    after: memoryview

    def at(self, stamp_ns: int) -> bytes:
        """The message with this stamp."""
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        return b"".join((self.before, struct.pack("=iI", seconds, nanoseconds), self.after))


@dataclass(frozen=True, eq=False)
class Shot:
    """What one camera sends of one frame, the image last."""

    camera: int
    offset_ns: int
    """From the frame's first image."""
    messages: tuple[Encoded, ...]


def encoded(msg_type: str, topic: str, fields: sensor_fields.Fields) -> Encoded:
    """Serializes once what is sent often."""
    from rclpy.serialization import serialize_message

    data = serialize_message(to_message(msg_type, fields))
    place = _HEADER_AT.get(msg_type, 4)
    return Encoded(topic, data[:place], memoryview(data)[place + 8 :])


def shots_of(stream: DriveStream) -> tuple[list[list[Shot]], Record]:
    """The frames of a drive as what each camera sends, in order of time, and the rig.

    Calibration is the first frame's throughout, as along one drive: the images may be of several vehicles.
    """
    frames = [shot.frame for shot in stream.shots[:MOST_FRAMES]]
    first = frames[0]
    cameras = [view.name for view in first.views]
    found = []
    for frame in frames:
        begin_ns = min(view.stamp_ns for view in frame.views)
        shots = []
        for view, calibrated in zip(frame.views, first.views, strict=True):
            info = sensor_fields.camera_info(calibrated, 0)
            sent = [encoded(stream.infos[view.name].msg_type, stream.infos[view.name].name, info)]
            if view.map_from_base is not None:
                pose = sensor_fields.transforms("map", {sensor_fields.BASE_FRAME: view.map_from_base}, 0)
                sent.insert(0, encoded(stream.poses.msg_type, stream.poses.name, pose))
            topic = stream.images[view.name]
            sent.append(encoded(topic.msg_type, topic.name, stream.image_fields(view, 0)))
            shots.append(Shot(cameras.index(view.name), view.stamp_ns - begin_ns, tuple(sent)))
        found.append(sorted(shots, key=lambda shot: shot.offset_ns))
    return found, next(record for record in stream.records() if record.topic is stream.static)


def offsets_ns(shots: Sequence[Shot], rate_hz: float) -> list[int]:
    """When each camera of a round fires, from the round's beginning; all at once if there is no rate."""
    if rate_hz <= 0:
        return [0] * len(shots)
    longest = max(shot.offset_ns for shot in shots)
    room = SHARE_OF_PERIOD * 1e9 / rate_hz
    scale = min(1.0, room / longest) if longest else 1.0
    return [round(shot.offset_ns * scale) for shot in shots]


class Log:
    """When what was sent."""

    def __init__(self, cameras: Sequence[str], rate_hz: float) -> None:
        self.cameras, self.rate_hz = list(cameras), rate_hz
        self.rounds: list[list[list[int]]] = []
        self.measured_from = 0
        self.behind_ns = 0
        self.put_off = 0

    def write(self, path: Path) -> None:
        """As JSON; per round and camera [stamp, monotonic time before sending, after sending], in ns."""
        path.write_text(json.dumps(self.__dict__))


def send_rounds(
    frames: Sequence[Sequence[Shot]],
    rate_hz: float,
    seconds: float,
    publish: Callable[[str, bytes], int],
    go_on: Callable[[], bool],
    log: Log,
) -> None:
    """Sends frame after frame, again and again, `rate_hz` times a second; as fast as possible at a rate of 0.

    `publish(topic, message)` returns how often it had to try again.
    """
    begin_ns = due_ns = time.monotonic_ns()
    wall_from_monotonic_ns = time.time_ns() - begin_ns
    place = 0
    while due_ns - begin_ns < seconds * 1e9 and go_on():
        shots = frames[place % len(frames)]
        place += 1
        entry: list[list[int]] = [[] for _ in shots]
        for shot, offset in zip(shots, offsets_ns(shots, rate_hz), strict=True):
            _sleep_until(due_ns + offset)
            stamp_ns = (due_ns + offset if rate_hz else time.monotonic_ns()) + wall_from_monotonic_ns
            for message in shot.messages[:-1]:
                log.put_off += publish(message.topic, message.at(stamp_ns))
            data = shot.messages[-1].at(stamp_ns)
            before_ns = time.monotonic_ns()
            log.put_off += publish(shot.messages[-1].topic, data)
            entry[shot.camera] = [stamp_ns, before_ns, time.monotonic_ns()]
        log.rounds.append(entry)
        due_ns = due_ns + round(1e9 / rate_hz) if rate_hz else time.monotonic_ns()
        late_ns = time.monotonic_ns() - due_ns
        if rate_hz and late_ns > 1e9 / rate_hz:  # never a burst to catch up
            log.behind_ns += late_ns
            due_ns += late_ns


def _sleep_until(due_ns: int) -> None:
    left_ns = due_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns / 1e9)


class Cameras:
    """The publishers."""

    def __init__(self, node: Any, stream: DriveStream) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile

        self.node = node
        self.senders: dict[str, Any] = {}
        for topic in stream.topics:
            durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
            depth = 1 if topic.latched else 100 if topic is stream.poses else DEPTH
            profile = QoSProfile(depth=depth, durability=durability)
            self.senders[topic.name] = node.create_publisher(message_class(topic.msg_type), topic.name, profile)
        self.awaited = [topic.name for topic in [*stream.images.values(), *stream.infos.values(), stream.static]]

    def publish(self, topic: str, data: bytes) -> int:
        """Sends a serialized message; returns how often DDS put it off."""
        for tries in range(MOST_TRIES):
            with contextlib.suppress(RuntimeError):  # rclpy's RCLError
                self.senders[topic].publish(data)
                return tries
            time.sleep(PUT_OFF_S)
        raise TimeoutError(f"DDS did not take a message on {topic} in {MOST_TRIES} tries; does the node still run?")

    def lonely(self) -> list[str]:
        """Topics that the node does not listen to yet."""
        return [topic for topic in self.awaited if not self.senders[topic].get_subscription_count()]

    def wait_for_subscribers(self, go_on: Callable[[], bool]) -> None:
        """Raises TimeoutError if the node does not listen in time."""
        until = time.monotonic() + SUBSCRIBERS_S
        while go_on() and self.lonely():
            if time.monotonic() > until:
                raise TimeoutError(f"nobody subscribed to {', '.join(self.lonely())} within {SUBSCRIBERS_S:g} s")
            time.sleep(0.05)


def main() -> int:
    """Sends and writes the log; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes folder or simulated drive")
    parser.add_argument("--version", default="v1.0-mini", help="folder of its tables (default: %(default)s)")
    parser.add_argument("--image-transport", choices=IMAGE_TRANSPORTS, default=IMAGE_TRANSPORTS[0])
    parser.add_argument("--rate", type=float, default=10.0, help="rounds a second, 0 for as many as go")
    parser.add_argument("--warm-up", type=float, default=4.0, help="seconds sent before (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="seconds that are measured (default: %(default)s)")
    parser.add_argument("--log", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    return run_main("pipeline_sender", lambda signals: _send(args, lambda: not signals.stopping.is_set()))


def _send(args: argparse.Namespace, go_on: Callable[[], bool]) -> int:
    import rclpy

    stream = DriveStream(open_drive(args.dataroot, args.version, lidar=False), args.image_transport, lidar=False)
    frames, rig = shots_of(stream)
    log = Log([view.name for view in stream.shots[0].frame.views], args.rate)
    with ros():
        node = rclpy.create_node("pipeline_sender")
        cameras = Cameras(node, stream)
        cameras.senders[rig.topic.name].publish(to_message(rig.topic.msg_type, rig.fields(time.time_ns())))
        cameras.wait_for_subscribers(go_on)
        print(f"sending {len(frames)} frames again and again", flush=True)
        for seconds in _phases(args, log):
            send_rounds(frames, args.rate, seconds, cameras.publish, go_on, log)
            _sleep_until(time.monotonic_ns() + round(QUIET_S * 1e9) if go_on() else 0)
        log.write(args.log)
        node.destroy_node()
    return 0


def _phases(args: argparse.Namespace, log: Log) -> Iterator[float]:
    """Seconds of the warm-up, then of what is measured."""
    # Even the slowest rate needs two rounds for the network to have run once.
    yield max(args.warm_up, 2 / args.rate if args.rate else 0.0)
    log.measured_from = len(log.rounds)
    yield args.seconds


if __name__ == "__main__":
    sys.exit(main())
