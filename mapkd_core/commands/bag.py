"""Writes keyframes of nuScenes, or of a simulated drive in its folder format, as a rosbag2. Needs no ROS.

The bag has the topics, types and stamps that `nuscenes_player` publishes: images, camera_info, LiDAR, /tf and
/tf_static. Play it with `ros2 bag play DIR`, with `ros2 run mapkd_ros nuscenes_player --ros-args -p bag:=DIR`, or open
it in Foxglove.

examples:
  mapkd bag --dataroot /data/nuscenes --scene scene-0103 --out scene-0103
  mapkd bag repair out.mcap    # what a killed recording has left; see mapkd bag repair --help
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.bags.bag_files import check_room
from mapkd_core.bags.drive_stream import DriveStream, open_drive
from mapkd_core.bags.writer import STORAGES, write_bag
from mapkd_core.cameras.topics import FORMER_TRANSPORTS, IMAGE_TRANSPORTS
from mapkd_core.suggestion import RenamedOption

COMMANDS = {"repair": ("mapkd_core.commands.bag_repair", "make a sound bag of one that was cut off or is damaged")}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--dataroot", required=True, type=Path, help="folder that holds <version>/ and samples/")
    parser.add_argument("--out", required=True, type=Path, help="folder of the new bag")
    parser.add_argument("--version", default="v1.0-mini", help="folder of the tables (default: %(default)s)")
    parser.add_argument("--scene", nargs="+", default=[], metavar="NAME", help="scenes to write (default: all)")
    parser.add_argument("--storage", choices=STORAGES, default="mcap", help="file format (default: %(default)s)")
    parser.add_argument(
        "--image-transport", choices=IMAGE_TRANSPORTS, default="compressed",
        help="images as stored, or decoded (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--transport", dest="image_transport", action=RenamedOption, words=FORMER_TRANSPORTS,
        choices=(*IMAGE_TRANSPORTS, *FORMER_TRANSPORTS),
    )  # fmt: skip
    parser.add_argument("--no-lidar", action="store_true", help="leave the LiDAR out")
    parser.add_argument(
        "--hold", type=float, default=0.0, metavar="S", help="repeat a scene with a single keyframe for S seconds"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a bag that is there, as soon as the new one is whole"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the bag and prints what it holds."""
    check_room(args.out, args.overwrite)  # say so before the tables are read
    frames = open_drive(args.dataroot, args.version, args.scene, not args.no_lidar)
    drive = DriveStream(frames, args.image_transport, not args.no_lidar, args.hold)
    summary = write_bag(drive, args.out, args.storage, args.overwrite)
    print(f"{summary.path}: {summary.messages} messages in {summary.duration_s:.1f} s, {len(drive)} frames")
    for topic, count in sorted(summary.messages_by_topic.items()):
        print(f"  {count:6d}  {topic}")
    return 0
