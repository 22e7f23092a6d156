"""Real images with masks, cut to what a network sees, for training beside labelled frames; no calibration is needed."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.augment import photometric
from mapkd_core.data.image_masks import MASK_SIZE, SURFACES, ImageMask, image_key, mask_path, read_mask
from mapkd_core.data.images import decode
from mapkd_core.data.sample import TARGET_STRIDE, StreetViews

_LOG = logging.getLogger(__name__)
ENDINGS = (".jpg", ".jpeg", ".png")
_ASPECT = (1.6, 2.0)
"""Width by height of what is cut out before it is stretched to the network's image; the vehicle's cameras have 16:9."""
_LEAST_SHARE = 0.6
_LEAST_LINE = 0.12
"""Share of a target's cell that a line covers at least."""
_BESIDE_EDGE = 13
"""Pixels of a mask, across, within which paint is the edge's own line."""
_LOW = 0.04
"""Frequencies below this share of the image's height are its style."""
_ROAD, _OBJECT = SURFACES.index("road"), SURFACES.index("object")


@dataclass(frozen=True, eq=False)
class Street:
    """One image with its mask."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    mask: ImageMask
    horizon: float
    """Where its horizon lies, as a share of its height from above."""


class StreetImages:
    """The images of some folders of which masks are there, drawn at random."""

    def __init__(self, folders: Sequence[str], masks: str, image_size: tuple[int, int], strength: float) -> None:
        """`strength` is that of photometric changes. Raises ValueError if no image of the folders has a mask."""
        self.masks, self.image_size, self.strength = Path(masks).expanduser(), image_size, strength
        found = [path for folder in folders for path in images_below(Path(folder).expanduser())]
        keys = [image_key(path.read_bytes()) for path in found]
        pairs = zip(found, keys, strict=True)
        self.images = [(path, key) for path, key in pairs if mask_path(self.masks, key).exists()]
        if missing := len(found) - len(self.images):
            _LOG.warning(
                "%d of %d images of data.streets have no mask in %s and are left out; `mapkd masks` makes them",
                missing, len(found), masks,
            )  # fmt: skip
        if not self.images:
            raise ValueError(
                f"data.streets {list(folders)} hold no image with a mask in data.street_masks {masks!r}; "
                "make the masks with `mapkd masks`"
            )

    def draw(self, count: int, rng: np.random.Generator) -> StreetViews:
        """`count` images, each cut, mirrored and changed in light by chance."""
        drawn = [self._one(rng) for _ in range(count)]
        images, surfaces, lines = zip(*drawn, strict=True)
        return StreetViews(self.changed(np.stack(images), rng), np.stack(surfaces), np.stack(lines))

    def changed(self, images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Images (K, H, W, 3) in other light, each in its own: they were not taken at one moment."""
        if not self.strength:
            return images
        return np.concatenate([photometric(image[None], self.strength, rng) for image in images])

    def any(self, rng: np.random.Generator) -> Street:
        """One of the images, mirrored by chance."""
        path, key = self.images[rng.integers(len(self.images))]
        image, mask = decode(path.read_bytes()), read_mask(self.masks, key)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            mask = ImageMask(mask.surface[:, ::-1], mask.paint[:, ::-1], mask.drivable[:, ::-1])
        return Street(image, mask, horizon_of(mask))

    def style(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """(H, W, 3) a whole image at the network's size, for its look alone."""
        path, _ = self.images[rng.integers(len(self.images))]
        whole = decode(path.read_bytes())
        return np.asarray(cv2.resize(whole, self.image_size, interpolation=cv2.INTER_AREA), np.uint8)

    def _one(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        street = self.any(rng)
        window = random_window(street.image.shape[1] / street.image.shape[0], rng)
        size = (self.image_size[0] // TARGET_STRIDE, self.image_size[1] // TARGET_STRIDE)
        pixels = cv2.resize(cut(street.image, window), self.image_size, interpolation=cv2.INTER_AREA)
        surface = cv2.resize(cut(street.mask.surface, window), size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(pixels, np.uint8), np.asarray(surface, np.uint8), line_cells(street.mask, window, size)


def images_below(folder: Path) -> list[Path]:
    """All images in a folder and below, in order; labels beside them (`NAME_labels`) left out."""
    found = [p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and not p.parent.name.endswith("_labels")]
    return sorted(found)


def line_targets(mask: ImageMask) -> NDArray[np.float32]:
    """(360, 640, 2) LINES of a mask, 0 or 1: paint that is not the line along the road's edge, and that edge.

    The edge is where road meets anything but an object, three pixels wide.
    """
    road = (mask.surface == _ROAD).astype(np.uint8)
    near_object = cv2.dilate((mask.surface == _OBJECT).astype(np.uint8), np.ones((5, 5), np.uint8))
    edge = cv2.dilate(road, np.ones((3, 3), np.uint8)) - cv2.erode(road, np.ones((3, 3), np.uint8))
    edge[near_object > 0] = 0
    edge[:, [0, -1]] = edge[[0, -1]] = 0
    beside = cv2.dilate(edge, np.ones((_BESIDE_EDGE, _BESIDE_EDGE), np.uint8))
    paint = (mask.paint > 127) & (beside == 0) & (mask.surface != _OBJECT)
    assert edge.shape == MASK_SIZE[::-1]
    return np.stack([paint, edge], -1).astype(np.float32)


def line_cells(
    mask: ImageMask, window: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.float32]:
    """(2, h, w) LINES of a cut of a mask at `size` (w, h), 1 where a line covers a part of the cell."""
    shares = cv2.resize(cut(line_targets(mask), window), size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray((shares > _LEAST_LINE).transpose(2, 0, 1), np.float32)


def horizon_of(mask: ImageMask) -> float:
    """About where the horizon lies, as a share of the height: a little above the highest road and sidewalk.

    Where hardly any ground is seen, the middle.
    """
    ground = np.isin(mask.surface, (_ROAD, SURFACES.index("sidewalk"))).sum(1)
    rows = np.nonzero(ground > 0.02 * mask.surface.shape[1])[0]
    if len(rows) < 0.1 * mask.surface.shape[0]:
        return 0.5
    return float(np.clip(rows[0] / mask.surface.shape[0] - 0.01, 0.3, 0.7))


def random_window(aspect: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a cut, as shares of the image's width and height."""
    wanted = rng.uniform(*_ASPECT)
    width = rng.uniform(_LEAST_SHARE, 1.0) * min(1.0, wanted / aspect)
    height = min(1.0, width * aspect / wanted)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return left, top, left + width, top + height


def cut(values: NDArray, window: tuple[float, float, float, float]) -> NDArray:
    """The part of values (H, W, ...) in a window of shares, at least one pixel."""
    height, width = values.shape[:2]
    left, top, right, bottom = window
    x0, y0 = round(left * width), round(top * height)
    return values[y0 : max(y0 + 1, round(bottom * height)), x0 : max(x0 + 1, round(right * width))]


def with_style(images: NDArray[np.uint8], style: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Images (N, H, W, 3) with `share` of the low spatial frequencies' amplitudes of `style` (H, W, 3).

    Phases are kept: what is where stays, large-scale light and color come from the other image. Source: FDA (Yang
    and Soatto 2020), with a mixture in place of an exchange.
    """
    height, width = style.shape[:2]
    rows, cols = np.abs(np.fft.fftfreq(height) * height), np.arange(width // 2 + 1)
    low = (rows[:, None] <= _LOW * height) & (cols <= _LOW * height)
    theirs = np.abs(np.fft.rfft2(style.astype(np.float32), axes=(0, 1)))
    ours = np.fft.rfft2(images.astype(np.float32), axes=(1, 2))
    amplitude = np.abs(ours)
    mixed = np.where(low[..., None], (1 - share) * amplitude + share * theirs, amplitude)
    changed = np.fft.irfft2(ours * (mixed / np.maximum(amplitude, 1e-6)), (height, width), axes=(1, 2))
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
