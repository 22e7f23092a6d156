"""Train a network from a config; run the same command again to resume.

examples:
  mapkd train --config config/train/student.yaml
  mapkd train --config config/train/student.yaml --name fast --steps 2000 --model_options '{variant: nano}'
  torchrun --nproc_per_node 8 -m mapkd_core.commands.main train --config config/train/student.yaml --devices 8
  mapkd train --config config/train/overfit.yaml

The run's folder (out/name) holds config.json, last.pt, best.pt and TensorBoard logs; `mapkd export` turns it into an
artifact. Every key of the config can be given as --key value or --group.key value.
"""
from __future__ import annotations

import argparse
import sys

EXTRA = "train"
TAKES_OVERRIDES = True
"""`--key value` and `--group.key value` override the config."""


def config_class() -> type:
    """The config whose keys can be given."""
    from mapkd_core.config import TrainConfig

    return TrainConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options; what is left over overrides the config."""
    parser.add_argument("--config", metavar="YAML", help="training config (config/train/*.yaml); defaults without")
    parser.add_argument("--restart", action="store_true", help="throw away what the run's folder holds")
    parser.add_argument("--print_config", action="store_true", help="print the config with all its keys, and stop")


def run(args: argparse.Namespace) -> int:
    """Trains; a loss that is not finite ends with exit code 3 and the batch saved."""
    from mapkd_core.runtime import wait_without_spinning

    wait_without_spinning()  # before torch is imported: loaders want the cores too
    from mapkd_core.config import TrainConfig, load_config, yaml_text
    from mapkd_core.training.loop import train

    config = load_config(TrainConfig, args.config, args.overrides)
    if args.print_config:
        print(yaml_text(config), end="")
        return 0
    try:
        folder = train(config, restart=args.restart)
    except FloatingPointError as error:
        print(f"mapkd train: {error}", file=sys.stderr)
        return 3
    print(f"trained; see {folder}")
    return 0
