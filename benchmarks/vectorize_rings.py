"""Draws docs/images/vectorizer_rings.png: crossings of an unsure network, before and after rings are compared with it.

    mapkd cache simdrive-v1:val runs/simdrive/val
    python benchmarks/vectorize_rings.py --cache runs/simdrive/val --out docs/images/vectorizer_rings.png

The frames are spread over all in which a rectangle takes the place of a ring, not chosen by eye.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from vectorize_stages import COLORS, upright  # beside this file

from mapkd_core.data.labels import elements_of
from mapkd_core.draw import CLASS_COLORS, put_text, write_png
from mapkd_core.evaluation.batch_predictor import BatchPredictor
from mapkd_core.evaluation.evaluate_cache import open_cache
from mapkd_core.grid import BevGrid
from mapkd_core.progress import each
from mapkd_core.types import MapElement
from mapkd_core.vectorizer import crossing_fit
from mapkd_core.vectorizer.vectorize import vectorize

SCALE = 2  # pixels a cell
BEFORE, AFTER, TRUE = (232, 120, 190), (250, 220, 90), (240, 240, 244)


def rings_of(elements: list[MapElement]) -> list[MapElement]:
    return [e for e in elements if e.label == "ped_crossing" and e.closed]


def without_rectangles(probabilities: NDArray[np.float32], grid: BevGrid) -> list[MapElement]:
    most, crossing_fit._MAX_FITS = crossing_fit._MAX_FITS, 0
    try:
        return rings_of(vectorize(probabilities, grid))
    finally:
        crossing_fit._MAX_FITS = most


def tile(
    probabilities: NDArray[np.float32], layers: list[tuple[list[MapElement], tuple[int, int, int], int]], grid: BevGrid
) -> NDArray[np.uint8]:
    """(2 X, 2 Y, 3) the drawing with rings over it, forward up."""
    glow = np.einsum("cyx,ck->yxk", probabilities, COLORS * np.float32(0.75))
    image = upright(glow.clip(0, 255), SCALE)
    for elements, color, width in layers:
        for element in elements:
            cells = grid.cells_from_metres(element.points_m[:, :2])
            pixels = np.array([grid.rows, grid.cols]) * SCALE - cells[:, ::-1] * SCALE
            cv2.polylines(image, [np.rint(pixels * 16).astype(np.int32)], False, color, width, cv2.LINE_AA, 4)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="nano", help="a student (%(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("runs/simdrive/val"))
    parser.add_argument("--frames", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("docs/images/vectorizer_rings.png"))
    args = parser.parse_args()
    predictor = BatchPredictor(args.weights)
    grid, cached = predictor.card.grid, open_cache(args.cache, predictor.card)
    tiles = []
    for index in each(range(len(cached)), "rings"):
        held = cached.frame(index)
        (predicted,) = predictor.predict_cached([held])
        after = rings_of(predicted.elements)
        before = without_rectangles(predicted.probabilities, grid)
        if {e.points_m.tobytes() for e in before} == {e.points_m.tobytes() for e in after}:
            continue
        assert held.local_map is not None
        truth = [e for e in elements_of(held.local_map, grid, "polygon") if e.label == "ped_crossing"]
        tiles.append(tile(predicted.probabilities, [(truth, TRUE, 1), (before, BEFORE, 2), (after, AFTER, 2)], grid))
    if not tiles:
        raise SystemExit("no ring was replaced in any frame")
    chosen = np.linspace(0, len(tiles) - 1, min(args.frames, len(tiles))).round().astype(int)
    strip = np.hstack([cv2.copyMakeBorder(tiles[k], 40, 0, 0, 4, cv2.BORDER_CONSTANT, value=(12,) * 3) for k in chosen])
    x = 8
    for words, color in (("drawn crossings", CLASS_COLORS["ped_crossing"]), ("true", TRUE),
                         ("rings through the lines", BEFORE), ("what comes out", AFTER)):  # fmt: skip
        x += put_text(strip, words, (x, 28), 19, color) + 30
    write_png(args.out, cv2.resize(strip, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))
    print(f"{args.out}: {len(chosen)} of {len(tiles)} frames, of {len(cached)}")


if __name__ == "__main__":
    main()
