"""A sound bag from one that was cut off, is damaged in places, or whose metadata.yaml is missing or wrong."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mapkd_core.bags.bag_files import KEPT_METADATA, SUFFIXES, new_bag, storage_files
from mapkd_core.bags.mcap_writer import McapWriter
from mapkd_core.bags.metadata import FILE_NAME, FileEntry, MetadataTopic, metadata_text
from mapkd_core.bags.reader import BagReader, BagTopic
from mapkd_core.files import FolderLock, replacing, write_atomic
from mapkd_core.progress import Progress
from mapkd_core.schema import FileFault


@dataclass(frozen=True)
class Repaired:
    """What was done."""

    path: Path
    """Where the sound bag is: the given one where nothing had to be written but metadata.yaml, or nothing at all."""
    what: str
    """In words."""
    messages_by_topic: dict[str, int]
    remarks: tuple[str, ...]
    """What was found in the bag, and what is lost."""


def repair(path: Path, out: Path | None = None, progress: bool = True) -> Repaired:
    """Makes a sound bag of what can be read, without changing a message or a storage file that is there.

    Where the files are sound and metadata.yaml alone is not, it is written anew and the old one is kept beside it. Else
    all goes to a new MCAP bag, `out` or NAME_repaired beside `path`: a file for a file, a folder for a folder. Raises
    FileNotFoundError, FileExistsError, FileFault for what holds nothing that can be read, OSError.
    """
    remarks: list[str] = []
    place = out or _beside(path)
    with _opened(path, remarks) as bag:
        for _ in _read(bag, progress):  # damage inside shows only when all is read
            pass
        counts = {topic.name: topic.count for topic in bag.topics}
        described = bag.metadata_fits or not path.is_dir()
        if bag.whole and described and out is None:
            return Repaired(path, "is sound, nothing to repair", counts, ())
        if bag.whole and not bag.packed and path.is_dir() and out is None:
            _rewrite_metadata(bag)
            return Repaired(path, f"has a {FILE_NAME} now that fits its files", counts, tuple(remarks + bag.notes))
        if place.exists():
            raise FileExistsError(f"{place} exists already; choose another place with --out")
        counts = _copy(bag, place, path.is_dir(), progress)
        return Repaired(place, f"holds what could be read of {path}", counts, tuple(remarks + bag.notes + bag.faults))


@contextmanager
def _opened(path: Path, remarks: list[str]) -> Iterator[BagReader]:
    """The bag, without its metadata.yaml where that is what is wrong with it."""
    try:
        bag = BagReader(path)
    except (FileFault, FileNotFoundError) as error:
        if not (path / FILE_NAME).is_file():
            raise
        bag = BagReader(path, use_metadata=False)
        remarks.append(str(error).partition("; ")[0])
    if bag.metadata and len(storage_files(path)) > len(bag.metadata.files):
        bag.close()  # it names not all files
        bag = BagReader(path, use_metadata=False)
    with bag:
        yield bag


def _read(bag: BagReader, progress: bool, what: str = "read") -> Iterator[tuple[BagTopic, int, bytes, int]]:
    with Progress(what, bag.message_count, "message", shown=progress) as bar:
        for message in bag.messages():
            yield message
            bar.update()


def _beside(path: Path) -> Path:
    if path.is_dir():
        return path.resolve().with_name(f"{path.resolve().name}_repaired")
    stem = next((path.name.removesuffix(end) for end in SUFFIXES if path.name.endswith(end)), path.stem)
    return path.with_name(f"{stem}_repaired.mcap")


def _rewrite_metadata(bag: BagReader) -> None:
    with FolderLock(bag.path):
        current = bag.path / FILE_NAME
        if current.exists():
            write_atomic(bag.path / KEPT_METADATA, current.read_bytes())
        entries = [
            FileEntry(name, source.begin_ns, source.end_ns, sum(source.counts.values())) for name, source in bag.sources
        ]
        storage = "sqlite3" if entries[0].name.endswith(".db3") else "mcap"
        write_atomic(current, metadata_text(storage, entries, [_described(t, t.count) for t in bag.topics]))


def _copy(bag: BagReader, place: Path, folder: bool, progress: bool) -> dict[str, int]:
    """Writes the bag's messages to `place`; returns how many of each topic."""
    if folder:
        with new_bag(place) as new:
            new.mkdir()
            name = f"{place.name}_0.mcap"
            topics, entry = _write_file(bag, new / name, progress)
            entries = [FileEntry(name, entry.begin_ns, entry.end_ns, entry.count)]
            (new / FILE_NAME).write_text(metadata_text("mcap", entries, topics), encoding="utf-8")
    else:
        with FolderLock(place.parent, f".{place.name}.lock"):
            with replacing(place) as partial:
                topics, _ = _write_file(bag, partial, progress)
    by_name: dict[str, int] = {}
    for topic in topics:
        by_name[topic.name] = by_name.get(topic.name, 0) + topic.count
    return by_name


def _write_file(bag: BagReader, path: Path, progress: bool) -> tuple[list[MetadataTopic], McapWriter]:
    with McapWriter(path) as writer:
        numbers = {
            topic: writer.add_topic(
                topic.name, topic.msg_type, topic.definition, topic.offered, topic.encoding,
                topic.definition_format or "ros2msg",
            )
            for topic in bag.topics
        }
        for topic, log_ns, data, publish_ns in _read(bag, progress, "write"):
            writer.write(numbers[topic], data, log_ns, publish_ns)
        return [_described(topic, writer.counts[number]) for topic, number in numbers.items()], writer


def _described(topic: BagTopic, count: int) -> MetadataTopic:
    return MetadataTopic(topic.name, topic.msg_type, topic.encoding, topic.profiles, topic.offered, count)
