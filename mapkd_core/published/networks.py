"""The published networks that can be imported: which of our models they are, their names, sizes and sources."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mapkd_core.grid import GRID_60X30, GRID_120X60, BevGrid
from mapkd_core.published import hdmapnet_keys, mapkd_keys, maptr_keys, maptrv2_keys, pmapnet_keys
from mapkd_core.published.key_table import KeyTable
from mapkd_core.types import IMAGE_SIZE

if TYPE_CHECKING:
    from torch import Tensor

GRIDS: Mapping[str, BevGrid] = {"60x30": GRID_60X30, "120x60": GRID_120X60}
"""What the authors trained on, by the name that stands for it: metres ahead and behind times left and right."""


@dataclass(frozen=True)
class Source:
    """Where a network was published."""

    paper: str
    repository: str
    commit: str
    licence: str
    """Of the code; what holds for the weights is for the user to find out."""


HDMAPNET = Source(
    "HDMapNet, arXiv 2107.06307", "github.com/Tsinghua-MARS-Lab/HDMapNet", "7911227", "GPL-3.0"
)
PMAPNET = Source("P-MapNet, arXiv 2403.10521", "github.com/jike5/P-MapNet", "b8b4cf2", "GPL-3.0")
MAPKD = Source(
    "MapKD, arXiv 2508.15653", "github.com/2004yan/MapKD_new", "87afe3f",
    "none stated; derived from P-MapNet, which is GPL-3.0",
)


@dataclass(frozen=True)
class PublishedNetwork:
    """One of them."""

    model: str
    """Key of model/build.py MODELS."""
    table: Callable[[Sequence[str]], KeyTable]
    """The names, given the heads that a file holds."""
    source: Source
    needs: str
    """In words, what it reads beside the images of the six cameras; empty for nothing."""
    image_size: tuple[int, int] = IMAGE_SIZE
    options: Mapping[str, Any] = field(default_factory=lambda: {"published": True})
    has_heads: bool = True
    """Whether the table and the options depend on which heads a file holds."""
    grid: BevGrid | None = None
    """The only one that the network was published for; None where there are several."""
    check: Callable[[Mapping[str, Tensor]], None] | None = None
    """Raises ValueError for a file whose constants are not the network's."""


MAPTR = Source("MapTR, arXiv 2208.14437", "github.com/hustvl/MapTR", "a6872d8", "MIT")


MAPTRV2 = Source("MapTRv2, arXiv 2308.05736", "github.com/hustvl/MapTR (branch maptrv2)", "e03f097", "MIT")


def _maptr(variant: str, image_size: tuple[int, int]) -> PublishedNetwork:
    return PublishedNetwork(
        "vector_student", lambda _: maptr_keys.maptr(variant), MAPTR, "", image_size,
        {"variant": variant, "published": True}, False, GRID_60X30, maptr_keys.check_kernel,
    )


NETWORKS: Mapping[str, PublishedNetwork] = {
    "hdmapnet": PublishedNetwork("hdmapnet", hdmapnet_keys.hdmapnet, HDMAPNET, ""),
    "hdmapnet_fusion": PublishedNetwork("hdmapnet_fusion", hdmapnet_keys.hdmapnet_fusion, HDMAPNET, "LiDAR"),
    "pmapnet_c_sd": PublishedNetwork("pmapnet_c_sd", pmapnet_keys.pmapnet_c_sd, PMAPNET, "an SD map"),
    "pmapnet_c_sd_hd": PublishedNetwork("pmapnet_c_sd_hd", pmapnet_keys.pmapnet_c_sd_hd, PMAPNET, "an SD map"),
    "pmapnet_cl_sd": PublishedNetwork("pmapnet_cl_sd", pmapnet_keys.pmapnet_cl_sd, PMAPNET, "LiDAR and an SD map"),
    "pmapnet_cl_sd_hd": PublishedNetwork("teacher", pmapnet_keys.pmapnet_cl_sd_hd, PMAPNET, "LiDAR and an SD map"),
    "teacher": PublishedNetwork("teacher", pmapnet_keys.pmapnet_cl_sd_hd, MAPKD, "LiDAR and an SD map"),
    "coach_sd": PublishedNetwork("coach_sd", mapkd_keys.coach_sd, MAPKD, "an SD map"),
    "coach": PublishedNetwork("coach", mapkd_keys.coach, MAPKD, "an SD map"),
    "mapkd_student": PublishedNetwork("mapkd_student", mapkd_keys.mapkd_student, MAPKD, ""),
    "maptr_nano": _maptr("maptr_nano", (320, 180)),
    "maptr_tiny": _maptr("maptr_tiny", (800, 450)),
    "maptrv2": PublishedNetwork(
        "vector_student", lambda _: maptrv2_keys.maptrv2(), MAPTRV2, "", (800, 450),
        {"variant": "maptrv2_published", "published": True}, False, GRID_60X30, maptrv2_keys.check_cells,
    ),
}
"""name for `mapkd import --as` -> network."""
