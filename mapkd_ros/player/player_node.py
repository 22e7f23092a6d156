"""The node `nuscenes_player`: a data set or a bag as live topics."""
from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from mapkd_core.bags.bag_files import is_bag
from mapkd_core.bags.drive_stream import DriveStream, Record, Topic, open_drive
from mapkd_core.bags.sensor_fields import CLOCK, TF_MESSAGE
from mapkd_core.cameras.topics import COMPRESSED_IMAGE, IMAGE
from mapkd_ros import qos
from mapkd_ros.parameters import declare
from mapkd_ros.player.bag_player import BagStream
from mapkd_ros.player.playback import Item, Outlet, Pace, Stream, play
from mapkd_ros.player.player_parameters import PARAMETERS
from mapkd_ros.sensor_messages import clock_message, message_class, to_message

NODE_NAME = "nuscenes_player"

_DRIVE_ONLY = ("version", "scene", "image_transport", "lidar", "hold")
SETTLE_S = 0.5
"""A subscriber that is known here may learn of the publishers a little later, and would miss the first images."""
_TF_DEPTH = 100


class NuscenesPlayer(Node):
    """Publishes a data set or a bag; see PARAMETERS. Raises ValueError or FileNotFoundError fit for the user."""

    def __init__(self) -> None:
        super().__init__(NODE_NAME)
        self.values = declare(self, PARAMETERS)
        qos.check_overrides(self)
        self.stream = self.open_stream()
        self.senders = {outlet.topic: self.sender(outlet) for outlet in self.stream.outlets}
        self.clock_sender: Any = None
        if self.values["clock"]:
            self.clock_sender = qos.create_publisher(self, message_class(CLOCK), "/clock", qos.profile())
        qos.tell_unused_overrides(self)
        self.images = [o.topic for o in self.stream.outlets if o.msg_type in (IMAGE, COMPRESSED_IMAGE)]
        self.spinner = SingleThreadedExecutor()
        self.spinner.add_node(self)
        self.behind_s = 0.0

    def open_stream(self) -> Stream:
        """What the parameters ask to play."""
        values, log = self.values, self.get_logger()
        if bool(values["dataroot"]) == bool(values["bag"]):
            raise ValueError("give either dataroot or bag, for example: --ros-args -p dataroot:=/data/nuscenes")
        path = Path(values["bag"] or values["dataroot"]).expanduser()
        if values["bag"] or is_bag(path):
            ignored = [row.name for row in PARAMETERS if row.name in _DRIVE_ONLY and values[row.name] != row.default]
            if ignored:
                log.warning(f"{', '.join(ignored)} have no meaning for a bag and are ignored")
            skipped = ("/clock",) if values["clock"] else ()
            bag = BagStream(path, values["start"], log.warning, skipped, values["outputs"])
            log.info(f"playing {path}: {len(bag.outlets)} topics, {bag.message_count} messages")
            return bag
        scenes = [name.strip() for name in values["scene"].split(",") if name.strip()]
        frames = open_drive(path, values["version"], scenes, values["lidar"])
        drive = DriveStream(frames, values["image_transport"], values["lidar"], values["hold"], values["start"])
        names = list(dict.fromkeys(frame.scene for frame in frames))
        log.info(f"playing {path}: {len(drive)} frames of {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
        return _Drive(drive)

    def sender(self, outlet: Outlet) -> Any:
        """A publisher with the QoS that fits the topic."""
        asked = self.values["reliability"]
        reliable = asked == "reliable" or (asked == "auto" and outlet.reliable is not False)
        reliable |= outlet.latched
        depth = outlet.depth or self.values["depth"]
        if outlet.msg_type == TF_MESSAGE and not outlet.latched:
            reliable, depth = True, _TF_DEPTH
        profile = qos.profile("reliable" if reliable else "best_effort", depth, outlet.latched)
        return qos.create_publisher(self, message_class(outlet.msg_type), outlet.topic, profile)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Plays to the end, or until `stopping` says so. Raises ValueError if not all was there that was announced."""
        self.wait_for_subscribers(stopping)
        pace = Pace(self.values["rate"], self.values["stamps"], self.wait)

        published: Counter[str] = Counter()

        def publish(topic: str, message: Any) -> None:
            if message is not None:
                self.senders[topic].publish(message)
                published[topic] += 1
            if pace.behind_s and not self.behind_s:
                self.get_logger().warning(f"cannot keep up with rate {pace.rate:g}: messages come late")
            self.behind_s = pace.behind_s

        begun = time.monotonic()
        clock = self.send_clock if self.clock_sender else None
        play(self.stream.items(self.values["loop"]), pace, publish, lambda: not stopping(), clock)
        late = f", {self.behind_s:.1f} s late" if self.behind_s else ""
        count, spent_s = sum(published.values()), time.monotonic() - begun
        self.get_logger().info(f"published {count} messages in {spent_s:.1f} s{late}")
        # Reliable subscribers need a moment to take the last messages before the publishers vanish.
        for sender in self.senders.values():
            if not stopping():
                with contextlib.suppress(RuntimeError):  # of rclpy, where the middleware cannot tell
                    sender.wait_for_all_acked(Duration(seconds=1.0))
        lacking = "" if stopping() else self.stream.shortfall(published)
        if lacking:
            raise ValueError(lacking)

    def send_clock(self, stamp_ns: int) -> None:
        """Publishes /clock."""
        self.clock_sender.publish(clock_message(stamp_ns))

    def wait(self, seconds: float) -> None:
        """Lets time pass while ROS services of this node (parameters) answer; may come back sooner."""
        self.spinner.spin_once(timeout_sec=seconds)

    def wait_for_subscribers(self, stopping: Callable[[], bool]) -> None:
        """Waits, within the parameter's limit, until every image topic has its subscribers; without images, any."""
        limit_s, least = self.values["wait_for_subscribers"], self.values["subscribers"]
        until = time.monotonic() + limit_s
        while limit_s and not stopping():
            found = {topic: sender.get_subscription_count() for topic, sender in self.senders.items()}
            lacking = [topic for topic in self.images if found[topic] < least]
            if not lacking if self.images else any(found.values()):
                settled = time.monotonic() + SETTLE_S
                while (left_s := settled - time.monotonic()) > 0 and not stopping():
                    self.wait(left_s)
                return
            if time.monotonic() >= until:
                few = "no subscriber" if least == 1 else f"fewer than {least} subscribers"
                missing = ", ".join(lacking) or "any topic"
                self.get_logger().warning(f"after {limit_s:g} s there is {few} of {missing}; playing anyhow")
                return
            self.wait(0.05)


class _Drive:
    """A DriveStream as something to play."""

    def __init__(self, drive: DriveStream):
        self.drive = drive
        self.outlets: Sequence[Outlet] = [_outlet(topic) for topic in drive.topics]

    def items(self, loop: bool) -> Iterator[Item]:
        for record in self.drive.records(loop):
            yield Item(record.stamp_ns, record.topic.name, _maker(record))

    def shortfall(self, published: Mapping[str, int]) -> str:
        """A data set is checked before it is played, and what breaks then is an error at once."""
        return ""


def _outlet(topic: Topic) -> Outlet:
    return Outlet(topic.name, topic.msg_type, topic.latched, depth=1 if topic.latched else None)


def _maker(record: Record) -> Any:
    return lambda shift_ns: to_message(record.topic.msg_type, record.fields(record.stamp_ns + shift_ns))
