"""Writes a drive as a rosbag2 (MCAP or sqlite3) without ROS: the topics, types and stamps of `nuscenes_player`."""
from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mapkd_core.bags.drive_stream import DriveStream, Record, Topic
from mapkd_core.progress import Progress

if TYPE_CHECKING:
    from rosbags.interfaces import Qos
    from rosbags.typesys.store import Typestore

STORAGES = ("mcap", "sqlite3")

_METADATA_VERSION: Literal[8] = 8
"""rosbag2's last version whose QoS profiles Humble can parse as well; later releases read it too."""

_FOREVER = (9223372036, 854775807)
"""Seconds and nanoseconds with which rosbag2 writes an unlimited duration."""

_SENSOR_DEPTH, _TF_DEPTH = 5, 100


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

    Raises FileExistsError if the folder is there, unless `overwrite` is set and it is a bag or empty. An error while
    writing leaves nothing behind.
    """
    if storage not in STORAGES:
        raise ValueError(f"storage is {storage!r}; expected one of {', '.join(STORAGES)}")
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    make_room(path, overwrite)
    types = get_typestore(Stores.ROS2_HUMBLE)
    counts = {absolute(topic.name): 0 for topic in drive.topics}
    begin_ns = end_ns = 0
    writer = Writer(path, version=_METADATA_VERSION, storage_plugin=StoragePlugin[storage.upper()])
    try:
        with writer:
            connections = {topic: _connect(writer, topic, types) for topic in drive.topics}
            for record in _with_progress(drive, progress):
                message = message_of(types, record.topic.msg_type, record.fields(record.stamp_ns))
                raw = types.serialize_cdr(message, record.topic.msg_type)
                writer.write(connections[record.topic], record.stamp_ns, raw)
                counts[absolute(record.topic.name)] += 1
                begin_ns, end_ns = begin_ns or record.stamp_ns, record.stamp_ns
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return BagSummary(path, sum(counts.values()), (end_ns - begin_ns) / 1e9, counts)


def make_room(path: Path, overwrite: bool) -> None:
    """Removes a bag that is in the way if that is wanted; never removes anything that is not a bag."""
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists already; choose another folder or give --overwrite")
    if not path.is_dir() or (any(path.iterdir()) and not (path / "metadata.yaml").is_file()):
        raise FileExistsError(f"{path} is not a bag (it has no metadata.yaml), so it is not overwritten")
    shutil.rmtree(path)


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
            value = np.ascontiguousarray(value)
        values[name] = value
    return types.types[msg_type](**values)


def absolute(topic: str) -> str:
    """The topic as a player without a namespace would publish it."""
    return topic if topic.startswith("/") else f"/{topic}"


def _connect(writer: Any, topic: Topic, types: Typestore) -> Any:
    return writer.add_connection(
        absolute(topic.name), topic.msg_type, typestore=types, offered_qos_profiles=[_qos(topic)]
    )


def _qos(topic: Topic) -> Qos:
    """Reliable; the static transforms are latched, so that `ros2 bag play` also serves late subscribers."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    depth = 1 if topic.latched else _TF_DEPTH if topic.name == "/tf" else _SENSOR_DEPTH
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if topic.latched else QosDurability.VOLATILE,
        deadline=QosTime(*_FOREVER),
        lifespan=QosTime(*_FOREVER),
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=QosTime(*_FOREVER),
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
