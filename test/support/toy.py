"""Tiny training samples: stripes on the ground painted into six images, with the lines that they are."""
import numpy as np
from rigs import ring

from mapkd_core.data.sample import Sample
from mapkd_core.geometry import apply, inverse, project
from mapkd_core.types import MapElement

SIZE = (96, 48)


class ToySamples:
    """`count` samples; in each, one bright stripe along x at its own y, which is the divider to find."""

    def __init__(self, count=6):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        intrinsics, poses = ring(6, SIZE, focal=48.0)
        y = np.linspace(-4, 4, self.count)[index]
        x = np.linspace(-11, 11, 400)
        stripe = np.concatenate([np.stack([x, np.full_like(x, y + d), np.zeros_like(x)], 1) for d in (-0.2, 0, 0.2)])
        images = np.full((6, SIZE[1], SIZE[0], 3), 60, np.uint8)
        for camera in range(6):
            pixels, depth = project(apply(inverse(poses[camera]), stripe), intrinsics[camera])
            inside = (depth > 0.5) & np.all(pixels > -0.5, 1) & np.all(pixels < np.array(SIZE) - 0.5, 1)
            u, v = np.round(pixels[inside]).astype(int).T
            images[camera, v, u] = 255
        line = MapElement("divider", np.array([[-11, y], [11, y]], np.float32))
        edge = MapElement("boundary", np.array([[-11, 5.5], [11, 5.5]], np.float32))
        return Sample(f"toy{index}", images, intrinsics, poses, (line, edge))
