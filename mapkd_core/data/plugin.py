"""Frames of a data set that this project does not know, from code of the user's own: `python:MODULE:NAME[:ARGUMENT]`.

docs/how-to/own-frames.md is the guide, with an example.
"""
from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mapkd_core.types import Frame

FORM = "python:MODULE:NAME[:ARGUMENT]"


class PluginFrames:
    """Frames by index of what the user's code gave; each one is checked when it is read."""

    def __init__(self, name: str, source: Any) -> None:
        self.name, self._source = name, source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Frame:
        frame = self._source[index]
        if not isinstance(frame, Frame):
            kind = type(frame).__name__
            raise ValueError(f"{self.name}: frame {index} is of type {kind}; expected mapkd_core.types.Frame")
        names = [view.name for view in frame.views]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: frame {frame.token} has the views {names}; expected one of each camera")
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    @property
    def fingerprint(self) -> str | None:
        """What the frames are by their content, where the user's code says it."""
        found = getattr(self._source, "fingerprint", None)
        return None if found is None else str(found)

    def mapped(self) -> PluginFrames:
        """The frames that have a road map and a pose."""
        return self._where(lambda frame: frame.vector_map is not None and frame.map_from_base is not None)

    def with_images(self) -> PluginFrames:
        """The frames that have images."""
        return self._where(lambda frame: bool(frame.views))

    def _where(self, good: Callable[[Frame], bool]) -> PluginFrames:
        chosen = [index for index in range(len(self)) if good(self[index])]
        return self if len(chosen) == len(self) else PluginFrames(self.name, _Chosen(self._source, chosen))


class _Chosen:
    """Some frames of a source."""

    def __init__(self, source: Any, indices: list[int]) -> None:
        self.source, self.indices = source, indices
        self.fingerprint = getattr(source, "fingerprint", None)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Frame:
        return self.source[self.indices[index]]  # type: ignore[no-any-return]


def plugin_frames(name: str) -> PluginFrames:
    """Imports MODULE, from the current folder too, and calls its NAME, with ARGUMENT where one is given.

    Raises ValueError where there is no such module or name, or what it gives has no length and no frames by index.
    Faults of the user's own code pass through.
    """
    _, module_name, attribute, *argument = name.split(":", 3)
    if not module_name or not attribute:
        raise ValueError(f"{name!r} names no code; expected {FORM}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # behind all else: a file here must not hide a package
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name not in (module_name, module_name.split(".")[0]):
            raise
        where = f"here ({here}) or on PYTHONPATH"
        raise ValueError(f"{name}: no module {module_name!r} {where}; expected {FORM}") from error
    made = getattr(module, attribute, None)
    if not callable(made):
        raise ValueError(f"{name}: {module_name} has no class or function {attribute!r}")
    source = made(*argument)
    if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
        kind = type(source).__name__
        raise ValueError(f"{name} gave {kind}; expected frames: __len__ and __getitem__(index) -> Frame")
    return PluginFrames(name, source)
