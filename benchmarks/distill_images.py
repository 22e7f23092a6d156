"""Draws docs/images/distill.png: maps of several rows of `mapkd benchmark distill` on the same frames.

    python benchmarks/distill_images.py --runs runs/small_scarce --frames 25 119 140 --out docs/images/distill.png
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.draw import draw_bev, put_text, write_png
from mapkd_core.evaluation.evaluate import load_frames
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES

PIXELS_PER_M = 6.0
WHITE = (235, 235, 235)


def column(title: str, panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Panels of one row of the table, its name above."""
    head = np.full((30, panels[0].shape[1], 3), 16, np.uint8)
    put_text(head, title, (6, 21), 14, WHITE)
    return np.concatenate([head, *panels], 0)


def main() -> None:
    """Reads the evaluations' files, writes one image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/small_scarce"), help="folder of the plan's runs")
    parser.add_argument("--rows", nargs="+", default=["student", "pseudo_labels", "pyramid_feature", "teacher"])
    parser.add_argument("--frames", nargs="+", type=int, default=[25, 119, 140], help="places in the val data")
    parser.add_argument("--out", type=Path, default=Path("docs/images/distill.png"))
    args = parser.parse_args()
    columns = []
    for row in args.rows:
        records, header = load_frames(args.runs / row / "evaluation" / "predictions.jsonl")
        ranges = header["grid"]
        grid = BevGrid(tuple(ranges["x_range_m"]), tuple(ranges["y_range_m"]), ranges["cell_m"])
        panels = []
        for index in args.frames:
            semantic = records[index].semantic
            assert semantic is not None, "evaluations of networks keep the semantic map"
            glow = (semantic[None] == np.arange(len(CLASSES) + 1)[:, None, None]).astype(np.float32)
            panels.append(draw_bev(records[index].elements, grid, pixels_per_m=PIXELS_PER_M, semantic=glow))
        columns.append(column(row, panels))
    truths, _ = load_frames(args.runs / args.rows[0] / "evaluation" / "truth.jsonl")
    panels = []
    for index in args.frames:
        truth = truths[index]
        lines = [e for e in truth.elements if truth.outlines is None or e.label != "ped_crossing"]
        panels.append(draw_bev([*lines, *(truth.outlines or ())], grid, pixels_per_m=PIXELS_PER_M))
    columns.append(column("truth", panels))
    write_png(args.out, np.concatenate(columns, 1))


if __name__ == "__main__":
    main()
