"""Train a student that imitates a frozen teacher; run the same command again to resume.

examples:
  mapkd distill --config config/train/distill_mapkd.yaml
  mapkd distill --config config/train/distill_ours.yaml --teacher runs/teacher --coach coach.json --name try1
  mapkd distill --config config/train/distill_mapkd.yaml --method bridgeta --method_options '{eps: 2.0}' --coach ''
  mapkd distill --methods

The config is that of `mapkd train` and, besides, `teacher` and `coach` (folders of training runs, or artifacts),
`method`, `method_options` and `calibrate_steps`. The run's folder is one of `mapkd train`: `mapkd export` makes it an
artifact, in which nothing of teacher or method remains. docs/reference/distillation.md helps to choose a method.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.commands.training_run import add_config_options, run_config

if TYPE_CHECKING:
    from mapkd_core.distill.config import DistillConfig

EXTRA = "train"
TAKES_OVERRIDES = True
"""`--key value` and `--group.key value` override the config."""


def config_class() -> type[DistillConfig]:
    """The config whose keys can be given."""
    from mapkd_core.distill.config import DistillConfig

    return DistillConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options; what is left over overrides the config."""
    add_config_options(parser, "distillation config (config/train/distill_*.yaml)")
    parser.add_argument("--methods", action="store_true", help="list the methods with their options, and stop")


def run(args: argparse.Namespace) -> int:
    """Distils; returns the exit code."""
    return _list() if args.methods else run_config("distill", args, config_class(), lambda config: _start(config, args))


def _start(config: DistillConfig, args: argparse.Namespace) -> Path:
    from mapkd_core.distill.interface import method_config
    from mapkd_core.distill.methods import method_class
    from mapkd_core.distill.objective import DistillObjective
    from mapkd_core.training.loop import train
    from mapkd_core.training.teachers import frozen_networks

    method_config(method_class(config.method).Config, config.method_options, config.method)
    return train(config, DistillObjective(config, frozen_networks(config)), restart=args.restart)


def _list() -> int:
    from dataclasses import fields

    from mapkd_core.distill.methods import METHODS, VECTOR_METHODS

    for name, kind in {**METHODS, **VECTOR_METHODS}.items():
        print(f"{name:<16}{(kind.__doc__ or '').splitlines()[0]}")
        for option in fields(kind.Config):
            print(f"{'':<18}{option.name}: {option.default}")
    return 0
