"""Trains a network that draws random numbers on two processes: `train_random.py FOLDER NAME STEPS`.

With `--nan-in-process R` the loss of process R is not a number. A script: DDP starts it once per process.
"""
import sys

import torch
from toy import SIZE, ToySamples

from mapkd_core.config import DataConfig, TrainConfig
from mapkd_core.grid import BevGrid
from mapkd_core.training import batches as loading
from mapkd_core.training import checkpoint
from mapkd_core.training import loop as training
from mapkd_core.training.objective import TaskObjective

NARROW = {"mae_dim": 16, "mae_layers": 1, "mae_heads": 2, "bev_width": 8}


class Failing(TaskObjective):
    def __init__(self, config, rank):
        super().__init__(config)
        self.rank = rank

    def terms(self, prediction, batch, step):
        terms, weights = super().terms(prediction, batch, step)
        bad = torch.distributed.get_rank() == self.rank
        return {name: term * (float("nan") if bad else 1) for name, term in terms.items()}, weights


def main():
    folder, name, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    loading.open_samples = lambda spec, config: ToySamples()
    checkpoint.FREE.add("steps")  # a run that ends early stands for one that was killed
    config = TrainConfig(
        name=name, out=folder, model="hd_prior", model_options=NARROW, grid=BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3),
        data=DataConfig(image_size=SIZE), steps=steps, batch_size=1, learning_rate=1e-3, schedule="constant",
        accelerator="cpu", devices=2, log_every=1, val_every=99, val_batches=1,
    )
    objective = Failing(config, int(sys.argv[5])) if "--nan-in-process" in sys.argv else None
    training.train(config, objective)


if __name__ == "__main__":
    main()
