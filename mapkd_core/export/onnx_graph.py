"""Export of a student as ONNX: plain operators, the calibration look-up as an input, checked before it is called done.

The graph maps `images` (N, 3, H, W) and the tables of `Student.lookup` to `probabilities` (4, Y, X). The tables depend
on the calibration alone; whoever runs the graph computes them once per calibration (see runtime/onnx_backend.py).
"""
from __future__ import annotations

import logging
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.artifact import ModelCard
from mapkd_core.files import replacing
from mapkd_core.model.pillar_sampling import PillarLookup, PillarSampling
from mapkd_core.model.pillar_vectors import PillarVectorStudent
from mapkd_core.model.student import Student
from mapkd_core.model.vector_decoder import DecoderStart
from mapkd_core.runtime import BELONGS_TO, OUTPUT, VECTOR_OUTPUT, fold_batch_norms
from mapkd_core.types import CLASSES

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
CAMERA_AXIS = "cameras"
"""Name of the graph's free axis: any number of cameras runs, whatever the network was trained with."""
TOLERANCE = 1e-4
"""Largest difference of a probability between PyTorch and ONNX Runtime that still counts as the same network."""


class ExportError(ValueError):
    """An exported file that does not give what the network gives."""


class StudentGraph(nn.Module):
    """The student with its gather written in operators that every ONNX runtime has."""

    output = OUTPUT

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

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
        logits = self.student.heads["semantic"](self.fine(images, pixel, weight))[0]    # 4 Y X
        # ONNX Runtime's Softmax over the first axis takes 8 ms, these 1 ms.
        weights = (logits - logits.amax(0)).exp()
        return weights / weights.sum(0)


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
        share = np.full(2 * self.decoder.points, 1 / float(self.plane.span_m.max()), np.float32)
        return np.concatenate([np.ones(len(CLASSES), np.float32), share])

    def forward(self, images: Tensor, pixel: Tensor, weight: Tensor) -> Tensor:
        """N 3 H W, K 4 and K 4 -> V 3 + 2P: scores, then vertices in metres."""
        start = DecoderStart(self.query, self.token, self.weight)
        logits, places = self.decoder(self.fine(images, pixel, weight), start, deep=False)
        return torch.cat([logits[-1, 0].sigmoid(), self.plane.metres(places[-1, 0]).flatten(1)], 1)


def example_calibration(student: Student, cameras: int) -> tuple[Tensor, Tensor]:
    """Intrinsics 1 N 3 3 and mountings 1 N 4 4 of cameras that look around from 1.5 m up: something to trace with."""
    width, height = student.image_size
    intrinsics = torch.tensor([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1.0]])
    poses = torch.eye(4).repeat(cameras, 1, 1)
    for pose, yaw in zip(poses, torch.arange(cameras) * 2 * torch.pi / cameras, strict=True):
        c, s = yaw.cos(), yaw.sin()
        pose[:3, :3] = torch.stack(
            [torch.stack([s, s * 0, c]), torch.stack([-c, s * 0, s]), torch.tensor([0.0, -1.0, 0.0])]
        )
        pose[2, 3] = 1.5
    return intrinsics.expand(1, cameras, 3, 3), poses[None]


def export_onnx(student: Student, path: Path, card: ModelCard) -> tuple[float, Counter[str]]:
    """Writes `path` and proves it: returns the largest difference of an output, and how often each operator occurs.

    `card` is that of the artifact beside which the graph is to lie; the graph carries its checksum (BELONGS_TO).
    Raises ExportError, leaving no file behind, if ONNX Runtime and PyTorch differ by more than TOLERANCE.
    """
    import onnx
    import onnxruntime

    student, cameras = student.eval(), len(card.cameras)
    fold_batch_norms(student)
    lookup = Student.lookup(student, *example_calibration(student, cameras))
    if not isinstance(lookup, PillarLookup):
        raise ValueError(f"view {student.config.view!r} does not export as ONNX; expected a student's view 'pillars'")
    width, height = student.image_size
    images = torch.randn(cameras, 3, height, width, generator=torch.Generator().manual_seed(0))
    inputs = (images, lookup.pixel[0], lookup.weight[0])
    graph = (VectorGraph(student) if isinstance(student, PillarVectorStudent) else StudentGraph(student)).eval()
    for talkative in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of packages and operators that this graph does not use
        program = torch.onnx.export(
            graph, inputs, dynamo=True, verbose=False, opset_version=OPSET,
            input_names=["images", "pixel", "weight"], output_names=[graph.output],
            dynamic_shapes=({0: torch.export.Dim(CAMERA_AXIS)}, None, None),
        )
        expected = graph(*inputs).numpy()
    assert program is not None
    with replacing(path) as partial:
        program.save(str(partial))
        written = onnx.load(str(partial))
        _without_traces(written)
        onnx.helper.set_model_props(written, {BELONGS_TO: card.weights_sha256})
        onnx.save(written, str(partial))
        session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
        names = ("images", "pixel", "weight")
        (found,) = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
        difference = float((np.abs(found - expected) * graph.unit()).max())
        if not difference < TOLERANCE:
            raise ExportError(f"the exported graph differs by {difference:g} from PyTorch, more than {TOLERANCE:g}")
    return difference, Counter(node.op_type for node in written.graph.node)


def _without_traces(model: ModelProto) -> None:
    """Drops what the exporter notes at every node and value: where in whose Python files it came from."""
    for noted in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer,
                  *model.graph.input, *model.graph.output):  # fmt: skip
        del noted.metadata_props[:]
        noted.doc_string = ""
