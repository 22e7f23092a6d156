"""Writes RViz's config and Foxglove's layout for one vehicle's names; needs no ROS.

    python -m mapkd_ros.views --out views --namespace ego --base-frame base_footprint --rig rig.yaml
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mapkd_core.cameras.rig import regular_rig
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.cameras.topics import IMAGE_TRANSPORTS
from mapkd_core.files import write_atomic
from mapkd_core.types import CAMERAS
from mapkd_ros.views.foxglove import foxglove_layout
from mapkd_ros.views.rviz import rviz_config
from mapkd_ros.views.shown import Shown, shown

RVIZ, FOXGLOVE = "mapkd.rviz", "foxglove_layout.json"


def write_views(view: Shown, folder: Path) -> None:
    """Writes both files into the folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / RVIZ, rviz_config(view))
    write_atomic(folder / FOXGLOVE, foxglove_layout(view))


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        "python -m mapkd_ros.views", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, default=Path("."), help="folder of the two files (default: this one)")
    made.add_argument("--namespace", default="", help="namespace of the node")
    made.add_argument("--base-frame", default="base_link", help="the node's base_frame (default: %(default)s)")
    made.add_argument("--rig", help="rig file; default: nuScenes' six cameras on camera/<name>/...")
    made.add_argument("--image-transport", choices=IMAGE_TRANSPORTS, default=IMAGE_TRANSPORTS[0])
    return made


def main(words: list[str] | None = None) -> int:
    """Returns the exit code: 2 with one line on stderr for a rig file that cannot be used."""
    args = parser().parse_args(words)
    try:
        rig = load_rig(args.rig) if args.rig else regular_rig(CAMERAS, args.image_transport)
        write_views(shown(rig, args.namespace, args.base_frame), args.out)
    except (ValueError, OSError) as error:
        print(f"mapkd_ros.views: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.out / RVIZ} and {args.out / FOXGLOVE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
