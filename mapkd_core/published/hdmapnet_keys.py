"""HDMapNet's names: the image encoder, view transform, pillars and BEV encoder that its successors share.

Source of the names: github.com/Tsinghua-MARS-Lab/HDMapNet, commit 7911227.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence

from mapkd_core.published.key_table import NORM, KeyTable, squeezed, transposed
from mapkd_core.types import CAMERAS

_BLOCKS = 16
_HEADS = {"semantic": "", "embedding": "_embedded", "direction": "_direction"}
"""Our output -> what the authors append to the names of its head."""


def heads_in(names: Collection[str], bev_encoder: str = "bevencode") -> tuple[str, ...]:
    """Which heads a file holds: training without instances or directions leaves theirs out."""
    return tuple(head for head, ending in _HEADS.items() if f"{bev_encoder}.up2{ending}.4.weight" in names)


def hdmapnet(outputs: Sequence[str]) -> KeyTable:
    """The network on cameras."""
    table = KeyTable()
    cameras(table)
    bev_encoder(table, "encode", "bevencode", outputs, shared_direction=True)
    return table


def hdmapnet_fusion(outputs: Sequence[str]) -> KeyTable:
    """The network on cameras and LiDAR."""
    table = hdmapnet(outputs)
    pillars(table)
    return table


def cameras(table: KeyTable) -> None:
    """Images to the BEV: one encoder for all cameras, an MLP for each."""
    image_encoder(table, "cameras.encoder", "camencode")
    for camera in range(len(CAMERAS)):
        for layer in (0, 2):
            table.take(f"cameras.mlps.mlps.{camera}.{layer}", f"view_fusion.hw_mat.{camera}.{layer}")


def image_encoder(table: KeyTable, ours: str, theirs: str) -> None:
    """EfficientNet-B0 with its library's names, and the merging of two of its stages."""
    trunk = f"{theirs}.trunk"
    table.take(f"{ours}.stem.convolution", f"{trunk}._conv_stem", ("weight",))
    table.norm(f"{ours}.stem.batchnorm", f"{trunk}._bn0")
    for block in range(_BLOCKS):
        mine, other = f"{ours}.blocks.{block}", f"{trunk}._blocks.{block}"
        if block:  # the first one does not widen
            table.take(f"{mine}.expansion.expand_conv", f"{other}._expand_conv", ("weight",))
            table.norm(f"{mine}.expansion.expand_bn", f"{other}._bn0")
        table.take(f"{mine}.depthwise_conv.depthwise_conv", f"{other}._depthwise_conv", ("weight",))
        table.norm(f"{mine}.depthwise_conv.depthwise_norm", f"{other}._bn1")
        table.take(f"{mine}.squeeze_excite.reduce", f"{other}._se_reduce")
        table.take(f"{mine}.squeeze_excite.expand", f"{other}._se_expand")
        table.take(f"{mine}.projection.project_conv", f"{other}._project_conv", ("weight",))
        table.norm(f"{mine}.projection.project_bn", f"{other}._bn2")
    table.leave(f"{trunk}._conv_head", ("weight",), "EfficientNet's top")
    table.leave(f"{trunk}._bn1", NORM, "EfficientNet's top")
    table.leave(f"{trunk}._fc", ("weight", "bias"), "EfficientNet's classifier")
    for place, (conv, norm) in enumerate(((0, 1), (3, 4))):
        table.conv_norm(f"{ours}.merge.{place}", f"{theirs}.up1.conv.{conv}", f"{theirs}.up1.conv.{norm}")


def pillars(table: KeyTable) -> None:
    """PointPillars, which the authors run on [x, y]."""
    table.take("lidar.point_net.0", "pp.pn.pointnet.0", ("weight",), squeezed)
    table.norm("lidar.point_net.1", "pp.pn.pointnet.1")
    for level, count in enumerate((2, 3, 3)):
        for layer in range(count):
            theirs = f"pp.block{level + 1}.layers"
            ours = f"lidar.blocks.{level}.{layer}"
            table.conv_norm(ours, f"{theirs}.{3 * layer}", f"{theirs}.{3 * layer + 1}", transposed)
        first = 1 if level else 0  # finer branches start with an upsampling
        branch = f"pp.up{level + 1}"
        table.conv_norm(f"lidar.branches.{level}", f"{branch}.{first}", f"{branch}.{first + 1}", transposed)
    for place, (conv, norm) in enumerate(((0, 1), (3, 4))):
        table.conv_norm(f"lidar.out.{place}", f"pp.conv_out.{conv}", f"pp.conv_out.{norm}", transposed)
    table.take("lidar.out.2", "pp.conv_out.6")  # 1x1: no axes to swap


def bev_encoder(
    table: KeyTable, ours: str, theirs: str, outputs: Sequence[str], shared_direction: bool = False,
    dropped: Sequence[str] = (),
) -> None:
    """Half a ResNet-18 and a head for each of `outputs`; `dropped` heads are in the file and lead nowhere."""
    table.conv_norm(f"{ours}.stem", f"{theirs}.conv1", f"{theirs}.bn1")
    for layer in (1, 2, 3):
        for block in (0, 1):
            mine, other = f"{ours}.layer{layer}.{block}", f"{theirs}.layer{layer}.{block}"
            residual_block(table, mine, other, shortcut=layer > 1 and block == 0)
    for head in outputs:
        up1, up2 = (f"{theirs}.{half}{_HEADS[head]}" for half in ("up1", "up2"))
        if head == "direction" and shared_direction:
            _leave_first_half(table, up1, "the direction head reads the embedding's")
        else:
            for place, (conv, norm) in enumerate(((0, 1), (3, 4))):
                mine = f"{ours}.branches.{head}.up1.{place}"
                table.conv_norm(mine, f"{up1}.conv.{conv}", f"{up1}.conv.{norm}")
        table.conv_norm(f"{ours}.branches.{head}.up2.0", f"{up2}.1", f"{up2}.2")
        table.take(f"{ours}.branches.{head}.up2.1", f"{up2}.4")
    for head in dropped:
        leave_head(table, theirs, head, "the first stage's head, whose output is thrown away")


def leave_head(table: KeyTable, theirs: str, head: str, why: str) -> None:
    """A head that leads nowhere."""
    up1, up2 = (f"{theirs}.{half}{_HEADS[head]}" for half in ("up1", "up2"))
    _leave_first_half(table, up1, why)
    table.leave(f"{up2}.1", ("weight",), why)
    table.leave(f"{up2}.2", NORM, why)
    table.leave(f"{up2}.4", ("weight", "bias"), why)


def residual_block(table: KeyTable, ours: str, theirs: str, shortcut: bool) -> None:
    """Two 3x3 convolutions beside a shortcut, with torchvision's names."""
    table.conv_norm(f"{ours}.first", f"{theirs}.conv1", f"{theirs}.bn1")
    table.conv_norm(f"{ours}.second", f"{theirs}.conv2", f"{theirs}.bn2")
    if shortcut:
        table.conv_norm(f"{ours}.shortcut", f"{theirs}.downsample.0", f"{theirs}.downsample.1")


def _leave_first_half(table: KeyTable, up1: str, why: str) -> None:
    for conv, norm in ((0, 1), (3, 4)):
        table.leave(f"{up1}.conv.{conv}", ("weight",), why)
        table.leave(f"{up1}.conv.{norm}", NORM, why)
