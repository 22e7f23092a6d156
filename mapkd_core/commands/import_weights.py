"""Turn a checkpoint that a paper's authors published into an artifact that this project runs and distils from.

examples:
  mapkd import model_HDMapNet.pt --as hdmapnet --grid 60x30 --out hdmapnet.json
  mapkd import teacher.pt --as teacher --grid 60x30 --out teacher.json --licence 'as told by the authors, 2026-02-01'
  mapkd import coach.pt --as coach --out coach.json

networks (--as), and what each reads beside six images:
{networks}

The file is read as weights alone; one that would have to be unpickled as objects is refused, and so is one that does
not hold every weight of the network, or holds others. The weights stay float32 and the network computes as the
authors' code does (`published: true` on the card), also where ours is built otherwise. Before it says done the artifact
is held against the file, number for number, and run once: on a frame of --data, or on images of noise.
docs/how-to/use-published-weights.md says what was compared with the authors' own outputs, and what was not.
"""
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.published.networks import GRIDS, NETWORKS

if TYPE_CHECKING:
    from mapkd_core.published.importer import Imported
    from mapkd_core.types import Frame

EXTRA = "train"
LARGE_MB = 500
"""Weights larger than this are not run at the end: importing shall need little more memory than the file has bytes."""
__doc__ = (__doc__ or "").format(
    networks="\n".join(f"  {name:<17} {network.needs or '-'}" for name, network in NETWORKS.items())
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("checkpoint", type=Path, help="the authors' file: .pt, .pth or .safetensors")
    parser.add_argument("--as", dest="network", required=True, metavar="NAME", help="the network it holds (see above)")
    parser.add_argument("--out", type=Path, required=True, metavar="NAME.json", help="the card; weights go beside it")
    parser.add_argument("--grid", default="", metavar="GRID", help=f"ground it was trained on: {' or '.join(GRIDS)} m")
    parser.add_argument("--licence", default="", metavar="TEXT", help="of the weights, for the card, once you know it")
    parser.add_argument("--data", metavar="NAME", help="a frame to run it on, as for mapkd evaluate; noise without")


def run(args: argparse.Namespace) -> int:
    """Imports, checks and says what to do next."""
    from mapkd_core.artifact import card_path
    from mapkd_core.published.importer import import_checkpoint

    imported = import_checkpoint(args.checkpoint, args.network, args.out, args.grid, args.licence)
    place = card_path(args.out)
    size = place.with_suffix(".safetensors").stat().st_size / 1e6
    print(f"{place}: {args.network}, {imported.tensors} tensors, {size:.1f} MB, each equal to the file's")
    for why, count in imported.unused.items():
        print(f"  {count} tensors stay behind, no output depends on them: {why}")
    if size < LARGE_MB:
        print(_run_once(args.out, args.data))
    else:
        print(f"not run, for the memory's sake: mapkd evaluate --weights {place} --data simdrive-v1:val --limit 1 does")
    print(_what_holds(imported, args.licence))
    print(_what_next(place, imported))
    return 0


def _run_once(artifact: Path, data: str | None) -> str:
    """Runs the network on a frame; raises ArtifactError if what comes out is no map."""
    import numpy as np

    from mapkd_core.artifact import ArtifactError
    from mapkd_core.evaluation.batch_predictor import BatchPredictor
    from mapkd_core.frame_sources import open_frames

    predictor = BatchPredictor(artifact)
    frames, _ = open_frames(data or "simdrive-v1:val:1", None, predictor.card.input_size, predictor.options.lidar)
    frame, what = (frames[0], f"a frame of {data}") if data else (_noise(frames[0]), "images of noise")
    result = predictor.predict_frame(frame)
    if not np.isfinite(result.probabilities).all() or result.probabilities.std((1, 2)).max() < 1e-6:
        raise ArtifactError(f"{artifact}: the map of {what} is not finite, or the same everywhere")
    return (
        f"run on {what}: {len(result.elements)} elements in {result.stage_ms['network']:.0f} ms (shows that it runs"
        f"{'' if data else ', no more; --data NAME takes a frame'})"
    )


def _noise(frame: Frame) -> Frame:
    """The frame with images and LiDAR of noise: to render one, the renderer is compiled first, for most of a minute."""
    import numpy as np

    from mapkd_core.data.images import PixelImage

    random = np.random.default_rng(0)
    views = tuple(
        replace(view, image=PixelImage(random.integers(0, 256, (*view.size[::-1], 3), np.uint8)))
        for view in frame.views
    )
    points = random.uniform([-30, -15, -2, 0, 0], [30, 15, 2, 255, 0.05], (4096, 5)).astype(np.float32)
    return replace(frame, views=views, lidar=lambda: points)


def _what_holds(imported: Imported, licence: str) -> str:
    source = imported.network.source
    weights = licence or "NOT CONFIRMED; ask the authors, then import again with --licence"
    return (
        f"source: {source.paper}, {source.repository} at {source.commit}; licence of the code: {source.licence}; "
        f"of the weights: {weights}\naccuracy on nuScenes: not measured here"
    )


def _what_next(card: Path, imported: Imported) -> str:
    lines = [f"mapkd evaluate --weights {card} --data /data/nuscenes --split val"]
    if imported.network.needs:
        networks = {"teacher": Path("teacher.json"), "coach": Path("coach.json")}
        networks["coach" if imported.network.model.startswith("coach") else "teacher"] = card
        roles = " ".join(f"--{role} {place}" for role, place in networks.items())
        data = " ".join(f"--data.{part} nuscenes:/data/nuscenes:v1.0-trainval:{part}" for part in ("train", "val"))
        lines.append(f"mapkd distill --config config/train/distill_mapkd_60x30.yaml {roles} {data}")
    else:
        lines += [
            f"mapkd predict --weights {card} --dataroot /data/nuscenes",
            f"ros2 launch mapkd_ros student.launch.py weights:={card}",
        ]
    return "next:\n  " + "\n  ".join(lines)
