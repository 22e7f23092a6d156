"""Training: batches, loop, checkpoints, stages, optimizers."""
