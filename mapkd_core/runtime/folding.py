"""Batch norms of a trained network folded into the convolutions before them."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


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
