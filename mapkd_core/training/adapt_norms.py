"""Statistics of a student's image trunk taken from real images: no training, no labels, no calibration.

A network trained in simulation normalises real images by what simulated ones look like, in every layer. With the means
and variances that real images have there, its features are where the layers behind them expect them. Source: AdaBN (Li
et al. 2016, arXiv 1603.04779), on the trunk alone, because the BEV network sees real scenes only with calibration.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mapkd_core.data.images import decode, normalise
from mapkd_core.data.street_images import cut, images_below, random_window
from mapkd_core.model.student import Student

IMAGES = 192
"""As many cuts of images are looked at; more change nothing that could be seen."""
_BATCH = 8


@torch.no_grad()
def adapt_norms(network: nn.Module, folders: Sequence[Path], images: int = IMAGES, seed: int = 0) -> int:
    """Sets the trunk's running means and variances to those of real images; returns how many images there were.

    `images` random cuts, shaped like those of a vehicle's cameras, are drawn from the images below `folders`, in an
    order that `seed` decides; statistics are averaged over batches of eight. Raises ValueError for another network than
    the student, and for folders without images.
    """
    if not isinstance(network, Student):
        raise ValueError("norms are adapted in the image trunk of a student; this is another network")
    paths = [path for folder in folders for path in images_below(folder.expanduser())]
    if not paths:
        raise ValueError(f"{', '.join(map(str, folders))}: no image (.jpg, .png) there, nor below")
    norms = [layer for layer in network.trunk.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta, training = [norm.momentum for norm in norms], network.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of all batches
    network.eval()
    network.trunk.train()
    for batch in _batches(paths, network.image_size, images, np.random.default_rng(seed)):
        network.trunk(torch.from_numpy(normalise(batch)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(training)
    return len(paths)


def _batches(
    paths: Sequence[Path], size: tuple[int, int], count: int, rng: np.random.Generator
) -> Iterator[list[NDArray[np.uint8]]]:
    """Batches of eight cuts at `size` (w, h), each image as often as every other one."""
    order = np.concatenate([rng.permutation(len(paths)) for _ in range(-(-count // len(paths)))])[:count]
    for start in range(0, count, _BATCH):
        batch = []
        for place in order[start : start + _BATCH]:
            image = decode(paths[place].read_bytes())
            window = random_window(image.shape[1] / image.shape[0], rng)
            fitted = cv2.resize(cut(image, window), size, interpolation=cv2.INTER_AREA)
            batch.append(np.asarray(fitted[:, ::-1] if rng.random() < 0.5 else fitted, np.uint8))
        yield batch
