"""The one public face of a trained network: images and calibration in, map elements out."""
from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import SHIPPED, ArtifactError, ModelCard
from mapkd_core.data.images import decode, jpeg_size, resize_into
from mapkd_core.geometry import scale_intrinsics
from mapkd_core.runtime import Runtime, RuntimeOptions, open_runtime, runtime_options
from mapkd_core.types import CLASSES, Frame, MapElement
from mapkd_core.vector_elements import LEAST_SCORE, drawn, elements_of
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize

if TYPE_CHECKING:
    from mapkd_core.runtime.face import Loaded

__all__ = ["DEFAULT_WEIGHTS", "ArtifactError", "CameraError", "MapPredictor", "PredictedMap", "PreparedImages"]

DEFAULT_WEIGHTS = SHIPPED["nano"]
"""The smallest student that ships with the package."""

ImageData = bytes | memoryview | NDArray[np.uint8]


class CameraError(ValueError):
    """An image that cannot be used; `camera` is its place in the set that was given."""

    def __init__(self, camera: int, reason: str) -> None:
        super().__init__(f"camera {camera}: {reason}")
        self.camera, self.reason = camera, reason

    def __reduce__(self) -> tuple[type[CameraError], tuple[int, str]]:
        return type(self), (self.camera, self.reason)


@dataclass(frozen=True)
class PredictedMap:
    """The map around the vehicle at the moment of the images, in `base_link`."""

    elements: list[MapElement]
    probabilities: NDArray[np.float32]
    """(4, Y, X) class probabilities on the card's grid, channel 0 background; of a vector network, its elements drawn
    with their scores."""
    stage_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds spent in `decode` (with resize), `prepare` (normalise, to the device), `network`, and
    `vectorize` (of a vector network: choosing and drawing its elements)."""

    @property
    def semantic(self) -> NDArray[np.uint8]:
        """(Y, X) most likely class: 0 background, c + 1 for class c."""
        return self.probabilities.argmax(0).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """A set of images in the network's input, with its calibration: what `prepare` hands to `complete`."""

    loaded: Loaded
    """(N, 3, H, W) where the network reads it: a tensor on its device, for ONNX Runtime an array."""
    pixels: NDArray[np.uint8]
    """(N, H, W, 3): what `loaded` was made from; held because a copy to a GPU may still be under way."""
    intrinsics: NDArray[np.float64]
    """(N, 3, 3), of the images as the network sees them."""
    base_from_camera: NDArray[np.float64]
    """(N, 4, 4)."""
    visible: NDArray[np.bool_] | None
    """(N, H, W), False in pixels that show nothing of the road; None where all may."""
    stage_ms: dict[str, float]
    """Milliseconds spent in `decode` and `prepare`."""
    faults: tuple[tuple[int, str], ...] = ()
    """(camera, what its decoder found wrong) for images that were used all the same."""


