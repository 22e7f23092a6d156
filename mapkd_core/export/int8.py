"""The exported graph of a student in eight bits: about half the time on a CPU with VNNI instructions (ours).

Weights have a scale for each output channel, activations one for each tensor, from the smallest and largest value on
a few frames. Without VNNI (Intel before 2019, AMD before Zen 4) sums of two products overflow their sixteen bits and
the map is another one, so nothing runs in eight bits unless it was asked for.
"""
from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import card_path, note_graph
from mapkd_core.files import replacing
from mapkd_core.predictor import MapPredictor
from mapkd_core.progress import Progress
from mapkd_core.runtime import OnnxRuntime, graph_path
from mapkd_core.types import Frame

if TYPE_CHECKING:
    from onnx import NodeProto

OPERATORS = ("Conv", "Relu", "Clip", "Add", "Concat", "Resize")
"""What computes in eight bits, beside large linear layers; the gather, its weights and the softmax stay as they are."""
DECODER_OPERATORS = ("MatMul", "GridSample", "LayerNormalization")
"""Of attention; convolutional networks have none of them."""
LARGE_LINEAR = 256 * 256
"""Weights of a linear layer that computes in eight bits nevertheless: MapTR's, a fifth of its time in float32."""
LEAST_AGREEMENT = 0.8
"""Least intersection over union of a class's cells, in eight bits and without, that still counts as the same map."""


def export_int8(artifact: str | Path, frames: Iterable[Frame]) -> Path:
    """Writes NAME.int8.onnx beside the artifact's NAME.onnx, with the ranges that activations have on `frames`.

    Returns its path. Raises ArtifactError if there is no NAME.onnx, ValueError if there are no frames.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    card = card_path(artifact)
    feeds = iter(_feeds(MapPredictor.from_artifact(card, device="cpu", backend="onnx"), frames))
    first = next(feeds, None)
    if first is None:
        raise ValueError("no frame to calibrate eight bits with; name data that holds some with --calibrate")

    shown = Progress("eight bits: calibrate", unit="frame")

    class Reader(CalibrationDataReader):
        """Hands the frames over one by one, so that only one is in memory."""

        waiting: dict[str, NDArray] | None = first

        def get_next(self) -> dict[str, NDArray] | None:
            given, self.waiting = self.waiting, next(feeds, None)
            shown.update(given is not None)
            return given

    graph = graph_path(card, "int8")
    with replacing(graph) as partial, contextlib.redirect_stdout(io.StringIO()), _no_advice(), shown:
        quantize_static(
            str(graph_path(card, "fp32")), str(partial), Reader(), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*OPERATORS, "MatMul"], per_channel=True,
            nodes_to_exclude=_of_decoder(graph_path(card)), activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )  # fmt: skip
    note_graph(card, graph)
    return graph


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """ONNX Runtime's advice, to do what the exporter has done, is not shown; all else that is logged meanwhile is.

    Its quantizers log to the root logger, so that the file a record comes from is what tells theirs.
    """
    from onnxruntime import quantization

    theirs = str(Path(quantization.__file__).parent)

    def others(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not record.pathname.startswith(theirs)

    root = logging.getLogger()
    root.addFilter(others)
    try:
        yield
    finally:
        root.removeFilter(others)


def _of_decoder(graph: Path) -> list[str]:
    """The nodes behind a vector network's attention that stay in float32: vertices are read off small differences.

    All but large linear layers; the classifier's, which sees each element once, stay too.
    """
    import onnx

    model = onnx.load(str(graph), load_external_data=False).graph
    large = {tensor.name for tensor in model.initializer if len(tensor.dims) == 2 and prod(tensor.dims) >= LARGE_LINEAR}
    classifier = {node.name for node in _behind(model.node, ("ReduceMean",))}
    return [
        node.name for node in _behind(model.node, DECODER_OPERATORS)
        if node.name in classifier or node.op_type != "MatMul" or node.input[1] not in large
    ]  # fmt: skip


def _behind(nodes: Iterable[NodeProto], operators: Sequence[str]) -> list[NodeProto]:
    """Those of these operators and all that depend on them."""
    reached: set[str] = set()
    found = []
    for node in nodes:  # in an order in which every value comes before its use
        if node.op_type in operators or reached.intersection(node.input):
            reached.update(node.output)
            found.append(node)
    return found


def _feeds(predictor: MapPredictor, frames: Iterable[Frame]) -> Iterator[dict[str, NDArray]]:
    """The graph's inputs for every frame."""
    runtime = predictor.runtime
    assert isinstance(runtime, OnnxRuntime)
    for frame in frames:
        prepared = predictor.prepare_frame(frame)
        assert isinstance(prepared.loaded, np.ndarray)  # ONNX Runtime takes NumPy arrays
        feed = runtime.feed(prepared.loaded, prepared.intrinsics, prepared.base_from_camera)
        yield {name: value.copy() for name, value in feed.items()}
