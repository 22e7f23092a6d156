"""DeepLab on MobileNet-EdgeTPU (Coral's test data), trained on Cityscapes: what every pixel of a street shows."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.image_masks import SURFACES
from mapkd_core.schema import FileFault

_CITYSCAPES = {
    "road": (0,), "sidewalk": (1,), "wall": (3, 4), "terrain": (9,), "other": (2, 8, 10),
    "object": (5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 18),
}  # fmt: skip
"""Surface -> numbers of Cityscapes' 19 training classes; poles and signs are objects that stand before the ground."""


def _table() -> NDArray[np.uint8]:
    table = np.full(19, SURFACES.index("other"), np.uint8)
    for surface, numbers in _CITYSCAPES.items():
        table[list(numbers)] = SURFACES.index(surface)
    return table


class DeepLab:
    """The quantised network, through the LiteRT interpreter on one thread."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError, or FileFault for another network."""
        from ai_edge_litert.interpreter import Interpreter

        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; expected DeepLab's .tflite, trained on Cityscapes")
        try:
            self._net = Interpreter(str(path), num_threads=1)
            self._net.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise FileFault(f"{path} is no network that LiteRT can run ({error})") from error
        self._input, self._output = self._net.get_input_details()[0], self._net.get_output_details()[0]
        if len(self._input["shape"]) != 4 or self._input["dtype"] != np.uint8 or len(self._output["shape"]) != 3:
            raise FileFault(f"{path} is another network; expected uint8 images in, a class map out")
        self._surface = _table()

    def surfaces(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(h, w) numbers of SURFACES of an RGB image (H, W, 3), at the network's own size."""
        _, height, width, _ = self._input["shape"]
        fitted = cv2.resize(image, (int(width), int(height)), interpolation=cv2.INTER_AREA)
        self._net.set_tensor(self._input["index"], fitted[None])
        self._net.invoke()
        return self._surface[self._net.get_tensor(self._output["index"])[0]]
