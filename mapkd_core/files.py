"""Files that are whole or not there, folders that one process writes at a time, and paths that stay in their folder."""
from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

LOCK = ".mapkd.lock"
"""Name of the file that says who writes to a folder; it is no content of that folder."""

_LOG = logging.getLogger(__name__)
_PARTIAL = re.compile(r"\..+\.\d+\.partial")


class FolderInUseError(ValueError):
    """A folder that another process is writing to."""


def write_atomic(path: str | Path, data: bytes | str) -> None:
    """Writes a file (text as UTF-8) and its folder; a crash or a full disk leaves the old file or none, never a part.

    What is no character, such as a byte of a file's name that is not UTF-8, is written as `\\udcff`. Raises OSError
    that names the file.
    """
    with replacing(path) as partial:
        partial.write_bytes(data.encode(errors="backslashreplace") if isinstance(data, str) else data)


@contextlib.contextmanager
def replacing(path: str | Path, writer: int | None = None) -> Iterator[Path]:
    """A path beside `path` to write to: it takes the place of `path` at the end, and is removed after an error.

    For writers that want a path; `write_atomic` is for data in memory. What a link names is replaced, not the link.
    `writer` tells those apart who may write the same file at the same time; by default the process's number.
    Raises OSError that names `path`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        yield target  # a device or a pipe, such as /dev/stdout
        return
    partial = target.with_name(f".{target.name}.{os.getpid() if writer is None else writer}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        to_disk(partial)
        partial.replace(target)
        to_disk(target.parent)
    except OSError as error:
        _remove(partial)
        if error.errno is None or str(error.filename or partial) != str(partial):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        _remove(partial)
        raise


@contextlib.contextmanager
def replacing_together(folder: str | Path, last: str) -> Iterator[Path]:
    """A new folder inside `folder` to write to: its files take their places in `folder` together, at the end.

    The file named `last` comes last. After an error none does, and the old ones stay; only the moment of the renaming
    can be cut in two, by a kill or a power cut. Raises OSError that names the file.
    """
    home = Path(os.path.realpath(folder))
    partial = home / f".{last}.{os.getpid()}.partial"
    partial.mkdir(parents=True)
    try:
        yield partial
        files = sorted((path for path in partial.iterdir() if path.is_file()), key=lambda path: path.name == last)
        for path in files:
            to_disk(path)
        for path in files:
            path.replace(home / path.name)
        to_disk(home)
    except OSError as error:
        if error.errno is None or Path(str(error.filename)).parent != partial:
            raise
        raise OSError(error.errno, error.strerror, str(home / Path(str(error.filename)).name)) from error
    finally:
        _remove(partial)


def to_disk(path: Path) -> None:
    """Waits until a file or the names in a folder would outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):  # a file system that cannot
            raise
    finally:
        os.close(descriptor)


def _remove(partial: Path) -> None:
    with contextlib.suppress(OSError):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def inside(folder: str | Path, name: Any, what: str = "name") -> Path:
    """`folder / name` for a name that comes from a file or a user; slashes may lead down, never out.

    Raises ValueError, calling the name `what`, for one that is empty, absolute, holds `..`, or is no text.
    """
    parts = Path(name).parts if isinstance(name, str) else ()
    if not parts or "\0" in name or Path(name).is_absolute() or ".." in parts:
        raise ValueError(f"{what} {name!r} is no place in {folder}; expected a relative path without '..'")
    return Path(folder) / name


def keep_inputs(inputs: Iterable[str | Path], outputs: Iterable[str | Path]) -> None:
    """Raises ValueError if a file that is to be written is one that is read, whatever path it is called by."""
    read = {os.path.realpath(path): path for path in inputs}
    for path in outputs:
        if (given := read.get(os.path.realpath(path))) is not None:
            raise ValueError(f"{path} would be written over {given}, which is read here; choose another --out")


