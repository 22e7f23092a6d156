"""Predictions and truths on disk: one JSON line per frame, so that a run can stop, resume, and be scored later.

The first line is a header: what the file is, its grid, and what it was made from. Every other line is a frame with its
elements and, for predictions, its semantic raster as a PNG of class indices in base64.
"""
from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_codec import decode_as_stored
from mapkd_core.files import write_atomic
from mapkd_core.grid import GRID
from mapkd_core.metrics.submission import FARTHEST_M, SCORE
from mapkd_core.schema import (
    FileFault,
    flag,
    list_of,
    mapping,
    number,
    numbers,
    optional,
    parse_json,
    record,
    text,
)  # fmt: skip
from mapkd_core.types import CLASSES, MapElement

_FORMAT = "mapkd-frames-1"
_WHAT = "a frame file of `mapkd evaluate`"
_REMEDY = "evaluate again with --overwrite"
_ELEMENTS = list_of(
    record({
        "label": text(*CLASSES),
        "score": SCORE,
        "closed": flag,
        "points_m": numbers(None, (2, 3), low=-FARTHEST_M, high=FARTHEST_M, at_least=2),
    })
)  # fmt: skip
_FRAME = record(
    {"token": text(), "scene": text(), "conditions": list_of(text()), "known": list_of(text(*CLASSES)),
     "elements": _ELEMENTS},
    {"outlines": optional(_ELEMENTS), "semantic_png": optional(text()), "stage_ms": mapping(number(0))},
)  # fmt: skip
_ARTIFACT = record({"name": text(), "version": text()})
_HEADER = record({"format": text(_FORMAT)}, {"grid": GRID, "artifact": _ARTIFACT, "data": text()})


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
        """(rows, cols) predicted class, 0 background; None if the frame has vectors only.

        Raises FileFault for another image.
        """
        if self.semantic_png is None:
            return None
        try:
            classes = decode_as_stored(self.semantic_png)
        except ValueError as error:
            raise FileFault(f"semantic_png of frame {self.token}: {error}; {_REMEDY}") from error
        if classes.ndim != 2 or classes.dtype != np.uint8 or classes.max() > len(CLASSES):
            raise FileFault(f"semantic_png of frame {self.token} is no image of classes 0 to {len(CLASSES)}; {_REMEDY}")
        return classes.astype(np.uint8, copy=False)

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
    def parse(cls, line: str | bytes, where: str = "a frame") -> FrameRecord:
        """The frame of one line, which is at `where`. Raises FileFault that says where and what is wrong."""
        blob = parse_json(line, where, "one frame", _FRAME, _REMEDY)
        outlines, png = blob.get("outlines"), blob.get("semantic_png")
        try:
            semantic = None if png is None else base64.b64decode(png, validate=True)
        except (binascii.Error, ValueError) as error:
            raise FileFault(f"{where}: semantic_png is no base64 ({error}); {_REMEDY}") from error
        return cls(
            token=blob["token"],
            elements=[_element(e) for e in blob["elements"]],
            outlines=None if outlines is None else [_element(e) for e in outlines],
            semantic_png=semantic,
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
    """The header of a frame file. Raises FileNotFoundError, or FileFault for another kind of file."""
    try:
        with path.open("rb") as file:
            line = file.readline()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist; expected {_WHAT}") from error
    return dict(parse_json(line, f"{path}:1", _WHAT, _HEADER, "name its predictions.jsonl or truth.jsonl"))


def read_frames(path: Path) -> Iterator[FrameRecord]:
    """The frames of a file, in order. Raises FileFault naming the line that is damaged, or a token that comes twice."""
    read_header(path)
    seen: dict[str, int] = {}
    with path.open("rb") as file:
        next(file)
        for place, line in enumerate(file, 2):
            where = f"{path}:{place}"
            frame = FrameRecord.parse(line, where)
            if frame.token in seen:
                raise FileFault(
                    f"{where}: token {frame.token!r} stands in line {seen[frame.token]} already; a frame is scored "
                    f"once: {_REMEDY}"
                )
            seen[frame.token] = place
            yield frame


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
