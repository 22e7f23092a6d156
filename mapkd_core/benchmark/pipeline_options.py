"""The options of `mapkd benchmark pipeline`, which the command passes on to the processes of the ROS package."""
from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.cameras.topics import FORMER_TRANSPORTS, IMAGE_TRANSPORTS
from mapkd_core.output_file import output_file
from mapkd_core.suggestion import RenamedOption

TRANSPORTS = (*IMAGE_TRANSPORTS, "raw-large")
RATES = ("2", "5", "10", "12", "20", "max")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--dataroot", type=Path, help="nuScenes folder to send; default: three simulated frames")
    parser.add_argument("--version", default="v1.0-mini", help="folder of its tables (default: %(default)s)")
    parser.add_argument("--rates", nargs="+", default=list(RATES), metavar="HZ",
                        help=f"rounds of six images a second, or max (default: {' '.join(RATES)})")
    parser.add_argument("--image-transports", nargs="+", default=["compressed", "raw-large"], choices=TRANSPORTS,
                        help="default: compressed raw-large")
    parser.add_argument("--transports", dest="image_transports", nargs="+", action=RenamedOption,
                        words=FORMER_TRANSPORTS, choices=(*TRANSPORTS, *FORMER_TRANSPORTS))
    parser.add_argument("--seconds", type=float, default=15.0, help="measured for each line (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="the same in minutes, to see whether memory grows")
    parser.add_argument("--warm-up", type=float, default=4.0, metavar="S", help="before each (default: %(default)s)")
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE",
                        help="parameter of student_node; may be given several times")
    parser.add_argument("--out", type=output_file, metavar="FILE.md", help="Markdown file to write")  # fmt: skip


def words(args: argparse.Namespace, dataroot: Path) -> list[str]:
    """The options again as words of a command line."""
    found = ["--dataroot", str(dataroot), "--version", args.version, "--rates", *args.rates]
    found += ["--image-transports", *args.image_transports, "--warm-up", f"{args.warm_up:g}"]
    found += ["--seconds", f"{args.seconds:g}"] if args.minutes is None else ["--minutes", f"{args.minutes:g}"]
    for parameter in args.parameters:
        found += ["-p", parameter]
    return found + (["--out", str(args.out)] if args.out else [])
