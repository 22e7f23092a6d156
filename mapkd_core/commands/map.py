"""Builds the street map of one or more drives, offline and without ROS.

From bags (folders, .mcap or .db3 files) with cameras, camera_info and transforms, or with the VectorMaps that
student_node has published, and with the vehicle's poses (/tf from map or odom, or Odometry):

    mapkd map drive.mcap --out drive.streetmap --image drive.png
    mapkd map drive.mcap --out drive.osm                          # Lanelet2; lanes run the way that was driven
    mapkd map monday.mcap tuesday.mcap --out street.streetmap     # several drives in one frame
    mapkd map wednesday.mcap --onto street.streetmap --out street.streetmap

Odometry that drifts is held to the roads of a navigation map (OpenStreetMap's, in degrees), to some metres:

    mapkd map drive.mcap --anchor roads.geojson --anchor-origin 42.3368,-71.0579 --start 120,-35,90 --out drive.osm

A map file that other software wrote is never written over: --onto hd.osm --out hd.osm writes hd.built/hd.osm.

Maps of drives are merged in the same way; the second is shifted and turned to fit the first:

    mapkd map monday.streetmap tuesday.streetmap --out street.streetmap

A bag that holds VectorMaps is not predicted again, unless --predict says so. Other formats: `mapkd map convert --help`.
"""
from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mapkd_core.commands.options import (
    CARD_OR_SHIPPED,
    add_runtime_options,
    chosen_runtime,
    number,
    place_on_earth,
    whole_number,
)
from mapkd_core.draw import write_png
from mapkd_core.files import keep_inputs
from mapkd_core.map_files.street_image import draw_street
from mapkd_core.map_formats.formats import FORMS, SUFFIXES, MapName, map_name, read_map, write_map
from mapkd_core.map_formats.own_maps import own_place
from mapkd_core.map_formats.saving import check_target, rescued
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.seeding import builder_from, driven_m_of, merged
from mapkd_core.mapping.street_map import StreetMap
from mapkd_core.output_file import check_writable, output_file
from mapkd_core.progress import Progress, say
from mapkd_core.types import CLASSES

if TYPE_CHECKING:
    from mapkd_core.bags.reader import BagReader
    from mapkd_core.map_files.mapped_drive import MappedDrive, SeenMap
    from mapkd_core.mapping.road_anchor import RoadAnchor
    from mapkd_core.mapping.street_map import MapOrigin