def fingerprint(*parts: bytes | str | Path) -> str:
    """32 hex digits of what `parts` are: data, text, or the content of files and of all files below folders.

    The same content at another place has the same fingerprint (SHA-256, cut). Raises OSError for a missing file.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            below = (p for p in part.rglob("*") if p.is_file() and p.name != LOCK)
            files = sorted(below) if part.is_dir() else [part]
            for file in files:
                name = file.relative_to(part).as_posix() if part.is_dir() else ""
                digest.update(f"\0file {name}\0{file.stat().st_size}\0".encode())
                _hash_file(digest, file)
        else:
            data = part.encode() if isinstance(part, str) else part
            digest.update(f"\0data {len(data)}\0".encode() + data)
    return digest.hexdigest()[:32]


def code_fingerprint(package: str | Path) -> str:
    """The fingerprint of a package's Python files, given its folder: results of other code have another one."""
    return fingerprint(*sorted(Path(package).rglob("*.py")))


def sha256(path: Path) -> str:
    """SHA-256 of a file in hex, read piece by piece."""
    digest = hashlib.sha256()
    _hash_file(digest, path)
    return digest.hexdigest()


def _hash_file(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)


class FolderLock:
    """`with FolderLock(folder):` no other process that asks for the folder gets it until the block is left.

    Raises FolderInUseError, a line with the holder's process and host, if one has it. The lock is a file in the folder
    (which is made) that holds `pid`, `host` and `since`; the kernel frees it when its process dies, and what a dead
    process of this host left is taken over with a notice, its half-written files removed. `name` is for a lock on one
    thing in a folder that others share, such as `.student.lock` for an artifact.
    """

    _held: ClassVar[set[Path]] = set()  # the kernel's lock does not keep this very process out
    _guard = threading.Lock()

    def __init__(self, folder: str | Path, name: str = LOCK) -> None:
        self.folder, self.whole = Path(folder), name == LOCK
        self.path = Path(os.path.realpath(folder)) / name
        self._made_folder = False
        self._file = -1

    def __enter__(self) -> FolderLock:
        """Takes the lock or raises FolderInUseError."""
        with self._guard:
            if self.path in self._held:
                raise FolderInUseError(f"{self.folder} is in use by this very process; choose another folder")
            self._held.add(self.path)
        try:
            self._take()
        except BaseException:
            self._held.discard(self.path)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the lock back; a folder that it made and that nothing was written to goes too."""
        _remove(self.path)  # before it is freed: who waits for it looks whether the file is still the same
        os.close(self._file)
        self._held.discard(self.path)
        if self._made_folder:
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()

    def _take(self) -> None:
        self._made_folder = not self.path.parent.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                alone = self._lock()
                with contextlib.suppress(FileNotFoundError):
                    if os.fstat(self._file).st_ino != self.path.stat().st_ino:
                        raise FileNotFoundError  # the holder has just removed the file that was locked here
                    self._replace_holder(alone)
                    return
            except BaseException:
                os.close(self._file)
                raise
            os.close(self._file)

    def _lock(self) -> bool:
        """Asks the kernel; False where it keeps no locks for this file system."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                self._refuse(self._holder())
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
                raise
            return False
        return True

    def _replace_holder(self, alone: bool) -> None:
        holder = self._holder()
        here = socket.gethostname()
        if holder:
            if holder.get("host") != here or not (alone or not _alive(holder.get("pid"))):
                self._refuse(holder)
            _LOG.warning(
                "%s was left by process %s, which ended without finishing; its lock is taken over",
                self.folder, holder.get("pid"),
            )
            self._remove_partials(holder.get("pid"))
        words = {"pid": os.getpid(), "host": here, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(words).encode(), 0)

    def _holder(self) -> dict[str, Any]:
        """What the lock file says; empty where nobody has written yet."""
        data = os.pread(self._file, 4096, 0)
        try:
            words = json.loads(data) if data else {}
        except ValueError:
            words = {}
        return words if isinstance(words, dict) else {}

    def _refuse(self, holder: dict[str, Any]) -> None:
        who = f"process {holder.get('pid', '?')} on {holder.get('host', 'this host')}"
        remedy = "wait for it, or choose another place"
        if holder.get("host", socket.gethostname()) != socket.gethostname():
            remedy += f"; if that process is gone, delete {self.path}"
        raise FolderInUseError(f"{self.folder} is in use by {who} since {holder.get('since', '?')}; {remedy}")

    def _remove_partials(self, pid: Any) -> None:
        """Nobody else writes here now, so every partial file is a dead process's."""
        found = self.path.parent.rglob(".*.partial") if self.whole else self.path.parent.glob(f".*.{pid}.partial")
        for path in list(found):
            if _PARTIAL.fullmatch(path.name):
                _remove(path)


def _alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
