"""Predicts the vector map round the vehicle from its cameras' images: of a bag, a data root, or single image files.

From a bag (a folder, or an .mcap or .db3 file) with images, camera_info and transforms, without ROS: elements.jsonl,
maps.mcap with the messages that student_node would have published, and overlay.mp4:

    mapkd predict drive.mcap --out predictions
    mapkd predict drive.mcap --rig my_rig.yaml --every 0.5 --no-video

Cameras are found by their topics, or named by the rig file of student_node (config/rig.example.yaml). The other sources
give an overview PNG and a JSON file of the elements for each set of images.

From a nuScenes data root (every keyframe, or those of --scene), also by a network with a memory:

    mapkd predict --dataroot data/nuscenes --scene scene-0103 --out predictions

From images of your own, with a calibration file:

    mapkd predict --images front_left.jpg front.jpg front_right.jpg back_left.jpg back.jpg back_right.jpg \\
                  --calibration rig.json --out predictions

The calibration file is a JSON object with one entry a camera, in the order of the images:

    {"CAM_FRONT_LEFT": {"intrinsics": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
                        "base_from_camera": [[...4 numbers...], [...], [...], [0, 0, 0, 1]]}, ...}

`intrinsics` hold for the images as they are; `base_from_camera` places the camera's optical frame (x right, y down,
z ahead) in `base_link` (x forward, y left, z up, metres).
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.commands.options import CARD_OR_SHIPPED, add_runtime_options, chosen_runtime, number, whole_number
from mapkd_core.data.images import decode
from mapkd_core.draw import overview, write_png
from mapkd_core.files import inside, keep_inputs, write_atomic
from mapkd_core.map_files.elements import facts, records
from mapkd_core.progress import Progress, each, say
from mapkd_core.runtime import wait_without_spinning
from mapkd_core.schema import FileFault, mapping, numbers, read_json, record
from mapkd_core.types import Frame, MapElement

if TYPE_CHECKING:
    from mapkd_core.artifact import ModelCard
    from mapkd_core.bags.camera_sets import CalibratedSet
    from mapkd_core.predictor import MapPredictor, PredictedMap


ENDS = (".png", ".json")
"""Of the files of one set of images."""
_RIG = mapping(record({"intrinsics": numbers(3, 3), "base_from_camera": numbers(4, 4)}), 1)
"""Schema of --calibration."""
_GRAY = 46
"""Behind the lines of --bare, dark as the map from above."""


@dataclass(frozen=True, eq=False)
class _Shot:
    """One set of images with its calibration, and the reference map where there is one."""

    name: str
    images: list[bytes]
    cameras: list[str]
    intrinsics: NDArray[np.float64]
    base_from_camera: NDArray[np.float64]
    truth: list[MapElement] | None = None
    frame: Frame | None = None
    """Where and when it was, of a data root."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("bag", nargs="?", type=Path, metavar="BAG", help="a rosbag2: its folder, an .mcap or .db3 file")
    source.add_argument("--dataroot", type=Path, help="a nuScenes data root, or a folder in its format")
    source.add_argument("--images", type=Path, nargs="+", help="one JPEG or PNG a camera, with --calibration")
    parser.add_argument("--calibration", type=Path, help="JSON file that calibrates --images (see above)")
    parser.add_argument("--version", default="v1.0-mini", help="version folder of the data root (%(default)s)")
    parser.add_argument("--scene", action="append", help="only this scene of the data root; may be repeated")
    parser.add_argument("--limit", type=whole_number(1), metavar="N", help="at most N keyframes, or maps of a bag")
    parser.add_argument("--rig", type=Path, metavar="FILE", help="rig file that names the bag's cameras")
    parser.add_argument("--base-frame", default="base_link", help="vehicle's frame in the bag (%(default)s)")
    parser.add_argument(
        "--every", type=number(0), default=0.0, metavar="S", help="of a bag, at most a map in S seconds"
    )
    parser.add_argument("--no-video", action="store_true", help="of a bag, write no overlay.mp4")
    parser.add_argument("--bare", action="store_true",
                        help="draw on gray: neither images nor true map, where their licence keeps them to yourself")
    parser.add_argument("--weights", type=Path, help=CARD_OR_SHIPPED)
    add_runtime_options(parser)
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="output folder (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Predicts, writes, and prints what was found."""
    if args.images and not args.calibration:
        raise ValueError("--images needs --calibration: without it nobody knows where the cameras look")
    if args.bag and args.bare:
        raise ValueError("--bare goes with --dataroot or --images; of a bag, --no-video writes no images")
    wait_without_spinning()
    if args.dataroot and args.weights and _remembers(args.weights):
        card, map_of = _in_order(args)
        shots: Iterable[_Shot] = _from_dataroot(args, card)
    else:
        from mapkd_core.predictor import DEFAULT_WEIGHTS, MapPredictor

        predictor = MapPredictor.from_artifact(args.weights or DEFAULT_WEIGHTS, chosen_runtime(args))
        if args.bag:
            return _predict_bag(args, predictor)
        card, map_of = predictor.card, partial(_alone, predictor)
        if args.images:
            shots = _from_files(args.images, args.calibration)
            results = [_place(args.out, shot, end) for shot in shots for end in ENDS]
            keep_inputs([*args.images, args.calibration], results)
        else:
            shots = _from_dataroot(args, card)
    for shot in each(shots, "predict", shown=not args.images):
        result = map_of(shot)
        _write(args.out, shot, result, card, args.bare)
        counts = {label: sum(e.label == label for e in result.elements) for label in card.classes}
        found = ", ".join(f"{count} {label}" for label, count in counts.items())
        say(f"{shot.name}: {found}; {sum(result.stage_ms.values()):.0f} ms -> {args.out / shot.name}.png, .json")
    return 0


