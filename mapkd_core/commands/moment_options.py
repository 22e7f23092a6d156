"""The options of commands that show a drive: which source, which network, how much of it."""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.commands.options import CARD_OR_SHIPPED, add_runtime_options, chosen_runtime, number, whole_number
from mapkd_core.files import keep_inputs
from mapkd_core.progress import Progress, say
from mapkd_core.runtime import wait_without_spinning

if TYPE_CHECKING:
    from mapkd_core.map_files.moment import Moment
    from mapkd_core.predictor import MapPredictor
    from mapkd_core.vector_map import VectorMap
    from mapkd_core.viewing.moments import Moments

SOURCES = (
    "a bag (its folder, an .mcap or .db3 file, or bag:PATH), cache:FOLDER, a nuScenes folder, "
    "nuscenes:DATAROOT:VERSION:SPLIT, argoverse2:FOLDER, simdrive-v1:SPLIT[:small|full][:DRIVES]"
)


def add_moment_options(parser: argparse.ArgumentParser) -> None:
    """Declares them."""
    parser.add_argument("source", metavar="SOURCE", help=SOURCES)
    parser.add_argument("--weights", type=Path, help=CARD_OR_SHIPPED)
    parser.add_argument("--no-predict", action="store_true", help="run no network: images and true map alone")
    parser.add_argument("--scene", action="append", default=[], help="only this scene of a data set; may be repeated")
    parser.add_argument("--limit", type=whole_number(1), metavar="N", help="at most N moments")
    parser.add_argument("--every", type=number(0), default=0.0, metavar="S", help="at most a moment in S seconds")
    group = parser.add_argument_group("of a bag")
    group.add_argument("--rig", type=Path, metavar="FILE", help="rig file that names the cameras (default: guessed)")
    group.add_argument("--base-frame", default="base_link", help="vehicle's frame (%(default)s)")
    group.add_argument(
        "--map", help="the true map in the frame of the poses: FILE.streetmap, lanelet2:FILE, geojson:FILE, ..."
    )
    add_runtime_options(parser)


def chosen_predictor(args: argparse.Namespace) -> MapPredictor | None:
    """The network that the options ask for."""
    if args.no_predict:
        if args.weights is not None:
            raise ValueError("--weights names a network, --no-predict asks for none; expected one of them")
        return None
    wait_without_spinning()
    from mapkd_core.predictor import DEFAULT_WEIGHTS, MapPredictor

    return MapPredictor.from_artifact(args.weights or DEFAULT_WEIGHTS, chosen_runtime(args))


def opened_moments(args: argparse.Namespace, predictor: MapPredictor | None, lidar: bool = False) -> Moments:
    """The moments that the options ask for; prints what was found."""
    from mapkd_core.cameras.rig_file import load_rig
    from mapkd_core.viewing.moments import MomentOptions
    from mapkd_core.viewing.sources import open_moments

    options = MomentOptions(
        args.every, args.limit, tuple(args.scene), lidar, load_rig(args.rig) if args.rig else None, args.base_frame,
        _road_map(args.map) if args.map else None,
    )  # fmt: skip
    return open_moments(args.source, predictor, options, say)


def check_output(args: argparse.Namespace, out: Path, suffix: str) -> None:
    """Raises ValueError where a file to be written is no `suffix` one, or would take the place of an input."""
    from mapkd_core.map_formats.formats import map_name

    if out.suffix.lower() != suffix:
        raise ValueError(f"{out}: expected a name that ends with {suffix}")
    place = Path(args.source.removeprefix("bag:").removeprefix("cache:")).expanduser()
    files = [place, *place.glob("*")] if place.exists() else []
    keep_inputs(
        [*files, *([args.rig] if args.rig else []), *([map_name(args.map).file] if args.map else [])], [out]
    )


def counted(moments: Moments, what: str) -> Iterator[Moment]:
    """The moments with their progress; what did not come about is told at the end."""
    with Progress(what, moments.total, "moment") as bar:
        for moment in moments:
            yield moment
            bar.update()
    for reason, count in moments.faults.most_common():
        say(f"{count:6d}  {reason}")


def no_moment(args: argparse.Namespace, moments: Moments) -> ValueError:
    """What is to be raised where nothing came about, with the most frequent reason."""
    why = moments.faults.most_common(1)
    return ValueError(f"{args.source}: no moment: {why[0][0] if why else 'no set of images of all its cameras'}")


def _road_map(name: str) -> VectorMap:
    from mapkd_core.map_formats.formats import map_name, read_map
    from mapkd_core.map_formats.vector_maps import vector_map_of

    place = map_name(name)
    street_map, report = read_map(place)
    if not street_map.elements:
        raise ValueError(f"{place} holds no divider, crossing or boundary; expected a map with lines")
    for line in report.lines:
        say(f"{place.file}: not read: {line}")
    return vector_map_of(street_map, place.file.stem)
