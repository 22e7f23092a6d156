"""Which files a bag consists of, whether it is one, and a new one that takes an old one's place when it is whole."""
from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from mapkd_core.bags.metadata import FILE_NAME, Metadata, read_metadata
from mapkd_core.bags.sqlite_source import SIDECARS
from mapkd_core.files import LOCK, FolderLock, inside, to_disk
from mapkd_core.schema import FileFault

STORAGES = {".mcap": "mcap", ".db3": "sqlite3"}
"""Suffix of a storage file -> rosbag2's name of its storage."""
SUFFIXES = (*STORAGES, *(f"{suffix}.zstd" for suffix in STORAGES))
"""A storage file's name ends so; `.zstd` where rosbag2 compressed it (compression mode `file`)."""
KEPT_METADATA = f"{FILE_NAME}.old"
"""What `mapkd bag repair` keeps."""


@dataclass(frozen=True)
class BagFile:
    """A storage file to read."""

    path: Path
    storage: str
    """`mcap` or `sqlite3`."""
    name: str
    """How messages call it; a compressed file is read from an unpacked copy."""


def is_storage(path: Path) -> bool:
    """Whether this file has a storage file's name; hidden ones are half written."""
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".")


def is_bag(path: Path) -> bool:
    """Whether this looks like a rosbag2: a folder with metadata.yaml or a storage file, or such a file."""
    if path.is_dir():
        return (path / FILE_NAME).is_file() or len(storage_files(path)) > 0
    return is_storage(path)


def storage_files(folder: Path) -> list[Path]:
    """The storage files in a folder, in the order in which rosbag2 numbers them: bag_2 before bag_10."""
    return sorted((file for file in folder.iterdir() if is_storage(file)), key=lambda file: _numbered(file.name))


def bag_files(
    path: Path, stack: ExitStack, note: Callable[[str], object], use_metadata: bool = True
) -> tuple[list[BagFile], Metadata | None]:
    """The storage files of a bag, and its metadata.yaml where there is one that may be used.

    Unpacked copies last as long as `stack`. Raises FileNotFoundError, or FileFault for what is no rosbag2.
    """
    if not path.exists():
        old = _old(path)
        moved = f"; a killed `mapkd bag --overwrite` left it as {old}: rename that" if old.exists() else ""
        raise FileNotFoundError(f"there is no bag {path}{moved}")
    _refuse_ros1(path)
    if not is_bag(path):
        raise FileFault(f"{path} is not a rosbag2; expected a folder with metadata.yaml, or an .mcap or .db3 file")
    if not path.is_dir():
        return [_unpacked(path, storage_of(path), stack)], None
    there = storage_files(path)
    if use_metadata and (path / FILE_NAME).is_file():
        metadata = read_metadata(path)
        for fault in metadata.faults:
            note(fault)
        named = [_place(path, name) for name in metadata.files]
        absent = [name for name, place in zip(metadata.files, named, strict=True) if not place.is_file()]
        if absent:
            raise FileNotFoundError(
                f"{path} lacks {', '.join(absent)}, which its metadata.yaml names; copy them there, or move "
                "metadata.yaml away to read the others"
            )
        if metadata.storage not in STORAGES.values():
            raise FileFault(f"{path}: storage_identifier is {metadata.storage!r}; expected mcap or sqlite3")
        extra = [file.name for file in there if file not in named]
        if extra:
            note(f"metadata.yaml does not name {', '.join(extra)} of {path}; not read")
        return [_unpacked(place, metadata.storage, stack) for place in named], metadata
    kinds = {storage_of(file) for file in there}
    if len(kinds) > 1:
        raise FileFault(f"{path} has no metadata.yaml, and both .mcap and .db3 files; name one of them")
    if not there:
        raise FileFault(f"{path} holds no .mcap and no .db3 file")
    if use_metadata:
        note(f"{path} has no metadata.yaml; read are its files {', '.join(file.name for file in there)}")
    return [_unpacked(file, storage_of(file), stack) for file in there], None


def storage_of(path: Path) -> str:
    """rosbag2's name of a storage file's storage."""
    return next(storage for suffix, storage in STORAGES.items() if suffix in path.suffixes[-2:])


