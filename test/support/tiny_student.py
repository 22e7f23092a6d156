"""A tiny student with random weights, saved as an artifact, and images for it."""
from pathlib import Path

import numpy as np
import torch
from rigs import ring

from mapkd_core.artifact import ModelCard, save_artifact
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.types import Batch

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
SIZE = (96, 48)
OPTIONS = {"variant": "nano", "image_width": 8, "bev_width": 8, "view_channels": 8}


def tiny_rig(cameras: int = 6):
    """Intrinsics and mountings of a ring of cameras with the tiny student's image size."""
    return ring(cameras, SIZE, 50.0, height_m=1.7)


def tiny_images(cameras: int = 6, seed: int = 0) -> np.ndarray:
    """(N, H, W, 3) random RGB."""
    return np.random.default_rng(seed).integers(0, 256, (cameras, SIZE[1], SIZE[0], 3), dtype=np.uint8)


def save_tiny_student(folder: Path, seed: int = 0, **options: object) -> Path:
    """Writes tiny.json and tiny.safetensors, of the tiny student with `options`; returns the card's path."""
    torch.manual_seed(seed)
    options = {**OPTIONS, **options}
    model = build_model("student", GRID, SIZE, options)
    intrinsics, poses = tiny_rig()
    batch = Batch(
        torch.randn(2, 6, 3, SIZE[1], SIZE[0]), torch.tensor(np.stack([intrinsics] * 2)).float(),
        torch.tensor(np.stack([poses] * 2)).float(),
    )
    for _ in range(3):
        model(batch)  # gives the batch norms statistics that folding must carry over
    save_artifact(folder / "tiny.json", ModelCard("tiny", "1", "student", options, GRID, SIZE), model.state_dict())
    return folder / "tiny.json"
