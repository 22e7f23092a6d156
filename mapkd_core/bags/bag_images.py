"""An image of a bag as frames have it: without lens distortion, read when asked for."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CameraModel, Tables
from mapkd_core.cameras.straight_image import straight_image
from mapkd_core.data.images import decode

_JPEG = b"\xff\xd8"


@dataclass(frozen=True, eq=False)
class StraightImage:
    """An `ImageSource` of a recorded image: JPEG or PNG bytes, or (H, W, 3) RGB."""

    source: memoryview | NDArray[np.uint8]
    model: CameraModel
    tables: Tables = field(repr=False)
    """Look-up tables of lenses, kept from image to image."""

    def jpeg(self) -> bytes | None:
        """The recorded JPEG where its lens has no distortion, else None."""
        if self.model.distortion_model or not isinstance(self.source, memoryview):
            return None
        data = bytes(self.source)
        return data if data.startswith(_JPEG) else None

    def rgb(self, min_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) RGB. Raises ValueError for an image that cannot be decoded."""
        image, _, _ = straight_image(self.source, self.model, min_size or self.model.size, self.tables, [])
        return decode(image, min_size) if isinstance(image, memoryview) else image
