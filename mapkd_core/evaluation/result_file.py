"""result.json of `mapkd evaluate`: what it must hold for whoever reads it."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mapkd_core.schema import integer, list_of, mapping, number, optional, read_json, record, text
from mapkd_core.types import CLASSES

_SHARE = optional(number(0, 1))
_PER_CLASS = dict.fromkeys(CLASSES, _SHARE)
_IOU = optional(record({**_PER_CLASS, "miou": _SHARE}))
_AP = record({"per_class": record(_PER_CLASS), "mAP": _SHARE})
_AP_SETS = mapping(_AP)
_RESULT = record(
    {"ap": mapping(_AP_SETS), "frames": integer(0)},
    {
        "iou": _IOU,
        "iou_exact_lines": _IOU,
        "by_distance": mapping(record({"ap_chamfer_corrected": _AP_SETS, "iou": _IOU})),
        "by_condition": mapping(
            record({"ap": record({"ap_chamfer": _AP_SETS}), "iou": _IOU, "frames": integer(0)})
        ),
        "openlane_v2": optional(_AP),
        "latency_ms": optional(mapping(number(0))),
        "notes": list_of(text()),
        "examples": mapping(list_of(text())),
        "machine": text(),
    },
)


SUBMISSION = "submission.json"
RESULTS = ("result.json", "result.md", "images.html")
"""Files of an evaluation's folder that scoring writes."""
_IMAGE = re.compile(r"(best|median|worst)-\d+\.jpg")


def forget_results(folder: Path, predicted_anew: bool) -> None:
    """Removes what an earlier evaluation wrote to a folder but its predictions and truth; other files stay.

    The submission goes only with the predictions that it is made of.
    """
    for name in (*RESULTS, *([SUBMISSION] if predicted_anew else [])):
        (folder / name).unlink(missing_ok=True)
    images = folder / "images"
    for path in list(images.glob("*.jpg")):
        if _IMAGE.fullmatch(path.name):
            path.unlink()
    if images.is_dir() and not any(images.iterdir()):
        images.rmdir()


def read_result(path: Path) -> dict[str, Any]:
    """The numbers of an evaluation. Raises FileNotFoundError, or FileFault that names the place and the value."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected the output folder of mapkd evaluate")
    return dict(read_json(path, "a result of mapkd evaluate", _RESULT, "evaluate again"))
