"""Writes a video of a drive: the predicted map on all cameras' images and from above, beside the true one.

    mapkd render simdrive-v1:val:small:1 --video drive.mp4 --truth
    mapkd render drive.mcap --weights base --video drive.mp4      # in the recording's time
    mapkd render /data/nuscenes --scene scene-0103 --video scene.mp4 --camera-width 560
    mapkd render drive.mcap --map town.osm --truth --video drive.mp4

The video is H.264, or VP9 or AV1 where PyAV has no encoder for that: browsers play all three. A file that is there
stays unless --overwrite is given; Ctrl-C leaves the video until then. To look around in a drive: `mapkd view --help`.
"""
from __future__ import annotations

import argparse

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


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add_moment_options(parser)
    parser.add_argument("--video", type=output_file, required=True, metavar="FILE.mp4", help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--truth", action="store_true", help="the true map beside the predicted one")
    parser.add_argument(
        "--camera-width", type=whole_number(64), default=400, metavar="PX", help="of each image (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Draws and writes the moments."""
    from mapkd_core.map_files.overlay_video import encoder
    from mapkd_core.viewing.moments import grid_of
    from mapkd_core.viewing.video import write_video

    encoder()  # without one nothing need be predicted
    check_output(args, args.video, ".mp4")
    if args.video.exists() and not args.overwrite:
        raise FileExistsError(f"{args.video} is there already, and a video cannot be gone on with; see --overwrite")
    predictor = chosen_predictor(args)
    with opened_moments(args, predictor) as moments:
        title = "true map" if predictor is None else predictor.card.name
        count = write_video(
            counted(moments, "render"), args.video, grid_of(predictor), title, args.camera_width, args.truth
        )
        if not count:
            raise no_moment(args, moments)
    say(f"{count} moments -> {args.video} ({args.video.stat().st_size / 1e6:.1f} MB)")
    return 0