def _place(folder: Path, name: str) -> Path:
    """Where a file that metadata.yaml names lies: never outside the bag's folder.

    Old releases wrote the folder's name before it, others an absolute path on the machine that recorded it.
    """
    with suppress(ValueError):
        below = inside(folder, name)
        if below.is_file():
            return below
    return folder / PureWindowsPath(name).name


def _refuse_ros1(path: Path) -> None:
    if path.is_dir():
        candidates = [] if is_bag(path) else sorted(path.glob("*.bag"))
    else:
        candidates = [path]
    for file in candidates:
        with file.open("rb") as stream:
            begin = stream.read(7)
        if begin == b"#ROSBAG" or file.suffix == ".bag":
            raise FileFault(
                f"{file} is a bag of ROS 1; convert it first: rosbags-convert --src {file} --dst NEW_FOLDER"
            )


def _unpacked(path: Path, storage: str, stack: ExitStack) -> BagFile:
    """The file itself, or an unpacked copy of a compressed one."""
    if path.suffix != ".zstd":
        return BagFile(path, storage, str(path))
    import zstandard

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mapkd_bag_")))
    copy = folder / path.stem
    try:
        with path.open("rb") as packed, copy.open("wb") as whole:
            zstandard.ZstdDecompressor().copy_stream(packed, whole)
    except zstandard.ZstdError as error:
        raise FileFault(f"{path} cannot be unpacked: {error}") from error
    size = path.stat().st_size
    if size and not copy.stat().st_size:
        raise FileFault(f"{path} was cut off: of its {size} bytes nothing can be unpacked; copy it again")
    return BagFile(copy, storage, str(path))


def _numbered(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def foreign(folder: Path) -> list[str]:
    """What lies in a folder and belongs to no bag."""
    names = []
    for entry in sorted(folder.iterdir()):
        name = next((entry.name.removesuffix(end) for end in SIDECARS if entry.name.endswith(end)), entry.name)
        own = name in (FILE_NAME, KEPT_METADATA, LOCK) or name.endswith(SUFFIXES)
        if not own or entry.is_dir():
            names.append(entry.name)
    return names


def check_room(path: Path, overwrite: bool) -> None:
    """Raises FileExistsError where a bag may not be written: something is there, or it is not a bag and only that."""
    if not path.exists() and not path.is_symlink():
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists already; choose another folder or give --overwrite")
    if not path.is_dir():
        raise FileExistsError(f"{path} is not a bag but a file, so it is not overwritten")
    others = foreign(path)
    if others:
        raise FileExistsError(
            f"{path} is not a bag, or not only that: it holds {', '.join(others[:3])}, so it is not overwritten"
        )


@contextmanager
def new_bag(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A place beside `path` to write a bag to; at the end it becomes `path`, and only then does an old one go.

    No other process writes there meanwhile. An error leaves what was there; so does a kill, and the next bag that is
    written to `path` clears up. Raises FileExistsError (see `check_room`), FolderInUseError, OSError.
    """
    path = Path(os.path.realpath(path))
    with FolderLock(path.parent, f".{path.name}.lock"):
        old = _old(path)
        if old.exists() and not path.exists():
            old.rename(path)  # killed between the two renames below
        for left in [old, *path.parent.glob(f".{_literal(path.name)}.*.partial")]:
            shutil.rmtree(left, ignore_errors=True)
        check_room(path, overwrite)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        new = partial / path.name  # rosbag2 calls the files by the folder's name
        try:
            partial.mkdir()
            yield new
            for file in new.iterdir():
                to_disk(file)
            to_disk(new)
            if path.exists():
                path.rename(old)
            new.rename(path)
            to_disk(path.parent)
        except OSError as error:
            if error.errno is not None and str(error.filename or partial).startswith(str(partial)):
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _old(path: Path) -> Path:
    """Where a bag that is replaced waits until the new one has its name."""
    return path.with_name(f".{path.name}.old")


def _literal(name: str) -> str:
    """The name in a pattern of glob, where brackets and stars mean themselves."""
    return re.sub(r"([*?[])", r"[\1]", name)
