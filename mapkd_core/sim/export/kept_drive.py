"""A simulated drive that a tool keeps in a folder of its own: rendered on first use, and anew for another simulator."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

from mapkd_core.progress import Progress
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.export.claim import NOTE
from mapkd_core.sim.export.nuscenes_folder import export

SEED = 7
_MOST_WORKERS = 4


def kept_drive(folder: Path, frames: int, size: tuple[int, int]) -> Path:
    """The folder, which then holds a drive of `frames` keyframes with images of `size` (w, h), in nuScenes' format.

    What is there already is used if this simulator made it with the same options; another export is replaced.
    Raises FileExistsError for a folder that holds anything else.
    """
    drive = SimDrive(seed=SEED, size=size, frames=frames, lidar=True)
    with Progress("simulated drive", unit="group") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.done)

        workers = min(os.cpu_count() or 1, _MOST_WORKERS)
        try:
            export([drive], folder, workers=workers, progress=progress)
            return folder
        except FileExistsError:
            if not (folder / NOTE).is_file():
                raise
        shutil.rmtree(folder)
        export([drive], folder, workers=workers, progress=progress)
        return folder
