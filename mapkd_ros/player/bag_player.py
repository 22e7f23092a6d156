"""A rosbag2 (MCAP or sqlite3) as a stream to play: every topic, timing kept, as it was serialized."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_ros.player.playback import Item, Outlet
from mapkd_ros.player.restamp import Restamper
from mapkd_ros.sensor_messages import message_class

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

STORAGE_SUFFIXES = (".mcap", ".db3")
_LATCHED_BY_NAME = ("/tf_static",)
_GAP_NS = (1_000_000, 1_000_000_000)
"""Least and greatest pause between two passes of a loop."""
_GAP_UNKNOWN_NS = 500_000_000


def is_bag(path: Path) -> bool:
    """Whether this looks like a rosbag2: a folder with metadata.yaml or a storage file, or such a file."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or len(_storage_files(path)) > 0
    return path.suffix in STORAGE_SUFFIXES


class BagStream:
    """Plays a bag through rosbags' reader.

    `warn` gets one line that names the message types which are not installed here; their topics are left out.
    `skip_topics` are left out in silence. Raises FileNotFoundError for a missing bag and ValueError for a folder or
    file that is no bag, that is damaged, that is empty, or of which no topic can be played.
    """

    def __init__(
        self,
        path: str | Path,
        start_s: float = 0.0,
        warn: Callable[[str], object] = print,
        skip_topics: tuple[str, ...] = (),
    ):
        self.path, self.start_ns = Path(path).expanduser(), round(start_s * 1e9)
        self.reader = _open(self.path)
        if not self.reader.message_count:
            raise ValueError(f"bag {self.path} is empty: it holds {len(self.reader.connections)} topics and no message")
        wanted = [connection for connection in self.reader.connections if connection.topic not in skip_topics]
        self.restampers, reasons = _restampers({connection.msgtype for connection in wanted})
        if reasons:
            topics = sorted(connection.topic for connection in wanted if connection.msgtype in reasons)
            warn(
                f"not played, because their message types are not installed here: {', '.join(topics)} "
                f"({', '.join(sorted(reasons))})"
            )
        playable = [connection for connection in wanted if connection.msgtype in self.restampers]
        types = {topic: group[0].msgtype for topic, group in _by_topic(playable).items()}
        self.connections = [connection for connection in playable if connection.msgtype == types[connection.topic]]
        for other in playable:
            if other.msgtype != types[other.topic]:
                warn(f"{other.topic} changes its type in this bag; only {types[other.topic]} is played")
        if not any(connection.msgcount for connection in self.connections):
            why = "; ".join(sorted(reasons.values())) or "all its topics are left out"
            raise ValueError(f"bag {self.path} has no message that can be played: {why}")
        self.first_ns = self.reader.start_time + self.start_ns
        if self.start_ns >= self.reader.duration:
            raise ValueError(f"start is {start_s:g} s, but bag {self.path} lasts {self.reader.duration / 1e9:.1f} s")
        self.outlets: Sequence[Outlet] = [_outlet(topic, group) for topic, group in _by_topic(self.connections).items()]
        self.pass_ns = self.reader.end_time - 1 - self.first_ns + self._gap_ns()

    def items(self, loop: bool) -> Iterator[Item]:
        """The messages in order of time; a later pass continues after a pause as long as the slowest topic's period."""
        for turn in count() if loop else range(1):
            shift_ns = turn * self.pass_ns
            for connection, stamp_ns, raw in self._messages():
                restamp = partial(_restamped, self.restampers[connection.msgtype], raw, shift_ns)
                yield Item(stamp_ns + shift_ns, connection.topic, restamp)

    def close(self) -> None:
        """Closes the bag's files."""
        self.reader.close()

    def _messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        """What lies after `start`, preceded by the latched messages before it, without which the rest is useless."""
        try:
            latched_topics = {outlet.topic for outlet in self.outlets if outlet.latched}
            latched = [connection for connection in self.connections if connection.topic in latched_topics]
            if self.start_ns and latched:
                for connection, _, raw in self.reader.messages(latched, stop=self.first_ns):
                    yield connection, self.first_ns, raw
            yield from self.reader.messages(self.connections, start=self.first_ns)
        except (ValueError, GeneratorExit):
            raise
        except Exception as error:  # a damaged file makes the reader fail in many ways (struct, zstd, sqlite ...)
            raise ValueError(f"bag {self.path} is damaged: {_line(error)}") from error

    def _gap_ns(self) -> int:
        latched_topics = {outlet.topic for outlet in self.outlets if outlet.latched}
        counts = [c.msgcount for c in self.connections if c.msgcount > 1 and c.topic not in latched_topics]
        if not counts:
            return _GAP_UNKNOWN_NS
        return min(max(self.reader.duration // (min(counts) - 1), _GAP_NS[0]), _GAP_NS[1])


def _open(path: Path) -> Any:
    from rosbags.rosbag2 import Reader

    if not path.exists():
        raise FileNotFoundError(f"there is no bag {path}")
    if path.suffix == ".bag":
        raise ValueError(f"{path} is a bag of ROS 1; convert it first: rosbags-convert --src {path} --dst NEW_FOLDER")
    if not is_bag(path):
        raise ValueError(f"{path} is not a rosbag2; expected a folder with metadata.yaml, or an .mcap or .db3 file")
    storage = path
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        files = _storage_files(path)
        if len(files) > 1:
            raise ValueError(f"{path} has {len(files)} storage files and no metadata.yaml; try: ros2 bag reindex")
        storage = files[0]
    try:
        reader = Reader(storage)
        reader.open()
    except Exception as error:  # see BagStream._messages
        raise ValueError(f"{path} is not a readable rosbag2: {_line(error)}") from error
    return reader


def _storage_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in STORAGE_SUFFIXES)


def _restampers(msg_types: set[str]) -> tuple[dict[str, Restamper], dict[str, str]]:
    """For each installed type how to move its stamps, for each other one the reason why it cannot be played."""
    found, reasons = {}, {}
    for msg_type in msg_types:
        try:
            message_class(msg_type)
            found[msg_type] = Restamper(msg_type)
        except ValueError as error:
            reasons[msg_type] = str(error)
    return found, reasons


def _restamped(restamper: Restamper, raw: bytes, loop_shift_ns: int, shift_ns: int) -> bytes:
    return restamper(raw, loop_shift_ns + shift_ns)


def _by_topic(connections: list[Connection]) -> dict[str, list[Connection]]:
    topics: dict[str, list[Connection]] = {}
    for connection in connections:
        topics.setdefault(connection.topic, []).append(connection)
    return topics


def _outlet(topic: str, connections: list[Connection]) -> Outlet:
    """A publisher with the QoS that the topic was recorded with, as far as the bag tells."""
    from rosbags.interfaces import QosDurability, QosReliability

    profiles: list[Any] = [profile for c in connections for profile in getattr(c.ext, "offered_qos_profiles", ())]
    latched = topic in _LATCHED_BY_NAME or (
        bool(profiles) and all(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)
    )
    reliable = None
    if profiles:
        reliable = all(profile.reliability != QosReliability.BEST_EFFORT for profile in profiles)
    depth = None
    if latched:  # several nodes may each have latched a message; a late subscriber needs them all
        depth = min(max(sum(connection.msgcount for connection in connections), 1), 1000)
    return Outlet(topic, connections[0].msgtype, latched, reliable, depth)


def _line(error: Exception) -> str:
    with contextlib.suppress(IndexError):
        return str(error).splitlines()[0]
    return type(error).__name__
