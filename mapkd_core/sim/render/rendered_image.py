"""Images that are rendered when asked for, the six of a frame together."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Shots(NamedTuple):
    """Images that cameras take: the arguments of `Renderer.images_tensor`. V images."""

    intrinsics: NDArray[np.float64]
    """(V, 3, 3)."""
    size: tuple[int, int]
    """Width and height."""
    map_from_camera: NDArray[np.float64]
    """(V, 4, 4) when each is taken."""
    times_s: NDArray[np.float64]
    """(V,) of the drive's clock."""
    map_from_base: NDArray[np.float64]
    """(V, 4, 4)."""
    map_from_camera_after: NDArray[np.float64]
    """(V, 4, 4) when its shutter closes."""


@dataclass(eq=False)
class Rendering:
    """The six images of one frame."""

    render: Callable[[], NDArray[np.uint8]]

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """(6, H, W, 3) RGB."""
        return self.render()


@dataclass(frozen=True, eq=False)
class RenderedImage:
    """One camera's image (a `types.ImageSource`), rendered together with its five neighbours."""

    rendering: Rendering
    index: int

    def jpeg(self) -> bytes | None:
        """None: it never was a JPEG."""
        return None

    def rgb(self, min_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        return self.rendering.pixels[self.index]
