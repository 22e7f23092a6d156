"""Runs a trained student fast: several backends behind one face, calibration look-ups computed once per calibration."""
from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

from mapkd_core.runtime.face import Runtime, pick_device
from mapkd_core.runtime.folding import fold_batch_norms
from mapkd_core.runtime.graph_face import BELONGS_TO, OUTPUT, VECTOR_OUTPUT, graph_path
from mapkd_core.runtime.onnx_backend import ENGINES, OnnxRuntime, pick_onnx_device
from mapkd_core.runtime.openvino_backend import OpenVinoRuntime, pick_openvino_device
from mapkd_core.runtime.options import BACKENDS, PRECISIONS, RuntimeOptions, runtime_options
from mapkd_core.runtime.processor import INT8_FLAGS, has_any
from mapkd_core.runtime.threads import wait_without_spinning
from mapkd_core.runtime.torch_backend import TorchRuntime

__all__ = [
    "BACKENDS", "BELONGS_TO", "OUTPUT", "PRECISIONS", "VECTOR_OUTPUT", "OnnxRuntime", "OpenVinoRuntime",
    "Runtime", "RuntimeOptions", "TorchRuntime", "fold_batch_norms", "graph_path", "open_runtime", "pick_device",
    "runtime_options", "wait_without_spinning",
]  # fmt: skip

def open_runtime(path: str | Path, options: RuntimeOptions | None = None) -> Runtime:
    """The artifact `path`, run as `options` say; by default on the fastest backend that is sure to be there.

    Raises ArtifactError for a missing or damaged artifact, ValueError, with the remedy, for a combination that this
    machine does not have, and ModuleNotFoundError where a backend's package is not installed.
    """
    chosen = _chosen(path, options or RuntimeOptions())
    if chosen.backend == "openvino":
        return OpenVinoRuntime(path, chosen)
    return (OnnxRuntime if chosen.backend in ENGINES else TorchRuntime)(path, chosen)


def _chosen(path: str | Path, options: RuntimeOptions) -> RuntimeOptions:
    """The same with a backend and a precision in place of `auto`."""
    backend, precision = options.backend, options.precision
    if backend == "auto" and importlib.util.find_spec("torch") is None:
        backend = "onnx"
    if precision == "auto":
        precision = _fastest_precision(path, replace(options, backend=backend))
    if backend == "auto" and precision == "int8":
        backend = "onnx"
    if backend == "auto":
        # CUDA graphs are not the default before they have been measured on a GPU.
        backend = "torchscript" if pick_device(options.device) == "cpu" else "torch"
    return replace(options, backend=backend, precision=precision)


def _fastest_precision(path: str | Path, options: RuntimeOptions) -> str:
    """`int8` where the graph is there and this machine serves it, else `fp32`; an unknown device is refused."""
    if options.backend == "openvino":
        pick_openvino_device(replace(options, precision="fp32"))
        return "int8" if has_any(INT8_FLAGS) and graph_path(path, "int8").is_file() else "fp32"
    onnx = importlib.util.find_spec("onnxruntime") is not None
    found = pick_onnx_device(options) if onnx and options.backend == "onnx" else pick_device(options.device)
    there = onnx and graph_path(path, "int8").is_file()
    served = options.backend in ("auto", "onnx") and found == "cpu" and has_any(INT8_FLAGS)
    return "int8" if served and there else "fp32"
