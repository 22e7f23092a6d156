"""Plays a drive through the real nodes and shows what came out.

    python scripts/demo.py --out demo
    python scripts/demo.py --out demo --dataroot /data/nuscenes

Player, student_node and recorder are three processes that meet over DDS. Writes OUT/out.mcap (inputs and outputs, opens
in Foxglove) and OUT/overview.png, and prints what happened. Without a dataroot the project's simulator makes a short
drive first. Ends with exit code 1 and the log's tail if any process fails.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import time
from pathlib import Path

import numpy as np

from mapkd_core import draw
from mapkd_core.sim.export.kept_drive import kept_drive
from mapkd_ros.child_process import ChildProcess, node_executable, private_domain
from mapkd_ros.recorder import recording

SIMULATED = Path(".cache/demo_drive")
SIMULATED_FRAMES, SIMULATED_SIZE = 12, (800, 450)
HOLD_S = 4.0
"""For how long a scene of a single keyframe is repeated."""
MOST_IMAGES = 3
START_S, PLAY_S = 60.0, 300.0


def main() -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder of the results (default: %(default)s)")
    parser.add_argument("--dataroot", type=Path, help="nuScenes folder to play; default: a simulated drive")
    parser.add_argument("--version", default="v1.0-mini", help="folder of its tables (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    args = parser.parse_args()
    # A domain of its own: other ROS programs on this machine neither disturb the demo nor hear it.
    os.environ.update(private_domain(random.randint(1, 100)))
    try:
        dataroot = args.dataroot or simulated_drive()
        mcap = args.out / "out.mcap"
        play(dataroot, args.version, args.device, mcap)
        drive = recording.read(mcap)
        show(drive, args.out / "overview.png", "simulated drive" if args.dataroot is None else dataroot.name)
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def simulated_drive() -> Path:
    """A drive that the simulator makes on first use, and anew after a change of the simulator."""
    began = time.monotonic()
    kept_drive(SIMULATED, SIMULATED_FRAMES, SIMULATED_SIZE)
    print(f"  {'simulated drive':<48}{time.monotonic() - began:4.0f} s")
    return SIMULATED


def play(dataroot: Path, version: str, device: str, mcap: Path) -> None:
    """Runs the three nodes to the end of the drive; raises RuntimeError, with a log's tail, if one fails."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:

        def start(executable: str, **parameters: object) -> ChildProcess:
            words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
            return stack.enter_context(ChildProcess(executable, [node_executable(executable), "--ros-args", *words]))

        recorder = start("recorder", output=mcap, overwrite="true")
        student = start("student_node", device=device)
        recorder.wait_for("recording", START_S)
        student.wait_for("waiting for", START_S)
        print(f"  {'nodes started':<48}{time.monotonic() - began:4.0f} s")
        began = time.monotonic()
        player = start(
            "nuscenes_player", dataroot=dataroot, version=version, stamps="now", hold=HOLD_S,
            wait_for_subscribers=30.0, subscribers=2,
        )  # fmt: skip
        for process, code in ((player, player.wait(PLAY_S)), (student, student.stop()), (recorder, recorder.stop())):
            if code:
                raise RuntimeError(f"{process.name} ended with exit code {code}. Its last words:\n{process.tail()}")
    print(f"  {'drive played':<48}{time.monotonic() - began:4.0f} s")


def show(drive: recording.Recording, path: Path, title: str) -> None:
    """Draws the overview and prints the table."""
    maps = recording.distinct_maps(drive, MOST_IMAGES)
    if not maps:
        raise RuntimeError("no map was recorded together with the images it was made of")
    rows = [recording.overview(drive, message, f"{title}, {message.model_name}") for message in maps]
    draw.write_png(path, np.concatenate(rows))
    table = recording.summary(drive)
    width = max(len(name) for name, _ in table) + 2
    print()
    for name, value in table:
        print(f"  {name:<{width}}{value}")
    print(f"\n  {path}\n  {path.with_name('out.mcap')} (open it in Foxglove with config/foxglove_layout.json)")


if __name__ == "__main__":
    sys.exit(main())
