"""Checks a Lanelet2 map: opened with each projector, routing graphs built, and the rules of Lanelet2 and Autoware.

    mapkd map check map.osm
    mapkd map check autoware/map.osm --autoware-rules

Prints a line for each problem and ends with exit code 1 if there is one; --list prints what is checked.
"""
from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

MOST_LINES = 10
"""Problems of one check that are printed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("map", nargs="?", type=Path, metavar="MAP", help="an .osm file")
    parser.add_argument("--autoware-rules", action="store_true", help="expect a regulatory element of each crosswalk")
    parser.add_argument("--list", action="store_true", help="print the checks")


def run(args: argparse.Namespace) -> int:
    """Checks and prints."""
    from mapkd_core.map_formats.lanelet2_checks import CHECKS, check_lanelet2

    if args.list:
        print("\n".join(f"{name}: {what}" for name, what in CHECKS.items()))
        return 0
    if args.map is None:
        raise ValueError("expected an .osm file to check, or --list")
    problems = check_lanelet2(args.map, args.autoware_rules)
    counts = Counter(problem.check for problem in problems)
    for check, count in counts.items():
        lines = [str(problem) for problem in problems if problem.check == check]
        print("\n".join(lines[:MOST_LINES]))
        if count > MOST_LINES:
            print(f"{check}: {count - MOST_LINES} more")
    print(f"{args.map}: {len(problems)} problems" if problems else f"{args.map}: sound by {len(CHECKS)} checks")
    return 1 if problems else 0
