"""Turns a map of one format into another, and tells what the new one cannot hold.

    mapkd map convert drive.streetmap map.osm
    mapkd map convert lanelet2:map.osm map.geojson --report lost.txt
    mapkd map convert map.osm map.xodr
    mapkd map convert nuscenes:/data/nuscenes:boston-seaport boston/map.osm
    mapkd map convert drive.streetmap autoware/map.osm --projector mgrs --autoware-rules

What is written is read again and compared. A map of unknown place needs --origin for GeoJSON. Lanes, which Lanelet2,
OpenDRIVE and nuScenes have, are made of the lines; they go to the right, or by --traffic to the left, of the road.
"""
from __future__ import annotations

import argparse
import os
from dataclasses import replace

from mapkd_core.commands.options import place_on_earth
from mapkd_core.files import keep_inputs, write_atomic
from mapkd_core.map_formats.formats import FORMS
from mapkd_core.output_file import output_file


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("source", metavar="A", help=FORMS)
    parser.add_argument("target", metavar="B", help="the same forms; the ending of the file's name says which format")
    parser.add_argument(
        "--origin", metavar="LAT,LON[,ALT]", type=place_on_earth,
        help="where the map's (0, 0) lies, if the map does not say",
    )
    parser.add_argument("--traffic", choices=("right", "left"), default="right", help="side of the road (%(default)s)")
    parser.add_argument(
        "--projector", choices=("frame", "mgrs"), default="frame",
        help="local_x and local_y of a Lanelet2 file: the map's own metres, or those of its MGRS square (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--autoware-rules", action="store_true",
        help="regulatory elements of crosswalks, which Autoware wants and Lanelet2 alone cannot open",
    )  # fmt: skip
    parser.add_argument(
        "--opendrive-version", choices=("1.7", "1.8"), default="1.7", help="of an OpenDRIVE file's header (%(default)s)"
    )  # fmt: skip
    parser.add_argument("--report", type=output_file, metavar="FILE", help="write what is lost to a file, too")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def run(args: argparse.Namespace) -> int:
    """Converts, compares, prints the report."""
    from mapkd_core.map_formats.earth import at_place
    from mapkd_core.map_formats.formats import WriteOptions, check_written, map_name, read_map, write_map
    from mapkd_core.map_formats.lanelet2_write import Lanelet2Options

    source, target = map_name(args.source), map_name(args.target)
    check_written(target)
    if args.report is not None:
        keep_inputs([source.file], [args.report])
        if os.path.realpath(args.report) == os.path.realpath(target.file):
            raise ValueError(f"the map and --report are both {args.report}; expected two files")
    if target.file.exists() and not args.overwrite:
        remedy = "folder: an expansion is never replaced" if target.format == "nuscenes" else "name, or --overwrite"
        raise ValueError(f"{target.file} is there already; give another {remedy}")
    place = None if args.origin is None else at_place(*args.origin)
    street_map, found = read_map(source, None)
    if place is not None and street_map.origin is None:
        street_map = replace(street_map, origin=place)
    elif place is not None:
        raise ValueError(f"{source} says where it lies ({street_map.origin}); leave --origin out")
    lanelet2 = Lanelet2Options(args.projector, args.traffic, args.autoware_rules)
    lost = write_map(street_map, target, WriteOptions(lanelet2, args.opendrive_version))
    again, _ = read_map(target, None)
    differences = street_map.differences(again, 1e-5)
    kept = len(street_map.elements) - sum("element" in line for line in differences)
    lines = [f"{source} -> {target}: {len(street_map.elements)} elements"]
    lines += [f"  not read: {line}" for line in found.lines] + [f"  not held: {line}" for line in lost.lines]
    if differences:
        lines.append(
            f"  read again: {len(again.elements)} elements, {max(kept, 0)} of them as they were; first difference: "
            f"{differences[0]}"
        )
    else:
        lines.append("  read again: the same map, to 0.01 mm")
    print("\n".join(lines))
    if args.report is not None:
        write_atomic(args.report, "\n".join(lines) + "\n")
    return 0
