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
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.commands.training_run import add_config_options, run_config

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig

EXTRA = "train"
TAKES_OVERRIDES = True
"""`--key value` and `--group.key value` override the config."""


def config_class() -> type[TrainConfig]:
    """The config whose keys can be given."""
    from mapkd_core.config import TrainConfig

    return TrainConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options; what is left over overrides the config."""
    add_config_options(parser, "training config (config/train/*.yaml); defaults without")


def run(args: argparse.Namespace) -> int:
    """Trains; returns the exit code."""

    def start(config: TrainConfig) -> Path:
        from mapkd_core.training.loop import train

        return train(config, restart=args.restart)

    return run_config("train", args, config_class(), start)
