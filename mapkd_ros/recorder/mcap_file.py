"""The file that `recorder` writes: topics by name, with the definitions of whatever message types are installed."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mapkd_core.bags.mcap_writer import McapWriter
from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.bags.qos import Profile, as_text


class McapFile:
    """An MCAP file of ROS 2 messages, each topic with the definition of its type. Close it, or it has no index.

    `share` is this package's installed share folder, which has the definitions of its messages.

    Whatever ends the process, what was written until a moment before can be read (see `McapWriter`).
    """

    def __init__(self, path: Path, share: Path):
        self._messages = PlainMessages(sorted((share / "msg").glob("*.msg")))
        self._writer = McapWriter(path)
        self._numbers: dict[str, int] = {}

    @property
    def count(self) -> int:
        """Messages written."""
        return self._writer.count

    @property
    def saved(self) -> int:
        """Messages that are sure to be in the file."""
        return self._writer.saved

    def add_topic(self, topic: str, msg_type: str, profiles: Iterable[Profile] | None = None) -> None:
        """Declares a topic before its first message; without `profiles` with the QoS that its name suggests."""
        offered = None if profiles is None else as_text(profiles)
        self._numbers[topic] = self._writer.add_topic(topic, msg_type, self._definition(msg_type), offered)

    def has_topic(self, topic: str) -> bool:
        """Whether it is declared."""
        return topic in self._numbers

    def write(self, topic: str, raw: bytes, stamp_ns: int) -> None:
        """Adds a serialized message, received at `stamp_ns`."""
        self._writer.write(self._numbers[topic], raw, stamp_ns)

    def close(self) -> None:
        """Writes the index; twice is once."""
        self._writer.close()

    def _definition(self, msg_type: str) -> bytes:
        if msg_type not in self._messages.types.types:
            self._register(msg_type)
        return self._messages.definition(msg_type)

    def _register(self, msg_type: str) -> None:
        """Takes the definition that is installed with the package of a type that rosbags does not know."""
        from ament_index_python.packages import get_package_share_directory
        from rosbags.typesys import get_types_from_msg

        package, _, name = msg_type.partition("/msg/")
        text = (Path(get_package_share_directory(package)) / "msg" / f"{name}.msg").read_text()
        self._messages.types.register(get_types_from_msg(text, msg_type))
