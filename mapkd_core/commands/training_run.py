"""What `mapkd train` and `mapkd distill` have in common: a config with overrides, and a run that may break off."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig

    Config = TypeVar("Config", bound=TrainConfig)


def add_config_options(parser: argparse.ArgumentParser, config: str) -> None:
    """Declares the options; what is left over overrides the config."""
    parser.add_argument("--config", metavar="YAML", help=config)
    parser.add_argument("--restart", action="store_true", help="throw away what the run's folder holds")
    parser.add_argument("--print_config", action="store_true", help="print the config with all its keys, and stop")


def run_config(command: str, args: argparse.Namespace, kind: type[Config], start: Callable[[Config], Path]) -> int:
    """Loads the config and starts the run; a loss that is not finite ends with exit code 3 and the batch saved.

    `start` imports what needs torch, and returns the run's folder.
    """
    from mapkd_core.config import load_config, yaml_text
    from mapkd_core.heap import keep_all_buffers
    from mapkd_core.runtime import wait_without_spinning

    wait_without_spinning()  # before torch is imported: loaders want the cores too
    config = load_config(kind, args.config, args.overrides)
    if args.print_config:
        print(yaml_text(config), end="")
        return 0
    keep_all_buffers()
    try:
        folder = start(config)
    except FloatingPointError as error:
        print(f"mapkd {command}: {error}", file=sys.stderr)
        return 3
    print(f"{'trained' if command == 'train' else 'distilled'}; see {folder}")
    return 0
