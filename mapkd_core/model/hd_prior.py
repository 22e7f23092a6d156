"""P-MapNet's HD-map prior: a masked autoencoder over map rasters that later refines a coarse prediction.

Source: P-MapNet (arXiv 2403.10521), section 3.3; ViT-B of He et al. 2022. Pre-training sees true rasters with blocks
wiped out, so the refinement here is fed probabilities, not the raw logits that the released code feeds it.

Legend: B batch, Y X grid, T tokens, D width.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.bev_encode import OUTPUTS, BevEncode
from mapkd_core.types import Batch, Prediction


class VitBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """B T D -> B T D."""
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.feed(self.norm2(x))


class HdPrior(nn.Module):
    """Class probabilities (or masked truth) B 4 Y X -> a complete map: semantic, embedding, direction."""

    def __init__(
        self, grid_size: tuple[int, int], patch: int = 8, dim: int = 768, layers: int = 12, heads: int = 12,
        width: int = 64, factor: int = 1, outputs: tuple[str, ...] = tuple(OUTPUTS), halvings: int = 3,
    ) -> None:
        """`factor`: the decoder works on cells this many times larger than the grid's (ours; 1 in the paper), and
        halves its features `halvings` times (3 in the paper)."""
        super().__init__()
        self.patch, self.factor = patch, factor
        rows, cols = grid_size[0] // patch, grid_size[1] // patch
        self.embed = nn.Conv2d(4, dim, patch, patch)
        # One row more than tokens, as in the released weights, whose last row is never read.
        self.position = nn.Parameter(torch.zeros(1, rows * cols + 1, dim))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.blocks = nn.Sequential(*(VitBlock(dim, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.grow = nn.Sequential(nn.ConvTranspose2d(dim, dim, 4, 2, 1), nn.ConvTranspose2d(dim, dim, 4, 2, 1))
        self.mix = nn.Sequential(nn.Conv2d(dim, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.encode = BevEncode(dim, width, outputs, factor, halvings=halvings)

    def forward(self, masks: Tensor) -> Prediction:
        """B 4 Y X in 0..1, channel 0 background -> Prediction on Y X."""
        patches = self.embed(masks)                                                     # B D Y/8 X/8
        tokens = patches.flatten(2).transpose(1, 2)                                     # B T D
        tokens = self.norm(self.blocks(tokens + self.position[:, : tokens.shape[1]]))
        features = self.grow(tokens.transpose(1, 2).unflatten(2, patches.shape[-2:]))   # B D Y/2 X/2
        size = (masks.shape[-2] // self.factor, masks.shape[-1] // self.factor)
        features = functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
        for layer in self.mix:  # one name: at a quarter of a gigabyte each, a map must not outlive its use
            features = layer(features)
        return self.encode(features)


class HdPriorPretraining(nn.Module):
    """The prior alone, learning to complete true maps: the first stage of a network with an HD prior.

    Reads the batch's labels as its input; in eval mode the wiped blocks are the same in every call.
    """

    draws_random = True

    def __init__(self, prior: HdPrior, ratio: float = 0.5) -> None:
        super().__init__()
        self.hd_prior = prior
        self.ratio = ratio

    def forward(self, batch: Batch) -> Prediction:
        """Prediction of the complete map from a wiped one."""
        if batch.semantic is None:
            raise ValueError("the HD prior learns from labels, the batch has none")
        generator = None if self.training else torch.Generator().manual_seed(0)
        return self.hd_prior(wipe_blocks(batch.semantic, self.ratio, generator))


def wipe_blocks(onehot: Tensor, ratio: float, generator: torch.Generator | None = None) -> Tensor:
    """Pre-training input: truth with blocks wiped, boundaries apart from the rest, background recomputed.

    `onehot` B 4 Y X. The image is cut into n x n blocks, n drawn per sample from 25, 20, 10, 8; `ratio` of them is
    wiped, or, when negative, U(0, 0.5) for boundaries and U(0, 0.7) for the others (P-MapNet's long-range setting).
    """
    result = onehot.float().clone()
    rows, cols = onehot.shape[-2:]
    for sample in result:
        count = (25, 20, 10, 8)[int(torch.randint(4, (1,), generator=generator))]
        for channels, most in ((slice(3, 4), 0.5), (slice(1, 3), 0.7)):
            share = ratio if ratio >= 0 else float(torch.rand(1, generator=generator)) * most
            keep = (torch.rand(count, count, generator=generator) >= share).float()[None, None]
            blocks = functional.interpolate(keep, size=(rows, cols), mode="nearest")[0]
            sample[channels] *= blocks.to(sample.device)
        sample[0] = (sample[1:].amax(0) == 0).float()
    return result
