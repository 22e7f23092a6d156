"""Files of a folder, or of a prefix in object storage, each whole or not there: what workers anywhere write to."""
from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mapkd_core.files import LOCK, inside, replacing

SCHEMES = ("s3", "gs")
"""Object storage that is written to and read from by ranges; the packages s3fs and gcsfs bring them."""
_AT_ONCE = 32
"""Requests to object storage under way at the same time."""

Piece = tuple[str, int, int]
"""Name of a file, and where a part of it begins and ends, bytes."""


class Storage(Protocol):
    """Files by their names relative to `location`; may be sent to another process."""

    @property
    def location(self) -> str:
        """Folder or URL."""

    def write(self, name: str, data: bytes) -> None:
        """Puts a file there, whole or not at all; who else does the same at that moment does no harm."""

    def read(self, name: str) -> bytes:
        """A whole file. Raises FileNotFoundError."""

    def read_pieces(self, pieces: Sequence[Piece]) -> list[bytes]:
        """Parts of files, in order."""

    def sizes(self, below: str = "") -> Mapping[str, int]:
        """Bytes of each file, by name, in the folder `below` and those in it."""

    def occupied(self) -> list[str]:
        """Names of whatever is there, folders and hidden files too, but for a lock."""

    def delete(self, names: Sequence[str]) -> None:
        """Removes files, if they are there, and folders that become empty."""


def is_object_storage(location: str | Path) -> bool:
    """Whether a location is a URL of one of SCHEMES."""
    return str(location).partition("://")[0].lower() in SCHEMES and "://" in str(location)


def open_storage(location: str | Path) -> Storage:
    """The storage at a folder or a URL of one of SCHEMES; nothing is touched yet."""
    return Bucket(str(location).rstrip("/")) if is_object_storage(location) else Folder(str(location))


def shared_with_workers(storage: Storage, name: str) -> None:
    """In a job, before it writes: raises OSError if the file `name`, which the command has written, is not seen here.

    Else a node on which a shared folder is not mounted would write to a folder of its own.
    """
    if isinstance(storage, Folder) and not (Path(storage.location) / name).is_file():
        raise OSError(
            f"{storage.location}/{name} is not seen by {socket.gethostname()}; expected a folder that all nodes "
            "share under this path (such as NFS), or object storage (s3://BUCKET/PREFIX)"
        )


@dataclass(frozen=True)
class Folder:
    """On this machine or on a file system that several share, such as NFS."""

    location: str

    def write(self, name: str, data: bytes) -> None:
        """As `Storage.write`, by renaming."""
        # Two machines have processes of one number, and a unit that was thought lost may still be written.
        with replacing(self._path(name), writer=secrets.randbits(62)) as partial:
            partial.write_bytes(data)

    def read(self, name: str) -> bytes:
        """As `Storage.read`."""
        return self._path(name).read_bytes()

    def read_pieces(self, pieces: Sequence[Piece]) -> list[bytes]:
        """As `Storage.read_pieces`."""
        found = []
        with contextlib.ExitStack() as opened:
            files: dict[str, int] = {}
            for name, begin, end in pieces:
                if name not in files:
                    files[name] = os.open(self._path(name), os.O_RDONLY)
                    opened.callback(os.close, files[name])
                found.append(os.pread(files[name], end - begin, begin))
        return found

    def sizes(self, below: str = "") -> Mapping[str, int]:
        """As `Storage.sizes`; files that are being written are none."""
        home = Path(self.location)
        files = (path for path in (home / below).rglob("*") if path.is_file() and not path.name.startswith("."))
        return {path.relative_to(home).as_posix(): path.stat().st_size for path in sorted(files)}

    def occupied(self) -> list[str]:
        """As `Storage.occupied`."""
        folder = Path(self.location)
        return sorted(path.name for path in folder.iterdir() if path.name != LOCK) if folder.is_dir() else []

    def delete(self, names: Sequence[str]) -> None:
        """As `Storage.delete`."""
        for name in names:
            self._path(name).unlink(missing_ok=True)
        for folder in {self._path(name).parent for name in names} - {Path(self.location)}:
            with contextlib.suppress(OSError):  # others' files are in it
                folder.rmdir()

    def _path(self, name: str) -> Path:
        return inside(self.location, name)


@dataclass(frozen=True)
class Bucket:
    """A prefix in object storage, by fsspec. Credentials and endpoint come from the environment.

    Raises OSError, one line, whatever the library raises.
    """

    location: str

    def write(self, name: str, data: bytes) -> None:
        """As `Storage.write`: an object appears when all of it has arrived."""
        url = self._url(name)
        with self._told("write", name) as files:
            files.pipe_file(url, data)

    def read(self, name: str) -> bytes:
        """As `Storage.read`."""
        url = self._url(name)
        with self._told("read", name) as files:
            return bytes(files.cat_file(url))

    def read_pieces(self, pieces: Sequence[Piece]) -> list[bytes]:
        """As `Storage.read_pieces`, many at a time."""
        paths, begins, ends = zip(*((self._url(name), begin, end) for name, begin, end in pieces), strict=True)
        with self._told("read", pieces[0][0]) as files:
            found = files.cat_ranges(list(paths), list(begins), list(ends), batch_size=_AT_ONCE, on_error="raise")
            return [bytes(data) for data in found]

    def sizes(self, below: str = "") -> Mapping[str, int]:
        """As `Storage.sizes`."""
        with self._told("list", below) as files:
            files.invalidate_cache()
            home = files._strip_protocol(self.location).rstrip("/") + "/"
            found = files.find(home + below, detail=True)
            return {path.removeprefix(home): int(facts["size"]) for path, facts in sorted(found.items())}

    def occupied(self) -> list[str]:
        """As `Storage.occupied`."""
        return list(self.sizes())

    def delete(self, names: Sequence[str]) -> None:
        """As `Storage.delete`."""
        sizes = self.sizes()
        there = [name for name in names if name in sizes]
        if there:
            with self._told("delete", there[0]) as files:
                files.rm([self._url(name) for name in there])

    def _url(self, name: str) -> str:
        inside("/", name)  # for its check
        return f"{self.location}/{name}"

    @contextlib.contextmanager
    def _told(self, what: str, name: str) -> Iterator[Any]:
        """The file system of this process; what goes wrong is told in one line."""
        import fsspec

        url = f"{self.location}/{name}".rstrip("/")
        scheme = self.location.partition("://")[0].lower()
        try:
            # Instances belong to a process; fsspec keeps one for each set of options.
            yield fsspec.filesystem(scheme)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"cannot {what} {url}: there is nothing of that name, or no such bucket") from error
        except Exception as error:  # s3fs raises OSError, botocore and aiohttp classes of their own
            if isinstance(error, ImportError) and scheme == "s3":
                raise ModuleNotFoundError(f"{url} needs s3fs", name="s3fs") from None
            words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise OSError(
                f"cannot {what} {url} ({words}); are credentials, endpoint (AWS_ENDPOINT_URL) and bucket right?"
            ) from error
