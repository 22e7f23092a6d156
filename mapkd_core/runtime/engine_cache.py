"""TensorRT's engines on disk: only those that were built here are given to TensorRT again, byte for byte.

An engine is a program that the driver runs and that TensorRT opens unchecked. Its SHA-256 is noted beside it once it
has run; at the next start, what is not noted or has changed is deleted, and TensorRT builds it anew. The folder is the
user's alone. A checksum is no signature: who can write to the folder can write both.
"""
from __future__ import annotations

import json
import logging
import stat
from pathlib import Path

from mapkd_core.files import sha256, write_atomic
from mapkd_core.schema import FileFault, mapping, read_json, text

NOTE = "checksums.json"
_LOG = logging.getLogger(__name__)


class EngineCache:
    """The folder of a graph's engines; making one deletes what cannot be trusted. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._noted: dict[str, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(stat.S_IRWXU)
        known = self._read()
        for path in self._files():
            if path.is_symlink() or known.get(path.name) != sha256(path):
                _LOG.warning("%s is not the engine that was built here; it is deleted and built anew", path)
                path.unlink()

    def note(self) -> None:
        """Notes the checksums of the engines that are there now; quick where none has changed."""
        found = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in self._files()}
        if found != self._noted:
            sums = {name: sha256(self.folder / name) for name in found}
            write_atomic(self.folder / NOTE, json.dumps(sums, indent=1) + "\n")
            self._noted = found

    def _files(self) -> list[Path]:
        found = sorted(self.folder.iterdir())
        return [path for path in found if path.name != NOTE and (path.is_symlink() or path.is_file())]

    def _read(self) -> dict[str, str]:
        note = self.folder / NOTE
        if not note.is_file():
            return {}
        try:
            return dict(read_json(note, "the checksums of engines", mapping(text()), "it is written anew"))
        except FileFault as error:
            _LOG.warning("%s", error)
            return {}
