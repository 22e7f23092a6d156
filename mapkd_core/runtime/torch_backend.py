"""The student in PyTorch: eager, frozen, compiled or as a CUDA graph, in fp32, fp16 or bf16."""
from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import ArtifactError, card_path, load_model
from mapkd_core.runtime.face import LookupCache, Runtime, pick_device
from mapkd_core.runtime.folding import fold_batch_norms
from mapkd_core.runtime.options import RuntimeOptions
from mapkd_core.runtime.processor import BF16_FLAGS, has_any

if TYPE_CHECKING:
    from torch import Tensor, nn

MODES = ("torch", "torchscript", "compile", "cudagraph")


class TorchRuntime(Runtime):
    """Batch norms folded into the convolutions, channels last; the backend is one of MODES."""

    def __init__(self, path: str | Path, options: RuntimeOptions) -> None:
        import torch

        from mapkd_core.runtime.forward import Eager, make_forward
        from mapkd_core.runtime.image_loader import ImageLoader

        options = replace(options, device=pick_device(options.device))
        check_combination(options)
        self.device, self.backend, self.precision = options.device, options.backend, options.precision
        if options.threads:
            torch.set_num_threads(options.threads)
        model, self.card = load_model(path)
        _check_inputs(model, path, self.card.model)
        self.cameras = self.card.cameras if getattr(model, "rig_bound", False) else ()
        self.vectors = self.card.model == "vector_student"
        fold_batch_norms(model)
        dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.precision]
        # The look-up keeps its float32 geometry whatever the precision of the network: half a pixel counts.
        self.geometry: Any = (model if self.precision == "fp32" else copy.deepcopy(model)).to(self.device)
        self.model = model.to(self.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.lookups = LookupCache(self._lookup)
        self._loader = ImageLoader(self.card, self.device, dtype)
        self._eager = Eager(self.model).eval()
        self._forward = make_forward(self.backend, self._eager)
        self.warm_up(len(self.card.cameras))
        self.lookups.computed = 0

    def new_buffer(self, cameras: int) -> NDArray[np.uint8]:
        """(N, H, W, 3): where N images of the card's input size are to be written; page-locked for a GPU."""
        return self._loader.new_buffer(cameras)

    def _load(self, images: NDArray[np.uint8]) -> Tensor:
        return self._loader.load(images)

    def infer(
        self,
        loaded: Tensor,
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """What `load` returned, and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) class probabilities."""
        import torch

        with torch.inference_mode():
            lookup = self.lookups.lookup(intrinsics, base_from_camera, visible)
            self._eager.lookup_type = type(lookup)
            return self._forward(loaded, *lookup).cpu().numpy()

    def _lookup(
        self,
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None,
    ) -> Any:
        """A tuple of tensors, see model/pillar_sampling.py."""
        import torch

        tensors = [torch.from_numpy(np.asarray(m, np.float32))[None] for m in (intrinsics, base_from_camera)]
        if visible is not None:
            tensors.append(torch.from_numpy(np.ascontiguousarray(visible, bool))[None])
        return self.geometry.lookup(*(tensor.to(self.device) for tensor in tensors))


def _check_inputs(model: nn.Module, path: str | Path, name: str) -> None:
    """Raises ArtifactError for a network that images and calibrations are not enough for."""
    if getattr(model, "remembers", False):
        raise ArtifactError(
            f"{card_path(path)} is of a network with a memory, which must be told how the vehicle moved; what runs on "
            "images alone cannot run it: use mapkd evaluate, or mapkd predict --dataroot, or train one without "
            "(model_options.memory: 0)"
        )
    reads = getattr(model, "reads", ())
    if reads or not hasattr(model, "lookup"):
        raise ArtifactError(
            f"{card_path(path)} is of model {name!r}, which reads {' and '.join(reads) or 'no images'}; what runs on "
            "images alone cannot run it: score it with mapkd evaluate, or distil it into a student with mapkd distill"
        )


def check_combination(options: RuntimeOptions) -> None:
    """Raises ValueError, with the remedy, for what PyTorch cannot do, or only slower than fp32, on this machine.

    `options.device` is cpu or cuda.
    """
    backend, precision, device = options.backend, options.precision, options.device
    if backend not in MODES:
        raise ValueError(f"backend {backend!r} is not one of PyTorch's {', '.join(MODES)}")
    if backend == "cudagraph" and device != "cuda":
        raise ValueError(f"backend cudagraph needs device cuda, not {device}; use torchscript")
    if precision == "int8":
        raise ValueError(f"precision int8 is not served by backend {backend}; use backend onnx")
    if precision == "fp16" and device != "cuda":
        raise ValueError(f"precision fp16 needs device cuda, not {device}; use fp32")
    if precision == "bf16" and device == "cpu" and not has_any(BF16_FLAGS):
        raise ValueError(
            "precision bf16: this CPU has no bf16 instructions (none of the flags "
            f"{', '.join(sorted(BF16_FLAGS))}), so that it would be ten times slower than fp32; use fp32"
        )
