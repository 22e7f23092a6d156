"""An invented drive as a training cache, and what is read from it."""
from __future__ import annotations

from pathlib import Path

from invented_frames import Drive

from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.grid import GRID_60X30

PACKED = CacheOptions((160, 64), lidar=True)
OPTIONS = SampleOptions(GRID_60X30, (160, 64), lidar=True, sd_map=True)


def packed_drive(folder: Path) -> Path:
    """23 frames in 4 shards."""
    write_cache(Drive(23), folder, PACKED, shard_frames=6, progress=False)
    return folder
