"""The student's forward for deployment, and the ways in which PyTorch can run it: eager, frozen, compiled, CUDA graph.

All of them map images (N, 3, H, W) and the look-up's tables to probabilities (4, Y, X), on whatever device these are.
"""
from __future__ import annotations

import warnings
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mapkd_core.types import VectorPrediction


class Forward(Protocol):
    """A way to run the network."""

    def __call__(self, images: Tensor, *tables: Tensor) -> Tensor:
        """N 3 H W and the tables of the network's `lookup` -> what `Eager` gives."""


class Eager(nn.Module):
    """One operator after the other."""

    def __init__(self, student: Any) -> None:
        super().__init__()
        self.student = student
        self.lookup_type: Any = None

    def forward(self, images: Tensor, *tables: Tensor) -> Tensor:
        """N 3 H W and tables -> 4 Y X probabilities; of a vector network, V 3 + 2P: scores, then vertices in metres."""
        lookup = self.lookup_type(*tables)
        prediction = self.student.infer(images[None], lookup)
        if isinstance(prediction, VectorPrediction):
            scores, points = prediction.logits[-1, 0].float().sigmoid(), prediction.points_m[-1, 0]
            return torch.cat([scores, points.flatten(1)], 1)
        return prediction.semantic[0].float().softmax(0)


class Scripted:
    """Traced and frozen for each number of cameras: the graph runs without Python, thus without its global lock.

    In the node this matters more than on an idle machine: eager PyTorch takes the lock back after every operator, and
    a thread that handles messages meanwhile may keep it for five milliseconds each time.
    """

    def __init__(self, forward: Eager) -> None:
        self.forward = forward
        self._graphs: dict[tuple[int, ...], Any] = {}

    def __call__(self, images: Tensor, *tables: Tensor) -> Tensor:
        """N 3 H W and tables -> 4 Y X probabilities; the first call for a number of cameras traces."""
        shape = tuple(images.shape)
        if shape not in self._graphs:
            self._graphs[shape] = self._trace(images, tables)
        return self._graphs[shape](images, *tables)

    def _trace(self, images: Tensor, tables: tuple[Tensor, ...]) -> Any:
        # Tracing records for autograd, which tensors made in inference mode do not allow.
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shapes become constants, as wanted: there is a graph for each
            example = (images.clone(), *(table.clone() for table in tables))
            traced: Any = torch.jit.trace(self.forward, example, check_trace=False)
            graph: Any = torch.jit.freeze(traced)
            for _ in range(3):
                graph(*example)  # the executor specialises in its first calls
        return graph


class CudaGraph:
    """One recorded CUDA graph for each number of cameras: a single launch instead of a hundred. Needs a GPU."""

    def __init__(self, forward: Eager) -> None:
        self.forward = forward
        self._graph: Any = None
        self._images: Tensor | None = None
        self._tables: tuple[Tensor, ...] = ()
        self._given: tuple[Tensor, ...] = ()
        self._output: Tensor | None = None

    def __call__(self, images: Tensor, *tables: Tensor) -> Tensor:
        """N 3 H W and tables -> 4 Y X probabilities, overwritten by the next call."""
        if self._images is None or self._images.shape != images.shape:
            self._record(images, tables)
        assert self._images is not None and self._output is not None
        self._images.copy_(images)
        if any(given is not table for given, table in zip(self._given, tables, strict=True)):
            for own, table in zip(self._tables, tables, strict=True):
                own.copy_(table)
            self._given = tables
        self._graph.replay()
        return self._output

    def _record(self, images: Tensor, tables: tuple[Tensor, ...]) -> None:
        self._images, self._tables, self._given = images.clone(), tuple(t.clone() for t in tables), tables
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # cuDNN chooses its algorithms before they are recorded
                self.forward(self._images, *self._tables)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = self.forward(self._images, *self._tables)


def make_forward(name: str, forward: Eager) -> Forward:
    """The way to run that is called `name`: torch, torchscript, compile or cudagraph."""
    if name == "torchscript":
        return Scripted(forward)
    if name == "compile":
        compiled: Forward = torch.compile(forward, dynamic=False)
        return compiled
    if name == "cudagraph":
        return CudaGraph(forward)
    return forward
