"""Draws docs/images/vectorizer_stages.png: what each stage of the vectorizer makes of one noisy prediction.

    python benchmarks/vectorize_stages.py --out docs/images/vectorizer_stages.png
"""
from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.benchmark.vectorize_inputs import KINDS, softmax, town_maps, truths_on
from mapkd_core.draw import CLASS_COLORS, draw_bev, put_text, write_png
from mapkd_core.grid import GRID_60X30
from mapkd_core.types import CLASSES
from mapkd_core.vectorizer import bitplane, skeleton
from mapkd_core.vectorizer import vectorize as stages
from mapkd_core.vectorizer.lines import Lines

SCALE = 3  # pixels a cell
HUES = (np.arange(97) * 0.618 % 1 * 180).astype(np.uint8)  # the golden ratio keeps neighbours apart
HSV = np.stack([HUES, np.full(97, 150), np.full(97, 255)], 1).astype(np.uint8)
PALETTE = cv2.cvtColor(HSV[None], cv2.COLOR_HSV2RGB)[0]
COLORS = np.array([(22, 24, 29), *(CLASS_COLORS[label] for label in CLASSES)], np.float32)


class Seen:
    """What named steps of the vectorizer return while it runs."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}

    @contextmanager
    def steps(self, module: ModuleType, *names: str) -> Iterator[None]:
        """Records the functions of these names, as `module` calls them."""
        originals = {name: getattr(module, name) for name in names}

        def recorded(name: str) -> Callable[..., Any]:
            return lambda *args: self.result.setdefault(name, originals[name](*args))

        for name in names:
            setattr(module, name, recorded(name))
        try:
            yield
        finally:
            for name in names:
                setattr(module, name, originals[name])


def upright(image: NDArray, scale: int = SCALE) -> NDArray[np.uint8]:
    """(Y, X, 3) raster -> enlarged image with forward up and left on the left."""
    turned = np.ascontiguousarray(image.transpose(1, 0, 2)[::-1, ::-1]).astype(np.uint8)
    return np.repeat(np.repeat(turned, scale, 0), scale, 1)


def lines_on(background: NDArray[np.uint8], lines: Lines) -> NDArray[np.uint8]:
    """Each line in its own colour, its ends as dots."""
    image = (background * 0.45).astype(np.uint8)
    height, width = image.shape[:2]
    for k, (a, b) in enumerate(zip(lines.starts[:-1], lines.starts[1:], strict=True)):
        points = lines.points[a:b]
        pixels = np.stack([width - (points.imag + 0.5) * SCALE, height - (points.real + 0.5) * SCALE], 1)
        color = tuple(int(v) for v in PALETTE[k % len(PALETTE)])
        cv2.polylines(image, [np.rint(pixels * 16).astype(np.int32)], False, color, 3, cv2.LINE_AA, 4)
        for end in (pixels[0], pixels[-1]):
            cv2.circle(image, tuple(int(v) for v in end), 5, color, -1, cv2.LINE_AA)
    return image


def panels(seed: int) -> list[tuple[str, NDArray[np.uint8]]]:
    grid, seen = GRID_60X30, Seen()
    truth = truths_on(town_maps(), grid, 84)[seed]
    probabilities = softmax(KINDS["broken"](truth, grid, seed))
    with seen.steps(stages, "winning_class", "center_chains", "extend_ends"), \
            seen.steps(skeleton, "split_at_junctions"):
        elements = stages.vectorize(probabilities, grid)
    class_map = seen.result["winning_class"]
    branches, zone = (bitplane.unpack(plane, class_map.shape) for plane in seen.result["split_at_junctions"])

    glow = np.einsum("cyx,ck->yxk", probabilities, COLORS)
    classes = COLORS[class_map]
    thin = 0.35 * classes
    thin[zone > 0] = (150, 40, 60)
    thin[branches > 0] = COLORS[class_map[branches > 0]]
    soft = upright(glow)
    return [
        ("1 probabilities", soft),
        ("2 winning class", upright(classes)),
        ("3 thinned, cut at junctions", upright(thin)),
        ("4 centered pieces", lines_on(soft, seen.result["center_chains"])),
        ("5 joined lines", lines_on(soft, seen.result["extend_ends"])),
        ("6 elements", draw_bev(elements, grid, pixels_per_m=SCALE / grid.cell_m)),
        ("the true map", draw_bev(truth, grid, pixels_per_m=SCALE / grid.cell_m)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/vectorizer_stages.png"))
    parser.add_argument("--seed", type=int, default=8, help="which of 84 frames")
    args = parser.parse_args()
    tiles = []
    for name, image in panels(args.seed):
        tile = np.full((820, 400, 3), 12, np.uint8)
        cropped = image[: 780, (image.shape[1] - 396) // 2 :][:, :396]
        tile[40:, 2:398] = cropped
        put_text(tile, name, (8, 28), 19, (232, 234, 238))
        tiles.append(tile)
    strip = np.hstack(tiles)
    write_png(args.out, cv2.resize(strip, None, fx=0.62, fy=0.62, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main()
