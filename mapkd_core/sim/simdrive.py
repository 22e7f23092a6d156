"""simdrive-v1, a named and versioned benchmark of simulated drives: train, val and test as seeds and maps.

The groups of drives stand in `simdrive-v1.txt`. Real maps are used where the data root has them; a source tells what it
had to leave out (`skipped`), because a result on fewer roads is another result.
"""
from __future__ import annotations

import bisect
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from itertools import accumulate
from pathlib import Path

from mapkd_core.data.lidar import Sweeps
from mapkd_core.grid import GRID_60X30, GRID_60X30_COARSE, BevGrid
from mapkd_core.sim.drive import PROCEDURAL, SimDrive
from mapkd_core.types import IMAGE_SIZE, Frame

VERSION = "simdrive-v1"
SPLITS = ("train", "val", "test")
SIZES: dict[str, tuple[tuple[int, int], BevGrid]] = {
    "small": ((176, 64), GRID_60X30_COARSE),
    "full": (IMAGE_SIZE, GRID_60X30),
}
"""Image size (w, h) and grid, the smaller first; `small` is for CPUs."""

DRIVES_KEPT = 2
"""Drives whose worlds stay in memory."""


@dataclass(frozen=True)
class DriveGroup:
    """One line of the benchmark's file."""

    split: str
    road: str
    first_seed: int
    drives: int
    frames: int
    every_s: float
    area_m: tuple[float, float, float, float] | None = None

    @classmethod
    def parse(cls, line: str) -> DriveGroup:
        """Reads `split road first_seed drives frames every_s [x_min y_min x_max y_max]`, or raises ValueError."""
        words = line.split()
        if len(words) not in (6, 10) or words[0] not in SPLITS:
            raise ValueError(
                f"line {line!r} is not `split road first_seed drives frames every_s [x_min y_min x_max y_max]` "
                f"with a split of {SPLITS}"
            )
        area = tuple(map(float, words[6:])) if len(words) == 10 else None
        return cls(words[0], words[1], int(words[2]), int(words[3]), int(words[4]), float(words[5]), area)  # type: ignore


def groups(split: str) -> tuple[DriveGroup, ...]:
    """The benchmark's groups of one split. Raises ValueError for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {SPLITS}")
    text = resources.files("mapkd_core.sim").joinpath(f"{VERSION}.txt").read_text(encoding="utf-8")
    parsed = (DriveGroup.parse(line) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return tuple(group for group in parsed if group.split == split)


@dataclass(eq=False)
class SimSource:
    """Frames of many drives, one drive after the other. Read it in order: every new drive builds a new world."""

    drives: tuple[SimDrive, ...]
    skipped: tuple[str, ...] = ()
    """What is missing, in words; empty when the benchmark is whole."""
    _worlds: OrderedDict[int, None] = field(default_factory=OrderedDict, init=False, repr=False)
    _ends: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._ends = list(accumulate(len(drive) for drive in self.drives))

    @property
    def drive_ends(self) -> list[int]:
        """How many frames there are up to the end of each drive."""
        return self._ends

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Frame:
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        index %= len(self)
        at = bisect.bisect_right(self._ends, index)
        self._worlds.pop(at, None)
        self._worlds[at] = None
        while len(self._worlds) > DRIVES_KEPT:
            self.drives[self._worlds.popitem(last=False)[0]].release()
        return self.drives[at][index - (self._ends[at - 1] if at else 0)]


def size_for(image_size: tuple[int, int] | None) -> str:
    """The smallest of SIZES whose images a network of `image_size` (w, h) need not enlarge; else the largest."""
    for name, ((width, height), _) in SIZES.items():
        if image_size is not None and image_size[0] <= width and image_size[1] <= height:
            return name
    return name


def default_dataroot() -> Path | None:
    """The nuScenes folder named by the environment variable MAPKD_DATAROOT, if there is one."""
    named = os.environ.get("MAPKD_DATAROOT")
    return Path(named) if named else None


def simdrive(
    split: str,
    size: str = "small",
    dataroot: Path | None = None,
    lidar: bool = True,
    lidar_sweeps: int | Sweeps = 1,
    device: str = "cpu",
    drives: int | None = None,
    weather: str | None = None,
    own_body_every: int = 0,
) -> SimSource:
    """The frames of one split at size `small` or `full`; real roads where `dataroot` (or MAPKD_DATAROOT) has maps.

    `drives` takes only so many, evenly from all groups; `weather` is that of all drives in place of each one's own;
    one drive in `own_body_every` shows its own bodywork (0: none, 1: each). Raises ValueError for an unknown split,
    size or weather.
    """
    if size not in SIZES:
        raise ValueError(f"size {size!r} is not one of {tuple(SIZES)}")
    root = dataroot or default_dataroot()
    found: list[SimDrive] = []
    skipped = []
    for group in groups(split):
        if group.road != PROCEDURAL and not (root and (root / "maps" / "expansion" / f"{group.road}.json").is_file()):
            where = root or "MAPKD_DATAROOT (unset)"
            skipped.append(f"{group.drives} drives on {group.road}: no map expansion in {where}")
            continue
        found += [
            SimDrive(
                seed=group.first_seed + k,
                road=group.road,
                size=SIZES[size][0],
                lidar=lidar,
                frames=group.frames,
                keyframe_s=group.every_s,
                lidar_sweeps=lidar_sweeps,
                dataroot=None if group.road == PROCEDURAL else root,
                area_m=group.area_m,
                device=device,
            )
            for k in range(group.drives)
        ]
    if drives is not None and drives < len(found):
        found = [found[k * len(found) // drives] for k in range(drives)]
    if weather is not None:
        found = [drive.in_weather(weather) for drive in found]
    if own_body_every:
        found = [drive if k % own_body_every else drive.with_own_body() for k, drive in enumerate(found)]
    return SimSource(tuple(found), tuple(skipped))
