"""Reads and writes HDMapNet's submission file, so that anyone's predictions can be scored here and ours elsewhere.

The file is JSON: `meta` says which sensors were used and that the results are vectors; `results` maps a sample token
to lines `{"pts": [[x, y], ...], "pts_num": N, "type": 0|1|2, "confidence_level": c}` with metres in the ego frame.
Types are divider, crossing, boundary as in HDMapNet's code (its README names the first two the other way round).
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.files import write_atomic
from mapkd_core.metrics.crossings import in_side_form
from mapkd_core.schema import FileFault, Misfit, integer, list_of, mapping, number, numbers, read_json, record
from mapkd_core.types import CLASSES, MapElement

FARTHEST_M = 10_000.0
"""No vertex of a map around a vehicle lies farther away; lines are re-sampled step by step when they are scored."""
SCORE = number(0, 1 + 1e-6)
_REMEDY = "predict again, or mend the file"
_PARTS = record(
    {"pts": numbers(None, (2, 3), low=-FARTHEST_M, high=FARTHEST_M), "type": integer(0, len(CLASSES) - 1)},
    {"pts_num": integer(0), "confidence_level": SCORE},
)


def _vector_that_fits(value: Any) -> None:
    _PARTS(value)
    if value.get("pts_num", 0) > len(value["pts"]):
        raise Misfit(f"at most the {len(value['pts'])} vertices that are there", value["pts_num"]).at("pts_num")
    name = value.get("cls_name")  # MapTR's descendants write it as well, some of them with another order of types
    if name in CLASSES and CLASSES.index(name) != value["type"]:
        order = ", ".join(f"{place} for {label}" for place, label in enumerate(CLASSES))
        raise Misfit(f"the type of its cls_name {name!r} ({order})", value["type"]).at("type")


_FILE = record({"results": mapping(list_of(_vector_that_fits))})
_SENSORS = ("use_camera", "use_lidar", "use_radar", "use_external")


def write_submission(
    path: Path | str, results: Mapping[str, Iterable[MapElement]], sensors: Sequence[str] = ("use_camera",)
) -> None:
    """Writes elements per sample token; closed crossings as their two long sides, the form that HDMapNet scores.

    `sensors` names which of use_camera, use_lidar, use_radar, use_external are true. Raises ValueError for others. The
    file appears whole or not at all.
    """
    unknown = set(sensors) - set(_SENSORS)
    if unknown:
        raise ValueError(f"sensors {sorted(unknown)} unknown; choose from {_SENSORS}")
    blob = {
        "meta": {**{name: name in sensors for name in _SENSORS}, "vector": True},
        "results": {token: [_vector(e) for e in in_side_form(elements)] for token, elements in results.items()},
    }
    write_atomic(path, json.dumps(blob))


def read_submission(path: Path | str, rings: bool = False) -> dict[str, list[MapElement]]:
    """Elements per sample token, points in double precision as the file has them; lines below two points are dropped.

    Lines are taken as they stand, as HDMapNet's evaluator does; with `rings` a crossing that ends where it starts is
    read as a closed ring (MapTR's form). Raises FileNotFoundError, or ValueError naming the sample and the fault.
    """
    source = Path(path)
    blob = read_json(source, "HDMapNet's submission file", _submission, _REMEDY, unique_keys=True)
    if (blob.get("meta") or {}).get("vector") is False:
        raise FileFault(f"{source} holds rasters (meta.vector is false); export vectors instead")
    return {
        token: [element for vector in vectors if (element := _element(vector, rings)) is not None]
        for token, vectors in blob["results"].items()
    }


def _submission(blob: Any) -> None:
    """Schema of the file; the two other formats of the field are called by their names."""
    if not isinstance(blob, dict) or "results" not in blob:
        raise Misfit("an object with 'results', as HDMapNet's submission file has", blob)
    results = blob["results"]
    if isinstance(results, list):
        raise Misfit(
            "an object of lists by sample token; a list of frames is MapTR's format (frames with 'vectors' and "
            "'cls_name'), whose points are in its LiDAR's frame: turn them to the ego frame and write HDMapNet's",
            results,
        ).at("results")
    if isinstance(results, dict) and any(isinstance(v, dict) and "vectors" in v for v in results.values()):
        raise Misfit(
            "lists of {pts, pts_num, type, confidence_level}; 'vectors', 'scores' and 'labels' are StreamMapNet's and "
            "MapTracker's format, whose classes have another order: write HDMapNet's",
            results,
        ).at("results")
    _FILE(blob)
    if not isinstance(blob.get("meta"), dict | None):
        raise Misfit("an object", blob["meta"]).at("meta")


def _vector(element: MapElement) -> dict[str, Any]:
    points = np.asarray(element.points_m, np.float64)[:, :2]
    return {
        "pts": points.tolist(),
        "pts_num": len(points),
        "type": CLASSES.index(element.label),
        "confidence_level": float(element.score),
    }


def _element(vector: dict[str, Any], rings: bool) -> MapElement | None:
    points = np.asarray(vector["pts"], np.float64)
    points = points[: vector.get("pts_num", len(points))]
    if len(points) < 2:
        return None
    kind = vector["type"]
    ring = len(points) > 3 and bool(np.array_equal(points[0], points[-1]))
    closed = rings and ring and CLASSES[kind] == "ped_crossing"
    return MapElement(CLASSES[kind], points, float(vector.get("confidence_level", 1)), closed)  # type: ignore[arg-type]
