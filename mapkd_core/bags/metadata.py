"""metadata.yaml of a rosbag2: what it says of the bag's files, and how one is written."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from mapkd_core.bags.qos import Profile, parsed
from mapkd_core.bags.stored import REPAIR
from mapkd_core.schema import FileFault, anything, fit, integer, list_of, optional, record, text
from mapkd_core.yaml_file import read_yaml

FILE_NAME = "metadata.yaml"
VERSION: Literal[8] = 8
"""rosbag2's last version whose QoS profiles Humble can parse as well; later releases read it too."""

_KEY = "rosbag2_bagfile_information"
_COUNT = integer(0)
_SCHEMA = record(
    {
        _KEY: record(
            {
                "storage_identifier": text(),
                "relative_file_paths": list_of(text(empty=False)),
                "message_count": _COUNT,
                "topics_with_message_count": list_of(
                    record(
                        {
                            "topic_metadata": record(
                                {"name": text(empty=False), "type": text()},
                                {"serialization_format": text(), "offered_qos_profiles": anything},
                            ),
                            "message_count": _COUNT,
                        }
                    )
                ),
            },
            {"compression_format": optional(text()), "compression_mode": optional(text())},
        )
    }
)


@dataclass(frozen=True)
class MetadataTopic:
    """A topic as metadata.yaml has it."""

    name: str
    msg_type: str
    encoding: str
    profiles: tuple[Profile, ...]
    offered: str
    """The profiles as text, with all that this project does not look at."""
    count: int


@dataclass(frozen=True)
class Metadata:
    """What metadata.yaml says; the files may hold something else."""

    storage: str
    files: tuple[str, ...]
    topics: tuple[MetadataTopic, ...]
    message_count: int
    faults: tuple[str, ...] = ()
    """What is wrong with it and does not matter much."""


def read_metadata(folder: Path) -> Metadata:
    """The content of metadata.yaml. Raises FileFault that says what is wrong with it."""
    path = folder / FILE_NAME
    what, remedy = "the metadata of a rosbag2", REPAIR.format(path=folder)
    values = read_yaml(path, what, remedy)
    fit(values, _SCHEMA, str(path), what, remedy)
    info = values[_KEY]
    mode, form = (str(info.get(f"compression_{word}") or "").lower() for word in ("mode", "format"))
    if mode not in ("", "none") and form != "zstd":
        raise FileFault(f"{path}: compression_format is {form!r}; expected zstd, the one that rosbag2 comes with")
    topics, faults = [], []
    for entry in info["topics_with_message_count"]:
        topic = entry["topic_metadata"]
        offered = topic.get("offered_qos_profiles") or ""
        try:
            profiles = parsed(offered)
        except ValueError as error:
            faults.append(f"{path}: {topic['name']}: {error}")
            profiles, offered = (), ""
        if not isinstance(offered, str):  # a list, since Jazzy
            offered = yaml.safe_dump(offered, sort_keys=False)
        encoding = topic.get("serialization_format", "cdr")
        topics.append(MetadataTopic(topic["name"], topic["type"], encoding, profiles, offered, entry["message_count"]))
    return Metadata(
        info["storage_identifier"], tuple(info["relative_file_paths"]), tuple(topics), info["message_count"],
        tuple(faults),
    )


@dataclass(frozen=True)
class FileEntry:
    """A file of a bag, for `metadata_text`."""

    name: str
    begin_ns: int
    end_ns: int
    count: int


def metadata_text(storage: str, files: Sequence[FileEntry], topics: Sequence[MetadataTopic]) -> str:
    """metadata.yaml of these files with these topics."""
    filled = [file for file in files if file.count]
    begin_ns = min((file.begin_ns for file in filled), default=0)
    end_ns = max((file.end_ns for file in filled), default=0)
    info = {
        "version": VERSION,
        "storage_identifier": storage,
        "relative_file_paths": [file.name for file in files],
        **_times(begin_ns, end_ns),
        "message_count": sum(topic.count for topic in topics),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.msg_type,
                    "serialization_format": topic.encoding,
                    "offered_qos_profiles": topic.offered,
                    "type_description_hash": "",
                },
                "message_count": topic.count,
            }
            for topic in topics
        ],
        "compression_format": "",
        "compression_mode": "",
        "files": [
            {"path": file.name, **_times(file.begin_ns, file.end_ns), "message_count": file.count} for file in files
        ],
        "custom_data": None,
        "ros_distro": "",
    }
    return yaml.safe_dump({_KEY: info}, sort_keys=False, allow_unicode=True)


def _times(begin_ns: int, end_ns: int) -> dict[str, Any]:
    return {
        "duration": {"nanoseconds": max(end_ns - begin_ns, 0)},
        "starting_time": {"nanoseconds_since_epoch": begin_ns},
    }
