"""The student as an exported graph in ONNX Runtime: on the CPU (also in eight bits), on CUDA, or through TensorRT."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.runtime.engine_cache import EngineCache
from mapkd_core.runtime.graph_face import GraphRuntime, Opened, check_int8_instructions
from mapkd_core.runtime.options import RuntimeOptions

ENGINES = {"onnx": ("fp32", "int8"), "tensorrt": ("fp32", "fp16")}
"""Backends of ONNX Runtime -> the precisions they have."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
REMEDIES = {
    "cuda": "pip install onnxruntime-gpu in place of onnxruntime, or use device cpu",
    "tensorrt": "pip install onnxruntime-gpu tensorrt in place of onnxruntime, or use backend onnx or torch",
}
ENGINE_CACHE = Path("~/.cache/mapkd/tensorrt")
"""TensorRT builds an engine for minutes; the next start finds it here."""


class OnnxRuntime(GraphRuntime):
    """A graph in ONNX Runtime; see GraphRuntime and ENGINES."""

    library = "ONNX Runtime"

    def __init__(self, path: str | Path, options: RuntimeOptions) -> None:
        options = replace(options, device=pick_onnx_device(options))
        check_combination(options)
        self._engines: EngineCache | None = None
        self._built: set[int] = set()
        super().__init__(path, options)
        served = self.session.get_providers()[0]
        key = _provider_key(options)
        wanted = PROVIDERS[key]
        if served != wanted:
            raise ValueError(f"{wanted} could not be loaded, {served} would serve instead; {REMEDIES[key]}")

    def _open(self, graph: Path, options: RuntimeOptions) -> Opened:
        import onnxruntime

        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = options.threads
        # Threads that spin while they wait take the core from whoever would let them go on; see threads.py.
        session.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(str(graph), session, providers=self._providers())
        ends = (*self.session.get_inputs(), *self.session.get_outputs())
        return Opened(self.session.get_modelmeta().custom_metadata_map, {end.name: end.shape for end in ends})

    def _run(self, feed: dict[str, NDArray]) -> NDArray[np.float32]:
        found = np.asarray(self.session.run([self.output], feed)[0])
        cameras = len(feed["images"])
        if self._engines is not None and cameras not in self._built:  # the first of a number of cameras builds one
            self._engines.note()
            self._built.add(cameras)
        return found

    def _providers(self) -> list[Any]:
        if self.backend == "onnx":
            return [PROVIDERS[self.device]]
        # Engines hold the weights, and ONNX Runtime tells them apart by the graph alone.
        self._engines = EngineCache(ENGINE_CACHE.expanduser() / self.card.weights_sha256[:16])
        options = {
            "trt_fp16_enable": self.precision == "fp16",
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(self._engines.folder),
        }
        return [(PROVIDERS["tensorrt"], options), PROVIDERS["cuda"]]


def pick_onnx_device(options: RuntimeOptions) -> str:
    """`cpu` or `cuda`; raises ValueError, with the remedy, for what this ONNX Runtime does not serve."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    device, tensorrt = options.device, options.backend == "tensorrt"
    if tensorrt:
        if device == "cpu":
            raise ValueError("backend tensorrt needs device cuda, not cpu; use backend onnx")
        device = "cuda"
    elif device == "auto":
        device = "cuda" if PROVIDERS["cuda"] in available else "cpu"
    key = _provider_key(replace(options, device=device))
    if PROVIDERS.get(key) not in available:
        what = "backend tensorrt" if tensorrt else f"device {device!r}"
        remedy = REMEDIES.get(key, "use auto, cpu or cuda")
        raise ValueError(f"{what} is not served by this ONNX Runtime, which offers {available}; {remedy}")
    return device


def _provider_key(options: RuntimeOptions) -> str:
    return "tensorrt" if options.backend == "tensorrt" else options.device


def check_combination(options: RuntimeOptions) -> None:
    """Raises ValueError, with the remedy, for what ONNX Runtime does not have; `options.device` is cpu or cuda."""
    backend, precision, device = options.backend, options.precision, options.device
    if backend not in ENGINES:
        raise ValueError(f"backend {backend!r} is not one of ONNX Runtime's {', '.join(ENGINES)}")
    served = ENGINES[backend]
    if precision not in served:
        raise ValueError(f"precision {precision} is not served by backend {backend}, which has {', '.join(served)}")
    if precision == "int8" and device != "cpu":
        raise ValueError(f"precision int8 needs device cpu, not {device}; on a GPU use fp16")
    if precision == "int8":
        check_int8_instructions()
