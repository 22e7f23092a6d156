"""MapTRv2's names: MapTR's backbone, neck and decoder, and an encoder that lifts images by depth.

Source of the names: github.com/hustvl/MapTR, branch maptrv2, commit e03f097, config maptrv2_nusc_r50_24ep.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mapkd_core.model.vector_config import VARIANTS, vector_config
from mapkd_core.published.hdmapnet_keys import residual_block
from mapkd_core.published.key_table import KeyTable, Taken
from mapkd_core.published.maptr_keys import HEAD, TRANSFORMER, decoder_layer, image_features

if TYPE_CHECKING:
    from torch import Tensor

_ENCODER = f"{TRANSFORMER}.encoder"
_CELLS = {"dx": (0.15, 0.15, 20.0), "bx": (-14.925, -29.925, 0.0), "nx": (200.0, 400.0, 1.0)}
"""Constants of the encoder: sizes of cells, first centres, numbers; right, ahead, up."""
_CONFIG = vector_config(VARIANTS["maptrv2_published"])


def maptrv2() -> KeyTable:
    """The network, with the further elements of its training."""
    table = KeyTable()
    image_features(table, _CONFIG.backbone)
    _depth(table)
    for number in range(_CONFIG.layers):
        decoder_layer(table, number, decoupled=True)
    table.take("decoder.reference", f"{TRANSFORMER}.reference_points")
    elements = f"{HEAD}.instance_embedding.weight"
    table.taken["decoder.element.weight"] = Taken(elements, _first)
    table.taken["decoder.further.weight"] = Taken(elements, _further)
    table.take("decoder.vertex", f"{HEAD}.pts_embedding", ("weight",))
    _leave(table)
    return table


def check_cells(tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError for a file that was trained on other cells than 60 x 30 m at 0.15 m."""
    for name, expected in _CELLS.items():
        found = tensors[f"{_ENCODER}.{name}"].flatten().tolist()
        if len(found) != 3 or any(abs(a - b) > 1e-4 for a, b in zip(found, expected, strict=True)):
            raise ValueError(f"{_ENCODER}.{name} is {found}; this version knows {list(expected)}, 60 x 30 m at 0.15 m")


def _depth(table: KeyTable) -> None:
    net = f"{_ENCODER}.depth_net"
    table.take("view.reduce.0", f"{net}.reduce_conv.0")
    table.norm("view.reduce.1", f"{net}.reduce_conv.1")
    table.norm("view.numbers", f"{net}.bn")
    for kind in ("context", "depth"):
        for place, layer in ((0, "mlp.fc1"), (2, "mlp.fc2"), (3, "se.conv_reduce"), (5, "se.conv_expand")):
            ours, theirs = f"view.{kind}_gate.read.{place}", f"{net}.{kind}_{layer}"
            table.take(ours, theirs, ("weight",), _matrix)
            table.take(ours, theirs, ("bias",))
    table.take("view.context", f"{net}.context_conv")
    for block in range(3):
        residual_block(table, f"view.depth.{block}", f"{net}.depth_conv.{block}", shortcut=False)
    ours, theirs = "view.depth.3", f"{net}.depth_conv.3"
    for branch, name in (("near", "aspp1"), ("far.0", "aspp2"), ("far.1", "aspp3"), ("far.2", "aspp4")):
        table.conv_norm(f"{ours}.{branch}", f"{theirs}.{name}.atrous_conv", f"{theirs}.{name}.bn")
    table.conv_norm(f"{ours}.whole", f"{theirs}.global_avg_pool.1", f"{theirs}.global_avg_pool.2")
    table.conv_norm(f"{ours}.join", f"{theirs}.conv1", f"{theirs}.bn1")
    table.take("view.depth.4", f"{net}.depth_conv.4")
    for place, conv in enumerate((0, 3, 6)):
        shrink = f"{_ENCODER}.downsample"
        table.conv_norm(f"view.shrink.{place}", f"{shrink}.{conv}", f"{shrink}.{conv + 1}")


def _leave(table: KeyTable) -> None:
    """What no output of the network in use depends on."""
    table.leave(_ENCODER, _CELLS, "its grid, which is read apart")
    for name in ("seg_head", "pv_seg_head"):
        table.leave(f"{HEAD}.{name}.0", ("weight",), "dense maps of training")
        table.leave(f"{HEAD}.{name}.2", ("weight", "bias"), "dense maps of training")
    table.leave(HEAD, ("code_weights",), "of the loss")
    for name in ("loss_seg", "loss_pv_seg"):
        table.leave(f"{HEAD}.{name}.loss_fn", ("pos_weight",), "of the loss")
    why = "MapTR's view transform, which is another one here"
    table.leave(f"{HEAD}.positional_encoding.row_embed", ("weight",), why)
    table.leave(f"{HEAD}.positional_encoding.col_embed", ("weight",), why)
    table.leave(TRANSFORMER, ("level_embeds", "cams_embeds"), why)
    for layer in ("0", "2", "norm"):
        table.leave(f"{TRANSFORMER}.can_bus_mlp.{layer}", ("weight", "bias"), why)


def _matrix(kernel: Tensor) -> Tensor:
    """A 1x1 convolution of a map of one pixel as a matrix; a matrix as it is."""
    return kernel.flatten(1)


def _first(elements: Tensor) -> Tensor:
    return elements[: _CONFIG.vectors]


def _further(elements: Tensor) -> Tensor:
    return elements[_CONFIG.vectors :]
