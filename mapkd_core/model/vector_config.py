"""Sizes of the vector student; without PyTorch."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapkd_core.model.options import configured
from mapkd_core.model.student_config import TRUNK_STRIDE, StudentConfig
from mapkd_core.suggestion import did_you_mean

RESNETS = {"resnet-18": (2, 2, 2, 2), "resnet-50": (3, 4, 6, 3)}
"""Backbone -> blocks of each of its stages."""
RESNET_STRIDE = 32
VIEWS = ("kernel", "pillars", "lift_splat", "camera_depth")
DENSE_VIEWS = ("pillars", "lift_splat")
"""Those of the raster student, whose dense map stays beside the decoder."""
ATTENTIONS = ("joint", "decoupled")
TRUNK = "trunk"
"""Backbone of the students that ship (image_trunk.py), a quarter of the image's size."""
TRUNKS = {TRUNK: "own", "lite0": "lite0"}
"""Backbone -> trunk of the raster student (student_config.py)."""
ENCODER_STRIDE = 16
"""Of the features of a backbone by name (backbones.py)."""
FRAMES = ("base_link", "nuscenes_lidar")
"""Where the BEV lies: in the vehicle's frame, or in that of nuScenes' LiDAR (x right, y ahead), as in MapTR's."""


@dataclass(frozen=True)
class VectorConfig:
    """MapTR's parts and their sizes; the defaults are MapTR-nano's."""

    view: str = "kernel"
    """`kernel` (MapTR's GKT on one feature map, a BEV of embeddings), `pillars` or `lift_splat` (the raster student's
    views and BEV network, whose trained weights serve as `init`; any calibrated rig) or `camera_depth` (MapTRv2's
    lift-splat with a depth network that knows the camera)."""
    backbone: str = "resnet-18"
    """One of RESNETS; of the views `pillars` and `lift_splat` also `trunk`, `lite0` or any name of backbones.py."""
    pretrained: bool = False
    """Start `lite0` or a backbone of backbones.py from its published weights."""
    width: int = 256
    """Channels of every token."""
    hidden: int = 512
    """Channels inside a feed-forward network."""
    bev_cell_m: float = 0.75
    """Of the views `kernel` and `camera_depth`."""
    heights_m: tuple[float, ...] = (-1.5, -0.5, 0.5, 1.5)
    """Heights above the BEV's plane at which each cell looks into the images; one head of the kernel attention each."""
    image_width: int = 16
    """This and the next three: the raster student's sizes (student_config.py), of the views `pillars`, `lift_splat`."""
    view_channels: int = 24
    bev_width: int = 32
    bev_factor: int = 2
    kernel_rows: int = 3
    kernel_cols: int = 5
    """Feature pixels round a projected point that its cell attends to."""
    vectors: int = 100
    """Most elements of a map."""
    points: int = 20
    """Vertices of each."""
    layers: int = 2
    """Of the decoder."""
    attention: str = "joint"
    """Self-attention of the decoder: `joint` (every vertex to every vertex, MapTR), or `decoupled` (to the same vertex
    of other elements, then to the other vertices of its own: MapTRv2)."""
    anchors: bool = False
    """Whether elements start from lines of their own, learnt too (ours), or from places that a layer reads off their
    queries (MapTR)."""
    placed: bool = False
    """Whether a vertex's position encoding tells each layer where the vertex is now (ours; in MapTR it stays)."""
    reach: tuple[float, ...] = ()
    """Layer by layer, the last for all further ones: by how much farther than MapTR's one to four cells a vertex looks
    round itself before training (ours: first far, then near, so that few steps suffice to find lines)."""
    bends: int = 0
    """Polynomials by which a layer moves an element as a whole, beside its vertices one by one (ours); moves then are
    shares of the map's sides and start at zero. 0 for vertices alone, moved as logits (MapTR)."""
    evidence: tuple[int, ...] = ()
    """Beside the BEV's features the decoder reads the dense map's three classes, averaged over so many cells of the
    BEV, a plane of each class for every number (ours): where lines are, and far from them where to go. Of the views
    `pillars` and `lift_splat`."""
    memory: int = 0
    """Best elements of the frame before that the decoder goes on with, beside the BEV's features of that frame; 0 for
    single frames. Of the views `pillars` and `lift_splat` (StreamMapNet, MapTracker; drive_memory.py)."""
    many: int = 0
    """Further elements in training, of which `repeats` answer for each true one (MapTRv2)."""
    repeats: int = 6
    heads: int = 4
    """Of the decoder's self-attention; no weight's shape tells it."""
    sampling_heads: int = 8
    sampling_points: int = 4
    dropout: float = 0.1
    frame: str = "nuscenes_lidar"
    """One of FRAMES."""
    rig_bound: bool = True
    """Whether each of the six cameras has an embedding of its own."""
    published: bool = False
    """MapTR's reading of pixels, for weights trained with it: see `ray_points.published_intrinsics`."""
    can_bus: bool = True
    """Whether the vehicle's motion enters (MapTR's eighteen numbers; zeros where nobody knows them)."""

    def __post_init__(self) -> None:
        for name, known in (("frame", FRAMES), ("view", VIEWS), ("attention", ATTENTIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {', '.join(known)}")
        if self.view in DENSE_VIEWS and (self.frame != "base_link" or self.rig_bound or self.can_bus or self.published):
            raise ValueError(
                f"view {self.view!r} goes with frame: base_link, rig_bound: false, can_bus: false, published: false"
            )
        if self.view == "camera_depth" and (self.rig_bound or self.can_bus):
            raise ValueError("view 'camera_depth' goes with rig_bound: false, can_bus: false")
        if self.evidence and self.view not in DENSE_VIEWS:
            raise ValueError(f"evidence is read off the dense map, which view {self.view!r} lacks; leave it out")
        if self.memory and (self.view not in DENSE_VIEWS or self.layers < 2 or self.memory >= self.vectors):
            raise ValueError(
                f"memory {self.memory} with view {self.view!r}, {self.layers} layers and {self.vectors} vectors; "
                f"it goes with the views {' and '.join(DENSE_VIEWS)}, two layers or more, and fewer than all vectors"
            )
        if any(cells < 1 for cells in self.evidence):
            raise ValueError(f"evidence is {self.evidence}; expected numbers of cells, 1 or more")
        if any(factor <= 0 for factor in self.reach):
            raise ValueError(f"reach is {self.reach}; expected factors above 0")
        if self.many and self.repeats < 1:
            raise ValueError(f"repeats is {self.repeats}; expected at least 1")
        shares = [("heads", self.heads), ("sampling_heads", self.sampling_heads)]
        if self.view == "kernel":
            shares.append(("heights_m", len(self.heights_m)))
        for name, parts in shares:
            if parts < 1 or self.width % parts:
                raise ValueError(f"width {self.width} does not divide by {parts} ({name})")
        if self.kernel_rows % 2 == 0 or self.kernel_cols % 2 == 0:
            raise ValueError(f"kernel {self.kernel_rows}x{self.kernel_cols}: expected odd numbers, round a pixel")


_ANY_RIG = {"frame": "base_link", "rig_bound": False, "can_bus": False}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "maptr_nano": {},
    "maptr_tiny": {"backbone": "resnet-50", "bev_cell_m": 0.3, "vectors": 50, "layers": 6, "heads": 8},
    "maptrv2": {
        **_ANY_RIG, "view": "lift_splat", "backbone": "resnet-50", "view_channels": 64, "bev_width": 128, "vectors": 50,
        "layers": 6, "heads": 8, "attention": "decoupled", "many": 300,
    },
    "maptrv2_published": {
        "view": "camera_depth", "backbone": "resnet-50", "bev_cell_m": 0.3, "vectors": 50, "layers": 6, "heads": 8,
        "attention": "decoupled", "many": 300, "rig_bound": False, "can_bus": False,
    },
    "vector_nano": {
        **_ANY_RIG, "view": "pillars", "backbone": TRUNK, "heights_m": (0.0, 1.0), "width": 96, "hidden": 192,
        "vectors": 40, "layers": 3, "attention": "decoupled", "anchors": True, "placed": True, "reach": (8.0, 3.0, 1.0),
        "bends": 4, "evidence": (1, 4, 10), "dropout": 0.0,
    },
}
"""Name -> what differs from the defaults. Sources: MapTR (arXiv 2208.14437), its configs nano_r18 and tiny_r50;
MapTRv2 (arXiv 2308.05736), its nuScenes config, with our BEV network and (`_published`) with its own; `vector_nano`
(ours) is the raster `nano` with a decoder."""


def vector_config(options: Mapping[str, Any]) -> VectorConfig:
    """The config of a vector student by its `variant` and what differs; raises ValueError for neither."""
    options = dict(options)
    variant = options.pop("variant", "maptr_nano")
    if variant not in VARIANTS:
        raise ValueError(
            f"vector student variant {variant!r}{did_you_mean(str(variant), VARIANTS)}; there are {', '.join(VARIANTS)}"
        )
    return configured("vector_student", VectorConfig, {**VARIANTS[variant], **options})


def raster_config(config: VectorConfig) -> StudentConfig:
    """The raster student whose trunk, view and BEV network a student of the view `pillars` or `lift_splat` has."""
    return StudentConfig(
        config.image_width,
        TRUNKS.get(config.backbone, "own"),
        config.pretrained and config.backbone in TRUNKS,
        config.view_channels,
        config.bev_width,
        config.heights_m,
        config.view,
        config.bev_factor,
    )


def view_stride(config: VectorConfig) -> int:
    """Of the features that such a view reads."""
    return TRUNK_STRIDE if config.backbone in TRUNKS else ENCODER_STRIDE
