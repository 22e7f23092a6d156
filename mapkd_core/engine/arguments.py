"""Options of a command line that name an engine."""
from __future__ import annotations

import argparse
import math

from mapkd_core.engine.choice import LOCAL, EngineOptions
from mapkd_core.engine.interface import EngineFault, UnitNeeds


def add_engine_options(parser: argparse.ArgumentParser, unit: str) -> None:
    """Declares where units of work (`unit` in words) are done."""
    default = EngineOptions()
    parser.add_argument(
        "--engine", default=default.name, metavar="NAME",
        help=f"where {unit} are worked on: {LOCAL} (default), ray://HOST:PORT, or on a node of a Ray cluster ray://auto",
    )
    parser.add_argument(
        "--unit-cpus", type=_whole, metavar="N",
        help=f"cores and threads that each gets (default {default.needs.cpus})",
    )
    parser.add_argument("--unit-gpus", type=_share, metavar="N", help="of Ray: GPUs that each gets (default 0)")


def chosen_engine(args: argparse.Namespace, processes: int) -> EngineOptions:
    """What the options of `add_engine_options` say; `processes` are those of this machine, for the local engine."""
    if args.engine == LOCAL and args.unit_gpus:
        raise EngineFault(f"--unit-gpus {args.unit_gpus:g} is for a Ray cluster; give --engine ray://HOST:PORT with it")
    return EngineOptions(args.engine, processes, UnitNeeds(args.unit_cpus or 1, args.unit_gpus or 0.0))


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number, 1 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number, 0 or more")
    return value
