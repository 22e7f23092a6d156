"""What the readers of storage files hand out: topics of one file, and their messages as they were serialized."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mapkd_core.bags.qos import Profile

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LARGEST_BYTES = 1 << 30
"""No message or chunk is larger when unpacked: a length in a damaged file must not fill the memory."""
LATEST_NS = (1 << 63) - 1
REPAIR = "`mapkd bag repair {path}` writes a sound copy of what can be read"


@dataclass(frozen=True)
class Channel:
    """A topic of one storage file."""

    topic: str
    msg_type: str
    """Such as `sensor_msgs/msg/Image`; empty where the file does not say."""
    encoding: str
    """`cdr` for ROS 2."""
    profiles: tuple[Profile, ...] = ()
    offered: str = ""
    """The profiles as they stand in the file, with all that this project does not look at."""
    definition: bytes = b""
    """The definition of its messages; empty where the file has none."""
    definition_format: str = ""
    """`ros2msg` or `ros2idl` where it is a text of ROS 2."""


class Stored(NamedTuple):
    """One message."""

    log_ns: int
    channel: Channel
    data: bytes
    publish_ns: int
    """When it was sent, where the file knows; else when it was logged."""


@dataclass(frozen=True)
class Notes:
    """Where a reader says what the user should know of a file, and what it could not read."""

    note: Callable[[str], object]
    """Takes a line about the file as a whole."""
    fault: Callable[[str], object]
    """Takes a line about something in it that cannot be read and is left out."""


class Source(Protocol):
    """A storage file that is open."""

    counts: Counter[Channel]
    """Messages of each channel; channels without any are there too."""
    begin_ns: int
    end_ns: int
    """Log time of the last message; begin and end are 0 in a file without messages."""
    whole: bool
    """False where other software would not read all of it."""
    packed: bool
    """True once a message has come that rosbag2 had compressed."""

    def messages(
        self, channels: Collection[Channel], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[Stored]:
        """The messages of these channels from `start_ns` on and before `stop_ns`, in order of time."""

    def close(self) -> None:
        """Closes the file."""


def unpacked(data: bytes, encoding: str) -> bytes:
    """The message itself where rosbag2 compressed it (compression mode `message`). Raises ValueError.

    ROS 2's serialization begins with a zero, so it is not mistaken for one.
    """
    if encoding != "cdr" or data[:4] != ZSTD_MAGIC:
        return data
    import zstandard

    try:
        size = zstandard.frame_content_size(data)
        if size > LARGEST_BYTES:
            raise ValueError(f"it says that it holds {size} bytes")
        if size >= 0:  # as rosbag2 writes it
            return zstandard.ZstdDecompressor().decompress(data)
        with zstandard.ZstdDecompressor().stream_reader(data) as stream:
            return bytes(stream.read(LARGEST_BYTES))
    except (zstandard.ZstdError, MemoryError) as error:
        raise ValueError(f"zstd cannot unpack it ({error})") from error
