"""One artificial batch through all networks, to learn the shapes of their inner features before training starts."""
from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from mapkd_core.config import TrainConfig
from mapkd_core.distill.interface import DistillStep
from mapkd_core.distill.regions import Regions
from mapkd_core.types import CAMERAS, Batch, MapElement, Prediction


def probe_batch(config: TrainConfig) -> Batch:
    """A batch of one with the inputs that the data config gives: gray images, cameras around, one line."""
    width, height = config.data.image_size
    count, (rows, cols) = len(CAMERAS), config.grid.shape
    intrinsics = torch.tensor([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1.0]])
    poses = torch.eye(4).repeat(count, 1, 1)
    for pose, yaw in zip(poses, (2 * math.pi * k / count for k in range(count)), strict=True):
        c, s = math.cos(yaw), math.sin(yaw)
        pose[:3] = torch.tensor([[s, 0, c, 0], [-c, 0, s, 0], [0, -1, 0, 1.5]])
    semantic = torch.zeros(1, 4, rows, cols)
    semantic[:, 0] = 1
    semantic[:, :2, rows // 2] = torch.tensor([0.0, 1.0])[:, None]
    x, y = config.grid.x_range_m, sum(config.grid.y_range_m) / 2
    batch = Batch(
        torch.zeros(1, count, 3, height, width), intrinsics.expand(1, count, 3, 3), poses[None],
        semantic=semantic, instance=semantic[:, 1].int(),
        direction=semantic[:, 1:2].int().repeat(1, 2, 1, 1),
        elements=[(MapElement("divider", np.array([[x[0], y], [x[1], y]], np.float32)),)],
    )
    if config.data.lidar:
        batch.lidar, batch.lidar_mask = torch.ones(1, 64, 5), torch.ones(1, 64)
    if config.data.sd_map:
        batch.sd_map = torch.full((1, 1, rows, cols), -1.0)
    return batch


@torch.no_grad()
def probe_step(
    config: TrainConfig, student: nn.Module, teacher: nn.Module, coach: nn.Module | None
) -> DistillStep:
    """What a method will see, for the artificial batch; no network changes.

    Raises ValueError where a network's output does not lie on the config's grid.
    """
    batch = probe_batch(config)
    predictions: list[Prediction | None] = []
    for role, network in (("student", student), ("teacher", teacher), ("coach", coach)):
        if network is None:
            predictions.append(None)
            continue
        training = network.training
        prediction = network.eval()(batch)
        network.train(training)
        if prediction.semantic is not None and prediction.semantic.shape[-2:] != torch.Size(config.grid.shape):
            raise ValueError(
                f"the {role} gives a map of {tuple(prediction.semantic.shape[-2:])} cells, the config's grid has "
                f"{config.grid.shape}; all networks must share one grid"
            )
        predictions.append(prediction)
    assert predictions[0] is not None and predictions[1] is not None
    return DistillStep(predictions[0], predictions[1], predictions[2], batch, Regions(batch, config.grid), 0)
