"""Runs of the training loop on a network of one convolution and batches by hand: every step can be followed."""
from dataclasses import replace

import torch
from hand_step import GRID, batch_by_hand
from torch import nn

from mapkd_core.config import LossConfig, TrainConfig
from mapkd_core.training import loop as training
from mapkd_core.training.objective import TaskObjective
from mapkd_core.types import Prediction


class Tiny(nn.Module):
    """Logits from a fixed noise, and how it was run."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.modes, self.shift = [], 0.0

    def forward(self, batch):
        self.modes.append((self.training, torch.is_grad_enabled()))
        noise = torch.randn(2, 3, *GRID.shape, generator=torch.Generator().manual_seed(1))
        return Prediction(self.norm(self.mix(noise)) + batch.images.mean())


class Drawn(nn.Module):
    """A train-only module with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0]))


class Counting(TaskObjective):
    """The task and a train-only term; keeps the steps it was asked for."""

    def __init__(self, config):
        super().__init__(config)
        self.modules, self.steps, self.modes = Drawn(), [], []

    def terms(self, prediction, batch, step):
        self.steps.append(step)
        self.modes.append(self.modules.training)
        terms, weights = super().terms(prediction, batch, step)
        return {**terms, "kd_own": self.modules.scale.square().sum()}, {**weights, "kd_own": 3.0}


def opener(monkeypatch, tmp_path):
    """A run with a tiny network on batches by hand, of which every second one is darker."""
    batches = [batch_by_hand(), replace(batch_by_hand(), images=torch.full((2, 2, 3, 32, 48), -1.5))]
    monkeypatch.setattr(training, "build_model", lambda *_: Tiny())
    monkeypatch.setattr(training, "open_validation", lambda config: None)
    monkeypatch.setattr(training, "validation_batches", lambda *_: batches[:1])

    def opened(objective=Counting, **changes):
        base = TrainConfig(
            name="run", out=str(tmp_path), grid=GRID, steps=20, learning_rate=0.1, schedule="constant", ema=0.0,
            accelerator="cpu", log_every=50, save_every=50, val_every=50, optimizer="adam", weight_decay=0.0,
            loss=LossConfig(), warmup_steps=0, clip_norm=0.0,
        )
        config = replace(base, **changes)
        return training.open_run(config, objective(config)), (batches[i % 2] for i in range(1000))

    return opened
