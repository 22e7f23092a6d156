"""Zip archives of others: read within bounds, and checked as a whole before anything trusts their numbers."""
from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, KeyError, OSError, EOFError, NotImplementedError,
    RuntimeError, OverflowError, IndexError, TypeError, AttributeError,
)  # fmt: skip
"""What Python's zipfile lets through for a damaged archive; RuntimeError for one that says it is encrypted."""


class ArchiveFault(ValueError):
    """An archive that is damaged, or larger than it may be."""


def unpacked(archive: str | Path | IO[bytes], name: str, most_bytes: int) -> bytes:
    """One file of an archive. Raises ArchiveFault for a damaged archive, or a file larger than `most_bytes`."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entry = opened.getinfo(name)
            if entry.file_size > most_bytes:
                raise ArchiveFault(f"{name} has {entry.file_size} bytes, at most {most_bytes} are read")
            return opened.read(entry)
    except ArchiveFault:
        raise
    except ZIP_ERRORS as error:
        raise ArchiveFault(f"{type(error).__name__}: {error}") from error


def check_stored(path: Path) -> None:
    """Raises ArchiveFault unless every file of an archive is stored as it is and fits its checksum; OSError as usual.

    PyTorch takes the memory that an archive's directory asks for, and loads tensors whose bytes have changed.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as opened:
                packed = [entry.filename for entry in opened.infolist() if entry.compress_type != zipfile.ZIP_STORED]
                damaged = packed[0] if packed else opened.testzip()
        except ZIP_ERRORS as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # that one: a place before 0
                raise
            raise ArchiveFault(f"{type(error).__name__}: {error}") from error
    if damaged is not None:
        raise ArchiveFault(f"{damaged} in it does not fit its checksum")
