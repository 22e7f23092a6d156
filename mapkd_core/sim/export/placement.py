"""Where a simulated drive stands in an exported world: scene name, location, offset, names of its files."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.drive import PROCEDURAL, SimDrive
from mapkd_core.sim.export.map_tables import SEMANTIC_PRIOR

PLOT_M = 900.0
"""Distance between the places of two procedural neighbourhoods in one location's map."""
LIDAR = "LIDAR_TOP"


@dataclass(frozen=True, eq=False)
class PlacedDrive:
    """A drive and where it stands in the exported world."""

    drive: SimDrive
    scene: str
    location: str
    offset_m: NDArray[np.float64]
    """(2,) from the drive's map to the location's."""
    logfile: str

    def map_from_base(self, time_s: float) -> NDArray[np.float64]:
        """(4, 4) ego pose in the location's map."""
        pose = self.drive.motion.pose(time_s)
        pose[:2, 3] += self.offset_m
        return pose

    def file_name(self, channel: str, stamp_us: int, is_key: bool) -> str:
        """nuScenes' name of a reading, relative to the data root."""
        ending = "pcd.bin" if channel == LIDAR else "jpg"
        return f"{'samples' if is_key else 'sweeps'}/{channel}/{self.logfile}__{channel}__{stamp_us}.{ending}"


def place(drives: Sequence[SimDrive], scenes: Sequence[str]) -> list[PlacedDrive]:
    """Gives every drive a scene name, a location and a place in it."""
    placed, used = [], dict.fromkeys(SEMANTIC_PRIOR, 0)
    for drive, scene in zip(drives, scenes, strict=True):
        if drive.road not in SEMANTIC_PRIOR:
            location = "singapore-onenorth" if drive.whole_map.extras["left_hand"] else "boston-seaport"
            column, row = used[location] % 4, used[location] // 4
            offset = np.array([column + 0.5, row + 0.5]) * PLOT_M - _middle_m(drive)
            used[location] += 1
        else:
            location, offset = drive.road, np.zeros(2)
        day = np.datetime64(drive.start_ns, "ns").astype("datetime64[s]").item()
        assert drive.rig is not None
        placed.append(PlacedDrive(drive, scene, location, offset, f"{drive.rig.name}-sim-{day:%Y-%m-%d-%H-%M-%S}+0000"))
    real = [p.location for p in placed if p.drive.road in SEMANTIC_PRIOR]
    if len(set(real)) != len(real) or any(p.location in real for p in placed if p.drive.road not in SEMANTIC_PRIOR):
        raise ValueError(
            "one folder holds one road map for each location: export drives on real maps one at a time, "
            "and apart from others"
        )
    return placed


def _middle_m(drive: SimDrive) -> NDArray[np.float64]:
    """(2,) what is put into the middle of a plot: procedural maps lie about their origin, cities do not."""
    if drive.road == PROCEDURAL:
        return np.zeros(2)
    x0, y0, x1, y1 = drive.road_map.road_area.bounds
    return np.round(np.array([x0 + x1, y0 + y1]) / 2)
