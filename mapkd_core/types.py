"""The data that travels through the project: frames in, batches to a network, predictions and map elements out.

Legend: B batch, N cameras, H W image pixels, P points, Y X grid rows and columns (see `grid.py`).
Frames of reference: `base_link` x forward, y left, z up (REP 103); a camera's optical frame x right, y down,
z ahead. Metres, radians, nanoseconds.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mapkd_core.vector_map import VectorMap

if TYPE_CHECKING:  # a bag player or a label tool must not wait for torch
    import torch
    from torch import Tensor

CLASSES: tuple[str, ...] = ("divider", "ped_crossing", "boundary")
"""Map classes; channel c + 1 of a semantic map is class c, channel 0 is background."""
CLASS_IDS: dict[str, int] = {label: c + 1 for c, label in enumerate(CLASSES)}
"""Number of each class in a class map, and its channel in a semantic map; 0 is background."""

DIRECTION_BINS = 36
"""Bins of 10 degrees; bin 1 is centred on +x (growing column), bin 10 on +y (growing row), 0 is no line."""

CAMERAS: tuple[str, ...] = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)
"""nuScenes' six cameras in the order that networks and labels use."""

IMAGE_SIZE = (352, 128)
"""Width and height of the images that networks see unless a config says otherwise (`data.image_size`)."""


@dataclass(frozen=True, eq=False)
class MapElement:
    """One line of the map: a divider, a road boundary, or the outline of a pedestrian crossing."""

    label: str
    """One of CLASSES."""
    points_m: NDArray[np.float32]
    """(N, 2) or (N, 3) vertices in `base_link`, N >= 2."""
    score: float = 1.0
    """Confidence 0..1; 1 for ground truth."""
    closed: bool = False
    """True for a ring; its last vertex then equals its first."""

    def __post_init__(self) -> None:
        if self.label not in CLASSES:
            raise ValueError(f"label {self.label!r} is not one of {CLASSES}")
        if self.points_m.ndim != 2 or self.points_m.shape[0] < 2 or self.points_m.shape[1] not in (2, 3):
            raise ValueError(f"points_m has shape {self.points_m.shape}; expected (N >= 2, 2 or 3)")


class ImageSource(Protocol):
    """An image that is read when asked for."""

    def jpeg(self) -> bytes | None:
        """The stored JPEG file's own bytes, or None if the image never was a JPEG."""

    def rgb(self, min_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) RGB; with `min_size` (w, h) it may come reduced by 2, 4 or 8, never below that size."""


@dataclass(frozen=True, eq=False)
class CameraView:
    """One camera's image with everything needed to place it; image and intrinsics always travel together."""

    name: str
    stamp_ns: int
    size: tuple[int, int]
    """(width, height) in pixels for which `intrinsics` holds."""
    intrinsics: NDArray[np.float64]
    """(3, 3)."""
    base_from_camera: NDArray[np.float64]
    """(4, 4) mounting pose of the optical frame."""
    image: ImageSource
    map_from_base: NDArray[np.float64] | None = None
    """(4, 4) ego pose at this camera's own trigger time, where known."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One moment of a drive: the cameras' views, and where known LiDAR, ego pose and the road map."""

    token: str
    scene: str
    stamp_ns: int
    views: tuple[CameraView, ...]
    """In the order of CAMERAS."""
    map_from_base: NDArray[np.float64] | None = None
    """(4, 4) ego pose at `stamp_ns`; elements are defined in its flattened frame (see geometry.flattened)."""
    vector_map: Callable[[], VectorMap] | None = None
    """The road map in the same `map` frame; None where there is none."""
    lidar: Callable[[], NDArray[np.float32]] | None = None
    """Reads (P, 5) points: x, y, z in `base_link`, intensity 0..255, seconds before `stamp_ns`."""
    base_from_lidar: NDArray[np.float64] | None = None
    """(4, 4) mounting pose of the LiDAR, where known."""
    conditions: tuple[str, ...] = ()
    """Free words for breakdowns: `night`, `rain`, `boston-seaport`, ..."""