def _alone(predictor: MapPredictor, shot: _Shot) -> PredictedMap:
    order = predictor.camera_order(shot.cameras)
    images = [shot.images[place] for place in order]
    return predictor.predict(images, shot.intrinsics[order], shot.base_from_camera[order])


def _remembers(weights: Path) -> bool:
    """Whether an artifact is of a network with a memory."""
    from mapkd_core.artifact import load_card

    return bool(load_card(weights).options.get("memory"))


def _in_order(args: argparse.Namespace) -> tuple[ModelCard, Callable[[_Shot], PredictedMap]]:
    """A network with a memory: its card, and the map of one keyframe after the other. Raises ValueError off PyTorch."""
    from mapkd_core.evaluation.batch_predictor import BatchPredictor
    from mapkd_core.vector_elements import LEAST_SCORE

    if (args.backend, args.precision) != ("auto", "fp32"):
        raise ValueError(
            f"--backend {args.backend} --precision {args.precision} are for a network without memory; leave them out"
        )
    predictor = BatchPredictor(args.weights, args.device)
    own = predictor.card.least_score
    predictor.least_score = LEAST_SCORE if own is None else own

    def map_of(shot: _Shot) -> PredictedMap:
        assert shot.frame is not None
        return predictor.predict_frame(shot.frame)

    return predictor.card, map_of


def _predict_bag(args: argparse.Namespace, predictor: MapPredictor) -> int:
    """The maps of a bag, as files of the whole drive."""
    from mapkd_core.bags.camera_sets import CameraSets, thinned
    from mapkd_core.bags.reader import BagReader
    from mapkd_core.cameras.rig_file import load_rig
    from mapkd_core.map_files.drive_maps import map_files, write_maps

    if any(args.bag.glob("v1.0-*/sample.json")):
        raise ValueError(f"{args.bag} is a data root in nuScenes' format; expected a bag: give it with --dataroot")
    keep_inputs([args.bag, *args.bag.glob("*"), *([args.rig] if args.rig else [])], map_files(args.out))
    with BagReader(args.bag) as bag:
        cameras = CameraSets(bag, load_rig(args.rig) if args.rig else None, say, args.base_frame)
        for line in [*bag.notes, *cameras.describe()]:
            say(line)
        sets = islice(thinned(cameras.sets(), args.every), args.limit)
        total = args.limit if args.limit else None if args.every else cameras.anchor_images
        with Progress("predict", total, "map") as bar:
            done = write_maps(
                _counted(sets, bar), cameras.sizes, predictor, args.out, not args.no_video, args.base_frame
            )
        lost = (cameras.not_formed() + done.faults).most_common()
        for reason, count in lost:
            say(f"{count:6d}  {reason}")
        for line in bag.faults:
            say(line)
        if not done.maps:
            raise ValueError(f"{args.bag}: no map: {lost[0][0] if lost else 'no set of images of all its cameras'}")
    found = ", ".join(f"{done.elements[label]} {label}" for label in predictor.card.classes)
    say(f"{done.maps} maps with {found} -> {', '.join(map(str, done.files))}")
    return 0


