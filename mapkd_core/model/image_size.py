"""The size of a network's images: given once, when the network is built, and held against every batch."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # ONNX Runtime's look-up asks for the size of features where there is no PyTorch
    from torch import Tensor


def feature_size(image_size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Width and height of the feature map of images (w, h); raises ValueError if they are no multiples of `stride`."""
    width, height = image_size
    if width < stride or height < stride or width % stride or height % stride:
        raise ValueError(
            f"data.image_size is {width}x{height}; expected multiples of {stride}, the stride of this network's "
            "image features"
        )
    return width // stride, height // stride


def check_image_size(images: Tensor, image_size: tuple[int, int]) -> None:
    """Raises ValueError unless images B N 3 H W have the size (w, h) that the network was built for.

    Calibration holds for one image size: features would be taken from other places than those that a cell projects to.
    """
    found = (images.shape[-1], images.shape[-2])
    if found != tuple(image_size):
        raise ValueError(
            f"the batch holds images of {found[0]}x{found[1]}, the network was built for "
            f"{image_size[0]}x{image_size[1]}; give data.image_size (a card's input_size) to both"
        )
