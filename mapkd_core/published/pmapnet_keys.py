"""P-MapNet's names: HDMapNet's with the standard-definition prior, and the masked autoencoder behind it.

Source of the names: github.com/jike5/P-MapNet, commit b8b4cf2.
"""
from __future__ import annotations

from collections.abc import Sequence

from mapkd_core.published.hdmapnet_keys import bev_encoder, cameras, pillars
from mapkd_core.published.key_table import NORM, KeyTable, Taken

VIT_BLOCKS = 12


def pmapnet_c_sd(outputs: Sequence[str]) -> KeyTable:
    """Cameras and the road map."""
    table = KeyTable()
    cameras(table)
    sd_prior(table)
    bev_encoder(table, "encode", "bevencode", outputs)
    return table


def pmapnet_cl_sd(outputs: Sequence[str]) -> KeyTable:
    """Cameras, LiDAR and the road map."""
    table = pmapnet_c_sd(outputs)
    pillars(table)
    return table


def pmapnet_c_sd_hd(outputs: Sequence[str]) -> KeyTable:
    """Cameras, the road map and the prior of HD maps."""
    table = KeyTable()
    cameras(table)
    sd_prior(table)
    hd_prior(table, outputs)
    return table


def pmapnet_cl_sd_hd(outputs: Sequence[str]) -> KeyTable:
    """Cameras, LiDAR, the road map and the prior of HD maps: MapKD's teacher has the same names."""
    table = pmapnet_c_sd_hd(outputs)
    pillars(table)
    return table


def sd_prior(table: KeyTable) -> None:
    """Cross-attention of the BEV to the road map, between strided convolutions."""
    for ours, theirs in (("shrink", "conv_bev"), ("road", "conv_osm"), ("grow", "conv_up")):
        strided(table, f"sd_prior.{ours}", theirs)
    table.take("sd_prior.project", "input_proj")
    table.take("sd_prior.norm", "sdmap_crossattn.norm")
    for layer in (0, 1):
        mine, other = f"sd_prior.layers.{layer}", f"sdmap_crossattn.layers.{layer}"
        for ours, theirs in (("own", "self_attn"), ("cross", "multihead_attn")):
            table.take(f"{mine}.{ours}", f"{other}.{theirs}", ("in_proj_weight", "in_proj_bias"))
            table.take(f"{mine}.{ours}.out_proj", f"{other}.{theirs}.out_proj")
        table.take(f"{mine}.feed.0", f"{other}.linear1")
        table.take(f"{mine}.feed.3", f"{other}.linear2")
        for norm in (0, 1, 2):
            table.take(f"{mine}.norms.{norm}", f"{other}.norm{norm + 1}")


def strided(table: KeyTable, ours: str, theirs: str) -> None:
    """Three convolutions of stride 2, of which the last has a batch norm in its bias's place."""
    for layer in (0, 2):
        table.take(f"{ours}.{layer}", f"{theirs}.{layer}")
    table.take(f"{ours}.4", f"{theirs}.4", ("weight",))
    table.norm(f"{ours}.5", f"{theirs}.5")


def leave_strided(table: KeyTable, theirs: str, why: str) -> None:
    """The same where no output depends on them."""
    for layer in (0, 2):
        table.leave(f"{theirs}.{layer}", ("weight", "bias"), why)
    table.leave(f"{theirs}.4", ("weight",), why)
    table.leave(f"{theirs}.5", NORM, why)


def hd_prior(table: KeyTable, outputs: Sequence[str]) -> None:
    """The first stage's semantic head, and the masked autoencoder (timm's ViT-B) with the BEV encoder of all heads."""
    bev_encoder(table, "encode", "bevencode", ("semantic",), dropped=[head for head in outputs if head != "semantic"])
    table.taken["hd_prior.position"] = Taken("mae_head.pos_embed")
    table.take("hd_prior.embed", "mae_head.map_patch_embed.proj")
    for block in range(VIT_BLOCKS):
        mine, other = f"hd_prior.blocks.{block}", f"mae_head.blocks.{block}"
        table.take(f"{mine}.norm1", f"{other}.norm1")
        table.take(f"{mine}.norm2", f"{other}.norm2")
        for kind in ("weight", "bias"):
            table.taken[f"{mine}.attention.in_proj_{kind}"] = Taken(f"{other}.attn.qkv.{kind}")
        table.take(f"{mine}.attention.out_proj", f"{other}.attn.proj")
        table.take(f"{mine}.feed.0", f"{other}.mlp.fc1")
        table.take(f"{mine}.feed.2", f"{other}.mlp.fc2")
    table.take("hd_prior.norm", "mae_head.norm")
    for layer in (0, 1):
        table.take(f"hd_prior.grow.{layer}", f"mae_head.conv_up.{layer}")
    table.conv_norm("hd_prior.mix", "mae_head.conv_up.3.conv", "mae_head.conv_up.3.bn")
    bev_encoder(table, "hd_prior.encode", "mae_head.bev_head", outputs)
    table.leave("mae_head", ("cls_token",), "no class token enters")
    table.leave("mae_head.patch_embed.proj", ("weight", "bias"), "map_patch_embed serves")
    table.leave("mae_head.head", ("weight", "bias"), "a classifier of images")
