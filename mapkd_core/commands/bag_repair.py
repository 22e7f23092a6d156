"""Makes a sound rosbag2 of one that a killed recording, a full disk or a damaged file left behind. Needs no ROS.

Everything that can be read goes to a new MCAP bag beside the old one, NAME_repaired: cut-off files without an index,
files with damaged places, sqlite3 files with a write-ahead log, compressed and split bags. Where the files are sound
and only metadata.yaml is missing or wrong, it is written anew in its place and the old one is kept as
metadata.yaml.old. What was recorded is never changed.

example:
  mapkd bag repair out.mcap
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.bags.repair import repair


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("bag", type=Path, metavar="PATH", help="a bag's folder, or an .mcap or .db3 file")
    parser.add_argument("--out", type=Path, help="where to write the new bag (default: beside, NAME_repaired)")


def run(args: argparse.Namespace) -> int:
    """Repairs, and prints what was found and what the new bag holds."""
    done = repair(args.bag, args.out)
    for remark in done.remarks:
        print(remark)
    print(f"{done.path} {done.what}: {sum(done.messages_by_topic.values())} messages")
    for topic, count in sorted(done.messages_by_topic.items()):
        print(f"  {count:6d}  {topic}")
    return 0
