"""Scores students on many real images without a map: in collages, whose labels are what masks show on the ground.

    mapkd masks /data/street_images masks --twinlitenet best.pth --deeplab deeplab.tflite
    python benchmarks/street_collages.py --weights nano small --images /data/street_images --masks masks \\
        --rig cache:runs/simdrive/val --collages 64

Each camera of a rig's frame shows a real image, cut so that its horizon lies where the camera's does
(data.collage_share in training). Paint is held to dividers, the road's edge to boundaries, by cells of the network's
own map within what the masks know, about 15 m. Shares of cells within 1 m: recall of the labels, precision of the map.
Streets stand side by side that never met, so the numbers rank networks, and say nothing of a real street. The images
must be none that a network was trained on or had its norms from.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from mapkd_core.benchmark.machine import command_line, describe, markdown_table
from mapkd_core.config import DataConfig, TrainConfig
from mapkd_core.data.sample import Sample
from mapkd_core.data.street_images import StreetImages
from mapkd_core.files import write_atomic
from mapkd_core.training.batches import collate_for, open_samples
from mapkd_core.training.street_collage import collage
from mapkd_core.training.trained import load_trained
from mapkd_core.types import CLASS_IDS

WITHIN_M = 1.0
SHOWN = ("divider", "boundary")
"""What masks show: paint and the road's edge. They know no crossings."""


def collages(args: argparse.Namespace) -> tuple[TrainConfig, list[Sample]]:
    """The same for all weights: `args.collages` of them, on the calibrations of the rig's frames."""
    _, card = load_trained(args.weights[0])
    config = TrainConfig(grid=card.grid, data=DataConfig(train=args.rig, val=args.rig, image_size=card.input_size))
    source = open_samples(args.rig, config)
    streets = StreetImages(args.images, args.masks, card.input_size, 0.0)
    rng = np.random.default_rng(0)
    chosen = (source[k * len(source) // args.collages] for k in range(args.collages))
    return config, [collage(sample, streets, card.grid, rng) for sample in chosen]


def drawn(weights: str, config: TrainConfig, samples: Sequence[Sample]) -> list[NDArray[np.intp]]:
    """The class of every cell, (rows, cols) for each collage; 0 for none."""
    import torch

    network, card = load_trained(weights)
    if (card.grid, card.input_size) != (config.grid, config.data.image_size):
        raise ValueError(f"{weights} has another grid or input size than the first weights; score it by itself")
    collate = collate_for(config)
    with torch.inference_mode():
        return [network(collate([sample])).semantic[0].argmax(0).numpy() for sample in samples]


def near(cells: NDArray[np.bool_], cell_m: float) -> NDArray[np.bool_]:
    """Where one of the cells lies within WITHIN_M."""
    if not cells.any():
        return cells
    return np.asarray(distance_transform_edt(~cells) * cell_m <= WITHIN_M)


def scores(maps: Sequence[NDArray[np.intp]], samples: Sequence[Sample], cell_m: float) -> list[str]:
    """Recall, precision and F of dividers and boundaries within a metre, mean of both F, and m2 of crossings."""
    row, means, crossing = [], [], 0
    for label in SHOWN:
        true = hit = made = right = 0
        for classes, sample in zip(maps, samples, strict=True):
            assert sample.seen is not None
            known, wanted = sample.seen.known, sample.seen.semantic[CLASS_IDS[label]] > 0
            found = classes == CLASS_IDS[label]
            near_found, near_wanted = (near(cells, cell_m) for cells in (found, wanted))
            true, hit = true + int(wanted.sum()), hit + int((wanted & near_found).sum())
            made, right = made + int((found & known).sum()), right + int((found & known & near_wanted).sum())
        recall, precision = hit / max(true, 1), right / max(made, 1)
        f = 2 * recall * precision / max(recall + precision, 1e-9)
        means.append(f)
        row += [f"{100 * recall:.1f} / {100 * precision:.1f}", f"{100 * f:.1f}"]
    for classes, sample in zip(maps, samples, strict=True):
        assert sample.seen is not None
        crossing += int(((classes == CLASS_IDS["ped_crossing"]) & sample.seen.known).sum())
    return [*row, f"{100 * float(np.mean(means)):.1f}", f"{crossing * cell_m**2 / len(maps):.1f}"]


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", required=True, help="cards, shipped names or folders of training runs")
    parser.add_argument("--images", nargs="+", required=True, help="folders of real images")
    parser.add_argument("--masks", required=True, help="of `mapkd masks`")
    parser.add_argument("--rig", required=True, help="frames whose calibrations are taken, such as cache:DIR")
    parser.add_argument("--collages", type=int, default=64)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    config, samples = collages(args)
    rows = [[Path(w).stem, *scores(drawn(w, config, samples), samples, config.grid.cell_m)] for w in args.weights]
    heads = ["weights", "divider", "F", "boundary", "F", "mean F", "crossing m2 a collage"]
    text = f"    {command_line()}\n\n{describe()}\n\n{markdown_table(heads, rows)}\n"
    print(text)
    if args.out:
        write_atomic(args.out, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
