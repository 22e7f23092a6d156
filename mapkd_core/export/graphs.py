"""What is exported of each kind of student: its forward in operators that every ONNX runtime has.

A graph takes images N 3 H W and the tables that the calibration decides, computed by whoever runs it (runtime/).

Legend: N cameras, K cells or samples, Z heights, C channels, V elements, P vertices, h w feature map.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.layers import softmax_of_maps
from mapkd_core.model.pillar_sampling import PillarLookup, PillarSampling
from mapkd_core.model.pillar_vectors import PillarVectorStudent
from mapkd_core.model.stream_vectors import StreamVectorStudent
from mapkd_core.model.student import Student
from mapkd_core.model.token_sampling import PointAttention
from mapkd_core.model.vector_decoder import DecoderStart
from mapkd_core.model.vector_student import VectorStudent
from mapkd_core.runtime import OUTPUT, VECTOR_OUTPUT
from mapkd_core.runtime.kernel_lookup import KERNEL_NOTE, MOST_VIEW_BYTES, KernelTables
from mapkd_core.types import CLASSES

CAMERA_AXIS = "cameras"
"""Name of the graph's free axis: any number of cameras runs, whatever the network was trained with."""


class StudentGraph(nn.Module):
    """The student with its gather written in operators that every ONNX runtime has."""

    output = OUTPUT

    def __init__(self, student: Student) -> None:
        """Raises ValueError for a view that no graph has."""
        super().__init__()
        self.student = student
        if not isinstance(student.view, PillarSampling):
            raise ValueError(
                f"view {student.config.view!r} does not export as ONNX; expected a student's view 'pillars'"
            )

    def tables(self, intrinsics: Tensor, base_from_camera: Tensor) -> dict[str, Tensor]:
        """The inputs beside `images` for one calibration 1 N 3 3 and 1 N 4 4."""
        lookup = Student.lookup(self.student, intrinsics, base_from_camera)
        assert isinstance(lookup, PillarLookup)
        return {"pixel": lookup.pixel[0], "weight": lookup.weight[0]}

    def free_axes(self) -> tuple[Any, ...]:
        """Of every input, as torch.export takes them."""
        return ({0: torch.export.Dim(CAMERA_AXIS)}, None, None)

    def notes(self) -> Mapping[str, str]:
        """What the graph's metadata say beside its origin."""
        return {}

    def unit(self) -> NDArray[np.float32]:
        """What a difference of the output is multiplied by before it is held against TOLERANCE."""
        return np.ones(1, np.float32)

    def fine(self, images: Tensor, pixel: Tensor, weight: Tensor) -> Tensor:
        """N 3 H W, K 4 and K 4 -> the BEV network's features 1 W Y X."""
        student = self.student
        assert isinstance(student.view, PillarSampling)
        features = student.trunk(images)                                                # N C h w
        pixels = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])            # Nhw C
        # One gather per neighbour keeps the largest intermediate a quarter as large as gathering all four at once.
        sampled = sum(functional.embedding(pixel[:, i], pixels) * weight[:, i : i + 1] for i in range(4))
        rows, cols = student.view.rows, student.view.cols
        bev = torch.as_tensor(sampled).reshape(1, rows, cols, -1).permute(0, 3, 1, 2)   # 1 ZC Y X
        seen = weight.sum(-1).reshape(1, rows, cols, -1).permute(0, 3, 1, 2)            # 1 Z Y X
        return student.bev(torch.cat([bev, seen], 1))["fine"]

    def forward(self, images: Tensor, pixel: Tensor, weight: Tensor) -> Tensor:
        """N 3 H W, K 4 and K 4 -> 4 Y X probabilities."""
        logits = self.student.heads["semantic"](self.fine(images, pixel, weight))       # 1 4 Y X
        return softmax_of_maps(logits)[0]


class VectorGraph(StudentGraph):
    """A vector student of the view `pillars`; what its decoder does before it reads the BEV is a constant."""

    output = VECTOR_OUTPUT

    def __init__(self, student: PillarVectorStudent) -> None:
        super().__init__(student)
        self.decoder, self.plane = student.decoder, student.plane
        with torch.no_grad():
            for name, value in student.decoder.start()._asdict().items():
                self.register_buffer(name, value.clone(), persistent=False)
        self.query: Tensor
        self.token: Tensor
        self.weight: Tensor

    def unit(self) -> NDArray[np.float32]:
        """Scores count as they are, vertices as shares of the grid's longer side."""
        return _unit(self.decoder.points, float(self.plane.span_m.max()))

    def forward(self, images: Tensor, pixel: Tensor, weight: Tensor) -> Tensor:
        """N 3 H W, K 4 and K 4 -> V 3 + 2P: scores, then vertices in metres."""
        start = DecoderStart(self.query, self.token, self.weight)
        assert isinstance(self.student, PillarVectorStudent)
        bev = self.student.read(self.fine(images, pixel, weight))
        logits, places = self.decoder(bev, start, deep=False)
        return torch.cat([logits[-1, 0].sigmoid(), self.plane.metres(places[-1, 0]).flatten(1)], 1)


