"""How a network is run: where, by what, in which numbers, on how many threads. One object that is passed whole."""
from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BACKENDS = {
    "auto": "torchscript on a CPU (precision int8: onnx), torch on a GPU; onnx where PyTorch is not installed",
    "torch": "PyTorch, one operator after the other",
    "torchscript": "PyTorch, traced and frozen: no Python between the operators",
    "compile": "torch.compile; needs a C++ compiler (CPU) or Triton (GPU), and a minute at the first image",
    "cudagraph": "PyTorch, replayed as one CUDA graph; device cuda only",
    "onnx": "ONNX Runtime on NAME.onnx or NAME.int8.onnx; device cpu or cuda",
    "openvino": "OpenVINO on NAME.onnx or NAME.int8.onnx; device cpu only; needs the extra openvino",
    "tensorrt": "TensorRT through ONNX Runtime; device cuda only",
}
"""name -> what it is."""
PRECISIONS = {
    "auto": "int8 where this machine serves it and NAME.int8.onnx is there, else fp32",
    "fp32": "every backend",
    "fp16": "PyTorch on cuda, tensorrt",
    "bf16": "PyTorch on cuda, or on a CPU with bf16 instructions",
    "int8": "onnx and openvino on a CPU with VNNI or dot-product instructions",
}
"""name -> where it runs."""

_FORMER_ORDER = ("device", "threads", "backend", "precision")


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """How a network is run. Raises ValueError for a name that does not exist.

    Whether this machine serves a combination is found when a network is opened with it.
    """

    device: str = "auto"
    """auto, cpu or cuda."""
    backend: str = "auto"
    """One of BACKENDS."""
    precision: str = "fp32"
    """One of PRECISIONS."""
    threads: int = 0
    """CPU threads of the network; 0 leaves the number to the backend."""

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f"backend {self.backend!r} is not one of {', '.join(BACKENDS)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision {self.precision!r} is not one of {', '.join(PRECISIONS)}")
        if self.threads < 0:
            raise ValueError(f"threads is {self.threads}; expected a number of CPU threads, or 0 for the backend's own")


def runtime_options(
    given: RuntimeOptions | str | None, former: Sequence[Any] = (), settings: Mapping[str, Any] | None = None
) -> RuntimeOptions:
    """What a caller of the public face asks for: options, or their fields by name.

    By position, in the order of an older version (device, threads, backend, precision), they give a FutureWarning.
    Raises TypeError for options and fields together.
    """
    fields = {name: value for name, value in (settings or {}).items() if value is not None}
    if isinstance(given, RuntimeOptions):
        if former or fields:
            raise TypeError("give RuntimeOptions, or their fields by name, not both")
        return given
    by_place = (given, *former)
    if by_place != (None,):
        warnings.warn(
            "device, threads, backend and precision by position will go with the next version; give them by name, "
            "or RuntimeOptions(device=..., backend=...)",
            FutureWarning,
            stacklevel=3,
        )
        if len(by_place) > len(_FORMER_ORDER):
            raise TypeError(f"{len(by_place)} options by position; there are {', '.join(_FORMER_ORDER)}")
        fields |= {n: v for n, v in zip(_FORMER_ORDER, by_place, strict=False) if v is not None}
    return RuntimeOptions(**fields)
