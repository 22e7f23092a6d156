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
import sys

EXTRA = "train"
TAKES_OVERRIDES = True
"""`--key value` and `--group.key value` override the config."""


def config_class() -> type:
    """The config whose keys can be given."""
    from mapkd_core.distill.config import DistillConfig

    return DistillConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options; what is left over overrides the config."""
    parser.add_argument("--config", metavar="YAML", help="distillation config (config/train/distill_*.yaml)")
    parser.add_argument("--restart", action="store_true", help="throw away what the run's folder holds")
    parser.add_argument("--print_config", action="store_true", help="print the config with all its keys, and stop")
    parser.add_argument("--methods", action="store_true", help="list the methods with their options, and stop")


def run(args: argparse.Namespace) -> int:
    """Distils; a loss that is not finite ends with exit code 3 and the batch saved."""
    from mapkd_core.runtime import wait_without_spinning

    wait_without_spinning()  # before torch is imported: loaders want the cores too
    from mapkd_core.config import load_config, yaml_text
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.distill.interface import method_config
    from mapkd_core.distill.methods import method_class
    from mapkd_core.distill.objective import DistillObjective
    from mapkd_core.training.loop import train
    from mapkd_core.training.teachers import frozen_networks

    if args.methods:
        return _list()
    config = load_config(DistillConfig, args.config, args.overrides)
    if args.print_config:
        print(yaml_text(config), end="")
        return 0
    method_config(method_class(config.method).Config, config.method_options, config.method)
    try:
        folder = train(config, DistillObjective(config, frozen_networks(config)), restart=args.restart)
    except FloatingPointError as error:
        print(f"mapkd distill: {error}", file=sys.stderr)
        return 3
    print(f"distilled; see {folder}")
    return 0


def _list() -> int:
    from dataclasses import fields

    from mapkd_core.distill.methods import METHODS

    for name, kind in METHODS.items():
        print(f"{name:<13}{(kind.__doc__ or '').splitlines()[0]}")
        for option in fields(kind.Config):
            print(f"{'':<15}{option.name}: {option.default}")
    return 0
