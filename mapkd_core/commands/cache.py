"""Packs frames into a training cache: tar shards with small JPEGs, labels as vectors, and compressed LiDAR.

The grid is still free when training reads the cache, and so is any image size up to the one packed. A command that
was interrupted goes on where it stopped when it is run again.

    mapkd cache nuscenes:/data/nuscenes:v1.0-trainval:train caches/train --lidar --workers 8
    mapkd cache simdrive-v1:val caches/sim-val --size 176x64

From a bag of your own, with images of any rig, the vehicle's poses (/tf from map or odom, or Odometry) and a map in
the frame of those poses (FILE.streetmap, lanelet2:FILE, geojson:FILE, opendrive:FILE, nuscenes:DATAROOT:LOCATION):

    mapkd cache bag:monday.mcap caches/monday --map lanelet2:town.osm --image check.png
    mapkd cache bag:monday.mcap caches/monday --map town.geojson --origin 48.1,11.5 --align

On the machines of a Ray cluster, into a folder that all of them share or into object storage (docs/how-to/cluster.md):

    mapkd cache simdrive-v1:train /nfs/caches/train --engine ray://head:10001
    mapkd cache simdrive-v1:train s3://bucket/caches/train --workers 8

Look at the image: where the drawn map lies beside the paint, poses, clocks (--time-offset), calibration or map are
wrong, and so would be what is learnt.

Train from it with `--data.train cache:caches/train`.
"""
from __future__ import annotations

import argparse
import contextlib

from mapkd_core.commands import cache_bag
from mapkd_core.commands.options import folder_or_url
from mapkd_core.engine import EngineOptions, open_engine
from mapkd_core.engine.arguments import add_engine_options, chosen_engine
from mapkd_core.files import FolderLock
from mapkd_core.frame_sources import FORMS
from mapkd_core.storage import is_object_storage, open_storage
from mapkd_core.types import IMAGE_SIZE


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `mapkd cache`."""
    parser.add_argument("source", help=f"{FORMS}; or {cache_bag.FORM}")
    parser.add_argument(
        "folder", type=folder_or_url, help="new folder (or s3:// or gs:// URL) for the cache, or one to go on with"
    )
    parser.add_argument("--size", type=_size, default=IMAGE_SIZE, help="images, WIDTHxHEIGHT (default 352x128)")
    parser.add_argument(
        "--lidar", action="store_true", help="keep LiDAR points (three sweeps of real sensors) as float16"
    )
    parser.add_argument(
        "--sweeps",
        metavar="UNTIL[,AFTER[,EVERY]]",
        help="with --lidar: turns up to the frame and, for a teacher that looks ahead, after it; each EVERY-th, "
        "such as 1,4,10: the frame's own and those half a second to two seconds later at 20 turns a second",
    )
    parser.add_argument("--no-labels", action="store_true", help="frames without a road map, for prediction only")
    parser.add_argument(
        "--reach", type=float, nargs=2, default=(132.0, 42.0), metavar=("X", "Y"),
        help="half length and half width of the map kept, metres (default 132 42: a 240x60 m grid and a margin)",
    )
    parser.add_argument(
        "--stale", metavar="METRES,SHARE",
        help="labels from maps out of date: moved so far in each drive, without this share of dividers and crossings, "
        "such as 0.5,0.15 (for experiments; not to score with)",
    )
    parser.add_argument("--quality", type=int, default=90, help="JPEG quality (default 90)")
    parser.add_argument("--shard-frames", type=int, default=256, help="frames in a shard (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="of the frames' distribution over the shards")
    parser.add_argument("--workers", type=int, default=0, help="processes that read and encode (default 0: this one)")
    add_engine_options(parser, "parts of some frames")
    cache_bag.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the cache and tells its size."""
    engine = chosen_engine(args, args.workers)
    held = contextlib.nullcontext() if is_object_storage(args.folder) else FolderLock(args.folder)
    with held:  # before the slow imports: a second command would else find the first one's work done
        return _pack(args, engine)


def _pack(args: argparse.Namespace, chosen: EngineOptions) -> int:
    from mapkd_core.data.cache_record import CacheOptions
    from mapkd_core.data.cache_write import write_cache
    from mapkd_core.data.lidar import Sweeps
    from mapkd_core.data.stale_map import StaleMaps
    from mapkd_core.evaluation.identity import frames_fingerprint
    from mapkd_core.frame_sources import Frames, open_frames, with_images, with_maps

    if not 1 <= args.quality <= 100 or args.shard_frames < 1 or args.workers < 0:
        raise ValueError("expected --quality 1..100, --shard-frames 1 or more, --workers 0 or more")
    options = CacheOptions(args.size, tuple(args.reach), args.lidar, not args.no_labels, args.quality)
    source: Frames
    if cache_bag.is_bag(args):
        source = cache_bag.open_bag(args)
        what = source.fingerprint
    else:
        sweeps = None if args.sweeps is None else Sweeps.parse(args.sweeps, "--sweeps")
        source, missing = open_frames(args.source, image_size=args.size, lidar=args.lidar, sweeps=sweeps)
        for line in missing:
            print(f"left out: {line}")
        found, source = len(source), with_images(source)
        if found and not len(source):
            raise ValueError(f"none of {found} frames of {args.source} has images; a cache is of images")
        if options.labels:
            found, source = len(source), with_maps(source)
            if found and not len(source):
                raise ValueError(
                    f"none of {found} frames of {args.source} has a road map; check the map expansion, or give "
                    "--no-labels"
                )
        what = frames_fingerprint(source)
    name = args.source
    if args.sweeps is not None:
        name, what = f"{name} --sweeps {args.sweeps}", f"{what} --sweeps {args.sweeps}"
    if args.stale:
        source, name = StaleMaps.parse(source, args.stale, "--stale"), f"{name} --stale {args.stale}"
        what = f"{what} --stale {args.stale}"
    with open_engine(chosen) as engine:
        write_cache(
            source, args.folder, options, args.shard_frames, args.seed, name=name, data_fingerprint=what,
            locked=True, engine=engine,
        )  # fmt: skip
    shards = {name: size for name, size in open_storage(args.folder).sizes().items() if name.endswith(".tar")}
    size_mb = sum(shards.values()) / 1e6
    print(f"{args.folder}: {len(source)} frames in {len(shards)} shards, {size_mb:.1f} MB")
    return 0


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = map(int, text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 352x128") from None
    if width < 1 or height < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has no area")
    return width, height
