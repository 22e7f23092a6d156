"""The teacher's map in the place of labels that nobody has: drives without a map become training data.

Source: pseudo-labelling (Lee 2013), for maps by us.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.data.dataset import with_labels
from mapkd_core.grid import BevGrid
from mapkd_core.types import Batch, MapElement, Prediction
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize


@torch.no_grad()
def draw_unknown_labels(batch: Batch, teacher: Prediction, grid: BevGrid) -> Batch:
    """The batch with all samples labelled: those without get what the teacher sees.

    In each cell its likeliest class is the semantic label. Lines, instances and directions, which some methods look at,
    come from the vectorizer; drawn back from lines the map would lose crossings that have no clear edges yet.
    """
    assert batch.labelled is not None and batch.semantic is not None and batch.elements is not None
    unknown = ~batch.labelled                                                              # B
    logits = teacher.semantic[unknown].float()                                             # U 4 Y X
    seen = iter([_lines(probability, grid) for probability in logits.softmax(1)])
    elements = [known if has else next(seen) for known, has in zip(batch.elements, batch.labelled, strict=True)]
    drawn = with_labels(batch, elements, grid)
    if batch.outlines is not None:
        rings = iter([_lines(probability, grid, "ring") for probability in logits.softmax(1)])
        drawn.outlines = [
            known if has else tuple(e for e in next(rings) if e.label == "ped_crossing")
            for known, has in zip(batch.outlines, batch.labelled, strict=True)
        ]
    assert drawn.semantic is not None
    likeliest = functional.one_hot(logits.argmax(1), logits.shape[1])                      # U Y X 4
    drawn.semantic[unknown] = likeliest.permute(0, 3, 1, 2).to(drawn.semantic)
    return replace(drawn, labelled=None)


def _lines(probability: Tensor, grid: BevGrid, crossings: Literal["ring", "edges"] = "edges") -> tuple[MapElement, ...]:
    """Lines of a map 4 Y X; crossings by default as edges, the form of labels before they are paired."""
    return tuple(vectorize(probability.cpu().numpy(), grid, VectorizeConfig(crossings=crossings)))
