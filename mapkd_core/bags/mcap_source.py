"""MCAP files, whole or cut off: with an index or read from end to end, chunked or not, whatever is left of them.

Records are parsed by the library mcap. Its own readers refuse a file without a footer, or read all of it into memory.
"""
from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.bags.qos import parsed
from mapkd_core.bags.stored import LARGEST_BYTES, LATEST_NS, Channel, Notes, Stored, unpacked
from mapkd_core.bags.time_order import in_time_order
from mapkd_core.schema import FileFault

if TYPE_CHECKING:
    from mcap.records import Message

MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
_RUN_BYTES = 1 << 20
"""Messages outside chunks are read in runs of about this size."""


@dataclass(eq=False)
class _Span:
    """A chunk, or a run of messages that lie in none."""

    begin_ns: int
    end_ns: int
    offset: int
    length: int
    channels: set[int] = field(default_factory=set)
    """Of which it has messages; empty where nobody says."""


class McapSource:
    """An MCAP file (see `stored.Source`). Raises FileFault for one that is none, or of which nothing can be read."""

    def __init__(self, path: Path, notes: Notes, name: str = "") -> None:
        self.name, self.notes = name or str(path), notes
        self.counts: Counter[Channel] = Counter()
        self.begin_ns = self.end_ns = 0
        self.whole, self.packed = True, False
        self._schemas: dict[int, Any] = {}
        self._channels: dict[int, Channel] = {}
        self._spans: list[_Span] = []
        self._bad: set[int] = set()
        self._file = path.open("rb")
        try:
            self._size = self._file.seek(0, 2)
            self._check_begin()
            if not self._read_index():
                self._scan()
        except BaseException:
            self._file.close()
            raise

    def messages(
        self, channels: Collection[Channel], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[Stored]:
        """See `stored.Source`. A chunk that cannot be read is a fault; the others follow all the same."""
        start, stop = start_ns or 0, LATEST_NS if stop_ns is None else stop_ns
        wanted = {number for number, channel in self._channels.items() if channel in set(channels)}
        spans = [
            (max(span.begin_ns, start), partial(self._load, span, wanted, start, stop))
            for span in self._spans
            if span.end_ns >= start and span.begin_ns < stop and (not span.channels or span.channels & wanted)
        ]
        return in_time_order(spans, lambda message: message.log_ns)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _check_begin(self) -> None:
        self._file.seek(0)
        begin = self._file.read(len(MAGIC))
        if not self._size:
            raise FileFault(f"{self.name} is empty: it holds 0 bytes; its recording wrote nothing to the disk")
        if begin != MAGIC:
            raise FileFault(f"{self.name} is not an MCAP file: it begins with {begin!r}, expected {MAGIC!r}")

    def _read_index(self) -> bool:
        """Takes channels, counts and chunks from the summary at the end; False where that is missing or partial."""
        from mcap.reader import SeekingReader

        self._file.seek(0)
        try:
            summary = SeekingReader(self._file, record_size_limit=self._size).get_summary()
        except Exception:  # of struct, mcap, and for lengths that nobody can have
            return False
        statistics = summary and summary.statistics
        if not summary or not statistics or statistics.chunk_count != len(summary.chunk_indexes):
            return False
        counts = statistics.channel_message_counts
        if sum(counts.values()) != statistics.message_count or not set(counts) <= set(summary.channels):
            return False
        if statistics.message_count and not summary.chunk_indexes:
            return False  # messages outside chunks, which no index shows
        if any(c.chunk_start_offset + c.chunk_length > self._size for c in summary.chunk_indexes):
            return False
        if any(c.schema_id and c.schema_id not in summary.schemas for c in summary.channels.values()):
            return False
        self._schemas = summary.schemas
        for channel in summary.channels.values():
            self._add_channel(channel)
            self.counts[self._channels[channel.id]] += counts.get(channel.id, 0)
        for chunk in summary.chunk_indexes:
            self._add_span(
                _Span(
                    chunk.message_start_time, chunk.message_end_time, chunk.chunk_start_offset, chunk.chunk_length,
                    set(chunk.message_index_offsets),
                )
            )
        return True

    def _scan(self) -> None:
        """Walks from record to record to the end, or to where a killed recording or a full disk has cut the file."""
        at, run, sound = len(MAGIC), _Span(0, 0, 0, 0), False
        while at + _HEAD.size <= self._size:
            self._file.seek(at)
            op, length = _HEAD.unpack(self._file.read(_HEAD.size))
            end = at + _HEAD.size + length
            if op == 0 or end > self._size:
                break
            if op in (_FOOTER, _DATA_END):
                sound = True
                break
            if op == _MESSAGE and run.length and run.length < _RUN_BYTES:
                run.length = end - run.offset
            elif op == _MESSAGE:
                self._count(run)
                run = _Span(0, 0, at, end - at)
            else:
                self._count(run)
                run = _Span(0, 0, 0, 0)
                if op in (_SCHEMA, _CHANNEL, _CHUNK):
                    self._count(_Span(0, 0, at, end - at))
            at = end
        self._count(run)
        self.whole = False
        if sound:
            self.notes.note(f"{self.name} has no complete index and was read from end to end")
        elif self.counts:
            lost = self._size - at
            self.notes.note(
                f"{self.name} was cut off, as when a recording is killed or a disk is full"
                + (f": the {lost} bytes at its end are no whole record and are left out" if lost else "")
            )
        else:
            raise FileFault(f"{self.name} was cut off before its first message: of its {self._size} bytes none is data")

    def _count(self, span: _Span) -> None:
        """Adds a span of which no index tells anything."""
        if not span.length:
            return
        before = len(self._channels)
        stamps: list[int] = []
        for message in self._messages(span):
            stamps.append(message.log_time)
            span.channels.add(message.channel_id)
            self.counts[self._channels[message.channel_id]] += 1
        for channel in list(self._channels.values())[before:]:
            self.counts[channel] += 0
        if stamps:
            span.begin_ns, span.end_ns = min(stamps), max(stamps)
            self._add_span(span)

    def _add_span(self, span: _Span) -> None:
        if span.begin_ns > LATEST_NS:
            self.notes.fault(f"{self.name}: the chunk at byte {span.offset} says its first message is of "
                             f"{span.begin_ns} ns; it is left out")
            return
        self._spans.append(span)
        first = len(self._spans) == 1
        self.begin_ns = span.begin_ns if first else min(self.begin_ns, span.begin_ns)
        self.end_ns = max(self.end_ns, min(span.end_ns, LATEST_NS))

    def _add_channel(self, record: Any) -> None:
        schema = self._schemas.get(record.schema_id)
        offered = record.metadata.get("offered_qos_profiles", "")
        try:
            profiles = parsed(offered)
        except ValueError as error:
            self.notes.note(f"{self.name}: {record.topic}: {error}; it is played as if there were none")
            profiles, offered = (), ""
        name, *definition = (schema.name, schema.data, schema.encoding) if schema else ("", b"", "")
        encoding = record.message_encoding or ("cdr" if schema and schema.encoding.startswith("ros2") else "")
        self._channels[record.id] = Channel(record.topic, name, encoding, profiles, offered, *definition)

    def _load(self, span: _Span, wanted: set[int], start_ns: int, stop_ns: int) -> Iterator[Stored]:
        """The messages of a span in order of time."""
        found = []
        for message in self._messages(span):
            if message.channel_id in wanted and start_ns <= message.log_time < stop_ns:
                channel = self._channels[message.channel_id]
                try:
                    data = unpacked(message.data, channel.encoding)
                    self.packed |= data is not message.data
                    found.append(Stored(message.log_time, channel, data, message.publish_time))
                except ValueError as error:
                    self.notes.fault(f"{self.name}: a message of {channel.topic}: {error}; it is left out")
        found.sort(key=lambda message: message.log_ns)
        return iter(found)

    def _messages(self, span: _Span) -> list[Message]:
        """The messages of a span as they lie in it; none, and a fault said once, where it cannot be read."""
        from mcap.records import Message, Schema

        self._file.seek(span.offset)
        messages: list[Message] = []
        try:
            for record in _parsed(self._file.read(span.length)):
                if isinstance(record, Message):
                    messages.append(record)
                elif isinstance(record, Schema):
                    self._schemas.setdefault(record.id, record)
                elif record.id not in self._channels:
                    self._add_channel(record)
            strange = [m for m in messages if m.channel_id not in self._channels or m.log_time > LATEST_NS]
            if strange:
                raise ValueError(f"a message of channel {strange[0].channel_id}, logged at {strange[0].log_time} ns")
        except Exception as error:  # of mcap, lz4, zstandard, struct: a damaged file makes them fail in many ways
            if span.offset not in self._bad:
                self._bad.add(span.offset)
                self.whole = False
                self.notes.fault(f"{self.name}: the {span.length} bytes from byte {span.offset} on are damaged "
                                 f"({_line(error)}) and are left out")
            return []
        return messages


def _parsed(data: bytes) -> list[Any]:
    """The records in these bytes, those inside a chunk in its place."""
    from mcap.data_stream import ReadDataStream
    from mcap.records import Channel as ChannelRecord
    from mcap.records import Chunk, Message, Schema
    from mcap.stream_reader import breakup_chunk

    records: list[Any] = []
    at = 0
    while at < len(data):
        op, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        body = ReadDataStream(BytesIO(data[at : at + length]))
        at += length
        if op == _CHUNK:
            chunk = Chunk.read(body)
            if chunk.uncompressed_size > LARGEST_BYTES:
                raise ValueError(f"a chunk of {chunk.uncompressed_size} bytes")
            records += breakup_chunk(chunk, validate_crc=True)
        elif op == _MESSAGE:
            records.append(Message.read(body, length))
        elif op in (_SCHEMA, _CHANNEL):
            records.append((Schema if op == _SCHEMA else ChannelRecord).read(body))
    return records


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
