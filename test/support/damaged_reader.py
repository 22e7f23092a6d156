"""A reader of files with small sound files for it, to be tried on damaged ones.

A reader must read what it is given or raise an error of ours in one line that names the file: nothing else.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from damage import changed_file
from hypothesis import strategies as st

from mapkd_core.artifact import ArtifactError
from mapkd_core.cameras.calibration import CalibrationError
from mapkd_core.schema import FileFault

Damage = Mapping[str, bytes]
"""Name of a file -> its damaged content."""

_KINDS = {".json": "json", ".geojson": "json", ".jsonl": "jsonl", ".yaml": "yaml"}


@dataclass(frozen=True)
class Reader:
    """What reads some files of a folder."""

    name: str
    make: Callable[[Path], object]
    """Writes sound files into an empty folder."""
    read: Callable[[Path], object]
    costly: bool = False
    """Takes more than a few milliseconds."""
    repair: Callable[[Path], object] | None = None
    """Makes checksums fit damaged files, so that what is behind them is tried as well."""
    keep: tuple[str, ...] = field(default=())
    """Files that are not damaged: they say nothing, or another reader tries them."""


class Tried:
    """A reader on its files in a folder."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        folder.mkdir(parents=True)
        reader.make(folder)
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()
        }
        reader.read(folder)

    def damages(self) -> st.SearchStrategy[tuple[Damage, bool]]:
        """One damaged file, and whether checksums are made to fit it."""
        names = [name for name in self.files if not name.endswith(self.reader.keep or ("\0",))]
        files = st.one_of([
            changed_file(self.files[name], _KINDS.get(Path(name).suffix, "")).map(lambda data, name=name: {name: data})
            for name in names
        ])
        return st.tuples(files, st.booleans() if self.reader.repair else st.just(False))

    def outcome(self, damage: Damage, repaired: bool) -> str:
        """`read`, `refused`, or what else happened."""
        for name, data in damage.items():
            (self.folder / name).write_bytes(data)
        try:
            if repaired and self.reader.repair is not None:
                self.reader.repair(self.folder)
            self.reader.read(self.folder)
            return "read"
        except (FileFault, ArtifactError, CalibrationError, FileNotFoundError) as error:
            return "refused" if _in_a_line(error) else f"{type(error).__name__}, not in a line: {error}"
        except Exception as error:
            told = type(error) is ValueError and _in_a_line(error) and self._names_a_file(str(error))
            return "refused" if told else f"{type(error).__name__}: {error}"
        finally:
            for name in self.files if repaired else damage:
                (self.folder / name).write_bytes(self.files[name])

    def _names_a_file(self, text: str) -> bool:
        return str(self.folder) in text or any(Path(name).name in text for name in self.files)


def _in_a_line(error: Exception) -> bool:
    text = str(error)
    return bool(text) and len(text) < 2000 and "\n" not in text


def write_json(path: Path, value: object) -> None:
    """To a file whose folder need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def jpeg(size: tuple[int, int] = (32, 16), ending: str = ".jpg") -> bytes:
    """A smooth random image of that size (w, h), encoded."""
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return bytes(cv2.imencode(ending, cv2.blur(pixels, (5, 5)))[1])
