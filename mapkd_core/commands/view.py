"""Shows what the network sees in rerun's viewer: images with the map drawn in, the drive in space, truth, latency.

    mapkd view simdrive-v1:val:small:1 --limit 40                 # in a window
    mapkd view drive.mcap --weights base --save drive.rrd         # a file: `rerun drive.rrd` opens it anywhere
    mapkd view /data/nuscenes --scene scene-0103 --web            # in a browser, where there is no display
    mapkd view cache:caches/val --no-predict                      # what was packed, without a network
    mapkd view drive.mcap --map town.osm                          # with a true map, in the frame of the bag's poses
    mapkd view live --namespace ego                               # what a student_node publishes now, until Ctrl-C

A timeline runs through the drive; cameras, the drive in space, the map from above and the curves follow it. True lines
are white, and the true map stands beside the predicted one. The same as a video: `mapkd render --help`. `live` runs no
network: it needs ROS 2, a student_node, and its rig file where the node has one; map_builder's street is shown too.
"""
from __future__ import annotations

import argparse
import importlib
import importlib.util
import threading

from mapkd_core.cameras.topics import IMAGE_TRANSPORTS
from mapkd_core.commands.moment_options import (
    add_moment_options,
    check_output,
    chosen_predictor,
    counted,
    no_moment,
    opened_moments,
)
from mapkd_core.commands.options import whole_number
from mapkd_core.output_file import output_file
from mapkd_core.progress import say

LIVE = "live"
VIEWER = "mapkd_ros.viewer.__main__"
_NOT_LIVE = ("weights", "no_predict", "scene", "every", "map", "lidar")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add_moment_options(parser)
    parser.add_argument("--lidar", action="store_true", help="show LiDAR points of a data set or cache")
    parser.add_argument(
        "--image-width", type=whole_number(64), default=640, metavar="PX", help="images at most so wide (%(default)s)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--save", type=output_file, metavar="FILE.rrd", help="write a file; no viewer is needed")
    where.add_argument("--web", action="store_true", help="serve the viewer to a browser on this machine, until Ctrl-C")
    group = parser.add_argument_group(f"of topics (the source {LIVE})")
    group.add_argument("--namespace", help="namespace of student_node")
    group.add_argument(
        "--image-transport", choices=IMAGE_TRANSPORTS, help=f"how images come ({IMAGE_TRANSPORTS[0]}), without --rig"
    )
    parser.add_argument("--port", type=whole_number(1), default=9090, help="of --web (%(default)s); data on the next")


def run(args: argparse.Namespace) -> int:
    """Logs the moments to where they are wanted."""
    if args.source == LIVE:
        return _live(args)
    if args.namespace or args.image_transport:
        raise ValueError(f"--namespace and --image-transport belong to the source {LIVE}; {args.source} has no topics")
    from mapkd_core.viewing.moments import grid_of
    from mapkd_core.viewing.recording import log_all, new_recording, open_browser, open_window, save
    from mapkd_core.viewing.rerun_log import RerunLog

    if args.save is not None:
        check_output(args, args.save, ".rrd")
    predictor = chosen_predictor(args)
    with opened_moments(args, predictor, args.lidar) as moments:
        log = RerunLog(new_recording(args.source), grid_of(predictor), args.image_width)
        seen = counted(moments, "view")
        if args.save is not None:
            save(seen, log, args.save)
        else:
            if args.web:
                say(f"open {open_browser(log.recording, args.port, args.port + 1)}")
            else:
                open_window(log.recording)
            log_all(seen, log)
        if not log.moments:
            raise no_moment(args, moments)
    if args.save is not None:
        say(f"{log.moments} moments -> {args.save} ({args.save.stat().st_size / 1e6:.1f} MB)")
    elif args.web:
        say(f"{log.moments} moments; Ctrl-C ends the viewer")
        threading.Event().wait()
    return 0


def _live(args: argparse.Namespace) -> int:
    """Starts the viewer of topics, which is in the ROS package; the core does not know it."""
    given = [name for name in _NOT_LIVE if getattr(args, name)]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} is not for {LIVE}: what student_node publishes is shown")
    if importlib.util.find_spec("rclpy") is None:
        raise ValueError(f"{LIVE} needs ROS 2 in this shell: source /opt/ros/$ROS_DISTRO/setup.bash, or scripts/env.sh")
    if args.save is not None:
        check_output(args, args.save, ".rrd")
    words = ["--base-frame", args.base_frame, "--image-width", str(args.image_width), "--port", str(args.port)]
    for name in ("namespace", "image_transport", "rig", "limit", "save"):
        value = getattr(args, name)
        words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    return int(importlib.import_module(VIEWER).main([*words, *(["--web"] if args.web else [])]))
