"""Simulated drives: six cameras and a LiDAR through invented or real streets, with the true map.

  show    renders one moment of a drive and opens the image
  export  writes drives as a folder in nuScenes' format (devkit, player, bag and training read it as real data)
  sheet   draws a contact sheet of varied scenes
  bench   measures how fast this machine renders

examples:
  mapkd sim show --seed 7
  mapkd sim export --out drive --frames 12 --size 800x450
  mapkd sim export --out train --drives 40 --frames 20 --sweep-hz 10 --workers 4
  mapkd sim export --out /nfs/train --drives 4000 --engine ray://head:10001
  mapkd sim show --road boston-seaport --dataroot /data/nuscenes
  mapkd sim show --road argoverse2 --dataroot /data/av2/val
  mapkd sim sheet --out sheet.png

Everything follows from --seed. An interrupted export goes on where it stopped when it is started again.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.benchmark.sim import image_size
from mapkd_core.commands.options import folder_or_url
from mapkd_core.engine import open_engine
from mapkd_core.engine.arguments import add_engine_options, chosen_engine
from mapkd_core.output_file import output_file
from mapkd_core.progress import Progress, each
from mapkd_core.storage import is_object_storage

if TYPE_CHECKING:
    from mapkd_core.sim.drive import SimDrive

WEATHERS = ("clear", "overcast", "wet", "night")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the sub-commands and their options."""
    jobs = parser.add_subparsers(dest="job", required=True, metavar="{show,export,sheet,bench}")

    def job(name: str, line: str, size: str) -> argparse.ArgumentParser:
        sub = jobs.add_parser(name, help=line, description=line)
        sub.add_argument("--seed", type=int, default=7, help="first seed (default: %(default)s)")
        sub.add_argument("--size", type=image_size, default=image_size(size), metavar="WxH",
                         help=f"images (default: {size})")  # fmt: skip
        sub.add_argument("--dataroot", type=Path, help="nuScenes folder or logs of Argoverse 2, with maps to drive on")
        sub.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
        return sub

    def road(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--road", default="procedural", help="procedural, a map such as boston-seaport, or argoverse2")
        sub.add_argument("--poses", type=Path, help="JSON file of ego poses to drive through, on --road's map")
        sub.add_argument("--weather", choices=WEATHERS, help="by chance if not given")
        sub.add_argument("--rig", choices=("n008", "n015"), help="nuScenes vehicle, by chance if not given")
        sub.add_argument("--own-body", action="store_true", help="the cameras see bonnet, boot lid and mirrors")
        sub.add_argument("--every", type=float, default=0.5, metavar="S", help="seconds between frames (default: 0.5)")

    show = job("show", "render one moment of a drive and open the image", "800x450")
    road(show)
    show.add_argument("--frame", type=int, default=4, help="which frame (default: %(default)s)")
    show.add_argument("--out", type=output_file, default="sim.png", help="image file (default: %(default)s)")
    show.add_argument("--plain", action="store_true", help="do not draw the map onto the images")
    show.add_argument("--no-open", action="store_true", help="only write the image")

    export = job("export", "write drives as a folder in nuScenes' format", "1600x900")
    road(export)
    export.add_argument("--out", type=folder_or_url, required=True, help="new folder, or one to go on with; or a URL")
    export.add_argument("--drives", type=int, default=1, help="how many, with following seeds (default: %(default)s)")
    export.add_argument("--frames", type=int, default=20, help="keyframes of a drive (default: %(default)s)")
    export.add_argument("--version", default="v1.0-mini", help="folder of the tables (default: %(default)s)")
    export.add_argument("--sweep-hz", type=float, default=0.0, help="LiDAR sweeps between keyframes (10 or 20)")
    export.add_argument("--no-lidar", action="store_true", help="cameras only")
    export.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add_engine_options(export, "groups of a drive's files")
    export.add_argument(
        "--official-names", action="store_true",
        help="call the scenes as in nuScenes' mini split, for published code that looks for those names",
    )

    sheet = job("sheet", "draw a contact sheet of varied scenes", "704x396")
    sheet.add_argument("--out", type=output_file, default="sim_sheet.png", help="image file (default: %(default)s)")
    sheet.add_argument("--scenes", type=int, default=12, help="how many (default: %(default)s)")

    bench = job("bench", "measure how fast this machine renders", "352x128")
    bench.add_argument("--frames", type=int, default=8, help="frames to time (default: %(default)s)")
    bench.add_argument("--threads", type=int, default=0, help="threads of torch (default: all)")


def run(args: argparse.Namespace) -> int:
    """Does the chosen job."""
    return {"show": _show, "export": _export, "sheet": _sheet, "bench": _bench}[args.job](args)


def _drive(args: argparse.Namespace, seed: int, frames: int, lidar: bool) -> SimDrive:
    from mapkd_core.sim.drive import SimDrive
    from mapkd_core.sim.rig import RIGS
    from mapkd_core.sim.roads.argoverse2_roads import ARGOVERSE2
    from mapkd_core.sim.roads.trajectory import read_poses
    from mapkd_core.sim.simdrive import default_dataroot

    if args.poses and args.road == "procedural":
        raise ValueError("--poses are places on a real map; say which with --road, such as boston-seaport")
    drive = SimDrive(
        seed=seed,
        trajectory=read_poses(args.poses) if args.poses else None,
        road=args.road,
        size=args.size,
        lidar=lidar,
        frames=frames,
        keyframe_s=args.every,
        dataroot=args.dataroot or (None if args.road == ARGOVERSE2 else default_dataroot()),
        rig=RIGS[args.rig] if args.rig else None,
        device=args.device,
    )
    if args.own_body:
        drive = drive.with_own_body()
    return drive.in_weather(args.weather) if args.weather else drive


def _show(args: argparse.Namespace) -> int:
    from mapkd_core.draw import write_png
    from mapkd_core.sim.sheet import frame_image

    drive = _drive(args, args.seed, args.frame + 1, False)
    image = frame_image(drive[args.frame], lines=not args.plain)
    write_png(args.out, image)
    print(f"{args.out}: frame {args.frame} of {drive.name}, {drive.conditions}")
    if not args.no_open:
        import webbrowser

        webbrowser.open(args.out.resolve().as_uri())
    return 0


def _export(args: argparse.Namespace) -> int:
    from mapkd_core.sim.export.nuscenes_folder import OFFICIAL_NAMES, export

    if min(args.drives, args.frames, args.workers) < 1:
        raise ValueError(f"--drives {args.drives} --frames {args.frames} --workers {args.workers}: at least 1 of each")
    chosen = chosen_engine(args, args.workers)
    drives = [_drive(args, args.seed + k, args.frames, not args.no_lidar) for k in range(args.drives)]
    names = None
    if args.official_names:
        if args.drives > len(OFFICIAL_NAMES):
            raise ValueError(f"nuScenes' mini split has {len(OFFICIAL_NAMES)} names, not {args.drives}; fewer --drives")
        names = OFFICIAL_NAMES[: args.drives]
    begun = time.perf_counter()
    with Progress("sim export", unit="group") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.done)

        with open_engine(chosen) as engine:
            export(drives, args.out, args.version, names, args.sweep_hz, progress=progress, engine=engine)
    took = time.perf_counter() - begun
    print(f"{args.out}: {args.drives} drives with {args.frames} keyframes each, {took:.0f} s")
    if is_object_storage(args.out):
        return 0
    print(f"  play it:  ros2 run mapkd_ros nuscenes_player --ros-args -p dataroot:={args.out.resolve()}")
    print(f"  as a bag: mapkd bag --dataroot {args.out} --out {args.out}_bag")
    return 0


def _sheet(args: argparse.Namespace) -> int:
    from mapkd_core.sim.sheet import contact_sheet, varied_drives, write_small_png

    drives = varied_drives(args.scenes, args.seed, args.size, args.dataroot)
    frames = []
    for drive in each(drives, "sim sheet", "scene"):
        frame = drive[0]
        frame.views[0].image.rgb()
        frames.append(frame)
    write_small_png(args.out, contact_sheet(frames))
    print(f"{args.out}: {len(frames)} scenes")
    return 0


def _bench(args: argparse.Namespace) -> int:
    import torch

    from mapkd_core.benchmark.sim_times import measure

    if args.threads:
        torch.set_num_threads(args.threads)
    print(measure(args.seed, args.size, args.frames, args.device))
    return 0
