"""Trains the toy student: `train_toy.py FOLDER NAME DEVICES BATCH_SIZE`. A script: DDP starts it once per process."""
import sys

import torch
from torch import nn
from toy import SIZE, ToySamples

from mapkd_core.config import DataConfig, TrainConfig
from mapkd_core.grid import BevGrid
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training


class FrozenNorm(nn.BatchNorm2d):
    """Batch statistics belong to a process's own samples and differ by design: here they are left out."""

    def train(self, mode=True):
        return super().train(False)


def main():
    folder, name, devices, batch_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    nn.BatchNorm2d = FrozenNorm
    loading.open_samples = lambda spec, config: ToySamples()
    options = {"variant": "nano", "image_width": 8, "bev_width": 8, "view_channels": 8}
    training.train(TrainConfig(
        name=name, out=folder, model_options=options, grid=BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3),
        data=DataConfig(image_size=SIZE), steps=4, batch_size=batch_size, learning_rate=1e-2, schedule="constant",
        accelerator="cpu", devices=devices, log_every=1, val_every=4, weight_decay=0.01,
    ))


if __name__ == "__main__":
    main()
