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
from mapkd_core.types import CLASSES, MapElement

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
    try:
        blob = json.loads(source.read_text())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"submission file {source} does not exist") from error
    except ValueError as error:
        raise ValueError(f"{source} is not JSON ({error}); expected HDMapNet's submission file") from error
    if not isinstance(blob, dict) or not isinstance(blob.get("results"), dict):
        raise ValueError(f"{source} has no 'results' object; expected HDMapNet's submission file")
    if blob.get("meta", {}).get("vector") is False:
        raise ValueError(f"{source} holds rasters (meta.vector is false); export vectors instead")
    results = {}
    for token, vectors in blob["results"].items():
        try:
            results[token] = [e for v in vectors if (e := _element(v, rings)) is not None]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{source}: sample {token}: {type(error).__name__}: {error}") from error
    return results


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
    points = points[: int(vector.get("pts_num", len(points)))]
    kind = int(vector["type"])
    if not 0 <= kind < len(CLASSES):
        raise ValueError(f"type {kind} is not one of 0..{len(CLASSES) - 1}")
    if len(points) < 2:
        return None
    if not np.isfinite(points).all():
        raise ValueError("pts has values that are not finite")
    ring = len(points) > 3 and bool(np.array_equal(points[0], points[-1]))
    closed = rings and ring and CLASSES[kind] == "ped_crossing"
    return MapElement(CLASSES[kind], points, float(vector.get("confidence_level", 1)), closed)  # type: ignore[arg-type]
