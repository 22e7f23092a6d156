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
from torch import Tensor

from mapkd_core.artifact import ModelCard
from mapkd_core.export.folding import fold_constants
from mapkd_core.export.graphs import graph_of
from mapkd_core.files import replacing
from mapkd_core.model.student import Student
from mapkd_core.model.vector_student import VectorStudent
from mapkd_core.runtime import BELONGS_TO, fold_batch_norms

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
TOLERANCE = 1e-4
"""Largest difference of a probability between PyTorch and ONNX Runtime that still counts as the same network."""


ExportedStudent = Student | VectorStudent


class ExportError(ValueError):
    """An exported file that does not give what the network gives."""


def example_calibration(image_size: tuple[int, int], cameras: int) -> tuple[Tensor, Tensor]:
    """Intrinsics 1 N 3 3 and mountings 1 N 4 4 of cameras that look around from 1.5 m up: something to trace with."""
    width, height = image_size
    intrinsics = torch.tensor([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1.0]])
    poses = torch.eye(4).repeat(cameras, 1, 1)
    for pose, yaw in zip(poses, torch.arange(cameras) * 2 * torch.pi / cameras, strict=True):
        c, s = yaw.cos(), yaw.sin()
        pose[:3, :3] = torch.stack(
            [torch.stack([s, s * 0, c]), torch.stack([-c, s * 0, s]), torch.tensor([0.0, -1.0, 0.0])]
        )
        pose[2, 3] = 1.5
    return intrinsics.expand(1, cameras, 3, 3), poses[None]


def export_onnx(student: ExportedStudent, path: Path, card: ModelCard) -> tuple[float, Counter[str]]:
    """Writes `path` and proves it: returns the largest difference of an output, and how often each operator occurs.

    `card` is that of the artifact beside which the graph is to lie; the graph carries its checksum (BELONGS_TO).
    Raises ExportError, leaving no file behind, if ONNX Runtime and PyTorch differ by more than TOLERANCE.
    """
    import onnx
    import onnxruntime

    student, cameras = student.eval(), len(card.cameras)
    fold_batch_norms(student)
    graph = graph_of(student, cameras).eval()
    tables = graph.tables(*example_calibration(student.image_size, cameras))
    width, height = student.image_size
    images = torch.randn(cameras, 3, height, width, generator=torch.Generator().manual_seed(0))
    inputs, names = (images, *tables.values()), ["images", *tables]
    for talkative in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns of packages and operators that this graph does not use
        program = torch.onnx.export(
            graph, inputs, dynamo=True, verbose=False, opset_version=OPSET,
            input_names=names, output_names=[graph.output],
            dynamic_shapes=graph.free_axes(),
        )
        expected = graph(*inputs).numpy()
    assert program is not None
    with replacing(path) as partial:
        program.save(str(partial))
        written = onnx.load(str(partial))
        _without_traces(written)
        fold_constants(written)
        onnx.helper.set_model_props(written, {BELONGS_TO: card.weights_sha256, **graph.notes()})
        onnx.save(written, str(partial))
        session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
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
