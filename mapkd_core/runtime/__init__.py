"""Runs a trained student fast: several backends behind one face, calibration look-ups computed once per calibration."""
from __future__ import annotations

import importlib.util
from pathlib import Path

from mapkd_core.runtime.face import Runtime, pick_device
from mapkd_core.runtime.folding import fold_batch_norms
from mapkd_core.runtime.onnx_backend import BELONGS_TO, OnnxRuntime, graph_path, pick_onnx_device
from mapkd_core.runtime.processor import INT8_FLAGS, has_any
from mapkd_core.runtime.threads import wait_without_spinning
from mapkd_core.runtime.torch_backend import TorchRuntime

__all__ = [
    "BACKENDS", "BELONGS_TO", "PRECISIONS", "OnnxRuntime", "Runtime", "TorchRuntime", "fold_batch_norms", "graph_path",
    "open_runtime", "pick_device", "wait_without_spinning",
]  # fmt: skip

BACKENDS = {
    "auto": "torchscript on a CPU (precision int8: onnx), torch on a GPU; onnx where PyTorch is not installed",
    "torch": "PyTorch, one operator after the other",
    "torchscript": "PyTorch, traced and frozen: no Python between the operators",
    "compile": "torch.compile; needs a C++ compiler (CPU) or Triton (GPU), and a minute at the first image",
    "cudagraph": "PyTorch, replayed as one CUDA graph; device cuda only",
    "onnx": "ONNX Runtime on NAME.onnx or NAME.int8.onnx; device cpu or cuda",
    "tensorrt": "TensorRT through ONNX Runtime; device cuda only",
}
"""name -> what it is."""
PRECISIONS = {
    "auto": "int8 where this machine serves it and NAME.int8.onnx is there, else fp32",
    "fp32": "every backend",
    "fp16": "PyTorch on cuda, tensorrt",
    "bf16": "PyTorch on cuda, or on a CPU with bf16 instructions",
    "int8": "onnx on a CPU with VNNI or dot-product instructions",
}
"""name -> where it runs."""


def open_runtime(
    path: str | Path,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
) -> Runtime:
    """The artifact `path` on a backend of BACKENDS in a precision of PRECISIONS.

    `threads` are CPU threads of the network, by default all cores. Raises ArtifactError for a missing or damaged
    artifact, ValueError, with the remedy, for a combination that this machine does not have, and
    ModuleNotFoundError where a backend's package is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    if backend == "auto" and importlib.util.find_spec("torch") is None:
        backend = "onnx"
    if precision == "auto":
        precision = _fastest_precision(path, device, backend)
    if backend == "auto" and precision == "int8":
        backend = "onnx"
    if backend in ("onnx", "tensorrt"):
        return OnnxRuntime(path, device, threads, precision, tensorrt=backend == "tensorrt")
    if backend == "auto":
        # CUDA graphs are not the default before they have been measured on a GPU.
        backend = "torchscript" if pick_device(device) == "cpu" else "torch"
    return TorchRuntime(path, device, threads, backend, precision)


def _fastest_precision(path: str | Path, device: str, backend: str) -> str:
    """`int8` where the graph is there and this machine serves it, else `fp32`; an unknown device is refused."""
    onnx = importlib.util.find_spec("onnxruntime") is not None
    found = pick_onnx_device(device) if onnx and backend == "onnx" else pick_device(device)
    there = onnx and graph_path(path, "int8").is_file()
    served = backend in ("auto", "onnx") and found == "cpu" and has_any(INT8_FLAGS)
    return "int8" if served and there else "fp32"