T = TypeVar("T")
EXTRA = "bag"
COMMANDS = {
    "convert": ("mapkd_core.commands.map_convert", "a map in another format: Lanelet2, GeoJSON, OpenDRIVE, nuScenes"),
    "check": ("mapkd_core.commands.map_check", "whether a Lanelet2 map is sound, for Lanelet2 and for Autoware"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    default = MappingOptions()
    parser.add_argument("drives", nargs="+", type=Path, metavar="DRIVE", help="bags, or maps of drives to merge")
    parser.add_argument("--out", required=True, metavar="MAP", help=FORMS)
    parser.add_argument("--image", type=output_file, metavar="FILE.png", help="the map from above as an image too")
    parser.add_argument("--onto", metavar="MAP", help="go on with this map: its elements keep their ids")
    parser.add_argument("--frame", default="", help="fixed frame of the poses (default: map, else odom, else Odometry)")
    parser.add_argument("--base-frame", default="base_link", help="vehicle's frame (%(default)s)")
    parser.add_argument("--odometry", default="", metavar="TOPIC", help="take poses from this Odometry, not from /tf")
    parser.add_argument("--topic", default="", help="VectorMaps of the bag (default: the one topic that has any)")
    parser.add_argument("--predict", action="store_true", help="predict from images even where VectorMaps are there")
    parser.add_argument("--rig", type=Path, metavar="FILE", help="rig file that names the bag's cameras")
    parser.add_argument("--every", type=number(0), default=0.0, metavar="S", help="at most a set in S seconds")
    parser.add_argument("--limit", type=whole_number(1), metavar="N", help="at most so many sets of each bag")
    parser.add_argument(
        "--least-sightings", type=int, default=default.least_sightings, metavar="N",
        help="a line is in the map where so many sets show it (%(default)s)",
    )
    parser.add_argument(
        "--least-share", type=float, default=default.least_share, metavar="S",
        help="and where at least this share of the weighted sightings is for it (%(default)s)",
    )
    parser.add_argument("--anchor", type=Path, metavar="FILE", help="hold the drive to these roads (.geojson, .shp)")
    parser.add_argument(
        "--anchor-origin", metavar="LAT,LON[,ALT]", type=place_on_earth,
        help="where on Earth (0, 0) of the poses lies, if neither --onto nor the file of roads says",
    )
    parser.add_argument(
        "--start", default="", metavar="X,Y,DEG", help="where odometry begins, in metres from there (default: 0,0,0)"
    )
    parser.add_argument("--no-align", action="store_true", help="take poses as they are")
    parser.add_argument("--weights", type=Path, help=CARD_OR_SHIPPED)
    add_runtime_options(parser)


def run(args: argparse.Namespace) -> int:
    """Builds the map, writes it, and prints what it holds."""
    options = MappingOptions(
        least_sightings=args.least_sightings, least_share=args.least_share, align=not args.no_align
    )
    start = _read(args.onto) if args.onto else None
    maps = [str(path) for path in args.drives if path.suffix.lower() in SUFFIXES]
    if maps and len(maps) < len(args.drives):
        raise ValueError("the drives are bags and maps at once; build maps of the bags first, or give one with --onto")
    if (args.anchor_origin or args.start) and not args.anchor:
        raise ValueError("--anchor-origin and --start are of an --anchor; name its file of roads")
    if args.anchor and (maps or (args.start and len(args.drives) > 1)):
        raise ValueError("--anchor is for bags, not for maps" if maps else "--start is of one drive; map one at a time")
    anchor, origin = None, start.origin if start else None
    if args.anchor:
        from mapkd_core.map_formats.navigation_roads import open_anchor

        anchor, origin = open_anchor(args.anchor, args.anchor_origin, origin, args.start)
    target = _checked_target(args, origin)
    if maps:
        result = _merged([*([start] if start else []), *map(_read, maps)], options)
        _write(args, target, result)
        return 0
    builder = builder_from(start, options) if start else MapBuilder(options, origin=origin)
    known = builder.sets
    interrupted: KeyboardInterrupt | None = None
    try:
        _build(args, builder, anchor)
    except KeyboardInterrupt as error:  # what came until then is a map too
        interrupted = error
    if builder.sets > known:
        result = builder.street_map({"drives": [path.name for path in args.drives]})
        _write(args, target, result)
        if start:
            say(f"{args.onto}: {_stayed(start, result)}")
    if interrupted is not None:
        raise interrupted
    return 0


def _checked_target(args: argparse.Namespace, origin: MapOrigin | None) -> MapName:
    """Where the map is written, never over one of others; refuses what cannot be before anything is predicted."""
    name, image = map_name(args.out), [args.image] if args.image else []
    keep_inputs([*args.drives, *(path for path in (args.rig, args.anchor) if path)], [name.file, *image])
    names = [os.path.realpath(path) for path in args.drives]
    if (twice := next((path for path in args.drives if names.count(os.path.realpath(path)) > 1), None)) is not None:
        raise ValueError(f"{twice} is named twice; expected each drive once: its lines would count double")
    keep_inputs([map_name(args.onto).file] if args.onto else [], image)
    for path in image:
        if os.path.realpath(path) == os.path.realpath(name.file):
            raise ValueError(f"--out and --image are both {path}; expected two files")
        check_writable(path)
    target = own_place(name)
    if target != name:
        say(f"{name.file} was not written by this software, and stays as it is: the map goes to {target.file}")
    if all(path.suffix.lower() not in SUFFIXES for path in args.drives):
        check_target(target, origin)
    return target


def _write(args: argparse.Namespace, name: MapName, result: StreetMap) -> None:
    try:
        lost = write_map(result, name)
    except Exception:
        if kept := rescued(result, name):
            say(f"{name.file} could not be written; the map is kept in {kept}")
        raise
    for line in lost.lines:
        say(f"{name.file} does not hold: {line}")
    counts = Counter(element.label for element in result.elements)
    found = ", ".join(f"{counts[label]} {label}" for label in CLASSES)
    say(f"{name.file}: {found} in the frame {result.frame}, {driven_m_of(result):.0f} m driven")
    if args.image:
        write_png(args.image, draw_street([e.map_element for e in result.elements], result.paths_m, name.file.stem))
        say(f"{args.image}")


def _stayed(before: StreetMap, after: StreetMap) -> str:
    """How many elements of the map that was gone on with are as they were, are changed, and are gone."""
    now = {element.id: element for element in after.elements}
    there = [(element, now[element.id]) for element in before.elements if element.id in now]
    same = sum(not StreetMap((a,)).differences(StreetMap((b,))) for a, b in there)
    return f"{same} elements are as they were, {len(there) - same} changed, {len(before.elements) - len(there)} gone"


def _read(text: str) -> StreetMap:
    """A map of any format; tells what of its file is no part of it."""
    street_map, report = read_map(map_name(text))
    for line in report.lines:
        say(f"{text}: not read: {line}")
    return street_map


def _merged(maps: list[StreetMap], options: MappingOptions) -> StreetMap:
    result = maps[0]
    for other in maps[1:]:
        result, found = merged(result, other, options)
        say("nothing in common: side by side" if found.refused else f"{found.pairs / 2:.0f} m of line in common, "
            f"moved by {found.moved_m:.2f} m: misfit {found.before_m:.2f} -> {found.after_m:.2f} m")  # fmt: skip
    return result


def _build(args: argparse.Namespace, builder: MapBuilder, anchor: RoadAnchor | None) -> None:
    """Takes the bags into a builder, their poses held to the roads of an anchor."""
    from mapkd_core.bags.ego_poses import read_poses
    from mapkd_core.bags.reader import BagReader
    from mapkd_core.map_files.mapped_drive import MappedDrive, map_drive

    for place, path in enumerate(args.drives):
        drive = MappedDrive()
        if anchor is not None:
            anchor.begin_drive()
        with BagReader(path) as bag:
            for line in bag.notes:
                say(line)
            poses = read_poses(bag, args.frame, args.base_frame, args.odometry)
            if (place or args.onto) and poses.frame != builder.frame:
                raise ValueError(f"{path} has poses in {poses.frame!r}, the map is in {builder.frame!r}; see --frame")
            builder.frame = poses.frame
            say(f"{path}: poses of {args.base_frame} in {poses.frame} from {poses.source}")
            builder.begin_drive()
            with Progress("map", None, "set") as bar:
                seen, bar.total = _seen(args, bag, drive)
                map_drive(builder, _counted(seen, bar), poses, drive, anchor)
            for reason, count in drive.faults.most_common():
                say(f"{count:6d}  {reason}")
            for line in bag.faults:
                say(line)
        if not drive.sets:
            why = next((reason for reason, _ in drive.faults.most_common(1)), "there is none in it")
            raise ValueError(f"{path}: no set came into the map: {why}")
    for what, count in anchor.states.most_common() if anchor is not None else ():
        say(f"{count:6d}  places of the way: {what}")
    for what, count in builder.alignments.most_common():
        say(f"{count:6d}  sets aligned {what}")


def _seen(
    args: argparse.Namespace, bag: BagReader, drive: MappedDrive
) -> tuple[Iterator[SeenMap], int | None]:
    """The sets of a bag, recorded or predicted, and how many there are at most."""
    from mapkd_core.map_files.mapped_drive import predicted_sets, recorded_sets, recorded_topics

    recorded = recorded_topics(bag)
    if args.topic:
        recorded = [topic for topic in recorded if topic.name.lstrip("/") == args.topic.lstrip("/")]
        if not recorded:
            raise ValueError(f"{bag.path} holds no VectorMap on {args.topic}")
    if recorded and not args.predict:
        if len(recorded) > 1:
            names = ", ".join(topic.name for topic in recorded)
            raise ValueError(f"{bag.path} holds VectorMaps on {names}; choose one with --topic")
        say(f"VectorMaps of {recorded[0].name}")
        found = _thinned(recorded_sets(bag, recorded[0], drive, args.base_frame), args.every)
        return islice(found, args.limit), args.limit or (None if args.every else recorded[0].count)
    from mapkd_core.bags.camera_sets import CameraSets, thinned
    from mapkd_core.cameras.rig_file import load_rig
    from mapkd_core.runtime import wait_without_spinning

    wait_without_spinning()
    from mapkd_core.predictor import DEFAULT_WEIGHTS, MapPredictor

    predictor = MapPredictor.from_artifact(args.weights or DEFAULT_WEIGHTS, chosen_runtime(args))
    cameras = CameraSets(bag, load_rig(args.rig) if args.rig else None, say, args.base_frame)
    for line in cameras.describe():
        say(line)

    def sets() -> Iterator[SeenMap]:
        yield from predicted_sets(islice(thinned(cameras.sets(), args.every), args.limit), predictor, drive)
        drive.faults.update(cameras.not_formed())

    return sets(), args.limit or (None if args.every else cameras.anchor_images)


def _thinned(seen: Iterable[SeenMap], every_s: float) -> Iterator[SeenMap]:
    last_ns: int | None = None
    for one in seen:
        if last_ns is None or not 0 <= one.stamp_ns - last_ns < every_s * 1e9:
            last_ns = one.stamp_ns
            yield one


def _counted(items: Iterable[T], bar: Progress) -> Iterator[T]:
    for item in items:
        yield item
        bar.update()
