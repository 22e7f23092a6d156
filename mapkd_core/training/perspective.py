"""A head on the student's image features that is trained only: surfaces in real images, lines in all images (ours).

Real images have no map, and simulated ones no reality. The head asks the trunk for the same two lines in both, paint
and the road's edge, and in real images for surfaces too, so that what the BEV network reads in simulation is there in
reality as well. It is dropped at export.
"""
from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.config import TrainConfig
from mapkd_core.data.image_masks import LINES, SURFACES, UNKNOWN
from mapkd_core.losses import where_known
from mapkd_core.training.objective import TaskObjective
from mapkd_core.types import Batch, Prediction

_HIDDEN = 32
_LINE_WEIGHT = 4.0
"""Factor on the cells of lines, which are few."""


class PerspectiveHead(nn.Module):
    """Image features -> logits of SURFACES and of LINES at the same size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(channels, _HIDDEN, 3, padding=1)
        self.out = nn.Conv2d(_HIDDEN, len(SURFACES) + len(LINES), 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """M C h w -> M 6 h w and M 2 h w."""
        logits = self.out(functional.relu(self.hidden(features)))
        return logits[:, : len(SURFACES)], logits[:, len(SURFACES) :]


class PerspectiveObjective(TaskObjective):
    """The map losses, and the perspective head's on real images and on the samples' views."""

    def __init__(self, config: TrainConfig) -> None:
        """Raises ValueError for another network than the student, and for frames that nobody labels."""
        super().__init__(config)
        if config.model != "student":
            raise ValueError(f"data.streets teach the trunk of model student, not of {config.model}; leave them out")

    def prepare(self, network: nn.Module) -> None:
        """Makes the head for the network's features."""
        self.modules = PerspectiveHead(network.config.view_channels)  # type: ignore[union-attr, arg-type]

    def terms(self, prediction: Prediction, batch: Batch, step: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Named losses and their weights."""
        prediction = prediction.in_single_precision()
        terms, weights = super().terms(where_known(prediction, batch), batch, step)
        lines = []
        if batch.line_views is not None:
            found = self.modules(prediction.taps["image"].flatten(0, 1))[1]
            lines.append(line_bce(found, batch.line_views.flatten(0, 1)))
        if batch.street_surface is not None and batch.street_lines is not None:
            surface, found = self.modules(prediction.taps["streets"])
            target = batch.street_surface.long()                                        # M h w
            terms["surface"] = functional.cross_entropy(surface, target, ignore_index=UNKNOWN)
            lines.append(line_bce(found, batch.street_lines))
        if lines:
            terms["lines"] = sum(lines[1:], lines[0]) / len(lines)
        return terms, weights


def map_objective(config: TrainConfig) -> TaskObjective:
    """The map losses, with the perspective head's for a config with real images."""
    return PerspectiveObjective(config) if config.data.streets else TaskObjective(config)


def line_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy of LINES, M 2 h w each; cells of lines count four times."""
    weight = logits.new_full((len(LINES), 1, 1), _LINE_WEIGHT)
    return functional.binary_cross_entropy_with_logits(logits, target.clamp(0, 1), pos_weight=weight)
