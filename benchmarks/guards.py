"""What the checks of untrusted images cost on the way from six JPEGs to map elements: this checkout against another.

    git worktree add /tmp/before 477a8e9
    python benchmarks/guards.py --before /tmp/before --out benchmarks/results

Both checkouts run in processes of their own, with the same images, weights and one thread, one set of images after the
other in turn. Compared is the processor time that they use, of which a busy machine changes little; the clock's time
stands beside it.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mapkd_core.benchmark.machine import cores, cpu_name  # noqa: E402
from mapkd_core.files import write_atomic  # noqa: E402

ROWS = {
    "prepare_cpu": "decode and prepare, processor", "complete_cpu": "network and vectorizer, processor",
    "cpu": "all, processor", "wall": "all, clock",
}  # fmt: skip
WORKER = """
import json, sys, time
from pathlib import Path
import cv2, numpy as np
import mapkd_core
from mapkd_core.predictor import MapPredictor
folder, frames, backend = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
cv2.setNumThreads(1)
numbers = np.load(folder / "calibration.npz")
sets = [[(folder / f"{frame}_{camera}.jpg").read_bytes() for camera in range(6)] for frame in range(frames)]
predictor = MapPredictor.from_artifact("nano", device="cpu", backend=backend, threads=1)
def once(frame):
    begun, begun_cpu = time.perf_counter(), time.process_time()
    prepared = predictor.prepare(sets[frame], numbers["intrinsics"], numbers["poses"])
    middle_cpu = time.process_time()
    found = predictor.complete(prepared)
    end_cpu, end = time.process_time(), time.perf_counter()
    times = {"prepare_cpu": middle_cpu - begun_cpu, "complete_cpu": end_cpu - middle_cpu, "cpu": end_cpu - begun_cpu,
             "wall": end - begun}
    return {**{name: 1e3 * value for name, value in times.items()}, "elements": len(found.elements)}
for frame in range(frames):
    once(frame)
print(Path(mapkd_core.__file__).parents[1], flush=True)
for line in sys.stdin:
    print(json.dumps(once(int(line))), flush=True)
"""


def write_images(folder: Path, frames: int, size: tuple[int, int]) -> None:
    """Six JPEGs a frame of a simulated drive, and their calibration."""
    from mapkd_core.sim.drive import SimDrive

    drive = SimDrive(seed=7, size=size, frames=frames)
    for index in range(frames):
        for camera, view in enumerate(drive[index].views):
            cv2.imwrite(str(folder / f"{index}_{camera}.jpg"), view.image.rgb()[..., ::-1])
    views = drive[0].views
    poses = np.stack([view.base_from_camera for view in views])
    np.savez(folder / "calibration.npz", intrinsics=np.stack([view.intrinsics for view in views]), poses=poses)


class Checkout:
    """A process that runs one checkout's predictor when it is asked to."""

    def __init__(self, path: Path, folder: Path, frames: int, backend: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(frames), backend],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
        )  # fmt: skip
        found = self._line()
        if Path(found) != path.resolve():
            raise ValueError(f"asked for {path}, Python took {found or 'nothing'}")

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def once(self, frame: int) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{frame}\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def checks_ms(folder: Path) -> dict[str, float]:
    """Milliseconds of the processor that this checkout's checks take for six images."""
    from mapkd_core.data.image_codec import jpeg_size

    images = [(folder / f"0_{camera}.jpg").read_bytes() for camera in range(6)]
    numbers = np.load(folder / "calibration.npz")
    arrays = (numbers["intrinsics"], numbers["poses"])

    def median(work: Callable[[], Any]) -> float:
        taken = []
        for _ in range(300):
            before = time.process_time()
            work()
            taken.append(1e3 * (time.process_time() - before))
        return statistics.median(taken)

    return {
        "the headers of six images": median(lambda: [jpeg_size(image) for _ in range(2) for image in images]),
        "whether calibrations are finite": median(lambda: [np.isfinite(a[i]).all() for a in arrays for i in range(6)]),
    }


def row(name: str, before: list[float], now: list[float]) -> str:
    ratios = [b / a for a, b in zip(before, now, strict=True)]
    low, high = np.quantile(ratios, [0.25, 0.75])
    medians = statistics.median(before), statistics.median(now)
    return (
        f"| {ROWS[name]} | {medians[0]:.2f} | {medians[1]:.2f} | {medians[1] / medians[0]:.3f} | "
        f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f}) | {min(before):.2f}, {min(now):.2f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=400, help="sets for each checkout (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=4, help="different sets of images (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(1600, 900), metavar=("W", "H"), help="of the images")
    parser.add_argument("--backend", default="torchscript", help="of both (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the results file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, args.frames, tuple(args.size))
        before, now = (Checkout(path, folder, args.frames, args.backend) for path in (args.before, ROOT))
        pairs = []
        for index in range(args.rounds):
            order = (before, now) if index // args.frames % 2 else (now, before)
            found = {id(checkout): checkout.once(index % args.frames) for checkout in order}
            pairs.append((found[id(before)], found[id(now)]))
        checks = checks_ms(folder)
        for checkout in (before, now):
            checkout.close()
    git = ["git", "-C", str(args.before), "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    elements = [[pair[side]["elements"] for pair in pairs[: args.frames]] for side in (0, 1)]
    text = "\n".join([
        "# What the checks of images cost",
        "",
        f"{date.today()}, {cpu_name()}, {cores()} cores, Python {platform.python_version()}, torch {version('torch')}, "
        f"OpenCV {version('opencv-python-headless')}. Command: `python benchmarks/guards.py --before CHECKOUT "
        f"--rounds {args.rounds} --frames {args.frames} --backend {args.backend} "
        f"--size {args.size[0]} {args.size[1]}`.",
        "",
        f"Six JPEGs of {args.size[0]}x{args.size[1]} to map elements, student nano, {args.backend}, one thread, ms; "
        f"before: commit {revision}. {args.rounds} sets for each, in turn; elements of the first {args.frames} sets: "
        f"before {elements[0]}, now {elements[1]}.",
        "",
        "| | before, median | now, median | ratio of medians | median ratio of a pair (quartiles) | least of each |",
        "|---|---|---|---|---|---|",
        *(row(name, *([pair[side][name] for pair in pairs] for side in (0, 1))) for name in ROWS),
        "",
        "Of this, checks: " + "; ".join(f"{what} {ms:.3f} ms" for what, ms in checks.items()) + ".",
        "",
    ])  # fmt: skip
    print(text)
    if args.out:
        write_atomic(args.out / f"guards_{date.today()}.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
