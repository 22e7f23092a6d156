"""Average precision as P-MapNet's released evaluator computes it."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.ap_result import THRESHOLDS_MAPTR_M, ApResult
from mapkd_core.metrics.parallel import map_frames
from mapkd_core.metrics.raster_ap import RasterAp
from mapkd_core.types import MapElement


def pmapnet_definition(
    grid: BevGrid, thresholds_m: Sequence[float] = THRESHOLDS_MAPTR_M, corrected: bool = False
) -> RasterAp:
    """P-MapNet's definition, for scoring frame by frame.

    HDMapNet's with two changes: the distance runs from prediction to truth only (which rewards short pieces), and a
    matched pair must share at least a tenth of its pixels; a pair that does not is struck out all the same.
    `corrected` repairs HDMapNet's faults (see `hdmapnet_definition`), not these two choices.
    Source: P-MapNet (Jiang et al., RA-L 2024) and its released evaluator.
    """
    name = "ap_pmapnet_corrected" if corrected else "ap_pmapnet"
    return RasterAp(name, grid, tuple(thresholds_m), corrected, one_way=True, min_iou=0.1)


def ap_pmapnet(
    predictions: Sequence[Iterable[MapElement]],
    truths: Sequence[Iterable[MapElement]],
    grid: BevGrid,
    thresholds_m: Sequence[float] = THRESHOLDS_MAPTR_M,
    corrected: bool = False,
    processes: int = 1,
) -> ApResult:
    """P-MapNet's AP over frames (`predictions[i]` and `truths[i]` are one frame); rings count as two sides."""
    definition = pmapnet_definition(grid, thresholds_m, corrected)
    return definition.total(map_frames(definition.frame, predictions, truths, processes))
