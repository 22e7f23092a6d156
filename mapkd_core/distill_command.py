"""Train a student that imitates a frozen teacher; run the same command again to resume.

examples:
  mapkd distill --config config/train/distill_mapkd.yaml
  mapkd distill --config config/train/distill_ours.yaml --teacher runs/teacher --coach coach.json --name try1
  mapkd distill --config config/train/distill_mapkd.yaml --method bridgeta --method_options '{eps: 2.0}' --coach ''
  mapkd distill --methods

The config is that of `mapkd train` and, besides, `teacher` and `coach` (folders of training runs, or artifacts),
`method`, `method_options` and `calibrate_steps`. The run's folder is one of `mapkd train`: `mapkd export` makes it an
artifact, in which nothing of teacher or method remains. docs/distillation.md helps to choose a method.
"""
from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.distill.frozen import FrozenNetworks

TAKES_OVERRIDES = True
"""`--key value` and `--group.key value` override the config."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options; what is left over overrides the config."""
    parser.add_argument("--config", metavar="YAML", help="distillation config (config/train/distill_*.yaml)")
    parser.add_argument("--restart", action="store_true", help="throw away what the run's folder holds")
    parser.add_argument("--methods", action="store_true", help="list the methods with their options, and stop")


def run(args: argparse.Namespace) -> int:
    """Distils; a loss that is not finite ends with exit code 3 and the batch saved."""
    from mapkd_core.runtime import wait_without_spinning

    wait_without_spinning()  # before torch is imported: loaders want the cores too
    from mapkd_core.config import load_config
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.distill.interface import method_config
    from mapkd_core.distill.methods import method_class
    from mapkd_core.distill.objective import DistillObjective
    from mapkd_core.train import train

    if args.methods:
        return _list()
    config = load_config(DistillConfig, args.config, args.overrides)
    method_config(method_class(config.method).Config, config.method_options, config.method)
    try:
        folder = train(config, DistillObjective(config, frozen_networks(config)), restart=args.restart)
    except FloatingPointError as error:
        print(f"mapkd distill: {error}", file=sys.stderr)
        return 3
    print(f"distilled; see {folder}")
    return 0


def frozen_networks(config: DistillConfig) -> FrozenNetworks:
    """The teacher and the coach that the config names; raises what `frozen_network` raises."""
    from mapkd_core.distill.frozen import FrozenNetworks, Teachers
    from mapkd_core.pseudo_labels import draw_unknown_labels

    teacher, coach = (frozen_network(place, config) if place else None for place in (config.teacher, config.coach))
    if teacher is not None and config.more_teachers:
        teacher = Teachers([teacher, *(frozen_network(place, config) for place in config.more_teachers)])
    return FrozenNetworks(teacher, coach, partial(draw_unknown_labels, grid=config.grid))


def frozen_network(place: str, config: DistillConfig) -> nn.Module:
    """The network of a run's folder or an artifact, fit to stand beside the run `config`.

    One trained on larger cells and smaller pictures is heard at the student's size by methods that only compare maps.
    Raises FileNotFoundError if there is none, ValueError if its sizes do not fit.
    """
    from mapkd_core.distill.coarser import CoarserTeacher
    from mapkd_core.distill.methods import method_class
    from mapkd_core.trained import load_trained

    network, card = load_trained(place)
    grid, size = card.grid, tuple(card.input_size)
    own_size = tuple(config.data.image_size)
    if (grid, size) == (config.grid, own_size):
        return network
    if not method_class(config.method).any_cells:
        raise ValueError(
            f"{place} was trained on {grid} with pictures of {size}, this run has {config.grid} and {own_size}; the "
            f"method {config.method!r} needs networks of one size (methods that do not: {_any_cells()})"
        )
    return CoarserTeacher(network, grid, (size[0], size[1]), config.grid, (own_size[0], own_size[1]))


def _any_cells() -> str:
    from mapkd_core.distill.methods import METHODS

    return ", ".join(name for name, kind in METHODS.items() if kind.any_cells)


def _list() -> int:
    from dataclasses import fields

    from mapkd_core.distill.methods import METHODS

    for name, kind in METHODS.items():
        print(f"{name:<13}{(kind.__doc__ or '').splitlines()[0]}")
        for option in fields(kind.Config):
            print(f"{'':<15}{option.name}: {option.default}")
    return 0
