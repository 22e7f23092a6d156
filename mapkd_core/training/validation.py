"""What a validation measures: IoU of a network that predicts a map, AP of one that predicts elements."""
from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric

from mapkd_core.config import TrainConfig
from mapkd_core.metrics.ap_chamfer import ChamferAp
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.metrics.pooled import FrameMatches, best_least_score
from mapkd_core.training.validation_images import ValidationImages
from mapkd_core.types import Batch, Prediction, VectorPrediction
from mapkd_core.vector_elements import elements_of

LEAST_SCORE_AT_M = 1.0
"""Within this Chamfer distance elements count as found when the least score that is shown is chosen."""


class MapValidation:
    """IoU of the semantic map."""

    score = "miou"
    """Which of the results says which checkpoint is the best."""
    least_score: float | None = None
    """For the card, once there is a result: below this score an element is not shown."""

    def __init__(self, config: TrainConfig) -> None:
        self.meter, self.images = IouMeter(), ValidationImages(config.grid)

    def see(self, batch: Batch, prediction: Prediction) -> None:
        """Takes a labelled batch in."""
        assert batch.semantic is not None, "validation frames carry labels"
        logits = prediction.semantic.float()                                            # B 4 Y X
        self.meter.update(logits, batch.semantic)
        self.images.see(batch, logits)

    def result(self, fabric: Fabric) -> dict[str, float]:
        """Scores over all processes, by name."""
        self.meter.reduce(fabric)
        return self.meter.result()


class VectorValidation:
    """MapTR's AP of the elements (`ap_chamfer`, metrics/ap_chamfer.py)."""

    score = "ap_chamfer"
    least_score: float | None = None

    def __init__(self, config: TrainConfig) -> None:
        self.definition, self.frames = ChamferAp(), list[FrameMatches]()
        self.images = ValidationImages(config.grid)

    def see(self, batch: Batch, prediction: VectorPrediction) -> None:
        """Takes a labelled batch in."""
        assert batch.elements is not None and batch.outlines is not None, "validation frames carry labels"
        scores = prediction.logits[-1].float().sigmoid().cpu().numpy()                  # B V 3
        points_m = prediction.points_m[-1].float().cpu().numpy()                        # B V P 2
        found = [elements_of(*sample) for sample in zip(scores, points_m, strict=True)]
        truth = [
            [*(e for e in elements if e.label != "ped_crossing"), *outlines]
            for elements, outlines in zip(batch.elements, batch.outlines, strict=True)
        ]
        self.frames += [self.definition.frame(*pair) for pair in zip(found, truth, strict=True)]
        self.images.see_elements(found, truth)

    def result(self, fabric: Fabric) -> dict[str, float]:
        """Scores over all processes, by name; 0 for what never occurs."""
        frames = self.frames
        if fabric.world_size > 1:
            parts: list[Any] = [None] * fabric.world_size
            torch.distributed.all_gather_object(parts, frames)
            frames = [frame for part in parts for frame in part]
        total = self.definition.total(frames)
        self.least_score = best_least_score(frames, self.definition.thresholds_m.index(LEAST_SCORE_AT_M))
        named = {"ap_chamfer": total.mean, **{f"ap_{label}": value for label, value in total.per_class.items()}}
        return {name: value if value == value else 0.0 for name, value in named.items()}


def validation_of(config: TrainConfig) -> MapValidation | VectorValidation:
    """What fits the run's network."""
    return VectorValidation(config) if config.model == "vector_student" else MapValidation(config)
