"""MapKD's names: its coaches, which lift images where the teacher has LiDAR, and its student.

Source of the names: github.com/2004yan/MapKD_new, commit 87afe3f. The teacher's are P-MapNet's.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mapkd_core.grid import BevGrid
from mapkd_core.published.hdmapnet_keys import bev_encoder, cameras, image_encoder, leave_head
from mapkd_core.published.key_table import NORM, KeyTable, Taken
from mapkd_core.published.pmapnet_keys import leave_strided, pmapnet_c_sd, pmapnet_c_sd_hd, strided

if TYPE_CHECKING:
    from torch import Tensor

_DEAD = "the lift-splat branch's own BEV encoder, which is not called"


def coach_sd(outputs: Sequence[str]) -> KeyTable:
    """Cameras, simulated LiDAR and the road map."""
    table = pmapnet_c_sd(outputs)
    simulated_lidar(table, outputs)
    return table


def coach(outputs: Sequence[str]) -> KeyTable:
    """The same with the prior of HD maps."""
    table = pmapnet_c_sd_hd(outputs)
    simulated_lidar(table, outputs)
    return table


def mapkd_student(outputs: Sequence[str]) -> KeyTable:
    """The student on cameras."""
    table = KeyTable()
    cameras(table)
    for place in (0, 1):
        conv, norm = f"feature_expand.conv{place + 1}", f"feature_expand.bn{place + 1}"
        table.conv_norm(f"expand.{place}", conv, norm)
        table.taken[f"expand.{place}.1.running_mean"] = Taken(f"{norm}.running_mean", other=f"{conv}.bias")
    strided(table, "shrink", "conv_bev")
    bev_encoder(table, "encode", "bevencode", outputs)
    why = "left from the coach; the student has no road map"
    table.leave("input_proj", ("weight", "bias"), why)
    leave_strided(table, "conv_osm", why)
    leave_strided(table, "conv_up", why)
    return table


def simulated_lidar(table: KeyTable, outputs: Sequence[str]) -> None:
    """Lift-splat with an image encoder of its own."""
    image_encoder(table, "lidar.features", "pp.camencode")
    table.take("lidar.head", "pp.camencode.depthnet")
    table.take("lidar.expand", "expand_to_128")
    table.leave("pp", ("dx", "bx", "nx", "frustum"), "its grid, which is read apart")
    table.leave("pp.reduce_to_3", ("weight", "bias"), "not called")
    table.leave("pp.bevencode.conv1", ("weight",), _DEAD)
    table.leave("pp.bevencode.bn1", NORM, _DEAD)
    for layer in (1, 2, 3):
        for block in (0, 1):
            place = f"pp.bevencode.layer{layer}.{block}"
            for part in (1, 2):
                table.leave(f"{place}.conv{part}", ("weight",), _DEAD)
                table.leave(f"{place}.bn{part}", NORM, _DEAD)
            if layer > 1 and block == 0:
                table.leave(f"{place}.downsample.0", ("weight",), _DEAD)
                table.leave(f"{place}.downsample.1", NORM, _DEAD)
    for head in outputs:
        leave_head(table, "pp.bevencode", head, _DEAD)


def grid_in(tensors: Mapping[str, Tensor]) -> BevGrid | None:
    """The grid that a coach's file brings along; None for a file of another network.

    Raises ValueError for one whose numbers are no grid, or whose rays are not those of the released code.
    """
    if not {"pp.dx", "pp.bx", "pp.nx"} <= tensors.keys():
        return None
    cell, first, count = (tensors[f"pp.{name}"].double().flatten().tolist() for name in ("dx", "bx", "nx"))
    if not len(cell) == len(first) == len(count) == 3 or not all(size > 0 for size in cell):
        raise ValueError(f"pp.dx, pp.bx, pp.nx are {cell}, {first}, {count}; expected cells, first centres, numbers")
    ranges = [
        (round(low - size / 2, 3), round(low - size / 2 + size * number, 3))
        for size, low, number in zip(cell, first, count, strict=True)
    ]
    depths = tensors["pp.frustum"][:, 0, 0, -1].double().tolist() if "pp.frustum" in tensors else []
    if ranges[2] != (-10.0, 10.0) or depths not in ([], [float(depth) for depth in range(4, 45)]):
        raise ValueError(
            f"the lift-splat branch was trained for heights {ranges[2]} m and depths {depths[:2]}... m; this version "
            "knows -10 to 10 m and depths of 4, 5, ... 44 m"
        )
    return BevGrid(ranges[0], ranges[1], round(cell[0], 3))
