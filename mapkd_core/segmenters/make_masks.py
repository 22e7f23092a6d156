"""Masks of real images by two published segmenters, and by CamVid's labels where there are such."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core.data.image_codec import decode_as_stored
from mapkd_core.data.image_masks import (
    MASK_SIZE,
    SURFACES,
    UNKNOWN,
    ImageMask,
    image_key,
    mask_path,
    write_mask,
)  # fmt: skip
from mapkd_core.data.images import decode
from mapkd_core.data.street_images import images_below
from mapkd_core.progress import each
from mapkd_core.schema import FileFault
from mapkd_core.segmenters.twinlitenet import TwinLiteNet
from mapkd_core.types import Frame

CAMVID = ("other", "other", "object", "road", "sidewalk", "other", "object", "wall", "object", "object", "object")
"""Surface of each of CamVid's eleven classes; value 11 is unlabelled."""


class SurfaceNetwork(Protocol):
    """What tells the surfaces of an image, such as `DeepLab`."""

    def surfaces(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(h, w) numbers of SURFACES of an RGB image (H, W, 3), at any size."""


def image_bytes(source: Path | Iterable[Frame]) -> Iterator[tuple[Path | None, bytes]]:
    """The images of a folder with their paths, or of all cameras of frames, as they are stored.

    Raises ValueError for frames whose images are not stored as JPEG.
    """
    if isinstance(source, Path):
        for path in images_below(source):
            yield path, path.read_bytes()
        return
    for frame in source:
        for view in frame.views:
            data = view.image.jpeg()
            if data is None:
                raise ValueError(f"the image of {view.name} in frame {frame.token} is no JPEG; export the drive first")
            yield None, data


def make_masks(
    source: Path | Iterable[Frame], folder: Path, lanes: TwinLiteNet, surfaces: SurfaceNetwork, camvid: bool = False
) -> int:
    """Writes the masks of all images that have none in `folder` yet; returns how many images there are.

    With `camvid`, surfaces are those of the label image NAME.png in the folder `..._labels` beside an image's folder,
    where there is one.
    """
    count = 0
    for path, data in each(image_bytes(source), "masks", "image"):
        key = image_key(data)
        if not mask_path(folder, key).exists():
            labels = path.parent.with_name(f"{path.parent.name}_labels") / f"{path.stem}.png" if path else None
            known = _camvid(labels) if camvid and labels is not None and labels.exists() else None
            write_mask(folder, key, mask_of(decode(data), lanes, surfaces, known))
        count += 1
    return count


@torch.inference_mode()
def mask_of(
    image: NDArray[np.uint8], lanes: TwinLiteNet, surfaces: SurfaceNetwork, known: NDArray[np.uint8] | None = None
) -> ImageMask:
    """The mask of an RGB image (H, W, 3); `known` surfaces (h, w) of any size stand before predicted ones."""
    fitted = cv2.resize(image, MASK_SIZE, interpolation=cv2.INTER_AREA)
    scaled = torch.from_numpy(fitted).permute(2, 0, 1)[None].float() / 255              # 1 3 H W
    drivable, paint = ((255 * p[0]).round().to(torch.uint8).numpy() for p in lanes(scaled))
    surface = known if known is not None else surfaces.surfaces(image)
    surface = cv2.resize(surface, MASK_SIZE, interpolation=cv2.INTER_NEAREST)
    return ImageMask(np.asarray(surface, np.uint8), paint, drivable)


def _camvid(path: Path) -> NDArray[np.uint8]:
    """Surfaces of a label image of CamVid. Raises FileFault for another image."""
    labels = decode_as_stored(path.read_bytes())
    if labels.ndim != 2 or labels.max() > len(CAMVID):
        raise FileFault(f"{path} is no label image of CamVid's eleven classes")
    return np.array([*map(SURFACES.index, CAMVID), UNKNOWN], np.uint8)[labels]
