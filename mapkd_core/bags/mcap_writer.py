"""An MCAP file of ROS 2 messages that grows on disk as messages come, so that a kill or a full disk costs a moment."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from mapkd_core.bags.qos import as_text, profile_by_name

CHUNK_BYTES = 1 << 20
CHUNK_S = 1.0
"""A chunk goes to the disk at the latest after this time, however few messages came."""


class McapWriter:
    """Writes `path`, each topic with the definition of its type and the QoS of its publishers.

    Chunk by chunk, so that whatever ends the process, what was written before can be read (see `BagReader`). Close it,
    or it has no index. Raises OSError, also from `write`; the file then ends with its last whole chunk.
    """

    def __init__(self, path: Path) -> None:
        from mcap.writer import CompressionType, Writer

        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.counts: Counter[int] = Counter()
        """Number of a topic (see `add_topic`) -> messages; topics without any are there too."""
        self.count = 0
        self.begin_ns = self.end_ns = 0
        self._file = path.open("wb")
        self._whole, self.saved = 0, 0
        """Bytes up to the end of the last whole chunk, and messages up to there."""
        self._writer = Writer(self._file, CHUNK_BYTES, CompressionType.LZ4)
        self._schemas: dict[tuple[str, bytes], int] = {("", b""): 0}
        self._flushed_s = time.monotonic()
        with self._whole_chunks():
            self._writer.start(profile="ros2", library="mapkd_ros")
            self._writer.flush()
            self._whole = self._file.tell()

    def __enter__(self) -> McapWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_topic(
        self,
        topic: str,
        msg_type: str,
        definition: bytes,
        offered: str | None = None,
        encoding: str = "cdr",
        definition_format: str = "ros2msg",
    ) -> int:
        """Declares a topic before its first message, and gives it a number.

        `offered` is the text of its publishers' QoS (see `qos.as_text`), by default what the topic's name suggests.
        """
        schema = (msg_type, definition)
        offered = as_text([profile_by_name(topic)]) if offered is None else offered
        with self._whole_chunks():
            if schema not in self._schemas:
                self._schemas[schema] = self._writer.register_schema(msg_type, definition_format, definition)
            number = self._writer.register_channel(
                topic, encoding, self._schemas[schema], {"offered_qos_profiles": offered}
            )
        self.counts[number] = 0
        return number

    def write(self, topic: int, raw: bytes, stamp_ns: int, publish_ns: int | None = None) -> None:
        """Adds a serialized message of the topic of that number, received at `stamp_ns`, sent at `publish_ns`."""
        with self._whole_chunks():
            self._writer.add_message(topic, stamp_ns, raw, stamp_ns if publish_ns is None else publish_ns)
            self.begin_ns = min(self.begin_ns, stamp_ns) if self.count else stamp_ns
            self.end_ns = max(self.end_ns, stamp_ns)
            self.counts[topic] += 1
            self.count += 1
            if time.monotonic() - self._flushed_s > CHUNK_S:
                self._writer.flush()
            if self._file.tell() > self._whole:
                self._file.flush()
                self._whole, self.saved = self._file.tell(), self.count
                self._flushed_s = time.monotonic()

    def close(self) -> None:
        """Writes the index; twice is once."""
        if self._file.closed:
            return
        with self._whole_chunks():
            self._writer.finish()
            self._file.flush()
        self.saved = self.count
        self._file.close()

    @contextmanager
    def _whole_chunks(self) -> Iterator[None]:
        """After an error, such as a full disk, cuts off what could not be written whole and closes the file."""
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                self._file.close()  # it tries once more to write what did not fit
            with self.path.open("rb+") as file:
                file.truncate(self._whole)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
