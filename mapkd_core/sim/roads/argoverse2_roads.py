"""The streets of a log of Argoverse 2 to drive on in the simulator: its lanes, paint, crossings and edges."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mapkd_core.data.argoverse2_map import load_argoverse2_map, map_file
from mapkd_core.sim.roads.sd_lines import weakly_aligned
from mapkd_core.vector_map import VectorMap

ARGOVERSE2 = "argoverse2"
"""Name of such a road. Drives on several logs of one folder take turns, by seed."""


def argoverse2_map_file(folder: Path, seed: int) -> Path:
    """The vector map that a drive with this seed is on: of a log, or of one of the logs in a folder.

    Raises FileNotFoundError where there is none, FileFault for a log with several.
    """
    if any((folder / "map").glob("log_map_archive_*.json")):
        return map_file(folder)
    logs = sorted({path.parents[1] for path in folder.glob("*/map/log_map_archive_*.json")})
    if not logs:
        raise FileNotFoundError(
            f"{folder} holds no log of Argoverse 2 with a vector map; expected map/log_map_archive_*.json in it or in "
            "its folders: name it with --dataroot"
        )
    return map_file(logs[seed % len(logs)])


def argoverse2_road(folder: Path, seed: int) -> VectorMap:
    """The map with wear of the seed's choice on its paint, and weakly aligned SD roads along its lanes."""
    source = load_argoverse2_map(argoverse2_map_file(folder, seed))
    rng = np.random.default_rng([seed, *ARGOVERSE2.encode()])
    return replace(
        source,
        lines=tuple(
            replace(line, wear=float(rng.uniform(0.55, 0.95) if rng.random() < 0.12 else rng.uniform(0, 0.5)))
            for line in source.lines
        ),
        sd_roads_m=weakly_aligned(source.lane_centres_m, rng, missing=0.3),
        extras={"left_hand": False, "style": ARGOVERSE2},
    )
