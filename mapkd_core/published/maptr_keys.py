"""MapTR's names, those of mmdetection: backbone, neck, and a head that holds encoder and decoder.

Source of the names: github.com/hustvl/MapTR, commit a6872d8, configs maptr_nano_r18_110e and maptr_tiny_r50_24e.
"""
from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

from mapkd_core.model.vector_config import RESNETS, VARIANTS, vector_config
from mapkd_core.published.hdmapnet_keys import residual_block
from mapkd_core.published.key_table import KeyTable, Taken
from mapkd_core.types import CAMERAS

if TYPE_CHECKING:
    from torch import Tensor

HEAD = "pts_bbox_head"
TRANSFORMER = f"{HEAD}.transformer"
_KERNEL = f"{TRANSFORMER}.encoder.layers.0.attentions.1.attention.grid_offsets"
"""Constant that mmcv writes although PyTorch would not."""
_ORDER = (
    "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT",
)  # fmt: skip
"""The order of its six learnt camera vectors."""


def maptr(variant: str) -> KeyTable:
    """The network of a variant of model/vector_config.py."""
    config = vector_config(VARIANTS[variant])
    table = KeyTable()
    image_features(table, config.backbone)
    table.taken["camera"] = Taken(
        f"{TRANSFORMER}.cams_embeds", _in_our_order, f"{TRANSFORMER}.level_embeds", _with_first_level
    )
    for ours, theirs in (
        ("cell", "bev_embedding"), ("row", "positional_encoding.row_embed"), ("col", "positional_encoding.col_embed")
    ):  # fmt: skip
        table.take(f"bev_queries.{ours}", f"{HEAD}.{theirs}", ("weight",))
    for place, theirs in ((0, "0"), (2, "2"), (4, "norm")):
        table.take(f"bev_queries.motion.{place}", f"{TRANSFORMER}.can_bus_mlp.{theirs}")
    layer = f"{TRANSFORMER}.encoder.layers.0"
    point_attention(table, "bev_queries.own", f"{layer}.attentions.0")
    table.take("bev_queries.norm", f"{layer}.norms.0")
    table.take("view.weights", f"{layer}.attentions.1.attention.attention_weights")
    table.take("view.value", f"{layer}.attentions.1.attention.value_proj")
    table.take("view.out", f"{layer}.attentions.1.output_proj")
    feed_forward(table, "feed", layer)
    for norm in (0, 1):
        table.take(f"norms.{norm}", f"{layer}.norms.{norm + 1}")
    for number in range(config.layers):
        decoder_layer(table, number)
    table.take("decoder.reference", f"{TRANSFORMER}.reference_points")
    table.take("decoder.element", f"{HEAD}.instance_embedding", ("weight",))
    table.take("decoder.vertex", f"{HEAD}.pts_embedding", ("weight",))
    table.leave(HEAD, ("code_weights",), "of the loss")
    table.leave(_KERNEL.rpartition(".")[0], ("grid_offsets",), "a constant")
    return table


def check_kernel(tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError if a file says that its cells attend to other pixels than 5 columns by 3 rows."""
    if _KERNEL in tensors:
        found, expected = tensors[_KERNEL].tolist(), [list(at) for at in product(range(-2, 3), range(-1, 2))]
        if found != expected:
            raise ValueError(f"{_KERNEL} is {found}; this version knows 5 columns by 3 rows, {expected}")


def image_features(table: KeyTable, name: str) -> None:
    """Backbone and neck."""
    for place, theirs in enumerate(("lateral_convs.0.conv", "fpn_convs.0.conv")):
        table.take(f"neck.{place}", f"img_neck.{theirs}")
    table.conv_norm("backbone.stem", "img_backbone.conv1", "img_backbone.bn1")
    bottleneck = name != "resnet-18"
    for stage, count in enumerate(RESNETS[name]):
        for block in range(count):
            ours, theirs = f"backbone.stages.{stage}.{block}", f"img_backbone.layer{stage + 1}.{block}"
            residual_block(table, ours, theirs, shortcut=block == 0 and (stage > 0 or bottleneck))
            if bottleneck:
                table.conv_norm(f"{ours}.third", f"{theirs}.conv3", f"{theirs}.bn3")


def decoder_layer(table: KeyTable, number: int, decoupled: bool = False) -> None:
    """A layer and its branches; a decoupled one attends to the vertices of its own element too."""
    ours, theirs = f"decoder.layers.{number}", f"{TRANSFORMER}.decoder.layers.{number}"
    related = ("own", "inner") if decoupled else ("own",)
    for place, attention in enumerate(related):
        table.take(f"{ours}.{attention}", f"{theirs}.attentions.{place}.attn", ("in_proj_weight", "in_proj_bias"))
        table.take(f"{ours}.{attention}.out_proj", f"{theirs}.attentions.{place}.attn.out_proj")
    point_attention(table, f"{ours}.read", f"{theirs}.attentions.{len(related)}")
    feed_forward(table, f"{ours}.feed", theirs)
    norms = ("norms.0", "inner_norm", "norms.1", "norms.2") if decoupled else ("norms.0", "norms.1", "norms.2")
    for place, norm in enumerate(norms):
        table.take(f"{ours}.{norm}", f"{theirs}.norms.{place}")
    for layer in (0, 1, 3, 4, 6):
        table.take(f"decoder.classify.{number}.{layer}", f"{HEAD}.cls_branches.{number}.{layer}")
    for layer in (0, 2, 4):
        table.take(f"decoder.move.{number}.{layer}", f"{HEAD}.reg_branches.{number}.{layer}")


def point_attention(table: KeyTable, ours: str, theirs: str) -> None:
    """Deformable attention."""
    table.take(f"{ours}.offsets", f"{theirs}.sampling_offsets")
    table.take(f"{ours}.weights", f"{theirs}.attention_weights")
    table.take(f"{ours}.value", f"{theirs}.value_proj")
    table.take(f"{ours}.out", f"{theirs}.output_proj")


def feed_forward(table: KeyTable, ours: str, theirs: str) -> None:
    """Two linear layers."""
    table.take(f"{ours}.layers.0", f"{theirs}.ffns.0.layers.0.0")
    table.take(f"{ours}.layers.3", f"{theirs}.ffns.0.layers.1")


def _in_our_order(cameras: Tensor) -> Tensor:
    return cameras[[_ORDER.index(name) for name in CAMERAS]]


def _with_first_level(cameras: Tensor, levels: Tensor) -> Tensor:
    """There is one level of features, and its vector comes on top of every camera's."""
    return cameras + levels[0]
