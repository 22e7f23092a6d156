"""Every shipped recipe of the published networks and of the vector student trains as it is written, cut in sizes alone.

What is cut: images, grid, widths and backbone of the network, steps, processes, earlier stages. Losses, optimizer,
schedule, precision, augmentation and everything else are the file's.
"""
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from toy import SIZE, ToySamples

from mapkd_core.artifact import ModelCard, save_artifact
from mapkd_core.commands.main import main
from mapkd_core.data.drive_order import FramePose
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.training import batches as loading
from mapkd_core.types import CAMERAS

RECIPES = Path(__file__).parents[3] / "config" / "train"
GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
PAPERS = {
    "pretrained": False, "encoder": "small", "camera_channels": 8, "lidar_channels": 8, "pillar_width": 8,
    "view_hidden": 16, "bev_width": 8, "mae_dim": 16, "mae_layers": 1, "mae_heads": 2,
}  # fmt: skip
VECTORS = {
    "pretrained": False, "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 32, "hidden": 16, "vectors": 6,
    "points": 4, "layers": 2, "heads": 2, "sampling_heads": 4,
}  # fmt: skip
TRAINED = sorted(
    path.stem for pattern in ("*_60x30.yaml", "*_120x60.yaml", "vector_nano*.yaml") for path in RECIPES.glob(pattern)
    if not path.stem.startswith("distill")
)
TAUGHT = ("distill_vector_nano", "distill_mapkd_60x30", "distill_mapkd_coach_60x30")


class Whole(ToySamples):
    """Samples with all that a recipe may ask for."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        rng = np.random.default_rng(index)
        lidar = np.column_stack([rng.uniform(-11, 11, (200, 2)), rng.uniform(-1, 1, (200, 2)), np.zeros(200)])
        ring = np.array([[2, -3], [5, -3], [5, 3], [2, 3], [2, -3]], np.float64)
        road = (np.array([[-30, 0], [30, 0]], np.float64),)
        return replace(
            sample, lidar=lidar.astype(np.float32), outlines_m=(ring,), sd_lines_m=road, cameras=CAMERAS
        )

    def pose(self, index):
        return FramePose("drive", index * 500_000_000, transform_from_yaw(2.0 * index, 0.0, 0.0))


@pytest.fixture(autouse=True)
def toy_data(monkeypatch, tmp_path):
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "open_samples", lambda *_, **__: Whole())


def cut(stem):
    """The recipe with tiny sizes in its own words, as a file."""
    recipe = yaml.safe_load((RECIPES / f"{stem}.yaml").read_text())
    options = dict(recipe.get("model_options", {}))
    options.update(VECTORS if recipe["model"] == "vector_student" else PAPERS)
    if options.get("variant") in ("maptr_tiny", "maptrv2"):
        options["backbone"] = "resnet-18" if options["variant"] == "maptr_tiny" else "trunk"
    if options.get("variant") in ("maptr_nano", "maptr_tiny"):
        options["bev_cell_m"] = 1.5
    if options.get("variant") == "vector_nano":
        options["evidence"] = [1, 4]
    if "memory" in options:
        options["memory"] = 2
    recipe.update(
        model_options=options, init=[], out="runs", steps=2, devices=1, val_every=2, accelerator="cpu",
        batch_size=2 * recipe["data"].get("window", 1),
        grid={"x_range_m": list(GRID.x_range_m), "y_range_m": list(GRID.y_range_m), "cell_m": GRID.cell_m},
    )
    recipe["data"].update(image_size=list(SIZE), workers=0)
    Path(f"{stem}.yaml").write_text(yaml.safe_dump(recipe))
    return recipe


def card(name, model, options):
    torch.manual_seed(0)
    network = build_model(model, GRID, SIZE, options)
    save_artifact(f"{name}.json", ModelCard(name, "1", model, options, GRID, SIZE), network.state_dict())
    return f"{name}.json"


@pytest.mark.parametrize("stem", TRAINED)
def test_a_recipe_trains_as_it_is_written(stem):
    recipe = cut(stem)
    assert main(["train", "--config", f"{stem}.yaml"]) == 0
    assert Path("runs", recipe["name"], "best.pt").exists()


@pytest.mark.parametrize("stem", TAUGHT)
def test_a_recipe_of_distillation_runs_as_it_is_written(stem):
    recipe = cut(stem)
    told = ["distill", "--config", f"{stem}.yaml"]
    if recipe["model"] == "vector_student":
        told += ["--teacher", card("teacher", "vector_student", recipe["model_options"])]
    else:
        told += ["--teacher", card("teacher", "teacher", PAPERS)]
        if "coach" in recipe:
            told += ["--coach", card("coach", "coach", PAPERS)]
    assert main(told) == 0
    assert Path("runs", recipe["name"], "best.pt").exists()


def test_a_vector_student_learns_from_a_teacher_and_a_coach_that_predict_maps():
    """The row of MapKD for it, as distill_vector_nano.yaml writes it down."""
    cut("distill_vector_nano")
    raster = card("raster", "student", {"variant": "nano", "image_width": 8, "view_channels": 8, "bev_width": 8})
    told = ["distill", "--config", "distill_vector_nano.yaml", "--name", "distill_vector_mapkd", "--method", "mapkd"]
    assert main([*told, "--teacher", raster, "--coach", raster]) == 0
    assert Path("runs/distill_vector_mapkd/best.pt").exists()
