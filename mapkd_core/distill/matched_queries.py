"""Distillation from a vector network into another: matched elements' classes and vertices, and the BEV feature.

Source: MapDistill (arXiv 2407.11682), head loss: the teacher's classes as targets of a focal loss, and the distance
between vertices. There both decoders have the same queries in the same order; here elements are paired as with true
ones (`vector_loss.matching`), so that teacher and student may have other numbers of them (ours).

Legend: L decoder layers, B batch, V elements, P vertices, G elements of the teacher that it is sure enough of.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import TapPair
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, VectorPrediction
from mapkd_core.vector_loss.matching import Match, match
from mapkd_core.vector_loss.targets import VectorTargets, orders_of, spans_m


@dataclass(frozen=True)
class MatchedQueriesConfig:
    """Weights of the task's own terms; MapDistill's paper gives none for these."""

    class_weight: float = 2.0
    points_weight: float = 5.0
    feature_weight: float = 1.0
    """Mean square of the deep BEV feature; 0 where teacher and student have no feature of one kind."""
    least_score: float = 0.3
    """Elements of the teacher below this teach nothing."""


class MatchedQueries(Method):
    """`class` and `points` of matched elements, `feature` of the BEV; teacher and student predict vertices."""

    Config = MatchedQueriesConfig
    calibration_tap = "deep"
    vectors: ClassVar[bool] = True

    def __init__(self, networks: Networks, config: MatchedQueriesConfig) -> None:
        super().__init__(networks, config)
        for role in ("student", "teacher"):
            found = networks.probe.of(role)
            if not isinstance(found, VectorPrediction):
                raise ValueError(f"method matched_queries compares vertices, the {role} predicts a map; choose another")
        mine, theirs = (networks.probe.of(role).points_m.shape[-2] for role in ("student", "teacher"))  # type: ignore[attr-defined]
        if mine != theirs:
            raise ValueError(f"the student's elements have {mine} vertices, the teacher's {theirs}; expected as many")
        self.grid = networks.grid
        self.pair = TapPair(networks, "bev_small") if config.feature_weight else None

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """Sums over pairs and layers, divided by the number of the teacher's elements."""
        student, teacher = step.student, step.teacher
        assert isinstance(student, VectorPrediction) and isinstance(teacher, VectorPrediction)
        sides = torch.from_numpy(spans_m(self.grid)).to(student.points_m)
        low = student.points_m.new_tensor([self.grid.x_range_m[0], self.grid.y_range_m[0]])
        places = (student.points_m - low) / sides                                       # L B V P 2
        wanted, distances, count = torch.zeros_like(student.logits), [places[:, :0].sum()], 0
        for sample in range(places.shape[1]):
            targets, scores = self.elements(teacher, sample)
            count += len(scores)
            for layer in range(len(places)):
                pairs = self.matched(student.logits[layer, sample], places[layer, sample], targets)
                wanted[layer, sample, pairs.predicted] = scores[pairs.true].to(wanted.dtype)
                apart = places[layer, sample, pairs.predicted] - targets.places[pairs.true, pairs.order]
                sure = scores[pairs.true].amax(-1)
                distances.append((apart.abs().sum((1, 2)) * sure).sum())
        terms = {
            "class": soft_focal(student.logits, wanted) / max(count, 1),
            "points": torch.stack(distances).sum() / max(count, 1),
        }
        if self.pair is not None:
            terms["feature"] = functional.mse_loss(*self.pair(step))
        return terms

    def elements(self, teacher: VectorPrediction, sample: int) -> tuple[VectorTargets, Tensor]:
        """The elements of a sample that the teacher is sure of, and their scores of each class, G 3."""
        scores = teacher.logits[-1, sample].detach().sigmoid()
        kept = scores.amax(-1) >= self.config.least_score
        scores, labels = scores[kept], scores[kept].argmax(-1)
        lines = share_of(teacher.points_m[-1, sample][kept].detach(), self.grid)
        closed = (labels == CLASSES.index("ped_crossing")).tolist()
        vertices = teacher.points_m.shape[-2]
        most = 2 * (vertices - 1) if any(closed) else 2
        places = np.zeros((len(lines), most, vertices, 2), np.float32)
        for place, line, ring in zip(places, lines, closed, strict=True):
            line = np.concatenate([line[:-1], line[:1]]) if ring else line
            known = orders_of(line, ring)
            place[:] = known[np.arange(most) % len(known)]
        return VectorTargets(labels, torch.from_numpy(places).to(scores.device)), scores

    def matched(self, logits: Tensor, places: Tensor, targets: VectorTargets) -> Match:
        """Pairs of a layer's elements with the teacher's."""
        return match(logits, places, targets, self.config.class_weight, self.config.points_weight)


def share_of(points_m: Tensor, grid: BevGrid) -> np.ndarray:
    """Vertices in metres (... 2) as shares of the grid's sides."""
    low = np.array([grid.x_range_m[0], grid.y_range_m[0]])
    return (points_m.cpu().numpy().astype(np.float64) - low) / spans_m(grid)


def soft_focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """The sum of a focal loss with targets between 0 and 1: cross entropy times the squared distance of both."""
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return ((logits.sigmoid() - wanted).square() * loss).sum()
