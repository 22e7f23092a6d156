"""Image encoders from the backbones of `transformers`, by name, in the papers' manner: stride 16 merged with stride 32.

`resnet-18`, `convnext-tiny`, `efficientnet-b2` and so on are known here with their sizes, so that they are built
without a network; `hf:PLACE` takes any backbone of the Hugging Face hub or of a local folder that `save_pretrained`
wrote. Pretrained weights are looked for in the folder or the local cache first, then on the hub.
"""
from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.layers import conv_bn_relu
from mapkd_core.suggestion import did_you_mean

PROBE_S = 8.0
"""A hub that has not answered by then is taken as not there."""
_PROBE_PIXELS = 128
BATCH_NORM_MOMENTUM = 0.01
"""EfficientNet's, in PyTorch's sense: the new share. `transformers` gives 33 of B0's 48 norms TensorFlow's 0.99,
the share of the old statistics, which keeps little more than the last batch, and 15 of them 0.1."""


def _convnext(kind: str, hub: str, depths: tuple[int, ...], width: int) -> tuple[str, str, dict[str, Any]]:
    return hub, kind, {"depths": list(depths), "hidden_sizes": [width * k for k in (1, 2, 4, 8)]}


def _resnet(number: int, layer: str, depths: tuple[int, ...]) -> tuple[str, str, dict[str, Any]]:
    width = 64 if layer == "basic" else 256
    sizes = {"layer_type": layer, "depths": list(depths), "hidden_sizes": [width * k for k in (1, 2, 4, 8)]}
    return f"microsoft/resnet-{number}", "resnet", sizes


def _efficientnet(number: int, width: float, depth: float, pixels: int, top: int, padding: tuple[int, ...]) -> Any:
    sizes = {"width_coefficient": width, "depth_coefficient": depth, "image_size": pixels, "hidden_dim": top}
    return f"google/efficientnet-b{number}", "efficientnet", {**sizes, "depthwise_padding": list(padding)}


KNOWN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "resnet-18": _resnet(18, "basic", (2, 2, 2, 2)),
    "resnet-34": _resnet(34, "basic", (3, 4, 6, 3)),
    "resnet-50": _resnet(50, "bottleneck", (3, 4, 6, 3)),
    "resnet-101": _resnet(101, "bottleneck", (3, 4, 23, 3)),
    "convnext-tiny": _convnext("convnext", "facebook/convnext-tiny-224", (3, 3, 9, 3), 96),
    "convnext-small": _convnext("convnext", "facebook/convnext-small-224", (3, 3, 27, 3), 96),
    "convnext-base": _convnext("convnext", "facebook/convnext-base-224", (3, 3, 27, 3), 128),
    "convnextv2-atto": _convnext("convnextv2", "facebook/convnextv2-atto-1k-224", (2, 2, 6, 2), 40),
    "convnextv2-nano": _convnext("convnextv2", "facebook/convnextv2-nano-1k-224", (2, 2, 8, 2), 80),
    "convnextv2-tiny": _convnext("convnextv2", "facebook/convnextv2-tiny-1k-224", (3, 3, 9, 3), 96),
    "efficientnet-b0": _efficientnet(0, 1.0, 1.0, 224, 1280, ()),
    "efficientnet-b1": _efficientnet(1, 1.0, 1.1, 240, 1280, (16,)),
    "efficientnet-b2": _efficientnet(2, 1.1, 1.2, 260, 1408, (5, 8, 16)),
    "efficientnet-b3": _efficientnet(3, 1.2, 1.4, 300, 1536, (5, 18)),
    "efficientnet-b4": _efficientnet(4, 1.4, 1.8, 380, 1792, (6,)),
}
"""name -> (name on the hub, kind in `transformers`, its sizes)."""


