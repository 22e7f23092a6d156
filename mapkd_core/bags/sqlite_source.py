"""sqlite3 files of rosbag2 (.db3), with what a killed recording has left beside them in -wal and -journal files."""
from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from mapkd_core.bags.qos import parsed
from mapkd_core.bags.stored import LATEST_NS, Channel, Notes, Stored, unpacked
from mapkd_core.schema import FileFault

_BROKEN = (sqlite3.Error, OverflowError, TypeError, UnicodeError)
"""What damaged pages make Python's sqlite3 raise."""
SIDECARS = ("-wal", "-shm", "-journal")


class SqliteSource:
    """A .db3 file (see `stored.Source`). Raises FileFault for one that is none, or of which nothing can be read."""

    def __init__(self, path: Path, notes: Notes, name: str = "") -> None:
        self.name, self.notes = name or str(path), notes
        self.counts: Counter[Channel] = Counter()
        self.begin_ns = self.end_ns = 0
        self.whole, self.packed = True, False
        self._stack = ExitStack()
        self._rows: list[tuple[int, int, int]] | None = None
        """(log time, topic, rowid) of a damaged file, which cannot be asked to sort them; else None."""
        try:
            if not path.stat().st_size:
                raise FileFault(f"{self.name} is empty: it holds 0 bytes; its recording wrote nothing to the disk")
            self._database = self._open(path)
            try:
                self._channels = self._read_topics()
                self._read_counts()
            except _BROKEN as error:
                raise FileFault(f"{self.name} is not a readable rosbag2 file: {error}") from error
        except BaseException:
            self._stack.close()
            raise

    def messages(
        self, channels: Collection[Channel], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[Stored]:
        """See `stored.Source`. A row that cannot be read is a fault; the others follow all the same."""
        start, stop = start_ns or 0, LATEST_NS if stop_ns is None else stop_ns
        wanted = [number for number, channel in self._channels.items() if channel in set(channels)]
        for stamp_ns, topic, row in self._sorted(wanted, start, stop):
            channel = self._channels[topic]
            try:
                (data,) = self._database.execute("SELECT data FROM messages WHERE rowid = ?", (row,)).fetchone()
                if not isinstance(data, bytes):
                    raise ValueError(f"its data are of type {type(data).__name__}")
                plain = unpacked(data, channel.encoding)
                self.packed |= plain is not data
            except (*_BROKEN, ValueError) as error:
                self.whole = False
                self.notes.fault(f"{self.name}: message {row}, of {channel.topic}: {error}; it is left out")
            else:
                yield Stored(stamp_ns, channel, plain, stamp_ns)

    def close(self) -> None:
        """Closes the file."""
        self._stack.close()

    def _sorted(self, wanted: list[int], start_ns: int, stop_ns: int) -> Iterator[tuple[int, int, int]]:
        if self._rows is not None:
            chosen = set(wanted)
            yield from (row for row in self._rows if row[1] in chosen and start_ns <= row[0] < stop_ns)
            return
        marks = ",".join("?" * len(wanted))
        try:
            yield from self._database.execute(
                f"SELECT timestamp, topic_id, rowid FROM messages WHERE topic_id IN ({marks}) "
                "AND timestamp >= ? AND timestamp < ? ORDER BY timestamp, rowid",
                (*wanted, start_ns, stop_ns),
            )
        except _BROKEN as error:
            self.whole = False
            self.notes.fault(f"{self.name} is damaged ({error}): what comes later is left out")

    def _open(self, path: Path) -> sqlite3.Connection:
        """Read-only, its write-ahead log included, which a killed recording never moved into the file itself."""
        wal, journal = (Path(f"{path}{end}") for end in ("-wal", "-journal"))
        if not _has_data(wal) and not _has_data(journal):
            database = self._connect(path, "immutable=1")
            lacking = _lacking_bytes(path)
            if lacking:
                database.execute("PRAGMA writable_schema = ON")  # or sqlite reads nothing of a file that was cut off
                self.whole = False
                self.notes.fault(
                    f"{self.name} was cut off, as by a copy that broke off or a full disk: {lacking} bytes at its end "
                    "are missing; copy it again if the original is there"
                )
            return database
        self.whole = False
        if not _has_data(journal):
            with suppress(sqlite3.Error):
                database = self._connect(path, "mode=ro")
                database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
                self.notes.note(f"{self.name}: messages from its write-ahead log {wal.name} are read too")
                return database
        # sqlite must write to read these: an unfinished change is taken back, and the log needs an index.
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mapkd_bag_")))
        for file in (path, wal, journal):
            if _has_data(file):
                shutil.copyfile(file, folder / file.name)
        self.notes.note(f"{self.name}: read from a copy, together with what its killed recording left beside it")
        return self._connect(folder / path.name, "mode=rw")

    def _connect(self, path: Path, options: str) -> sqlite3.Connection:
        try:
            database = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise FileFault(f"{self.name} is not a readable rosbag2 file: {error}") from error
        database.text_factory = lambda data: data.decode(errors="replace")
        self._stack.callback(database.close)
        return database

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}

    def _read_topics(self) -> dict[int, Channel]:
        """Number in the file -> topic; the columns have grown from release to release."""
        have = self._columns("topics")
        if not {"id", "name", "type", "serialization_format"} <= have or "timestamp" not in self._columns("messages"):
            raise FileFault(f"{self.name} is a sqlite3 file, but none of rosbag2: it lacks the tables topics, messages")
        definitions: dict[str, tuple[str, str]] = {}
        if "encoded_message_definition" in self._columns("message_definitions"):
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            definitions = {str(kind): (str(form), str(text)) for kind, form, text in self._database.execute(query)}
        qos = "offered_qos_profiles" if "offered_qos_profiles" in have else "''"
        found = {}
        for number, topic, kind, encoding, offered in self._database.execute(
            f"SELECT id, name, type, serialization_format, {qos} FROM topics ORDER BY id"
        ):
            try:
                profiles = parsed(offered)
            except ValueError as error:
                self.notes.note(f"{self.name}: {topic}: {error}; it is played as if there were none")
                profiles, offered = (), ""
            form, text = definitions.get(kind, ("", ""))
            encoding = str(encoding or "cdr")
            found[number] = Channel(str(topic), str(kind), encoding, profiles, offered, text.encode(), form)
        return found

    def _read_counts(self) -> None:
        self.counts.update(dict.fromkeys(self._channels.values(), 0))
        rows: list[Any]
        try:
            rows = self._database.execute(
                "SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages GROUP BY topic_id"
            ).fetchall()
            if not all(type(value) is int for row in rows for value in row):
                raise TypeError("a message without topic or time")
        except _BROKEN as error:
            rows = self._salvaged(error)
        strange = [row for row in rows if row[0] not in self._channels or not 0 <= row[2] <= row[3] <= LATEST_NS]
        for topic, count, *_ in strange:
            self.notes.fault(f"{self.name}: {count} messages are of topic number {topic!r}, or logged before 1970")
        rows = [row for row in rows if row[0] in self._channels]
        for topic, count, *_ in rows:
            self.counts[self._channels[topic]] += count
        if rows:
            self.begin_ns, self.end_ns = max(min(row[2] for row in rows), 0), max(row[3] for row in rows)

    def _salvaged(self, error: Exception) -> list[Any]:
        """What comes before and behind the damage, row by row; an index in the file may be damaged as well."""
        found: dict[int, tuple[int, int, int]] = {}
        for order in ("ASC", "DESC"):
            with suppress(*_BROKEN):
                for stamp_ns, topic, row in self._database.execute(
                    f"SELECT timestamp, topic_id, rowid FROM messages NOT INDEXED ORDER BY rowid {order}"
                ):
                    if row in found:
                        break
                    if type(stamp_ns) is int and type(topic) is int:  # of damaged rows they can be anything
                        found[row] = (stamp_ns, topic, row)
        self.whole = False
        self._rows = sorted(found.values())
        self.notes.fault(f"{self.name} is damaged ({error}): {len(found)} messages are found in it, others are lost")
        stamps: dict[int, list[int]] = {}
        for stamp_ns, topic, _ in self._rows:
            stamps.setdefault(topic, []).append(stamp_ns)
        return [(topic, len(of_topic), min(of_topic), max(of_topic)) for topic, of_topic in stamps.items()]


def _lacking_bytes(path: Path) -> int:
    """How many bytes fewer a file has than its header says (SQLite file format, 1.3)."""
    with path.open("rb") as file:
        header = file.read(100)
    page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    if not header.startswith(b"SQLite format 3\0") or header[24:28] != header[92:96]:
        return 0  # the number of pages holds only where the two counters are alike
    return max(0, page_bytes * pages - path.stat().st_size)


def _has_data(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
