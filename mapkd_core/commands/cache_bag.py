"""The part of `mapkd cache` that is about bags: which frames, with which map, and whether the two fit."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapkd_core.commands.options import CARD_OR_SHIPPED, number, place_on_earth
from mapkd_core.output_file import output_file

if TYPE_CHECKING:
    from mapkd_core.bags.bag_frames import BagFrames
    from mapkd_core.mapping.street_map import StreetMap

FORM = "bag:PATH (with --map)"
IMAGE_FRAMES = 4
"""Frames of a drive in --image, evenly spread."""
_PREFIX = "bag:"
_MAPS = "FILE.streetmap, lanelet2:FILE, geojson:FILE, opendrive:FILE, nuscenes:DATAROOT:LOCATION"
_OF_BAGS = (
    "map", "origin", "rig", "frame", "base_frame", "odometry", "every", "time_offset", "image", "align", "weights"
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Options that only a bag has."""
    group = parser.add_argument_group("of a bag (bag:PATH, a rosbag2: its folder, an .mcap or .db3 file)")
    group.add_argument("--map", help=f"its map: {_MAPS}")
    group.add_argument(
        "--origin", metavar="LAT,LON[,ALT]", type=place_on_earth,
        help="where (0, 0) of the poses' frame lies, for a map in degrees that does not say",
    )
    group.add_argument("--rig", type=Path, metavar="FILE", help="rig file that names the cameras (default: guessed)")
    group.add_argument("--frame", help="fixed frame of the poses (default: map, else odom, else that of the Odometry)")
    group.add_argument("--base-frame", help="vehicle's frame (default base_link)")
    group.add_argument("--odometry", metavar="TOPIC", help="take poses from this Odometry, not from /tf")
    group.add_argument("--every", type=number(0), metavar="S", help="at most a frame in S seconds (default 0.4)")
    group.add_argument(
        "--time-offset", type=float, metavar="S", help="add this to images' stamps to have the time of the poses"
    )
    group.add_argument("--image", type=output_file, metavar="FILE.png", help="the map drawn into some frames' images")
    group.add_argument(
        "--align", action="store_true", default=None,
        help="shift and turn the drive to where the lines of a network's predictions lie on the map's",
    )
    group.add_argument("--weights", type=Path, help=f"of --align: {CARD_OR_SHIPPED}")


def is_bag(args: argparse.Namespace) -> bool:
    """Whether the source is a bag. Raises ValueError for options of bags with another source, and a bag without map."""
    given = [name for name in _OF_BAGS if getattr(args, name) is not None]
    if not args.source.startswith(_PREFIX):
        if given:
            raise ValueError(f"--{given[0].replace('_', '-')} belongs to bags; {args.source} is none (bag:PATH)")
        return False
    if args.lidar or args.sweeps is not None:
        option = "--lidar" if args.lidar else "--sweeps"
        raise ValueError(f"{option} with {args.source}: of bags only images are read; leave it out")
    if args.map is None and not args.no_labels:
        raise ValueError(f"{args.source} has no labels without a map; expected --map MAP, or --no-labels")
    if args.map is None and (unused := [n for n in ("origin", "image", "align") if n in given]):
        raise ValueError(f"--{unused[0]} is about the map; expected --map MAP with it")
    if args.weights is not None and not args.align:
        raise ValueError("--weights is the network of --align; expected both, or none")
    return True


def open_bag(args: argparse.Namespace) -> BagFrames:
    """The bag's frames, with labels where there is a map; prints what was found and left out, writes --image."""
    from mapkd_core.bags.bag_frames import BagFrames, BagOptions
    from mapkd_core.cameras.rig_file import load_rig
    from mapkd_core.progress import say

    path = Path(args.source.removeprefix(_PREFIX)).expanduser()
    street_map = _read_map(args, path) if args.map else None  # what cannot be is refused before the bag is read
    defaults = BagOptions()
    options = BagOptions(
        args.base_frame or defaults.base_frame, args.frame or "", args.odometry or "",
        defaults.every_s if args.every is None else args.every, args.time_offset or 0.0,
    )  # fmt: skip
    frames = BagFrames(path, load_rig(args.rig) if args.rig else None, options, say)
    for reason, count in frames.faults.most_common():
        say(f"{count:6d}  left out: {reason}")
    say(f"{len(frames)} frames of {', '.join(frames.cameras)}")
    return frames if street_map is None else _with_map(args, frames, street_map)


