"""Masks of real images by two published segmenters: what a perspective head learns from, and what a map is held to.

    mapkd masks /data/camvid/train masks --twinlitenet best.pth --deeplab deeplab.tflite --camvid-labels
    mapkd masks /data/nuscenes masks --twinlitenet best.pth --deeplab deeplab.tflite

SOURCE is a folder of images (with all below it), or frames as other commands name them. Images that have their mask in
FOLDER already are passed over, so that an interrupted command goes on. The networks are not part of this project:
TwinLiteNet (drivable area, lane paint; chequanghuy/TwinLiteNet, pretrained/best.pth, MIT, trained on BDD100K) and
DeepLab on MobileNet-EdgeTPU (surfaces; google-coral/test_data, deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite,
Apache-2.0, trained on Cityscapes).
"""
from __future__ import annotations

import argparse
from pathlib import Path

EXTRA = "segment"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `mapkd masks`."""
    parser.add_argument("source", help="a folder of images, or a nuScenes folder")
    parser.add_argument("folder", type=Path, help="folder for the masks, new or to go on with")
    parser.add_argument("--twinlitenet", type=Path, required=True, metavar="PTH", help="its published weights")
    parser.add_argument("--deeplab", type=Path, required=True, metavar="TFLITE", help="DeepLab trained on Cityscapes")
    parser.add_argument(
        "--camvid-labels", action="store_true",
        help="take surfaces from label images in NAME_labels beside a folder NAME, where there are",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the masks and says how many images there are."""
    from mapkd_core.data.street_images import images_below
    from mapkd_core.frame_sources import open_frames
    from mapkd_core.segmenters.deeplab import DeepLab
    from mapkd_core.segmenters.make_masks import make_masks
    from mapkd_core.segmenters.twinlitenet import load_twinlitenet

    lanes, surfaces = load_twinlitenet(args.twinlitenet), DeepLab(args.deeplab)
    place = Path(args.source).expanduser()
    plain = place.is_dir() and not any(p.is_dir() for p in place.glob("v1.0-*"))
    if plain and not images_below(place):
        raise ValueError(f"{place} holds no image (.jpg, .png), nor below; name a folder of images, or frames")
    source = place if plain else open_frames(args.source)[0]
    args.folder.mkdir(parents=True, exist_ok=True)
    count = make_masks(source, args.folder, lanes, surfaces, args.camvid_labels)
    print(f"{args.folder}: masks of {count} images")
    return 0