class BackboneEncoder(nn.Module):
    """Images -> features at a sixteenth of their size, by a backbone of `transformers`."""

    stride = 16

    def __init__(self, name: str, channels_out: int = 64, pretrained: bool = False) -> None:
        """Raises ValueError for an unknown name, or a network without stages at stride 16 and 32."""
        super().__init__()
        self.backbone = load_backbone(name, pretrained)
        self.taps, channels = self._probe(name)
        self.merge = nn.Sequential(conv_bn_relu(sum(channels), channels_out), conv_bn_relu(channels_out, channels_out))

    def forward(self, images: Tensor) -> Tensor:
        """M 3 H W -> M C H/16 W/16."""
        stages = _stages(self.backbone, images)
        fine, coarse = (stages[tap] for tap in self.taps)
        grown = functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=True)
        return self.merge(torch.cat([fine, grown], 1))

    def _probe(self, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Which stages have stride 16 and 32, and their channels; what does not lead to them is not trained."""
        with torch.enable_grad():
            self.backbone.eval()  # a probe must not move the running statistics
            stages = _stages(self.backbone, torch.zeros(1, 3, _PROBE_PIXELS, _PROBE_PIXELS))
            sides = [stage.shape[-1] if stage.ndim == 4 else 0 for stage in stages]
            wanted = [_PROBE_PIXELS // 16, _PROBE_PIXELS // 32]
            if any(side not in sides for side in wanted):
                raise ValueError(
                    f"image encoder {name!r} makes features of {sides} from {_PROBE_PIXELS} pixels; "
                    f"expected stages of {wanted} (stride 16 and 32): choose a hierarchical backbone"
                )
            fine, coarse = (len(sides) - 1 - sides[::-1].index(side) for side in wanted)
            parameters = list(self.backbone.parameters())
            total = stages[fine].sum() + stages[coarse].sum()
            gradients = torch.autograd.grad(total, parameters, allow_unused=True)
            self.backbone.train()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)
        return (fine, coarse), (stages[fine].shape[1], stages[coarse].shape[1])


def load_backbone(name: str, pretrained: bool) -> nn.Module:
    """The backbone of a known name or of `hf:PLACE`, with its pretrained weights if they are wanted and can be had.

    Where they cannot, a warning says so and the weights are random. Raises ValueError for a name that is not known,
    or a place whose architecture cannot be read.
    """
    from transformers import AutoBackbone, AutoConfig, AutoModel

    config: Any
    if name in KNOWN:
        place, kind, sizes = KNOWN[name]
        config = AutoConfig.for_model(kind, **sizes)
    elif name.startswith("hf:"):
        place = name.removeprefix("hf:")
        config = _fetched(AutoConfig.from_pretrained, place, trust_remote_code=False)
        if config is None:
            raise ValueError(
                f"image encoder {name!r}: {place} is neither a folder with a config.json, nor in the local cache, nor "
                "does the hub answer; give hf: and the folder of a downloaded model"
            )
    else:
        raise ValueError(
            f"no image encoder {name!r}{did_you_mean(name, KNOWN)}; there are small, trunk, {', '.join(KNOWN)}, "
            "and hf:PLACE (a model of the hub, or a folder)"
        )
    try:
        config.out_indices = [len(config.stage_names) - 2, len(config.stage_names) - 1]
        network = AutoBackbone.from_config(config)
    except (AttributeError, ValueError):  # no backbone by the library's own interface: its hidden states serve
        network = AutoModel.from_config(config)
    if pretrained:
        loaded = _fetched(type(network).from_pretrained, place, config=config)
        if loaded is None:
            warnings.warn(
                f"the pretrained weights of {name} ({place}) are neither on this machine nor does the hub answer: "
                f"{name} starts from random weights. Download them with: hf download {place}", stacklevel=2
            )
        network = loaded or network
    if hasattr(network, "encoder") and hasattr(network.encoder, "top_conv"):  # EfficientNet's classifier wants it
        for part in ("top_conv", "top_bn", "top_activation"):
            setattr(network.encoder, part, nn.Identity())
        set_batch_norm_momentum(network)
    return network


def set_batch_norm_momentum(efficientnet: nn.Module) -> None:
    """Gives every batch norm of an EfficientNet the published momentum, in place."""
    for layer in efficientnet.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = BATCH_NORM_MOMENTUM


def _stages(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Feature maps M C h w, fine to coarse."""
    if hasattr(network, "channels"):  # the library's interface of backbones
        return tuple(network(images).feature_maps)
    output = network(images, output_hidden_states=True)
    states = getattr(output, "reshaped_hidden_states", None) or output.hidden_states
    return tuple(states)


def _fetched(load: Callable[..., Any], place: str, **options: Any) -> Any | None:
    """What a folder, the local cache or the hub has; None where it cannot be had."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # a missing classifier is no news
    try:
        try:
            return load(place, local_files_only=True, **options)
        except (OSError, ValueError):
            if Path(place).expanduser().exists() or not hub_answers():
                return None
        try:
            return load(place, **options)
        except OSError:  # lost on the way
            return None
    finally:
        logging.set_verbosity(verbosity)


def hub_answers() -> bool:
    """Whether the hub (or `HF_ENDPOINT`) answers anything within `PROBE_S` seconds; never hangs."""
    answers: list[bool] = []

    def ask() -> None:
        place = urllib.request.Request(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), method="HEAD")
        try:
            urllib.request.urlopen(place, timeout=PROBE_S)
        except urllib.error.HTTPError:  # an answer all the same
            answers.append(True)
        except OSError:
            return
        answers.append(True)

    if os.environ.get("HF_HUB_OFFLINE", "0").lower() not in ("", "0", "false", "no", "off"):
        return False
    thread = threading.Thread(target=ask, daemon=True)  # a timeout does not bound the search for the host's address
    thread.start()
    thread.join(PROBE_S)
    return bool(answers)
