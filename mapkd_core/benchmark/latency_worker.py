"""Runs one artifact in a process of its own and says what each set of images took; `mapkd benchmark latency` starts it.

It is run as a file, so that it measures the build that PYTHONPATH names, older ones too: it uses nothing of this
package but `MapPredictor`. The first line of JSON on stdin names artifact, options and images; each further line asks
for one set, and the line of JSON that answers it holds milliseconds by stage and of the processor.
"""
from __future__ import annotations

import base64
import contextlib
import json
import sys
import time
from typing import Any, TextIO

PROCESSOR = "processor"


def answer(lines: TextIO, out: TextIO) -> None:
    """Answers until stdin ends."""
    with contextlib.suppress(ImportError):
        from mapkd_core.runtime import wait_without_spinning

        wait_without_spinning()
    import numpy as np

    from mapkd_core.predictor import MapPredictor

    asked: dict[str, Any] = json.loads(lines.readline())
    options = {key: asked[key] for key in ("device", "backend", "precision", "threads")}
    predictor = MapPredictor.from_artifact(asked["card"], **options)
    jpegs = [base64.b64decode(text) for text in asked["jpegs"]]
    calibration = np.array(asked["intrinsics"]), np.array(asked["base_from_camera"])
    out.write(json.dumps({"backend": predictor.runtime.backend, "precision": predictor.runtime.precision}) + "\n")
    out.flush()
    for _ in lines:
        before = time.process_time()
        stages = predictor.predict(jpegs, *calibration).stage_ms
        stages = {**stages, PROCESSOR: 1e3 * (time.process_time() - before)}
        out.write(json.dumps(stages) + "\n")
        out.flush()


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # what the code says by the way must not mix with the answers
    answer(sys.stdin, answers)
