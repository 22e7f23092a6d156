"""Named inner features of any network, and pairs of them brought to one shape.

Methods are written for the papers' networks, which offer every tap by its name. For others a table names the stand-in:
our student's `deep` (cells of 1.2 m) for `bev_small` and `enc3`, its `fine` for `enc1` and `up1`, its
`cam_bev` for `full_bev`. Where widths differ the student's side gets a 1x1 convolution that is trained and thrown away;
where sizes differ the finer side is averaged down to the coarser. What a tap shows depends on its cells, which are
1.2 m at `bev_small` in the papers; `halvings` in the networks' options keeps them below 1.5 m on other grids.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Networks, mean_over_processes
from mapkd_core.grid import BevGrid
from mapkd_core.types import Prediction

STAND_INS: dict[str, tuple[str, ...]] = {
    "bev_small": ("deep", "enc3"),
    "enc3": ("deep",),
    "enc1": ("fine",),
    "up1": ("fine",),
    "full_bev": ("cam_bev",),
    "cam_bev": ("full_bev",),
}
"""tap -> what else serves, in this order."""


def tap(prediction: Prediction, name: str) -> Tensor:
    """B C h w, the inner feature `name` or its stand-in, or the logits `semantic`, `embedding`, `direction`.

    Raises ValueError if the network offers neither.
    """
    if name in ("semantic", "embedding", "direction"):
        output = getattr(prediction, name)
        if output is None:
            raise ValueError(f"the network has no head {name!r}, which this method distils; add it in model_options")
        return output
    for candidate in (name, *STAND_INS.get(name, ())):
        if candidate in prediction.taps:
            return prediction.taps[candidate]
    raise ValueError(
        f"the network offers no feature {name!r} nor {STAND_INS.get(name, ())}; it has {sorted(prediction.taps)}: "
        "choose another method or network"
    )


def same_size(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both B C h w at the smaller height and width of the two, by averaging."""
    size = (min(a.shape[-2], b.shape[-2]), min(a.shape[-1], b.shape[-1]))
    return shrunk(a, size), shrunk(b, size)


def shrunk(features: Tensor, size: Sequence[int]) -> Tensor:
    """B C h w averaged down to a size."""
    if features.shape[-2:] == torch.Size(size):
        return features
    return functional.adaptive_avg_pool2d(features, (size[0], size[1]))


def patch_cells(patch_m: float, size: Sequence[int], grid: BevGrid) -> int:
    """Cells along a side of a patch of `patch_m` metres, on a map of `size` (h, w) over the grid; at least 1."""
    cell_m = (grid.x_range_m[1] - grid.x_range_m[0]) / size[1]
    return max(round(patch_m / cell_m), 1)


def adapter(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 1x1 convolution; between equal widths it starts as the identity, so that equal features cost nothing."""
    convolution = nn.Conv2d(channels_in, channels_out, 1)
    if channels_in == channels_out:
        nn.init.dirac_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


class TapPair(nn.Module):
    """The student's and another network's feature of one name, in one shape."""

    def __init__(self, networks: Networks, name: str, other: str = "teacher", always: bool = False) -> None:
        """`always` puts the 1x1 convolution in even where widths agree, for methods that prescribe it."""
        super().__init__()
        self.name, self.other = name, other
        mine, theirs = tap(networks.probe.student, name), tap(networks.probe.of(other), name)
        self.channels = theirs.shape[1]
        self.size = (min(mine.shape[-2], theirs.shape[-2]), min(mine.shape[-1], theirs.shape[-1]))
        needed = always or mine.shape[1] != theirs.shape[1]
        self.adapt = adapter(mine.shape[1], theirs.shape[1]) if needed else nn.Identity()

    def forward(self, step: DistillStep) -> tuple[Tensor, Tensor]:
        """-> student's and the other's feature, B C h w each."""
        mine, theirs = same_size(tap(step.student, self.name), tap(step.of(self.other), self.name))
        return self.adapt(mine), theirs.detach()


class ChannelStats(nn.Module):
    """Running mean and standard deviation of each channel of the teacher, the yardstick for both networks.

    Statistics of one sample would do harm: its mean would always be zero.
    """

    def __init__(self, channels: int, momentum: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))
        self.register_buffer("count", torch.zeros(()))
        self.mean: Tensor
        self.square: Tensor
        self.count: Tensor

    @torch.no_grad()
    def follow(self, teacher: Tensor) -> None:
        """Takes a batch B C h w of the teacher in; does nothing in eval mode."""
        if not self.training:
            return
        now = mean_over_processes(torch.stack([teacher.mean((0, 2, 3)), (teacher**2).mean((0, 2, 3))]))
        # A plain average at first: a slow one would still remember the arbitrary start.
        rate = torch.clamp(1 / (self.count + 1), min=self.momentum)
        self.mean.lerp_(now[0], rate)
        self.square.lerp_(now[1], rate)
        self.count += 1

    @property
    def deviation(self) -> Tensor:
        """(C,) of each channel, with a floor: one that is dead in the teacher must not blow up the student's noise."""
        variance = self.square - self.mean**2
        return torch.sqrt(torch.maximum(variance, 1e-2 * variance.mean() + 1e-8))

    def forward(self, features: Tensor) -> Tensor:
        """B C h w standardised."""
        return (features - self.mean[:, None, None]) / self.deviation[:, None, None]


class StartsLike(nn.Module):
    """A factor and an addend for each channel, trained, with which a feature starts at a teacher's mean and deviation.

    A fresh feature and that of a teacher that has learned little may differ a thousandfold in size: standardised by the
    teacher's deviation their square is then tens of thousands, and only the size would be learned (ours, after the
    data-dependent start of Salimans and Kingma 2016).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("started", torch.tensor(False))
        self.started: Tensor

    def forward(self, features: Tensor, stats: ChannelStats) -> Tensor:
        """B C h w; the first batch in training mode decides where factor and addend start."""
        if self.training and not bool(self.started):
            self._start(features.detach().float(), stats)
        return features * self.scale[:, None, None] + self.shift[:, None, None]

    @torch.no_grad()
    def _start(self, features: Tensor, stats: ChannelStats) -> None:
        mean, square = mean_over_processes(torch.stack([features.mean((0, 2, 3)), (features**2).mean((0, 2, 3))]))
        self.scale.copy_(stats.deviation / (square - mean**2).clamp(min=1e-12).sqrt())
        self.shift.copy_(stats.mean - mean * self.scale)
        self.started.fill_(True)


def head_after_up1(network: nn.Module, output: str = "semantic") -> Callable[[Tensor], Tensor] | None:
    """What turns a feature like a network's `up1` (or its stand-in `fine`) into the logits of `output`; None without.

    A plain function, so that a method that keeps it does not take the frozen head for its own.
    """
    decoder = decoder_of(network)
    heads = decoder.branches if decoder is not None else getattr(network, "heads", None)
    if heads is None or output not in heads:  # type: ignore[operator]
        return None
    head: nn.Module = heads[output]  # type: ignore[index,assignment]
    return lambda up1: head(up1)  # type: ignore[no-any-return]


def decoder_of(network: nn.Module) -> nn.Module | None:
    """The BevEncode whose features the taps `enc1`, `enc3`, `up1` show: the last one of a network; None without."""
    prior = getattr(network, "hd_prior", None)
    return getattr(prior, "encode", None) if prior is not None else getattr(network, "encode", None)
