"""Writes an evaluation's numbers as Markdown, in the papers' columns."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mapkd_core.metrics.line_places import LINE_THRESHOLDS_M
from mapkd_core.types import CLASSES

_MARKS = re.compile(r"[\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^#")
_CODE = re.compile(r"`([A-Za-z0-9_]+)`(.*)")
_HEADINGS = {"divider": "divider", "ped_crossing": "crossing", "boundary": "boundary"}


def markdown(result: Mapping[str, Any], title: str = "Evaluation") -> str:
    """The whole result: main table, by distance, by condition, latency, notes. Percent throughout."""
    parts = [f"# {escaped(title)}", f"{result['frames']} frames. IoU and AP in percent.", main_table(result)]
    if result.get("lines"):
        parts += ["## Length of lines found and right", lines_table(result)]
    if result.get("aligned"):
        parts += ["## Where the truth was moved", motions_table(result["aligned"])]
    if result.get("by_distance"):
        parts += ["## By distance from the vehicle", distance_table(result["by_distance"])]
    if result.get("by_condition"):
        parts += ["## By condition", condition_table(result["by_condition"])]
    if result.get("latency_ms"):
        parts += ["## Milliseconds a frame (median)", latency_table(result["latency_ms"])]
    if result.get("notes"):
        parts.append("\n".join(f"- {escaped(note)}" for note in result["notes"]))
    return "\n\n".join(parts) + "\n"


def main_table(result: Mapping[str, Any]) -> str:
    """IoU and every definition of AP, class by class."""
    rows = []
    for key, name in (("iou", "IoU"), ("iou_exact_lines", "IoU, exact lines")):
        if result.get(key):
            rows.append([name, "", *_iou_cells(result[key])])
    for definition, sets in result["ap"].items():
        for thresholds, ap in sets.items():
            rows.append([f"`{definition}`", thresholds, *_ap_cells(ap)])
    if result.get("openlane_v2"):
        rows.append(["`det_a_openlane_v2`", "0.5/1/1.5", *_ap_cells(result["openlane_v2"])])
    return _table(["metric", "thresholds m", *_HEADINGS.values(), "mean"], rows)


def lines_table(result: Mapping[str, Any]) -> str:
    """Recall and precision of lines by length, against the truth as it stands and, where there is one, the moved."""
    rows = []
    versions = {"as it stands": result["lines"], "aligned": (result.get("aligned") or {}).get("lines", {})}
    for version, bands in versions.items():
        for band, classes in bands.items():
            for label, line in classes.items():
                if line["true_m"] or line["predicted_m"]:
                    cells = ["/".join(percent(v, 0) for v in line[side].values()) for side in ("recall", "precision")]
                    metres = [f"{line[side]:.0f}" for side in ("true_m", "predicted_m")]
                    rows.append([version, band, _HEADINGS[label], *metres, *cells])
    within = "/".join(f"{t:g}" for t in LINE_THRESHOLDS_M)
    headings = ["truth", "distance", "class", "true m", "predicted m"]
    return _table([*headings, f"recall within {within} m", f"precision within {within} m"], rows)


def motions_table(aligned: Mapping[str, Any]) -> str:
    """How far every frame's truth was moved; of many frames, the first twenty."""
    rows = [
        [token, *(f"{motion[key]:.2f}" for key in ("x_m", "y_m", "yaw_deg"))]
        for token, motion in list(aligned["motions"].items())[:20]
    ]
    return _table(["frame", "x m", "y m", "yaw deg"], rows)


def distance_table(bands: Mapping[str, Any]) -> str:
    """IoU and AP of every ring."""
    rows = []
    for band, scores in bands.items():
        if scores["iou"]:
            rows.append([band, "IoU", *_iou_cells(scores["iou"])])
        for thresholds, ap in scores["ap_chamfer_corrected"].items():
            rows.append([band, f"`ap_chamfer_corrected` {thresholds}", *_ap_cells(ap)])
    return _table(["distance", "metric", *_HEADINGS.values(), "mean"], rows)


def condition_table(conditions: Mapping[str, Any]) -> str:
    """MIoU and the mean of every AP under each condition."""
    first = next(iter(conditions.values()))
    columns = [(d, t) for d, sets in first["ap"].items() for t in sets if not d.endswith("_corrected")]
    columns += [(d, t) for d, sets in first["ap"].items() for t in sets if d == "ap_chamfer_corrected"]
    rows = [
        [word, str(scores["frames"]), percent(scores["iou"]["miou"] if scores["iou"] else None)]
        + [percent(scores["ap"][d][t]["mAP"]) for d, t in columns]
        for word, scores in conditions.items()
    ]
    return _table(["condition", "frames", "mIoU", *(f"`{d}` {t}" for d, t in columns)], rows)


def latency_table(latency_ms: Mapping[str, float]) -> str:
    """Median milliseconds by stage."""
    return _table(list(latency_ms), [[f"{v:.1f}" for v in latency_ms.values()]])


def percent(value: float | None, digits: int = 2) -> str:
    """0..1 as percent with two digits or as many, a dash for what does not exist."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def _iou_cells(iou: Mapping[str, float | None]) -> list[str]:
    return [percent(iou[c]) for c in CLASSES] + [percent(iou["miou"])]


def _ap_cells(ap: Mapping[str, Any]) -> list[str]:
    return [percent(ap["per_class"][c]) for c in CLASSES] + [percent(ap["mAP"])]


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, in one line: no table cell, link, tag or heading of its own."""
    return _MARKS.sub(r"\\\g<0>", " ".join(text.split()))


def _cell(text: str) -> str:
    """A cell of a table: escaped, but for a name of ours between backticks at its beginning."""
    code = _CODE.fullmatch(text)
    return f"`{code[1]}` {escaped(code[2])}".rstrip() if code else escaped(text)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head, *body = ([_cell(text) for text in line] for line in (headings, *rows))
    lines = [head, ["---"] * len(headings), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