@dataclass
class Batch:
    """What a network sees and is trained on; optional tensors are None where a role does not use them."""

    images: Tensor
    """B N 3 H W, normalised (see data/images.py)."""
    intrinsics: Tensor
    """B N 3 3 of the images at this size."""
    base_from_camera: Tensor
    """B N 4 4."""
    lidar: Tensor | None = None
    """B P 5, zero padded."""
    lidar_mask: Tensor | None = None
    """B P, 1 where a point is real."""
    sd_map: Tensor | None = None
    """B 1 Y X, -1 or +1 (road)."""
    semantic: Tensor | None = None
    """B 4 Y X, one-hot with background as channel 0 (0 or 1)."""
    instance: Tensor | None = None
    """B Y X int, 0 is background, ids run over all classes."""
    direction: Tensor | None = None
    """B 2 Y X int, forward and backward bin 1..36, 0 is background (see data/raster.py)."""
    elements: list[tuple[MapElement, ...]] | None = None
    """The labels of each sample as vectors, cut to the grid; crossings as their two long edges."""
    outlines: list[tuple[MapElement, ...]] | None = None
    """The crossings of each sample as closed outlines, cut to the grid; for networks that predict vertices."""
    can_bus: Tensor | None = None
    """B 18, the vehicle's motion as MapTR takes it (model/vector_student.py); None at rest."""
    base_from_lidar: Tensor | None = None
    """B 4 4, pose of the LiDAR for a network whose BEV lies in its frame; None for the usual one."""
    follows: Tensor | None = None
    """B bool, whether a sample is the next frame of the drive of the sample before it; None where none is looked at."""
    current_from_previous: Tensor | None = None
    """B 4 4, the motion since that frame, in the plane (data/drive_order.py); the identity where none follows."""
    labelled: Tensor | None = None
    """B bool, whether a sample's labels are known; None where all are. Unknown labels show an empty map."""
    alive: Tensor | None = None
    """B N bool, False for a camera whose image is missing; None where none is."""
    known_cells: Tensor | None = None
    """B Y X bool, where a sample's labels count; None where they do everywhere."""
    line_views: Tensor | None = None
    """B N 2 h w, labelled lines drawn into the views at a quarter of the images' size (data/line_views.py)."""
    street_images: Tensor | None = None
    """M 3 H W, real images without calibration, normalised; only the image trunk sees them."""
    street_surface: Tensor | None = None
    """M h w int, numbers of image_masks.SURFACES, or UNKNOWN."""
    street_lines: Tensor | None = None
    """M 2 h w, image_masks.LINES, 0 or 1."""
    tokens: list[str] = field(default_factory=list)
    cameras: list[tuple[str, ...]] = field(default_factory=list)
    """Of each sample the names of its cameras, in the order of its images; empty where nobody knows them."""

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        """The same batch on another device."""
        moved = {
            f.name: value.to(device, non_blocking=non_blocking)
            for f in fields(self)
            if hasattr(value := getattr(self, f.name), "device")
        }
        return replace(self, **moved)


@dataclass
class Prediction:
    """A network's raw output on the grid; `taps` holds named inner features that distillation asks for."""

    semantic: Tensor
    """B 4 Y X logits, channel 0 background."""
    embedding: Tensor | None = None
    """B E Y X, similar within one instance."""
    direction: Tensor | None = None
    """B 37 Y X logits, channel 0 background."""
    taps: dict[str, Tensor] = field(default_factory=dict)

    def in_single_precision(self) -> Prediction:
        """The same with every tensor float32, as losses want it."""
        heads = (self.embedding, self.direction)
        embedding, direction = (None if head is None else head.float() for head in heads)
        return Prediction(self.semantic.float(), embedding, direction, {k: v.float() for k, v in self.taps.items()})


@dataclass
class VectorPrediction:
    """A vector network's raw output: elements as vertices, those of every decoder layer, of which the last counts."""

    logits: Tensor
    """L B V 3, of CLASSES; a sigmoid makes them scores."""
    points_m: Tensor
    """L B V P 2 vertices in `base_link`."""
    taps: dict[str, Tensor] = field(default_factory=dict)
    semantic: Tensor | None = None
    """B 4 Y X logits of a dense map beside the elements, for training."""
    many: VectorPrediction | None = None
    """The elements of further queries, of which `repeats` answer for each true element; for training."""
    repeats: int = 1
    memory: tuple[Tensor, ...] | None = None
    """What the last sample of the batch leaves for the next frame of its drive (model/drive_memory.py)."""

    def dense(self) -> Prediction:
        """The map beside the elements with the same taps; raises ValueError for a network that has none."""
        if self.semantic is None:
            raise ValueError(
                "the network predicts vertices and no map beside them; choose view: pillars or lift_splat, or a method "
                "that compares vertices"
            )
        return Prediction(self.semantic, taps=self.taps)

    def in_single_precision(self) -> VectorPrediction:
        """The same with every tensor float32, as losses want it."""
        return replace(
            self, logits=self.logits.float(), points_m=self.points_m.float(),
            taps={k: v.float() for k, v in self.taps.items()},
            semantic=None if self.semantic is None else self.semantic.float(),
            many=None if self.many is None else self.many.in_single_precision(),
        )
