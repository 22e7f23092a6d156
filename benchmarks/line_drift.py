"""How well the map's own lines tell a wrong pitch or height of the cameras: simulated drives with known errors.

    python benchmarks/line_drift.py --out benchmarks/results
    python benchmarks/line_drift.py --drives 1 --frames 25

Each drive's images are rendered once, at the true calibration; the network then gets a calibration that is wrong by so
much, in all cameras or in the front one alone. Rows are errors, figures are estimates after the whole drive: mean and
standard deviation over drives, and how many drives would have warned. mapkd_core/cameras/line_drift.py's constants were
measured on drives 100 to 106; those here are others.

Criteria, set before the first run: without an error no drive warns; the mean of the front camera is within 0.3 degrees
of errors up to a degree; an error of 1.5 degrees warns in three of four drives.
"""
from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.spatial.transform import Rotation

from mapkd_core.benchmark.machine import cpu_name
from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.cameras.line_drift import LineDrift, PitchEstimate
from mapkd_core.cameras.plausibility import Mounted
from mapkd_core.files import write_atomic
from mapkd_core.predictor import MapPredictor
from mapkd_core.progress import each
from mapkd_core.sim.drive import SimDrive
from mapkd_core.types import CAMERAS

FIRST_SEED = 200
SHOWN = ("CAM_FRONT", "CAM_BACK")
"""The cameras of the simulated rigs that look along the road."""
Wrong = Callable[[np.ndarray], np.ndarray]


def pitched(degrees: float, cameras: tuple[str, ...] = CAMERAS) -> Wrong:
    """Looks up by so much more than in truth."""

    def wrong(base_from_camera: np.ndarray) -> np.ndarray:
        changed = base_from_camera.copy()
        turn = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
        for place in map(CAMERAS.index, cameras):
            changed[place, :3, :3] = changed[place, :3, :3] @ turn
        return changed

    return wrong


def raised(metres: float) -> Wrong:
    """Sits higher by so much than in truth."""

    def wrong(base_from_camera: np.ndarray) -> np.ndarray:
        changed = base_from_camera.copy()
        changed[:, 2, 3] += metres
        return changed

    return wrong


ERRORS: dict[str, Wrong] = {
    "none": pitched(0.0),
    **{f"all pitched {d:+g} deg": pitched(d) for d in (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5)},
    **{f"CAM_FRONT pitched {d:+g} deg": pitched(d, ("CAM_FRONT",)) for d in (-1.0, 1.0)},
    **{f"all {m:+g} m high": raised(m) for m in (-0.2, -0.1, 0.1, 0.2)},
}


def estimates_of(drive: SimDrive, predictor: MapPredictor) -> dict[str, dict[str, PitchEstimate]]:
    """Error -> camera -> its estimate after the drive."""
    drift = {name: LineDrift() for name in ERRORS}
    for index in range(drive.frames):
        frame = drive[index]
        models = [CameraModel(view.size, view.intrinsics) for view in frame.views]
        prepared = predictor.prepare_frame(frame)
        for name, wrong in ERRORS.items():
            mountings = wrong(prepared.base_from_camera)
            found = predictor.complete(replace(prepared, base_from_camera=mountings))
            mounted = map(Mounted, models, mountings)
            drift[name].see(found.elements, dict(zip(CAMERAS, mounted, strict=True)))
    return {name: one.estimates() for name, one in drift.items()}


def row(name: str, drives: list[dict[str, PitchEstimate]]) -> str:
    cells = []
    for camera in SHOWN:
        found = [drive[camera] for drive in drives if camera in drive]
        errors = np.array([one.error_deg for one in found])
        told = sum(one.doubtful for one in found)
        cells.append(f"{errors.mean():+.2f} ± {errors.std():.2f}" if len(found) else "")
        cells.append(f"{told} of {len(drives)}")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=8, help="simulated drives (default 8)")
    parser.add_argument("--frames", type=int, default=40, help="maps a drive, a second apart (default 40)")
    parser.add_argument("--weights", default="nano", help="a student that ships, or a file (default nano)")
    parser.add_argument("--out", type=Path, help="folder for a dated Markdown file; printed only if not given")
    args = parser.parse_args()
    predictor = MapPredictor.from_artifact(args.weights, device="cpu", threads=1)
    drives = []
    for seed in each(list(range(FIRST_SEED, FIRST_SEED + args.drives)), "line drift", "drive"):
        drive = SimDrive(seed=seed, frames=args.frames, keyframe_s=1.0, lidar=False)
        drives.append(estimates_of(drive, predictor))
        drive.release()
    lines = [
        f"# Pitch errors told by the map's own lines, {date.today().isoformat()}",
        "",
        f"    python benchmarks/line_drift.py --drives {args.drives} --frames {args.frames} --weights {args.weights}",
        "",
        f"{cpu_name()}, Python {platform.python_version()}, {predictor.engine}. Simulated drives {FIRST_SEED} to "
        f"{FIRST_SEED + args.drives - 1}, {args.frames} maps a second apart. Estimates in degrees, mean ± standard "
        "deviation over drives.",
        "",
        "| error | CAM_FRONT | warned | CAM_BACK | warned |",
        "|---|---|---|---|---|",
        *(row(name, [drive[name] for drive in drives]) for name in ERRORS),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        write_atomic(args.out / f"line_drift_{date.today().isoformat()}.md", text)


if __name__ == "__main__":
    main()