def _with_map(args: argparse.Namespace, frames: BagFrames, street_map: StreetMap) -> BagFrames:
    from mapkd_core.map_formats.vector_maps import vector_map_of
    from mapkd_core.progress import say

    if street_map.frame != frames.pose_frame:
        say(f"the map says it is in {street_map.frame!r}, the poses are in {frames.pose_frame!r}: taken for the same")
    if args.align:
        frames = _aligned(args, frames, street_map)
    opened = sum(not e.closed for e in street_map.of("ped_crossing"))
    if opened:
        say(f"{opened:6d}  crossings of the map are open: they are no labels")
    road_map = vector_map_of(street_map, frames.scene)
    labelled = frames.labelled(road_map)
    if not len(labelled):
        (x0, y0, x1, y1), places = street_map.bounds_m, frames.poses()[:, :2, 3]
        (left, low), (right, high) = places.min(0), places.max(0)
        raise ValueError(
            f"none of {len(frames)} frames has a line of {args.map} within 30 m: the drive went through x {left:.0f} "
            f"to {right:.0f} m, y {low:.0f} to {high:.0f} m of {frames.pose_frame}, the map spans x {x0:.0f} to "
            f"{x1:.0f} m, y {y0:.0f} to {y1:.0f} m; expected one frame for both: see --frame, and "
            "--origin for a map in degrees"
        )
    if len(labelled) < len(frames):
        say(f"{len(frames) - len(labelled):6d}  left out: no line of the map within 30 m")
    if args.image:
        _draw(args.image, labelled)
    return labelled


def _read_map(args: argparse.Namespace, bag: Path) -> StreetMap:
    from mapkd_core.files import keep_inputs
    from mapkd_core.map_formats.earth import at_place
    from mapkd_core.map_formats.formats import map_name, read_map
    from mapkd_core.progress import say

    name = map_name(args.map)
    if args.origin is not None and name.format not in ("lanelet2", "geojson", "opendrive"):
        raise ValueError(f"--origin is for maps in degrees; {name} is in metres already: leave it out")
    if args.image:
        keep_inputs([name.file, bag, *bag.glob("*"), *([args.rig] if args.rig else [])], [args.image])
    street_map, report = read_map(name, None if args.origin is None else at_place(*args.origin))
    if not street_map.elements:
        raise ValueError(f"{name} holds no divider, crossing or boundary; expected a map with lines")
    for line in report.lines:
        say(f"{name.file}: not read: {line}")
    return street_map


def _aligned(args: argparse.Namespace, frames: BagFrames, street_map: StreetMap) -> BagFrames:
    from mapkd_core.map_files.label_fit import fit_labels
    from mapkd_core.predictor import DEFAULT_WEIGHTS, MapPredictor
    from mapkd_core.progress import say

    predictor = MapPredictor.from_artifact(args.weights or DEFAULT_WEIGHTS)
    found = fit_labels(frames, street_map, predictor)
    say(f"{frames.scene}: {found}")
    return frames.moved(found.map_from_poses)


def _draw(path: Path, frames: BagFrames) -> None:
    from mapkd_core.draw import write_png
    from mapkd_core.map_files.label_image import label_image
    from mapkd_core.progress import say

    chosen = np.unique(np.linspace(0, len(frames) - 1, min(IMAGE_FRAMES, len(frames))).round().astype(int))
    write_png(path, label_image([frames[int(index)] for index in chosen]))
    say(f"{path}: the map drawn into {len(chosen)} frames; look whether it lies on the paint")
