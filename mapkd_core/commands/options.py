"""Options that several commands have in common."""
from __future__ import annotations

import argparse

from mapkd_core.runtime.options import BACKENDS, PRECISIONS, RuntimeOptions


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """Declares how a network is run."""
    default = RuntimeOptions()
    parser.add_argument("--device", default=default.device, help="auto, cpu or cuda (%(default)s)")
    parser.add_argument(
        "--backend", default=default.backend, choices=BACKENDS, help="what runs a student (%(default)s)"
    )
    parser.add_argument(
        "--precision", default=default.precision, choices=PRECISIONS, help="of a student (%(default)s)"
    )


def chosen_runtime(args: argparse.Namespace) -> RuntimeOptions:
    """What the options of `add_runtime_options` say."""
    return RuntimeOptions(device=args.device, backend=args.backend, precision=args.precision)
