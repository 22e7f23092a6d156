"""Weights of the loss terms."""
from __future__ import annotations

from dataclasses import dataclass, fields

from mapkd_core.config_ranges import AT_LEAST_ONE, NOT_NEGATIVE, check_ranges


@dataclass(frozen=True)
class LossConfig:
    """Weights of the task losses (P-MapNet's and MapTR's by default) and of what a recipe adds."""

    semantic: float = 1.0
    """Binary cross entropy of each class."""
    variance: float = 0.1
    """Pulls the embeddings of one instance together; of networks with an embedding head."""
    distance: float = 0.1
    """Pushes the embeddings of different instances apart."""
    direction: float = 0.1
    """Cross entropy of the direction bins; of networks with a direction head."""
    dice: float = 0.0
    """Soft Dice over the three classes (ours); helps thin classes."""
    overlap: float = 0.0
    """Overlap with the labels at the cell and averaged over 2, 4 and 8 cells (ours, `losses.pyramid_overlap`)."""
    pos_weight: float = 2.13
    """Factor on the cells of lines in the cross entropy, which are few."""
    surface: float = 0.5
    """Cross entropy of the surfaces in real images; of runs with `data.streets`."""
    lines: float = 0.5
    """Cross entropy of paint and the road's edge, in real images and in the samples' views; of runs with the same."""
    class_weight: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on `pos_weight` for dividers, crossings and boundaries (ours); more than 1 for a class too rare to be
    drawn at all in a short training."""
    element_class: float = 2.0
    """Focal loss of the elements' classes; this and what follows: of networks that predict vertices (MapTR's)."""
    points: float = 5.0
    """Distance of matched vertices, in shares of the grid's sides."""
    edges: float = 0.005
    """One minus the cosine between an element's edges and the true ones."""
    repeats: int = 1
    """Elements that answer for each true one; more than 1 for a first stage (ours, after MapTRv2's further elements,
    which cost time): each true element teaches several, and the next stage leaves it the best."""
    likeness_m: float = 0.0
    """Metres: an element's score learns to be exp(-d / this), d the mean distance of each line's vertices from the
    other line, so that the better drawn of two ranks first; 0 for 1 whatever the distance (MapTR's)."""
    one_to_many: float = 1.0
    """The same three for the queries that are matched with every true element several times (MapTRv2's)."""

    def __post_init__(self) -> None:
        ranges = {field.name: NOT_NEGATIVE for field in fields(self)}
        check_ranges(self, {**ranges, "repeats": AT_LEAST_ONE}, "loss.")
