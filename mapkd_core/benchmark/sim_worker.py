"""Renders drives in a process of its own and says what each took; `mapkd benchmark sim` starts it.

It is run as a file, so that it measures the build that PYTHONPATH names, older ones too: it uses nothing of this
package but `SimDrive`. A line of JSON on stdin is a drive, the line of JSON that answers it its seconds by part.
"""
from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

PARTS = ("road map", "world", "images", "LiDAR")


def drive_times(drive: Any, frames: int) -> dict[str, list[float]]:
    """Seconds of wall and processor time of each part, all frames together."""
    spent = {part: [0.0, 0.0] for part in PARTS}

    def timed(part: str, work: Callable[[], object]) -> None:
        began, began_processor = time.perf_counter(), time.process_time()
        work()
        spent[part][0] += time.perf_counter() - began
        spent[part][1] += time.process_time() - began_processor

    timed("road map", lambda: drive.road_map)
    timed("world", lambda: drive.world)
    for index in range(frames):
        timed("images", lambda index=index: drive.render(index))  # type: ignore[misc]
        timed("LiDAR", lambda index=index: drive.points(index))  # type: ignore[misc]
    return spent


def serve(jobs: TextIO, answers: TextIO) -> None:
    """Answers one drive after another until `jobs` ends."""
    from mapkd_core.sim.drive import SimDrive

    for line in jobs:
        job = json.loads(line)
        drive = SimDrive(job["seed"], size=tuple(job["size"]), frames=job["frames"], keyframe_s=job["every_s"])
        spent = drive_times(drive, job["frames"])
        drive.release()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        answers.write(json.dumps({"parts": spent, "peak_mb": peak / 1e6}) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules are none of the build's
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever is printed meanwhile is no answer
    import cv2
    import torch

    torch.set_num_threads(1)  # as the loaders of a training have it
    cv2.setNumThreads(1)
    serve(sys.stdin, answers)
