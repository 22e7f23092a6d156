"""A rosbag2 (MCAP or sqlite3) as a stream to play: every topic, timing kept, as it was serialized."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from mapkd_core.bags.reader import BagMessage, BagReader, BagTopic
from mapkd_core.cameras.topics import CAMERA_INFO
from mapkd_ros.player.playback import Item, Outlet
from mapkd_ros.player.restamp import Restamper
from mapkd_ros.sensor_messages import message_class

_LATCHED_BY_NAME = ("/tf_static",)
_GAP_NS = (1_000_000, 1_000_000_000)
"""Least and greatest pause between two passes of a loop."""
_GAP_UNKNOWN_NS = 500_000_000
_LONG_PAUSE_S = 60.0
"""A user is told of a pause in the bag that is longer: nothing is published meanwhile."""
_OUTPUT_TYPE = "mapkd_ros/msg/VectorMap"
_LEAST_BYTES = 4
"""A serialized message begins with four bytes that say how."""


class BagStream:
    """Plays a bag through `BagReader`.

    `warn` gets lines about what is unusual in the bag, among them one that names the topics which cannot be played
    and are left out: those of message types that are not installed here and of encodings that are not ROS 2's.
    `skip_topics` are left out in silence. What a student_node had published when the bag was recorded is left out too,
    with a line, unless `outputs` is set: beside a live node's output it would be taken for that.

    Raises FileNotFoundError for a missing bag and ValueError for a folder or file that is no bag, that is damaged
    beyond reading, that is empty, or of which no topic can be played.
    """

    def __init__(
        self,
        path: str | Path,
        start_s: float = 0.0,
        warn: Callable[[str], object] = print,
        skip_topics: tuple[str, ...] = (),
        outputs: bool = False,
    ):
        self.path, self.start_ns, self.warn = Path(path).expanduser(), round(start_s * 1e9), warn
        self.reader = BagReader(self.path)
        for line in self.reader.notes:
            warn(line)
        if not self.reader.message_count:
            raise ValueError(
                f"bag {self.path} is empty: it holds {len(self.reader.topics)} topics and no message"
                + "".join(f"; {fault}" for fault in self.reader.faults)
            )
        wanted = [topic for topic in self.reader.topics if topic.name not in skip_topics]
        own = [] if outputs else node_outputs(self.reader.topics)
        if own:
            warn(f"not played, because a student_node had published them: {', '.join(own)}; outputs:=true plays them")
            wanted = [topic for topic in wanted if topic.name not in own]
        self.restampers, reasons = _restampers(wanted)
        if reasons:
            warn(f"not played: {_listed(reasons)}")
        playable = [topic for topic in wanted if topic not in reasons]
        first = {topic.name: topic for topic in reversed(playable)}
        self.topics = [topic for topic in playable if topic is first[topic.name]]
        for other in playable:
            if other is not first[other.name]:
                warn(f"{other.name} changes its type in this bag; only {first[other.name].msg_type} is played")
        if not any(topic.count for topic in self.topics):
            why = "; ".join(sorted({reason.remedy for reason in reasons.values()})) or "all its topics are left out"
            raise ValueError(f"bag {self.path} has no message that can be played: {why}")
        self.first_ns = self.reader.begin_ns + self.start_ns
        duration_ns = self.reader.end_ns - self.reader.begin_ns
        if self.start_ns > duration_ns:
            raise ValueError(f"start is {start_s:g} s, but bag {self.path} lasts {duration_ns / 1e9:.1f} s")
        self.outlets: Sequence[Outlet] = [_outlet(topic) for topic in self.topics]
        self.pass_ns = self.reader.end_ns - self.first_ns + self._gap_ns(duration_ns)
        left_out = {topic.name for topic in self.reader.topics} - {topic.name for topic in self.topics}
        self.announced = {topic.name: topic.count for topic in self.topics}
        """Topic -> messages that are to be played, if all of the bag is."""
        for name, lacking in self.reader.missing.items():
            if name not in left_out and name not in skip_topics:
                self.announced[name] = self.announced.get(name, 0) + lacking
        self._unfit: Counter[str] = Counter()

    @property
    def message_count(self) -> int:
        """Messages that are to be played, if all of the bag is."""
        return sum(self.announced.values())

    def items(self, loop: bool) -> Iterator[Item]:
        """The messages in order of time; a later pass continues after a pause as long as the slowest topic's period."""
        for turn in count() if loop else range(1):
            shift_ns = turn * self.pass_ns
            before_ns = self.first_ns
            for topic, log_ns, raw, _ in self._messages():
                stamp_ns = max(log_ns, self.first_ns)
                if stamp_ns - before_ns > _LONG_PAUSE_S * 1e9:
                    since_s, until_s = ((ns - self.reader.begin_ns) / 1e9 for ns in (before_ns, stamp_ns))
                    self.warn(f"the bag holds nothing from second {since_s:.0f} to {until_s:.0f}; skip that with start")
                before_ns = stamp_ns
                yield Item(stamp_ns + shift_ns, topic.name, partial(self._made, topic, raw, shift_ns))

    def shortfall(self, published: Mapping[str, int]) -> str:
        """Why fewer messages were published than the bag announces, after all was played; empty if none is missing."""
        reasons = list(self.reader.faults)
        reasons += [f"{count} of {topic} are no messages of its type" for topic, count in self._unfit.items()]
        if self.reader.missing:
            reasons.append("its metadata.yaml announces messages that its files do not hold")
        lacking = {
            topic: count - published.get(topic, 0)
            for topic, count in self.announced.items()
            if not self.start_ns and published.get(topic, 0) < count
        }
        if not lacking and not reasons:
            return ""
        named = ", ".join(f"{count} of {topic}" for topic, count in lacking.items()) or "some"
        why = "; ".join(reasons) or "its files hold fewer than their index says"
        return f"not played of {self.path}: {named}: {why}"

    def close(self) -> None:
        """Closes the bag's files."""
        self.reader.close()

    def _messages(self) -> Iterator[BagMessage]:
        """What lies after `start`, preceded by the latched messages before it, without which the rest is useless."""
        if self.start_ns:
            latched = {outlet.topic for outlet in self.outlets if outlet.latched}
            yield from self.reader.messages([t for t in self.topics if t.name in latched], stop_ns=self.first_ns)
        yield from self.reader.messages(self.topics, start_ns=self.first_ns)

    def _made(self, topic: BagTopic, raw: bytes, loop_shift_ns: int, shift_ns: int) -> bytes | None:
        """The message with its stamps moved; None, and counted, for bytes that are no message."""
        try:
            if len(raw) < _LEAST_BYTES:
                raise ValueError(f"{len(raw)} bytes")
            return self.restampers[topic](raw, loop_shift_ns + shift_ns)
        except Exception:  # of struct, rclpy, or the middleware, each with classes of its own
            self._unfit[topic.name] += 1
            return None

    def _gap_ns(self, duration_ns: int) -> int:
        latched = {outlet.topic for outlet in self.outlets if outlet.latched}
        counts = [topic.count for topic in self.topics if topic.count > 1 and topic.name not in latched]
        if not counts:
            return _GAP_UNKNOWN_NS
        return min(max(duration_ns // (min(counts) - 1), _GAP_NS[0]), _GAP_NS[1])


def node_outputs(topics: Sequence[BagTopic]) -> list[str]:
    """Names of the topics that a student_node had published, and of /diagnostics, which then hold its status.

    They lie in one namespace with a topic of type VectorMap, which nobody else publishes. Where cameras lie in that
    namespace too, somebody has moved the map there, and it is left out alone.
    """
    maps = [topic.name for topic in topics if topic.msg_type == _OUTPUT_TYPE]
    spaces = {f"{name.rpartition('/')[0]}/" for name in maps}
    spaces -= {space for space in spaces for t in topics if t.msg_type == CAMERA_INFO and t.name.startswith(space)}
    own = [t.name for t in topics if t.name in maps or t.name.startswith(tuple(spaces))]
    return [*own, *(t.name for t in topics if own and t.name == "/diagnostics")]


class _Reason(NamedTuple):
    """Why a topic is not played."""

    short: str
    remedy: str


def _restampers(topics: Sequence[BagTopic]) -> tuple[dict[BagTopic, Restamper], dict[BagTopic, _Reason]]:
    """For each topic that can be played how to move its stamps, for each other one the reason why it cannot."""
    from rclpy.exceptions import InvalidTopicNameException
    from rclpy.validate_topic_name import validate_topic_name

    found: dict[BagTopic, Restamper] = {}
    reasons: dict[BagTopic, _Reason] = {}
    for topic in topics:
        try:
            if topic.encoding != "cdr":
                word = f"encoding {topic.encoding or 'unknown'}"
                reasons[topic] = _Reason(word, f"{word}, while ROS 2 publishes cdr alone: convert them")
            elif not topic.msg_type:
                reasons[topic] = _Reason("message type unknown", "its topics have no message type: record them again")
            else:
                validate_topic_name(topic.name)
                message_class(topic.msg_type)
                found[topic] = Restamper(topic.msg_type)
        except InvalidTopicNameException as error:
            reasons[topic] = _Reason("no valid name", " ".join(str(error).split()))
        except ValueError as error:
            reasons[topic] = _Reason(f"{topic.msg_type} is not installed here", str(error))
    return found, reasons


def _listed(reasons: Mapping[BagTopic, _Reason]) -> str:
    """`/a, /b (encoding protobuf); /c (nope_msgs/msg/Thing is not installed here)`."""
    groups: dict[str, list[str]] = {}
    for topic, reason in reasons.items():
        groups.setdefault(reason.short, []).append(topic.name)
    return "; ".join(f"{', '.join(sorted(names))} ({short})" for short, names in groups.items())


def _outlet(topic: BagTopic) -> Outlet:
    """A publisher with the QoS that the topic was recorded with, as far as the bag tells."""
    profiles = topic.profiles
    latched = topic.name in _LATCHED_BY_NAME or (bool(profiles) and all(profile.latched for profile in profiles))
    reliable = all(profile.reliable for profile in profiles) if profiles else None
    # Several nodes may each have latched a message; a late subscriber needs them all.
    depth = min(max(topic.count, 1), 1000) if latched else None
    return Outlet(topic.name, topic.msg_type, latched, reliable, depth)
