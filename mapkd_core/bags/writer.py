"""Writes a drive as a rosbag2 (MCAP or sqlite3) without ROS: the topics, types and stamps of `nuscenes_player`."""
from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mapkd_core.bags.bag_files import new_bag
from mapkd_core.bags.drive_stream import DriveStream, Record, Topic
from mapkd_core.bags.metadata import VERSION as METADATA_VERSION
from mapkd_core.bags.qos import FOREVER, LATCHED, Profile, profile_by_name
from mapkd_core.progress import Progress

if TYPE_CHECKING:
    from rosbags.interfaces import Qos
    from rosbags.typesys.store import Typestore

STORAGES = ("mcap", "sqlite3")


@dataclass(frozen=True)
class BagSummary:
    """What a bag holds."""

    path: Path
    messages: int
    duration_s: float
    messages_by_topic: Mapping[str, int]


def write_bag(
    drive: DriveStream, path: Path, storage: str = "mcap", overwrite: bool = False, progress: bool = True
) -> BagSummary:
    """Writes one pass of a drive to the folder `path`; message times are the stamps of the drive's time line.

    Raises FileExistsError if the folder is there, unless `overwrite` is set and it is a bag or empty. A bag that is
    there goes when the new one is whole; an error leaves it as it was, and nothing else behind.
    """
    if storage not in STORAGES:
        raise ValueError(f"storage is {storage!r}; expected one of {', '.join(STORAGES)}")
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE)
    counts = {absolute(topic.name): 0 for topic in drive.topics}
    begin_ns = end_ns = 0
    with new_bag(path, overwrite) as place, _storage_errors(path):
        with Writer(place, version=METADATA_VERSION, storage_plugin=StoragePlugin[storage.upper()]) as writer:
            connections = {topic: _connect(writer, topic, types) for topic in drive.topics}
            for record in _with_progress(drive, progress):
                message = message_of(types, record.topic.msg_type, record.fields(record.stamp_ns))
                raw = types.serialize_cdr(message, record.topic.msg_type)
                writer.write(connections[record.topic], record.stamp_ns, raw)
                counts[absolute(record.topic.name)] += 1
                begin_ns, end_ns = begin_ns or record.stamp_ns, record.stamp_ns
    return BagSummary(path, sum(counts.values()), (end_ns - begin_ns) / 1e9, counts)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """sqlite3's own words for a full disk and the like as the operating system's."""
    try:
        yield
    except sqlite3.OperationalError as error:
        number = errno.ENOSPC if "full" in str(error) else errno.EIO
        raise OSError(number, f"{os.strerror(number)} ({error})", str(path)) from error


def message_of(types: Typestore, msg_type: str, fields: Mapping[str, Any]) -> Any:
    """rosbags' message of a type from its plain fields (see `data.sensor_fields`)."""
    values = {}
    detail: Any  # for a nested message its type, for a sequence of messages ((kind, type), length)
    for name, (_, detail) in types.fielddefs[msg_type][1]:
        value = fields[name]
        if isinstance(value, Mapping):
            value = message_of(types, detail, value)
        elif isinstance(value, list):
            value = [message_of(types, detail[0][1], entry) for entry in value]
        elif isinstance(value, np.ndarray):
            value = np.ascontiguousarray(value, value.dtype.newbyteorder("="))  # rosbags writes bytes as they lie
        values[name] = value
    return types.types[msg_type](**values)


def absolute(topic: str) -> str:
    """The topic as a player without a namespace would publish it."""
    return topic if topic.startswith("/") else f"/{topic}"


def _connect(writer: Any, topic: Topic, types: Typestore) -> Any:
    profile = LATCHED if topic.latched else profile_by_name(topic.name)
    return writer.add_connection(
        absolute(topic.name), topic.msg_type, typestore=types, offered_qos_profiles=[_qos(profile)]
    )


def _qos(profile: Profile) -> Qos:
    """As rosbags' writer wants it."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(*FOREVER)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=profile.depth,
        reliability=QosReliability.RELIABLE if profile.reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if profile.latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


def _with_progress(drive: DriveStream, shown: bool) -> Iterable[Record]:
    """The drive's records, and a bar that counts frames by their images."""
    image_topics = set(drive.images.values())
    images = len(drive) * len(drive.shots[0].frame.views)
    with Progress("bag", images, "image", shown=shown) as bar:
        for record in drive.records():
            yield record
            if record.topic in image_topics:
                bar.update()
