"""Average precision as HDMapNet's released evaluator computes it."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.ap_result import THRESHOLDS_HDMAPNET_M, ApResult
from mapkd_core.metrics.parallel import map_frames
from mapkd_core.metrics.raster_ap import RasterAp
from mapkd_core.types import MapElement


def hdmapnet_definition(
    grid: BevGrid, thresholds_m: Sequence[float] = THRESHOLDS_HDMAPNET_M, corrected: bool = False
) -> RasterAp:
    """HDMapNet's definition, for scoring frame by frame.

    Lines are drawn as labels are (`LINE_THICKNESS`); the distance of two instances is the mean of their two mean
    nearest-pixel distances; pairs are matched one to one, nearest first, without regard to confidence; AP is the mean
    precision at ten recalls per frame and class, averaged over the frames that have the class on either side.

    The compatible form keeps the faults of the released code because the papers' numbers contain them: pieces of cut
    lines get ids but no confidences, the curve is sorted by ascending confidence, single-precision distances are up
    to two centimetres off, and so are recalls in their last digit. `corrected` repairs these and nothing else.

    Source: HDMapNet (Li et al., ICRA 2022), section IV-A, and its released evaluator; the paper's thresholds are 0.2,
    0.5, 1 m, the code's 2, 4, 6 m.
    """
    name = "ap_hdmapnet_corrected" if corrected else "ap_hdmapnet"
    return RasterAp(name, grid, tuple(thresholds_m), corrected, one_way=False, min_iou=None)


def ap_hdmapnet(
    predictions: Sequence[Iterable[MapElement]],
    truths: Sequence[Iterable[MapElement]],
    grid: BevGrid,
    thresholds_m: Sequence[float] = THRESHOLDS_HDMAPNET_M,
    corrected: bool = False,
    processes: int = 1,
) -> ApResult:
    """HDMapNet's AP over frames (`predictions[i]` and `truths[i]` are one frame); rings count as two sides."""
    definition = hdmapnet_definition(grid, thresholds_m, corrected)
    return definition.total(map_frames(definition.frame, predictions, truths, processes))
