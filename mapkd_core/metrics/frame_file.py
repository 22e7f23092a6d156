"""Predictions and truths on disk: one JSON line per frame, so that a run can stop, resume, and be scored later.

The first line is a header: what the file is, its grid, and what it was made from. Every other line is a frame with its
elements and, for predictions, its semantic raster as a PNG of class indices in base64.
"""
from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.files import write_atomic
from mapkd_core.types import CLASSES, MapElement

_FORMAT = "mapkd-frames-1"


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """One frame's map elements with what scoring needs to know about the frame."""

    token: str
    elements: Sequence[MapElement]
    """Predictions, or true lines with crossings as their two long edges (HDMapNet's form)."""
    outlines: Sequence[MapElement] | None = None
    """Truth only: crossings as closed rings (MapTR's form); None where the source has edges only."""
    semantic_png: bytes | None = None
    """Predicted class of every cell, (rows, cols) uint8 as PNG."""
    scene: str = ""
    conditions: tuple[str, ...] = ()
    known: tuple[str, ...] = CLASSES
    """Classes whose truth is known here; the others are not scored in this frame."""
    stage_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def semantic(self) -> NDArray[np.uint8] | None:
        """(rows, cols) predicted class, 0 background; None if the frame has vectors only."""
        if self.semantic_png is None:
            return None
        return np.asarray(cv2.imdecode(np.frombuffer(self.semantic_png, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)

    def line(self) -> str:
        """The frame as one line of JSON."""
        blob: dict[str, Any] = {
            "token": self.token,
            "scene": self.scene,
            "conditions": self.conditions,
            "known": self.known,
            "elements": [_element_blob(e) for e in self.elements],
        }
        if self.outlines is not None:
            blob["outlines"] = [_element_blob(e) for e in self.outlines]
        if self.semantic_png is not None:
            blob["semantic_png"] = base64.b64encode(self.semantic_png).decode()
        if self.stage_ms:
            blob["stage_ms"] = {k: round(v, 3) for k, v in self.stage_ms.items()}
        return json.dumps(blob, separators=(",", ":"))

    @classmethod
    def parse(cls, line: str) -> FrameRecord:
        """The frame of one line."""
        blob = json.loads(line)
        outlines, png = blob.get("outlines"), blob.get("semantic_png")
        return cls(
            token=blob["token"],
            elements=[_element(e) for e in blob["elements"]],
            outlines=None if outlines is None else [_element(e) for e in outlines],
            semantic_png=None if png is None else base64.b64decode(png),
            scene=blob["scene"],
            conditions=tuple(blob["conditions"]),
            known=tuple(blob["known"]),
            stage_ms=blob.get("stage_ms", {}),
        )


def encode_semantic(classes: NDArray[np.uint8]) -> bytes:
    """(rows, cols) class indices as PNG."""
    done, data = cv2.imencode(".png", classes, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise ValueError(f"cannot encode class indices of shape {classes.shape} and type {classes.dtype} as PNG")
    return data.tobytes()


class FrameFile:
    """Appends frames to a file and flushes each, so that a killed run loses at most the frame it was at.

    An existing file of the same header is continued: `done` says how many frames it holds; a broken last line is cut
    off. Raises FileExistsError, naming what differs, if the file was made from something else and not `overwrite`.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path = path
        wanted = {"format": _FORMAT, **json.loads(json.dumps(header))}
        self.done = 0
        if path.exists() and not overwrite:
            there = read_header(path)
            changed = [k for k in sorted(there.keys() | wanted.keys()) if there.get(k) != wanted.get(k)]
            if changed:
                told = "; ".join(f"{k} was {there.get(k)!r}, now {wanted.get(k)!r}" for k in changed)
                raise FileExistsError(f"{path} was made otherwise: {told}. Choose another --out, or give --overwrite")
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            self.done = whole.count(b"\n") - 1
            if len(whole) < len(data):
                write_atomic(path, whole)
        else:
            write_atomic(path, json.dumps(wanted) + "\n")

    def keep(self, frames: int) -> None:
        """Cuts the file to its first `frames` frames."""
        if frames < self.done:
            with self.path.open("rb") as file:
                lines = [file.readline() for _ in range(frames + 1)]
            write_atomic(self.path, b"".join(lines))
            self.done = frames

    def append(self, record: FrameRecord) -> None:
        """Writes one frame."""
        with self.path.open("a") as file:
            file.write(record.line() + "\n")
        self.done += 1


def read_header(path: Path) -> dict[str, Any]:
    """The header of a frame file. Raises FileNotFoundError, or ValueError for another kind of file."""
    try:
        with path.open() as file:
            header = json.loads(file.readline())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist; expected predictions or truth of `mapkd evaluate`") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a frame file of `mapkd evaluate` ({error})") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a frame file of `mapkd evaluate`: its first line does not say {_FORMAT!r}")
    return header


def read_frames(path: Path) -> Iterator[FrameRecord]:
    """The frames of a file, in order. Raises ValueError naming the line that is damaged."""
    read_header(path)
    with path.open() as file:
        next(file)
        for number, line in enumerate(file, 2):
            try:
                yield FrameRecord.parse(line)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: {type(error).__name__}: {error}; write the file again") from error


def _element_blob(element: MapElement) -> dict[str, Any]:
    points = np.asarray(element.points_m, np.float64)[:, :2]
    return {
        "label": element.label,
        "score": round(float(element.score), 6),
        "closed": element.closed,
        "points_m": np.round(points, 4).tolist(),
    }


def _element(blob: Mapping[str, Any]) -> MapElement:
    points = np.asarray(blob["points_m"], np.float64)
    return MapElement(blob["label"], points, float(blob["score"]), bool(blob["closed"]))  # type: ignore[arg-type]
