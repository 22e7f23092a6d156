"""Runs a trained network fast: backends behind one face, calibration look-ups computed once per calibration."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import ArtifactError, ModelCard, load_model

if TYPE_CHECKING:
    from torch import nn

    from mapkd_core.model.pillar_sampling import PillarLookup


class Runtime(Protocol):
    """What every backend offers."""

    card: ModelCard
    device: str

    def probabilities(
        self, images: NDArray[np.float32], intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(N, 3, H, W) normalised pictures and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) class probabilities."""


def pick_device(device: str) -> str:
    """`auto` becomes `cuda` where there is one, else `cpu`. Raises ValueError for a device that is not there."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is not one of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch sees no CUDA device; use auto or cpu")
    return device


class _LookupCache:
    """The view transform's tables of the newest calibration, computed anew only when the calibration changes."""

    def __init__(self, model: Any, device: str) -> None:
        self.model, self.device = model, device
        self.computed = 0
        self._calibration: bytes = b""
        self._lookup: PillarLookup | None = None

    def lookup(self, intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]) -> PillarLookup:
        """Tables for calibrations (N, 3, 3) and (N, 4, 4)."""
        import torch

        calibration = intrinsics.tobytes() + base_from_camera.tobytes()
        if self._lookup is None or calibration != self._calibration:
            tensors = [torch.from_numpy(np.asarray(m, np.float32))[None] for m in (intrinsics, base_from_camera)]
            self._lookup = self.model.lookup(*(tensor.to(self.device) for tensor in tensors))
            self._calibration = calibration
            self.computed += 1
        return self._lookup


class TorchRuntime:
    """The network in eager PyTorch, batch norms folded into the convolutions, channels last."""

    def __init__(self, path: str | Path, device: str = "auto", threads: int | None = None) -> None:
        import torch

        self.device = pick_device(device)
        if threads:
            torch.set_num_threads(threads)
        model, self.card = load_model(path)
        fold_batch_norms(model)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.lookups = _LookupCache(self.model, self.device)

    def probabilities(
        self, images: NDArray[np.float32], intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(N, 3, H, W) normalised pictures and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) class probabilities."""
        import torch

        with torch.inference_mode():
            lookup = self.lookups.lookup(intrinsics, base_from_camera)
            batch = torch.from_numpy(images)[None].to(self.device, non_blocking=True)   # 1 N 3 H W
            semantic = self.model.infer(batch, lookup).semantic                         # 1 4 Y X
            return semantic[0].float().softmax(0).cpu().numpy()


class OnnxRuntime:
    """An exported graph (NAME.onnx beside NAME.json) in ONNX Runtime, on the CPU or on CUDA."""

    def __init__(self, path: str | Path, device: str = "auto", threads: int | None = None) -> None:
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if device == "auto":
            device = "cuda" if "CUDAExecutionProvider" in available else "cpu"
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device)
        if provider not in available:
            raise ValueError(f"device {device!r} is not served by this ONNX Runtime, which offers {available}")
        graph = Path(path).expanduser().with_suffix(".onnx")
        if not graph.is_file():
            raise ArtifactError(f"no graph {graph}; write it with: mapkd export --onnx")
        # The weights come along for the look-up's geometry alone; they also prove that card and files belong together.
        model, self.card = load_model(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self.device = device
        self.session = onnxruntime.InferenceSession(str(graph), options, providers=[provider])
        self.lookups = _LookupCache(model, "cpu")

    def probabilities(
        self, images: NDArray[np.float32], intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(N, 3, H, W) normalised pictures and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) class probabilities."""
        lookup = self.lookups.lookup(intrinsics, base_from_camera)
        feed = {"images": images, "pixel": lookup.pixel[0].numpy(), "weight": lookup.weight[0].numpy()}
        return np.asarray(self.session.run(["probabilities"], feed)[0])


def fold_batch_norms(model: nn.Module) -> None:
    """Folds every batch norm that directly follows a convolution in a Sequential into it."""
    import torch
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for at in range(len(module) - 1):
                convolution, norm = module[at], module[at + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    with torch.no_grad():
                        module[at] = fuse_conv_bn_eval(convolution, norm)
                    module[at + 1] = nn.Identity()
