"""Several evaluations in one report: what was evaluated, latencies in one table, the same frames beside each other."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mapkd_core.draw import RgbImage, draw_bev, put_text
from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH
from mapkd_core.evaluation.images import glow_of, reference_of
from mapkd_core.evaluation.page import Cell, Image, Notes, Part, Table, Text
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.frame_file import FrameRecord, read_frames, read_header
from mapkd_core.metrics.scoring import Scorer

MOST_FRAMES = 12
_PANEL_PX = 300
"""Width of one map."""
_MOST_PX_PER_M = 16.0
_TEXT, _GAP, _BACKGROUND = (225, 228, 235), 8, (21, 23, 28)


def models_beside(results: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """What each evaluation is of, and whether they can be compared."""
    rows, data = [], {}
    for name, result in results.items():
        about = result.get("predictions")
        about = about if isinstance(about, dict) else {}
        made = about.get("artifact") or {}
        data[name] = (about.get("data_fingerprint") or about.get("data"), result["frames"])
        words = [f"{made.get('name', '-')} {made.get('version', '')}".strip(), about.get("precision", "-")]
        rows.append([
            Cell(name), *map(Cell, words), Cell(str(made.get("sha256", "-"))[:12], "code"),
            Cell(str(about.get("data", "-")), "code"), Cell(str(result["frames"])),
        ])  # fmt: skip
    table = Table(rows, ["evaluation", "network", "precision", "weights' SHA-256", "data", "frames"])
    if len(set(data.values())) > 1:
        return [table, Notes(["They are of different frames: the scores below cannot be compared with each other."])]
    return [table]


def latencies_beside(results: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """Median milliseconds of each stage, a column for each evaluation, the shortest marked."""
    stages = list(dict.fromkeys(stage for result in results.values() for stage in result["latency_ms"]))
    rows = []
    for stage in stages:
        values = [result["latency_ms"].get(stage) for result in results.values()]
        least = min(value for value in values if value is not None)
        cells = [Cell("-") if v is None else Cell(f"{v:.1f}", "best" if v == least else "") for v in values]
        rows.append([Cell(stage), *cells])
    machines = {name: result.get("machine", "machine not noted") for name, result in results.items()}
    where = "; ".join(f"{name}: {machine}" for name, machine in machines.items())
    if len(set(machines.values())) == 1:
        where = f"all: {where.partition(': ')[2].partition(';')[0]}"
    return [Text(f"Median milliseconds a frame while evaluating ({where})."), Table(rows, ["stage", *results])]


def frames_beside(folders: Mapping[str, tuple[Path, Mapping[str, Any]]]) -> list[Part]:
    """The frames that were best, median or worst for one of the models, as all of them predicted them, and the truth.

    Only of folders that hold predictions and truth of the same frames on one grid; others are named.
    """
    held = {name: folder for name, (folder, _) in folders.items() if (folder / PREDICTIONS).is_file()}
    lacking = [name for name in folders if name not in held]
    truth_folder = next((folder for folder in held.values() if (folder / TRUTH).is_file()), None)
    notes = [f"{name} holds no {PREDICTIONS}, so its maps are not here." for name in lacking]
    if truth_folder is None or len(held) < 2:
        return [Notes(notes)] if notes else []
    grids = {name: BevGrid.from_dict(read_header(folder / PREDICTIONS)["grid"]) for name, folder in held.items()}
    grid = BevGrid.from_dict(read_header(truth_folder / TRUTH)["grid"])
    for name in [name for name, other in grids.items() if other != grid]:
        notes.append(f"{name} is on another grid, so its maps are not here.")
        del held[name]
    truths = {record.token: record for record in read_frames(truth_folder / TRUTH)}
    predicted = {name: {r.token: r for r in read_frames(folder / PREDICTIONS)} for name, folder in held.items()}
    wanted = _chosen({name: folders[name][1] for name in held}, truths)
    images: list[Part] = [
        Image(
            _beside({name: records.get(token) for name, records in predicted.items()}, truths[token], grid),
            "image/jpeg", f"{truths[token].scene} {token}: {', '.join(why)}",
        )
        for token, why in wanted.items()
    ]  # fmt: skip
    scored = Text("Each map with its score in this frame alone: mean IoU, or AP of networks without a raster.")
    return [*([Notes(notes)] if notes else []), *([scored, *images] if images else [])]


def _chosen(results: Mapping[str, Mapping[str, Any]], truths: Mapping[str, FrameRecord]) -> dict[str, list[str]]:
    """Token -> why it is shown; the models take turns, so that each has its say."""
    found: dict[str, list[str]] = {}
    told = {name: result.get("examples", {}) for name, result in results.items()}
    groups = list(dict.fromkeys(group for examples in told.values() for group in examples))
    for place in range(max((len(tokens) for examples in told.values() for tokens in examples.values()), default=0)):
        for group in groups:
            for name, examples in told.items():
                for token in examples.get(group, ())[place : place + 1]:
                    if token in truths and (token in found or len(found) < MOST_FRAMES):
                        found.setdefault(token, []).append(f"{group} of {name}")
    return found


def _beside(predicted: Mapping[str, FrameRecord | None], truth: FrameRecord, grid: BevGrid) -> bytes:
    """The maps of one frame from left to right, the truth last, as JPEG."""
    scale = min(_PANEL_PX / (grid.y_range_m[1] - grid.y_range_m[0]), _MOST_PX_PER_M)
    panels: list[RgbImage] = []
    names: list[str] = []
    scorer = Scorer(grid)
    for name, record in predicted.items():
        if record is None:
            panels.append(draw_bev([], grid, pixels_per_m=scale))
            names.append(f"{name}: nothing")
            continue
        panels.append(draw_bev(record.elements, grid, pixels_per_m=scale, semantic=glow_of(record)))
        names.append(f"{name}: {100 * scorer.frame(record, truth).quality:.1f} %")
    panels.append(draw_bev(reference_of(truth), grid, pixels_per_m=scale))
    names.append("truth")
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(_row(panels, names), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )
    assert done
    return jpeg.tobytes()


def _row(panels: Sequence[RgbImage], names: Sequence[str]) -> RgbImage:
    header = 30
    height, width = panels[0].shape[:2]
    image: RgbImage = np.full((height + header, len(panels) * (width + _GAP) - _GAP, 3), _BACKGROUND, np.uint8)
    for place, (panel, name) in enumerate(zip(panels, names, strict=True)):
        left = place * (width + _GAP)
        title = np.ascontiguousarray(image[:header, left : left + width])
        put_text(title, name, (4, 21), 15, _TEXT)
        image[:header, left : left + width] = title
        image[header:, left : left + width] = panel
    return image