def _counted(sets: Iterable[CalibratedSet], bar: Progress) -> Iterator[CalibratedSet]:
    for one in sets:
        yield one
        bar.update()


def _from_files(images: list[Path], calibration: Path) -> list[_Shot]:
    """The images named on the command line."""
    rig = read_json(calibration, "the calibration of --images", _RIG, "see `mapkd predict --help` for the format")
    intrinsics = np.array([camera["intrinsics"] for camera in rig.values()], np.float64)
    poses = np.array([camera["base_from_camera"] for camera in rig.values()], np.float64)
    for name, matrix, pose in zip(rig, intrinsics, poses, strict=True):
        rotation = pose[:3, :3]
        if min(matrix[0, 0], matrix[1, 1]) <= 0 or not np.allclose(matrix[2], [0, 0, 1]):
            raise FileFault(f"{calibration}: {name}.intrinsics has no positive focal lengths, or no last row 0, 0, 1")
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-2 or np.linalg.det(rotation) < 0:
            raise FileFault(f"{calibration}: {name}.base_from_camera holds no rotation; expected a rigid transform")
    if len(rig) != len(images):
        raise ValueError(f"{len(images)} images, {len(rig)} cameras in {calibration}; expected one of each, in order")
    return [_Shot(images[0].stem, [image.read_bytes() for image in images], list(rig), intrinsics, poses)]


def _from_dataroot(args: argparse.Namespace, card: ModelCard) -> Iterator[_Shot]:
    """The keyframes of a data root, scene by scene in order of time, with the reference map where the root has one."""
    from mapkd_core.data.drive_order import drives_in_order
    from mapkd_core.data.labels import map_elements
    from mapkd_core.data.nuscenes import NuScenesSource

    source = NuScenesSource(args.dataroot, args.version, scenes=args.scene, lidar_sweeps=0)
    keyframes = list(source)
    frames = [keyframes[place] for drive in drives_in_order(keyframes) for place in drive][: args.limit]
    if not frames:
        raise ValueError(f"{args.dataroot / args.version} holds no keyframe; nothing is to be predicted")
    names = _names(frames)
    for frame, name in zip(frames, names, strict=True):
        truth = None
        if frame.vector_map is not None and frame.map_from_base is not None:
            truth = map_elements(frame.vector_map(), frame.map_from_base, card.grid, "polygon")
        jpegs = [view.image.jpeg() for view in frame.views]
        missing = [view.name for view, jpeg in zip(frame.views, jpegs, strict=True) if jpeg is None]
        if missing:
            raise ValueError(f"{frame.scene} {frame.token}: no JPEG for {', '.join(missing)}")
        yield _Shot(
            name,
            [jpeg for jpeg in jpegs if jpeg is not None],
            [view.name for view in frame.views],
            np.stack([view.intrinsics for view in frame.views]),
            np.stack([view.base_from_camera for view in frame.views]),
            truth,
            frame,
        )


def _names(frames: Sequence[Frame]) -> list[str]:
    """The scene and the first digits of the token; the whole token where those are not enough to tell all apart."""
    short = [f"{frame.scene}_{frame.token[:8]}" for frame in frames]
    return short if len(set(short)) == len(short) else [f"{frame.scene}_{frame.token}" for frame in frames]


def _place(out: Path, shot: _Shot, ending: str) -> Path:
    return inside(out, f"{shot.name}{ending}", "scene name")


def _write(out: Path, shot: _Shot, result: PredictedMap, card: ModelCard, bare: bool) -> None:
    grid = card.grid
    images = [decode(image) for image in shot.images]
    if bare:
        images = [np.full_like(image, _GRAY) for image in images]
    image = overview(
        images, shot.intrinsics, shot.base_from_camera, result.elements, grid,
        truth=None if bare else shot.truth, semantic=result.probabilities, title=shot.name, names=shot.cameras,
    )
    write_png(_place(out, shot, ".png"), image)
    record = {
        **facts(card),
        "elements": records(result.elements),
        "stage_ms": {name: round(ms, 2) for name, ms in result.stage_ms.items()},
    }
    write_atomic(_place(out, shot, ".json"), json.dumps(record, indent=1) + "\n")
