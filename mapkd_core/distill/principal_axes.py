"""A teacher's channels brought to another number of channels by principal component analysis (PCA).

Source: PCA (Pearson 1901); nothing is learned from the loss, which a projection of the teacher could please by
collapsing, and nothing is drawn at random. Legend: B batch, C channels, D axes, h w feature map, P cells.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mapkd_core.distill.interface import mean_over_processes
from mapkd_core.distill.taps import ChannelStats

SAMPLES = 2000
"""After so many the axes stand still."""


class PrincipalAxes(nn.Module):
    """The directions in which the channels of a teacher's feature vary most, found from its first samples.

    Until there were `samples` of them, the axes are those of what has been seen so far; saved with the run. Of more
    axes than channels the last ones are zero.
    """

    def __init__(self, channels: int, axes: int, samples: int = SAMPLES) -> None:
        super().__init__()
        self.samples = samples
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.zeros(channels, channels))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("axes", torch.eye(channels, axes))
        self.mean: Tensor
        self.square: Tensor
        self.seen: Tensor
        self.axes: Tensor

    @torch.no_grad()
    def follow(self, teacher: Tensor, stats: ChannelStats) -> None:
        """Takes a batch B C h w of the teacher in, in training mode; `stats` are those of the result, B D h w.

        As long as the axes turn, statistics of former results would mean nothing; they follow from the same moments.
        """
        if not self.training or float(self.seen) >= self.samples:
            stats.follow(self(teacher))
            return
        cells = teacher.float().transpose(0, 1).flatten(1)                              # C P
        now = torch.cat([cells.mean(1, keepdim=True), cells @ cells.T / cells.shape[1]], 1)
        now = mean_over_processes(now)                                                  # C 1+C
        # Every process has as many samples of a step; those of one are counted.
        share = len(teacher) / (self.seen + len(teacher))
        self.mean.lerp_(now[:, 0], share)
        self.square.lerp_(now[:, 1:], share)
        self.seen += len(teacher)
        self._turn()
        stats.mean.copy_(self.mean @ self.axes)
        stats.square.copy_((self.axes * (self.square @ self.axes)).sum(0))
        stats.count += 1

    def forward(self, features: Tensor) -> Tensor:
        """B C h w -> B D h w, the axis of the greatest variance first."""
        return torch.einsum("bchw,cd->bdhw", features, self.axes)

    def _turn(self) -> None:
        covariance = self.square.double() - torch.outer(self.mean, self.mean).double()
        vectors = torch.linalg.eigh(covariance)[1].flip(1)                              # C C
        # Of an axis and its opposite, the one whose largest part is positive: either is right, one must be taken.
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        vectors = (vectors * largest.sign())[:, : self.axes.shape[1]]
        self.axes.zero_()
        self.axes[:, : vectors.shape[1]] = vectors.to(self.axes.dtype)