class MapPredictor:
    """Finds lane dividers, crossings and road boundaries in the images of calibrated cameras.

    Example::

        predictor = MapPredictor.from_artifact("student.json")
        result = predictor.predict(images, intrinsics, base_from_camera)   # images: JPEG bytes or RGB arrays
        for element in result.elements:
            print(element.label, element.score, element.points_m)          # metres, x forward, y left
    """

    def __init__(self, runtime: Runtime, vectorize_config: VectorizeConfig | None = None) -> None:
        self.runtime = runtime
        self.vectorize_config = vectorize_config or VectorizeConfig()
        own = runtime.card.least_score
        self.least_score = LEAST_SCORE if own is None else own
        """Elements of a vector network below this are left out; evaluations set 0, since AP ranks all."""
        self._pool = ThreadPoolExecutor(6, thread_name_prefix="decode")

    @classmethod
    def from_artifact(
        cls,
        path: str | Path = DEFAULT_WEIGHTS,
        options: RuntimeOptions | str | None = None,
        *former: Any,
        **settings: Any,
    ) -> MapPredictor:
        """Loads NAME.json + NAME.safetensors; raises ArtifactError (a ValueError) if unfit.

        `nano`, `small`, `base` and `nano_robust` name the students that ship with the package.

        `options` say how the network is run. Their fields may be given by name in their place:
        `from_artifact("student.json", device="cpu", backend="onnx", precision="int8", threads=2)`; see RuntimeOptions.
        What this machine does not serve is a ValueError that says what to use instead.
        """
        return cls(open_runtime(path, runtime_options(options, former, settings)))

    @property
    def card(self) -> ModelCard:
        """Facts of the network: grid, classes, input size, version."""
        return self.runtime.card

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return self.runtime.device

    @property
    def engine(self) -> str:
        """Backend and precision, such as `onnx int8`."""
        return f"{self.runtime.backend} {self.runtime.precision}"

    @property
    def own_cameras(self) -> tuple[str, ...]:
        """The cameras that the weights belong to, none of which may be missing; empty for those that take any."""
        return tuple(self.runtime.cameras)

    def camera_order(self, names: Sequence[str]) -> list[int]:
        """Where in `names` the cameras of the network are, one after the other; most networks take any.

        Raises ValueError for other cameras than those that the weights belong to.
        """
        return camera_order(self.card.name, self.runtime.cameras, names)

    def predict(
        self,
        images: Sequence[ImageData | None],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        image_sizes: Sequence[tuple[int, int]] | None = None,
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> PredictedMap:
        """One map from N images (JPEG/PNG bytes, or (H, W, 3) uint8 RGB) of N calibrated cameras, whatever N.

        A network whose weights belong to one rig wants its cameras in their order: see `camera_order`.

        None stands for the image of a camera that fails: the map is that of the others. `masks` (h, w), of any size,
        lie over the images and are False where a camera sees its own vehicle, which then leaves no marks in the map.

        `intrinsics` (N, 3, 3) hold for `image_sizes` [(width, height)], by default the images' own sizes;
        `base_from_camera` (N, 4, 4) places the optical frames in `base_link`. Raises ValueError, naming the camera,
        for an undecodable image, an image whose size contradicts `image_sizes`, or calibration that is not finite.
        """
        return self.complete(self.prepare(images, intrinsics, base_from_camera, image_sizes, masks))

    def prepare(
        self,
        images: Sequence[ImageData | None],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        image_sizes: Sequence[tuple[int, int]] | None = None,
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> PreparedImages:
        """The first half of `predict`: images decoded, resized and in the network's input.

        It may run in one thread while `complete` works on the set before in another. Arguments and errors as there.
        """
        count = len(images)
        if np.shape(intrinsics) != (count, 3, 3) or np.shape(base_from_camera) != (count, 4, 4) or count == 0:
            raise ValueError(
                f"{count} images with intrinsics {np.shape(intrinsics)} and base_from_camera "
                f"{np.shape(base_from_camera)}; expected (N, 3, 3) and (N, 4, 4) for N images"
            )
        if self.runtime.cameras and count != len(self.runtime.cameras):
            raise ValueError(f"{count} images; {self.card.name} needs those of {', '.join(self.runtime.cameras)}")
        for name, matrices in (("intrinsics", intrinsics), ("base_from_camera", base_from_camera)):
            bad = [i for i in range(count) if not np.isfinite(matrices[i]).all()]
            if bad:
                raise ValueError(f"{name} of camera {bad} is not finite; check the calibration")
        expected = list(image_sizes) if image_sizes is not None else [None] * count
        start = time.perf_counter()
        buffer = self.runtime.new_buffer(count)
        found: list[list[str]] = [[] for _ in range(count)]
        full_sizes = list(self._pool.map(_decode_into, range(count), images, expected, buffer, found))
        decoded = time.perf_counter()
        loaded = self.runtime.load(buffer)
        width, height = self.card.input_size
        visible = _visible(images, masks, (width, height))
        scaled = [
            scale_intrinsics(np.asarray(k, np.float64), width / full[0], height / full[1])
            for k, full in zip(intrinsics, full_sizes, strict=True)
        ]
        end = time.perf_counter()
        stages = {"decode": 1e3 * (decoded - start), "prepare": 1e3 * (end - decoded)}
        faults = tuple((camera, text) for camera, texts in enumerate(found) for text in texts)
        mountings = np.asarray(base_from_camera, np.float64)
        return PreparedImages(loaded, buffer, np.stack(scaled), mountings, visible, stages, faults)

    def complete(self, prepared: PreparedImages) -> PredictedMap:
        """The second half of `predict`: the network and the vectorizer."""
        start = time.perf_counter()
        output = self.runtime.infer(
            prepared.loaded, prepared.intrinsics, prepared.base_from_camera, prepared.visible
        )
        inferred = time.perf_counter()
        elements, probabilities = self._map_of(output)
        end = time.perf_counter()
        stages = {"network": 1e3 * (inferred - start), "vectorize": 1e3 * (end - inferred)}
        return PredictedMap(elements, probabilities, {**prepared.stage_ms, **stages})

    def _map_of(self, output: NDArray[np.float32]) -> tuple[list[MapElement], NDArray[np.float32]]:
        """Elements and class probabilities of what the runtime gave."""
        if not self.runtime.vectors:
            return vectorize(output, self.card.grid, config=self.vectorize_config), output
        scores, points = output[:, : len(CLASSES)], output[:, len(CLASSES) :].reshape(len(output), -1, 2)
        elements = elements_of(scores, points, self.least_score)
        return elements, drawn(elements, self.card.grid)

    def predict_frame(self, frame: Frame) -> PredictedMap:
        """The map of a dataset's or simulator's Frame."""
        return self.complete(self.prepare_frame(frame))

    def prepare_frame(self, frame: Frame) -> PreparedImages:
        """`prepare` for a dataset's or simulator's Frame."""
        views = [frame.views[place] for place in self.camera_order([view.name for view in frame.views])]
        images = [view.image.jpeg() or view.image.rgb() for view in views]
        intrinsics = np.stack([view.intrinsics for view in views])
        base_from_camera = np.stack([view.base_from_camera for view in views])
        return self.prepare(images, intrinsics, base_from_camera, [view.size for view in views])


def camera_order(network: str, own: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where in `names` a network's `own` cameras are, all if it has none of its own; ValueError for other cameras."""
    if not own:
        return list(range(len(names)))
    if sorted(names) != sorted(own):
        raise ValueError(
            f"{network} belongs to the cameras {', '.join(own)}, these are {', '.join(names)}: its weights "
            "hold for one rig; name these cameras so where each looks the same way, or use another network"
        )
    return [list(names).index(name) for name in own]


def _visible(
    images: Sequence[ImageData | None], masks: Sequence[NDArray[np.bool_] | None] | None, size: tuple[int, int]
) -> NDArray[np.bool_] | None:
    """(N, H, W) at the network's `size` (w, h); None where every camera sees with all of its image."""
    given = list(masks) if masks is not None else [None] * len(images)
    if len(given) != len(images):
        raise ValueError(f"{len(given)} masks for {len(images)} images; expected one for each, or None for it")
    if all(image is not None for image in images) and all(mask is None for mask in given):
        return None
    visible = np.ones((len(images), size[1], size[0]), bool)
    for camera, (image, mask) in enumerate(zip(images, given, strict=True)):
        if image is None:
            visible[camera] = False
        elif mask is not None:
            visible[camera] = cv2.resize(np.asarray(mask, np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return visible


def _decode_into(
    camera: int,
    image: ImageData | None,
    expected: tuple[int, int] | None,
    out: NDArray[np.uint8],
    faults: list[str],
) -> tuple[int, int]:
    """Writes the image at the size of `out` (H, W, 3) into it; returns its full size (width, height)."""
    height, width = out.shape[:2]
    if image is None:
        out[:] = 0
        return expected or (width, height)
    try:
        if isinstance(image, np.ndarray) and image.ndim == 3:
            if image.dtype != np.uint8 or image.shape[2] != 3:
                raise ValueError(f"image is {image.dtype} {image.shape}; expected uint8 (H, W, 3) RGB")
            pixels, full = image, (image.shape[1], image.shape[0])
        else:
            full = jpeg_size(image)
            pixels = decode(image, (width, height), faults)
        if expected is not None and full != tuple(expected):
            raise ValueError(f"image is {full[0]}x{full[1]}, its calibration holds for {expected[0]}x{expected[1]}")
    except ValueError as error:
        raise CameraError(camera, str(error)) from error
    resize_into(pixels, out)
    return full
