"""A distillation step made by hand, of small random tensors and lines along cells; no network runs."""
import itertools

import numpy as np
import torch

from mapkd_core.config import LossConfig
from mapkd_core.distill.interface import DistillStep, Networks
from mapkd_core.distill.methods import build_method
from mapkd_core.distill.regions import Regions
from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_encode import BevEncode
from mapkd_core.model.sd_prior import SdPrior
from mapkd_core.types import CLASS_IDS, Batch, MapElement, Prediction

GRID = BevGrid((-6.0, 6.0), (-4.0, 4.0), 0.5)   # 16 rows, 24 columns
LINES = (
    (("divider", ((3, 2), (3, 20))), ("boundary", ((12, 4), (12, 22))), ("divider", ((8, 1), (8, 4)))),
    (("divider", ((1, 5), (14, 5))), ("ped_crossing", ((4, 10), (4, 17), (9, 17), (9, 10), (4, 10)))),
)
"""For each sample its lines: class and vertices (row, col), along rows and columns."""
SIZES = {
    "cam_bev": (16, 24), "lid_bev": (16, 24), "full_bev": (16, 24), "bev_small": (4, 6), "enc1": (8, 12),
    "enc3": (4, 6), "up1": (8, 12), "semantic": (16, 24), "direction": (16, 24),
}
CHANNELS = {"semantic": 4, "direction": 37, "cam_bev": 5, "lid_bev": 6, "full_bev": 7, "bev_small": 8, "enc1": 4,
            "enc3": 8, "up1": 6}  # fmt: skip
LOSS = LossConfig(pos_weight=3.0, class_weight=(1.0, 2.0, 4.0))
STEPS = 100


def cells_of(vertices):
    """Every cell (row, col) of a line along rows and columns, once."""
    cells = []
    for (r0, c0), (r1, c1) in itertools.pairwise(vertices):
        count = max(abs(r1 - r0), abs(c1 - c0))
        cells += [(r0 + (r1 - r0) * k // count, c0 + (c1 - c0) * k // count) for k in range(count + 1)]
    return list(dict.fromkeys(cells))


def metres(vertices):
    """x y of the cells' centres."""
    (x0, _), (y0, _) = GRID.x_range_m, GRID.y_range_m
    return np.array([[x0 + (c + 0.5) * GRID.cell_m, y0 + (r + 0.5) * GRID.cell_m] for r, c in vertices], np.float32)


def batch_by_hand(lines=LINES):
    """Labels of lines one cell wide; images of 48 by 32 pixels from two cameras."""
    semantic = torch.zeros(len(lines), 4, *GRID.shape)
    instance = torch.zeros(len(lines), *GRID.shape, dtype=torch.int16)
    direction = torch.zeros(len(lines), 2, *GRID.shape, dtype=torch.uint8)
    elements = []
    semantic[:, 0] = 1
    for sample, drawn in enumerate(lines):
        for number, (label, vertices) in enumerate(drawn, 1):
            for row, col in cells_of(vertices):
                semantic[sample, :, row, col] = 0
                semantic[sample, CLASS_IDS[label], row, col] = 1
                instance[sample, row, col] = number
                direction[sample, :, row, col] = torch.tensor([1 + 2 * number, 19 + 2 * number])
        elements.append(tuple(MapElement(label, metres(v), closed=v[0] == v[-1]) for label, v in drawn))
    count = len(lines)
    pose = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])  # ahead, 1.5 m up
    behind = torch.diag(torch.tensor([-1.0, -1, 1, 1])) @ pose
    return Batch(
        torch.zeros(count, 2, 3, 32, 48),
        torch.tensor([[24.0, 0, 23.5], [0, 24, 15.5], [0, 0, 1]]).expand(count, 2, 3, 3),
        torch.stack([pose, behind]).expand(count, 2, 4, 4), semantic=semantic, instance=instance,
        direction=direction, elements=elements, sd_map=torch.ones(count, 1, *GRID.shape),
    )


def prediction_by_hand(seed, heads=("semantic", "direction"), scale=1.5, samples=2, **channels):
    """Random outputs and taps, all leaves of autograd; `channels` names widths that differ, None for no such tap."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, width in {**CHANNELS, **channels}.items():
        if width is not None:
            made[name] = scale * torch.randn(samples, width, *SIZES[name], generator=generator) + 0.2
    made["image"] = torch.randn(samples, 2, 5, 4, 6, generator=generator)
    leaves = {name: value.requires_grad_() for name, value in made.items()}
    out = {name: leaves.pop(name) for name in ("semantic", "direction")}
    return Prediction(out["semantic"], None, out["direction"] if "direction" in heads else None, leaves)


def draw_parameters(module, mean=0.1, deviation=0.4):
    """All but those of a parametrisation, which hold only what it put there."""
    for name, parameter in module.named_parameters():
        if "parametrizations" not in name:
            torch.nn.init.normal_(parameter, mean, deviation)


class SmallTeacher(torch.nn.Module):
    """What follows `bev_small` in a teacher with an SD prior."""

    def __init__(self, prior=True):
        super().__init__()
        torch.manual_seed(4)
        if prior:
            self.sd_prior = SdPrior(8, dim=8, heads=2, hidden=8, layers=1)
        self.encode = BevEncode(8, 2)
        for parameter in self.parameters():
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, 0.5, 0.3)


class Hand:
    """Student, teacher and coach by hand, and methods for them."""

    def __init__(self, student=None, teacher=None, coach=None, lines=LINES, network=None):
        self.student = student or prediction_by_hand(1)
        self.teacher = teacher or prediction_by_hand(2)
        self.coach = coach or prediction_by_hand(3)
        self.batch, self.network = batch_by_hand(lines), network or torch.nn.Module()

    def step(self, number=0):
        return DistillStep(self.student, self.teacher, self.coach, self.batch, Regions(self.batch, GRID), number)

    def method(self, name, **options):
        """In training mode, every parameter drawn at random: what starts as the identity would hide mistakes."""
        torch.manual_seed(0)
        networks = Networks(self.step(), self.network, GRID, STEPS, LOSS)
        method = build_method(name, networks, options).train()
        draw_parameters(method)
        return method

    def leaves(self):
        """name -> tensor of all predictions, as `student.up1`."""
        named = {}
        for role in ("student", "teacher", "coach"):
            prediction = getattr(self, role)
            named.update({f"{role}.{k}": v for k, v in prediction.taps.items()})
            named[f"{role}.semantic"] = prediction.semantic
            if prediction.direction is not None:
                named[f"{role}.direction"] = prediction.direction
        return named

    def reached(self, term):
        """Names of the tensors that a term has a gradient for."""
        named = self.leaves()
        gradients = torch.autograd.grad(term, list(named.values()), retain_graph=True, allow_unused=True)
        return {n for n, g in zip(named, gradients, strict=True) if g is not None and bool(g.abs().sum() > 0)}
