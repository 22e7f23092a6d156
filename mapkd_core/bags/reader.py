"""Any rosbag2, read without ROS: a folder or a single file, whole or left behind by a recording that was killed.

    with BagReader("drive") as bag:
        for message in bag.messages():
            print(message.log_ns, message.topic.name, len(message.data))

rosbags' reader, which this stands in for, pairs the topics of metadata.yaml and of the files by name, type and QoS and
reads nothing where those differ; it refuses files without a footer and skips what lies in sqlite3's write-ahead log.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from mapkd_core.bags.bag_files import BagFile, bag_files
from mapkd_core.bags.mcap_source import McapSource
from mapkd_core.bags.qos import Profile, as_text
from mapkd_core.bags.sqlite_source import SqliteSource
from mapkd_core.bags.stored import REPAIR, Channel, Notes, Source
from mapkd_core.bags.time_order import in_time_order
from mapkd_core.schema import FileFault


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag, in one type and one encoding."""

    name: str
    msg_type: str
    """Such as `sensor_msgs/msg/Image`; empty where nobody says."""
    encoding: str
    profiles: tuple[Profile, ...] = ()
    """QoS that its publishers offered."""
    offered: str = ""
    """The same as the YAML that stands in the bag."""
    definition: bytes = b""
    """Definition of its messages, where the bag has it: for the formats `ros2msg` and `ros2idl` a text."""
    definition_format: str = ""
    count: int = 0
    """Messages in the files."""


class BagMessage(NamedTuple):
    """One message as it was serialized."""

    topic: BagTopic
    log_ns: int
    data: bytes
    publish_ns: int
    """When it was sent, where the bag knows; else when it was logged."""


class BagReader:
    """A bag that is open for reading; `use_metadata` False does as if it had no metadata.yaml.

    `notes` are lines that a user should see: what is unusual about the bag and does no harm. `faults` say what could
    not be read; more may come while messages are read. Raises FileNotFoundError for a missing bag or file and
    FileFault (a ValueError) for what is none.
    """

    def __init__(self, path: str | Path, use_metadata: bool = True) -> None:
        self.path = Path(path).expanduser()
        self.notes: list[str] = []
        self.faults: list[str] = []
        self._stack = ExitStack()
        self.sources: list[tuple[str, Source]] = []
        try:
            files, self.metadata = bag_files(self.path, self._stack, self.notes.append, use_metadata)
            self._open(files)
            self.topics, self._topic_of = self._merged()
            self.missing = self._compared()
        except BaseException:
            self._stack.close()
            raise
        filled = [source for _, source in self.sources if sum(source.counts.values())]
        self.begin_ns = min((source.begin_ns for source in filled), default=0)
        self.end_ns = max((source.end_ns for source in filled), default=0)

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    missing: dict[str, int]
    """Topic -> messages that metadata.yaml announces and the files do not hold."""
    metadata_fits: bool
    """Whether there is a metadata.yaml and it announces what the files hold."""
    topics: list[BagTopic]
    begin_ns: int
    """Log time of the first message."""
    end_ns: int
    """Log time of the last message; begin and end are 0 in an empty bag."""

    @property
    def message_count(self) -> int:
        """Messages in the files."""
        return sum(topic.count for topic in self.topics)

    @property
    def whole(self) -> bool:
        """False where other software would not read all of it, as far as what was read until now tells."""
        return not self.faults and all(source.whole for _, source in self.sources)

    @property
    def packed(self) -> bool:
        """Whether files or messages are compressed by rosbag2, as far as what was read until now tells."""
        return any(name.endswith(".zstd") or source.packed for name, source in self.sources)

    def messages(
        self, topics: Collection[BagTopic] | None = None, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """The messages (of some topics) from `start_ns` on and before `stop_ns`, in order of time.

        What cannot be read is left out and adds a line to `faults`.
        """
        wanted = set(self.topics if topics is None else topics)
        chosen = [channel for channel, topic in self._topic_of.items() if topic in wanted]
        sources = [
            (source.begin_ns, partial(source.messages, [c for c in source.counts if c in chosen], start_ns, stop_ns))
            for _, source in self.sources
        ]
        for stored in in_time_order(sources, lambda message: message.log_ns):
            yield BagMessage(self._topic_of[stored.channel], stored.log_ns, stored.data, stored.publish_ns)

    def close(self) -> None:
        """Closes the files."""
        self._stack.close()

    def _open(self, files: list[BagFile]) -> None:
        """All files that can be read; one that cannot is a fault if there are others."""
        notes, refused = Notes(self.notes.append, self._fault), []
        for file in files:
            kind = McapSource if file.storage == "mcap" else SqliteSource
            try:
                source: Source = kind(file.path, notes, file.name)
            except FileFault as error:
                refused.append(error)
                continue
            self._stack.callback(source.close)
            self.sources.append((Path(file.name).name, source))
        if refused and not self.sources:
            raise refused[0]
        for fault in refused:
            self._fault(str(fault))

    def _fault(self, line: str) -> None:
        if line not in self.faults:  # a loop comes by again
            self.faults.append(line)

    def _merged(self) -> tuple[list[BagTopic], dict[Channel, BagTopic]]:
        """Topics of all files; metadata.yaml tells QoS, as for `ros2 bag play`, and a type where the file lacks it."""
        said = {topic.name: topic for topic in self.metadata.topics} if self.metadata else {}
        counts: Counter[Channel] = Counter()
        for _, source in self.sources:
            counts.update(source.counts)
        found: dict[tuple[str, str, str], BagTopic] = {}
        keys = {}
        for channel, count in counts.items():
            told = said.get(channel.topic)
            msg_type = channel.msg_type or (told.msg_type if told else "")
            key = keys[channel] = (channel.topic, msg_type, channel.encoding)
            topic = found.get(key)
            if topic is None:
                profiles, offered = channel.profiles, channel.offered
                if told and told.profiles:
                    profiles, offered = told.profiles, told.offered
                topic = BagTopic(*key, profiles, offered, channel.definition, channel.definition_format)
            elif not (told and told.profiles) and not set(channel.profiles) <= set(topic.profiles):
                profiles = (*topic.profiles, *channel.profiles)
                topic = replace(topic, profiles=profiles, offered=as_text(profiles))
            found[key] = replace(topic, count=topic.count + count)
        return list(found.values()), {channel: found[key] for channel, key in keys.items()}

    def _compared(self) -> dict[str, int]:
        """What metadata.yaml announces and the files lack, and notes where the two differ otherwise."""
        self.metadata_fits = self.metadata is not None
        if self.metadata is None:
            return {}
        held: Counter[str] = Counter()
        for topic in self.topics:
            held[topic.name] += topic.count
        announced: Counter[str] = Counter()
        for told in self.metadata.topics:
            announced[told.name] += told.count
        lacking = {name: count - held[name] for name, count in announced.items() if count > held[name]}
        if not lacking and self.metadata.message_count > sum(held.values()):
            lacking = {"all topics together": self.metadata.message_count - sum(held.values())}
        if lacking:
            self.notes.append(
                "metadata.yaml announces messages that the files do not hold: "
                + ", ".join(f"{count} of {name}" for name, count in lacking.items())
            )
        more = {name: count - announced[name] for name, count in held.items() if count > announced[name]}
        if more:
            self.notes.append(
                "the files hold messages that metadata.yaml does not know of: "
                + ", ".join(f"{count} of {name}" for name, count in more.items())
            )
        self.metadata_fits = not lacking and not more
        if not self.metadata_fits:
            self.notes.append(REPAIR.format(path=self.path))
        return lacking