class KernelGraph(nn.Module):
    """A vector student of the view `kernel` (MapTR), its view as a dense matrix: see runtime/kernel_lookup.py."""

    output = VECTOR_OUTPUT

    def __init__(self, student: VectorStudent, cameras: int) -> None:
        """Raises ValueError where that matrix is too large."""
        super().__init__()
        self.student, self.cameras = student, cameras
        self._tables = KernelTables(student.grid, student.image_size, student.config)
        size = self._tables.bytes(cameras)
        if size > MOST_VIEW_BYTES:
            raise ValueError(
                f"the view of this network is a matrix of {size >> 20} MB as a graph takes it; expected at most "
                f"{MOST_VIEW_BYTES >> 20} MB (smaller images, or larger BEV cells): run it by backend torchscript"
            )
        for layer in student.decoder.layers:
            assert isinstance(layer.read, PointAttention)
            layer.read.plain = True
        with torch.no_grad():
            query = student.bev_queries(student.at_rest[None])                          # 1 K C
            weights = student.view.weights(query).unflatten(2, (student.view.heights, -1)).softmax(-1)[0]
            self.register_buffer("cells", query.clone(), persistent=False)
            for name, value in student.decoder.start()._asdict().items():
                self.register_buffer(name, value.clone(), persistent=False)
        self._tables.weights = weights.numpy()
        self.cells: Tensor
        self.query: Tensor
        self.token: Tensor
        self.weight: Tensor

    def tables(self, intrinsics: Tensor, base_from_camera: Tensor) -> dict[str, Tensor]:
        """The inputs beside `images` for one calibration 1 N 3 3 and 1 N 4 4."""
        (view,) = self._tables.table(intrinsics[0].double().numpy(), base_from_camera[0].double().numpy())
        return {"view": torch.from_numpy(view)}

    def free_axes(self) -> tuple[Any, ...]:
        """None: the dense view has a column for each pixel of every camera."""
        return (None, None)

    def notes(self) -> Mapping[str, str]:
        """The kernels' weights, which the look-up needs."""
        assert self._tables.weights is not None
        return {KERNEL_NOTE: self._tables.note(self._tables.weights)}

    def unit(self) -> NDArray[np.float32]:
        """Scores count as they are, vertices as shares of the grid's longer side."""
        return _unit(self.student.decoder.points, float(self.student.plane.span_m.max()))

    def forward(self, images: Tensor, view: Tensor) -> Tensor:
        """N 3 H W and Z K Nhw -> V 3 + 2P: scores, then vertices in metres."""
        student, attention = self.student, self.student.view
        right, below = student.padded[0] - images.shape[-1], student.padded[1] - images.shape[-2]
        features = student.neck(student.backbone(functional.pad(images, (0, right, 0, below))))
        features = features.flatten(2).transpose(1, 2) + student.camera[:, None]        # N hw C
        parts = attention.value(features).flatten(0, 1).unflatten(1, (attention.heights, -1)).transpose(0, 1)
        summed = (view @ parts).transpose(0, 1).flatten(1)[None]                        # 1 K C
        x = student.norms[0](self.cells + attention.out(summed))
        x = student.norms[1](student.feed(x))
        start = DecoderStart(self.query, self.token, self.weight)
        logits, places = student.decoder(x, start, deep=False)
        return torch.cat([logits[-1, 0].sigmoid(), student.plane.metres(places[-1, 0]).flatten(1)], 1)


def graph_of(student: nn.Module, cameras: int) -> StudentGraph | KernelGraph:
    """What is exported of a student in eval mode; raises ValueError for what cannot be."""
    if isinstance(student, StreamVectorStudent):
        raise ValueError("a vector student with a memory does not export as ONNX; train one with memory: 0")
    if isinstance(student, VectorStudent):
        return KernelGraph(student, cameras)
    if isinstance(student, PillarVectorStudent):
        return VectorGraph(student)
    assert isinstance(student, Student)
    return StudentGraph(student)


def _unit(points: int, longest_m: float) -> NDArray[np.float32]:
    return np.concatenate([np.ones(len(CLASSES)), np.full(2 * points, 1 / longest_m)]).astype(np.float32)
