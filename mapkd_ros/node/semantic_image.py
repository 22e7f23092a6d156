"""The class map as an image for people."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.draw import CLASS_COLORS
from mapkd_core.types import CLASSES
from mapkd_ros.conversions import image_fields

if TYPE_CHECKING:
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

_BACKGROUND = (22, 24, 29)


def semantic_rgb(semantic: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(X, Y, 3) RGB of class indices (Y, X) on the grid as a driver sees it: forward is up, left is left."""
    palette = np.array([_BACKGROUND, *(CLASS_COLORS[name] for name in CLASSES)], np.uint8)
    # Rows of the grid grow to the left and columns forward.
    return palette[semantic.T[::-1, ::-1]]


def semantic_image(header: Header, semantic: NDArray[np.uint8]) -> Image:
    """The same as an rgb8 Image message."""
    from sensor_msgs.msg import Image

    return Image(header=header, **image_fields(semantic_rgb(semantic)))
