"""Bags as they are met in the field, made small: cut off, without an index, of mixed encodings, with odd metadata."""
from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from mcap.writer import CompressionType, IndexType, Writer

from mapkd_core.bags.qos import as_text

STRING = "std_msgs/msg/String"
BEGIN_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000


def text(words: str) -> bytes:
    """A std_msgs/String as it is serialized, little-endian."""
    data = words.encode() + b"\0"
    return b"\0\1\0\0" + len(data).to_bytes(4, "little") + data


def texts(count: int, first: int = 0, topics: Iterable[str] = ("/a", "/b")) -> list[tuple[int, str, bytes]]:
    """(log time, topic, message), `count` of each topic, 0.1 s apart."""
    return [(BEGIN_NS + k * STEP_NS, t, text(f"{t} {k}")) for k in range(first, first + count) for t in topics]


def mcap(
    path: Path,
    messages: list[tuple[int, str, bytes]],
    *,
    chunk_bytes: int = 200,
    compression: CompressionType = CompressionType.LZ4,
    indexes: IndexType = IndexType.ALL,
    chunked: bool = True,
    whole: bool = True,
    encodings: dict[str, tuple[str, str]] | None = None,
    profiles: tuple = (),
    repeat: bool = True,
) -> Path:
    """An MCAP file; `encodings` gives topics (message encoding, schema name or "" for none); not `whole`: no index."""
    with path.open("wb") as file:
        writer = Writer(
            file, chunk_bytes, compression, indexes, repeat, repeat, chunked, use_statistics=repeat
        )
        writer.start("ros2", "test")
        channels: dict[str, int] = {}
        for log_ns, topic, data in messages:
            if topic not in channels:
                encoding, kind = (encodings or {}).get(topic, ("cdr", STRING))
                schema = writer.register_schema(kind, "ros2msg", b"string data") if kind else 0
                offered = {"offered_qos_profiles": as_text(profiles)}
                channels[topic] = writer.register_channel(topic, encoding, schema, offered)
            writer.add_message(channels[topic], log_ns, data, max(log_ns - 5, 0))
        if whole:
            writer.finish()
        elif chunked:
            writer.flush()
    return path


def sqlite(path: Path, messages: list[tuple[int, str, bytes]], version: int = 4) -> sqlite3.Connection:
    """A .db3 file as rosbag2 wrote it in Dashing (1), Foxy (2) or since Iron (4); the connection is open."""
    database = sqlite3.connect(path)
    qos = ", offered_qos_profiles TEXT NOT NULL DEFAULT ''" if version >= 2 else ""
    database.execute(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, "
        f"serialization_format TEXT NOT NULL{qos})"
    )
    database.execute(
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, "
        "data BLOB NOT NULL)"
    )
    if version >= 4:
        database.execute("ALTER TABLE topics ADD COLUMN type_description_hash TEXT NOT NULL DEFAULT ''")
        database.execute("CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL)")
        database.execute("INSERT INTO schema VALUES(4, 'jazzy')")
        database.execute(
            "CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, "
            "encoding TEXT NOT NULL, encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL)"
        )
        database.execute("INSERT INTO message_definitions VALUES(1, ?, 'ros2msg', 'string data', '')", (STRING,))
    database.commit()
    insert(database, messages)
    return database


def insert(database: sqlite3.Connection, messages: list[tuple[int, str, bytes]]) -> None:
    """Adds messages, and topics where they are new, in one transaction."""
    known = {name: number for number, name in database.execute("SELECT id, name FROM topics")}
    for log_ns, topic, data in messages:
        if topic not in known:
            row = database.execute(
                "INSERT INTO topics(name, type, serialization_format) VALUES(?, ?, 'cdr')", (topic, STRING)
            )
            known[topic] = row.lastrowid or 0
        database.execute(
            "INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)", (known[topic], log_ns, data)
        )
    database.commit()


def metadata(folder: Path, files: list[str], counts: dict[str, int], qos: str = "", **changes: Any) -> Path:
    """metadata.yaml that announces these counts of strings; `changes` replace or add keys. Returns the folder."""
    info = {
        "version": 5,
        "storage_identifier": "sqlite3" if files and ".db3" in files[0] else "mcap",
        "relative_file_paths": files,
        "duration": {"nanoseconds": 1},
        "starting_time": {"nanoseconds_since_epoch": BEGIN_NS},
        "message_count": sum(counts.values()),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": name, "type": STRING, "serialization_format": "cdr", "offered_qos_profiles": qos,
                },
                "message_count": count,
            }
            for name, count in counts.items()
        ],
        "compression_format": "",
        "compression_mode": "",
    } | changes
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": info}))
    return folder
