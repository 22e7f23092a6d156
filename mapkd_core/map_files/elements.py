"""Map elements in JSON: one object a map, or a file of them with one line each."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mapkd_core.artifact import ModelCard
from mapkd_core.types import MapElement

FRAME = "base_link: x forward, y left, metres"


def facts(card: ModelCard) -> dict[str, Any]:
    """What made the elements, and what they are relative to."""
    return {
        "model": {"name": card.name, "version": card.version},
        "frame": FRAME,
        "grid": card.grid.as_dict(),
    }


def records(elements: Sequence[MapElement]) -> list[dict[str, Any]]:
    """Label, score, whether it is closed, and vertices in metres, rounded to millimetres, of each element."""
    return [
        {
            "label": element.label,
            "score": round(element.score, 4),
            "closed": element.closed,
            "points_m": np.round(element.points_m.astype(float), 3).tolist(),
        }
        for element in elements
    ]


class ElementLines:
    """A file whose first line holds `facts`, and every other one a map: its stamp, cameras and elements."""

    def __init__(self, path: Path, card: ModelCard) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._write(facts(card))

    def __enter__(self) -> ElementLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(
        self, stamp_ns: int, cameras: Mapping[str, int], missing: Sequence[str], elements: Sequence[MapElement]
    ) -> None:
        """Adds a map; `cameras` are those used with the stamps of their images."""
        self._write(
            {
                "stamp_ns": stamp_ns,
                "cameras": dict(cameras),
                "missing_cameras": list(missing),
                "elements": records(elements),
            }
        )

    def _write(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value, separators=(",", ":")) + "\n")
