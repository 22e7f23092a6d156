"""What perfect embedding and direction heads would add to the vectorizer, which has the semantic map alone.

    python benchmarks/vectorize_heads.py
    python benchmarks/vectorize_heads.py --dataroot /data/nuscenes --frames 40

Prints ap_chamfer (0.2/0.5/1 m and 0.5/1/1.5 m, corrected) on the 60x30 grid: pieces cut and joined as a perfect
embedding allows, and joined along the headings of a perfect direction head.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np

from mapkd_core.benchmark.vectorize_inputs import KINDS, real_maps, softmax, town_maps, truths_on
from mapkd_core.data.raster import rasterize
from mapkd_core.grid import GRID_60X30
from mapkd_core.metrics.ap_chamfer import ap_chamfer
from mapkd_core.types import MapElement
from mapkd_core.vectorizer import centerline, linking
from mapkd_core.vectorizer import vectorize as steps
from mapkd_core.vectorizer.lines import Lines
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize

EDGES = VectorizeConfig(crossings="edges")


def at_points(raster: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values (..., P) of a raster (..., Y, X) at complex points (P,)."""
    height, width = raster.shape[-2:]
    row, col = (np.rint(p).astype(int) for p in (points.imag, points.real))
    return raster[..., row.clip(0, height - 1), col.clip(0, width - 1)]


def with_true_instances(work: Callable[[], list[MapElement]], instance: np.ndarray) -> list[MapElement]:
    """Runs the vectorizer with what a perfect embedding allows: cut where the instance changes, join only one."""
    ranked_gaps, corners = linking.ranked_gaps, centerline.split_at_corners

    def filtered(lines, evidence, max_gap_cells, max_unseen_cells):  # type: ignore[no-untyped-def]
        gaps = ranked_gaps(lines, evidence, max_gap_cells, max_unseen_cells)
        known = at_points(instance, lines.points[lines.tips])
        first, second = known[gaps.first], known[gaps.second]
        return gaps.selected((first == second) | (first == 0) | (second == 0))

    def cut(lines, class_index):  # type: ignore[no-untyped-def]
        lines = corners(lines, class_index)
        known = at_points(instance, lines.points)
        change = np.flatnonzero((known[1:] != known[:-1]) & (known[1:] > 0) & (known[:-1] > 0)) + 1
        starts = np.union1d(lines.starts, change)
        line = np.searchsorted(lines.starts, starts[:-1], "right") - 1
        cut_up = Lines(lines.points, starts, lines.classes[line], lines.widths, lines.closed[line])
        return cut_up.selected(cut_up.counts > 1)

    with patch.object(linking, "ranked_gaps", filtered), patch.object(centerline, "split_at_corners", cut):
        return work()


def with_true_headings(work: Callable[[], list[MapElement]], direction: np.ndarray) -> list[MapElement]:
    """Runs the vectorizer with the headings that a perfect direction head would give for linking, and only for that.

    Ends are still extended along the way their lines run.
    """
    own_headings, link = linking.headings, steps.link

    def informed(lines):  # type: ignore[no-untyped-def]
        own = own_headings(lines)
        bins = at_points(direction[0], lines.points[lines.tips]).astype(float)
        told = np.exp(1j * np.deg2rad(10) * (bins - 1))
        told = np.where((told * own.conj()).real < 0, -told, told)
        return np.where(bins > 0, told, own).astype(np.complex64)

    def informed_link(*given):  # type: ignore[no-untyped-def]
        with patch.object(linking, "headings", informed):
            return link(*given)

    with patch.object(steps, "link", informed_link):
        return work()


def rows(name: str, truths: list[list[MapElement]]) -> Iterator[str]:
    """A row of the table for every kind of prediction."""
    for kind in KINDS:
        found: dict[str, list[list[MapElement]]] = {"semantic": [], "instances": [], "directions": []}
        for seed, truth in enumerate(truths):
            labels, p = rasterize(truth, GRID_60X30), softmax(KINDS[kind](truth, GRID_60X30, seed))

            def work(p: np.ndarray = p) -> list[MapElement]:
                return vectorize(p, GRID_60X30, EDGES)

            found["semantic"].append(work())
            found["instances"].append(with_true_instances(work, labels.instance))
            assert labels.direction is not None
            found["directions"].append(with_true_headings(work, labels.direction))
        cells = " | ".join(
            " / ".join(f"{ap_chamfer(f, truths, t, corrected=True).mean:.3f}" for t in ((0.2, 0.5, 1), (0.5, 1, 1.5)))
            for f in found.values()
        )
        yield f"| {name}, {kind} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24, help="frames of each input (%(default)s)")
    parser.add_argument("--dataroot", type=Path, help="a nuScenes folder: adds its real maps")
    args = parser.parse_args()
    print("| input | semantic alone | + true instances (embedding) | + true directions |\n|---|---|---|---|")
    sources = {"towns": town_maps()}
    if args.dataroot:
        sources["nuScenes"] = real_maps(args.dataroot)
    for name, maps in sources.items():
        for row in rows(name, truths_on(maps, GRID_60X30, args.frames)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
