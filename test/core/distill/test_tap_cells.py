"""What distillation compares lies on cells of at most 1.5 m, in every recipe, as in the papers (1.2 m)."""
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mapkd_core.config import DataConfig, TrainConfig, load_config
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.probe import probe_batch
from mapkd_core.distill.taps import STAND_INS
from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_encode import BevEncode
from mapkd_core.model.bev_unet import BevUNet
from mapkd_core.model.build import build_model
from mapkd_core.model.sd_prior import SdPrior, grow, shrink

RECIPES = Path(__file__).parents[3] / "config" / "train"
MOST_M = 1.5
COMPARED = ("bev_small", "enc1", "enc3", "up1", "full_bev", "cam_bev", "lid_bev", "deep", "middle", "fine")


@pytest.mark.parametrize("name", ["teacher", "coach", "pmapnet_c_sd_hd", "student", "student_lift_splat"])
def test_taps_of_the_small_recipes(name):
    config = load_config(TrainConfig, RECIPES / "small" / f"{name}.yaml")
    assert set(COMPARED) >= set(STAND_INS)
    network = build_model(config.model, config.grid, config.data.image_size, config.model_options).eval()
    with torch.no_grad():
        taps = network(probe_batch(replace(config, data=replace(config.data, lidar=True, sd_map=True)))).taps
    (x0, x1), (y0, y1) = config.grid.x_range_m, config.grid.y_range_m
    shapes = {name: taps[name].shape[-2:] for name in COMPARED if name in taps}
    sizes = {name: ((y1 - y0) / rows, (x1 - x0) / cols) for name, (rows, cols) in shapes.items()}
    assert len(sizes) >= 4
    assert max(max(cell) for cell in sizes.values()) <= MOST_M, sizes
    deepest = "bev_small" if "bev_small" in sizes else "deep"
    assert sizes[deepest] == pytest.approx((1.2, 1.2), rel=0.05)


@pytest.mark.parametrize("name", ["teacher_60x30", "coach_60x30", "distill_mapkd_60x30", "distill_mapkd_coach_60x30",
                                  "distill_mapkd", "distill_student", "small/distill"])  # fmt: skip
def test_cells_by_the_options_of_every_recipe_that_distils(name):
    config = load_config(DistillConfig, RECIPES / f"{name}.yaml") if "distill" in name else load_config(
        TrainConfig, RECIPES / f"{name}.yaml")  # fmt: skip
    ours = config.model == "student"
    factor, halvings = (config.model_options.get(k, d) for k, d in (("bev_factor", 2 if ours else 1),
                                                                    ("halvings", 2 if ours else 3)))  # fmt: skip
    assert config.grid.cell_m * factor * 2**halvings == pytest.approx(1.2)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*_60x30.yaml")), ids=lambda p: p.stem)
def test_the_papers_networks_start_from_imagenet_or_from_a_stage_that_did(path):
    text = path.read_text()
    config = load_config(DistillConfig if "distill" in path.stem else TrainConfig, path)
    assert config.init or config.model in ("hd_prior", "vector_student") or "pretrained: true" in text


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_features_are_halved_as_often_as_asked_for(halvings):
    grid = torch.zeros(1, 5, 16, 24)
    size = (16 >> halvings, 24 >> halvings)
    prior = SdPrior(5, dim=8, heads=2, hidden=8, layers=1, halvings=halvings).eval()
    grown, taps = prior(grid, torch.ones(1, 1, 16, 24))
    assert grown.shape == grid.shape and taps["bev_small"].shape[-2:] == taps["bev_sd"].shape[-2:] == size
    assert shrink(*(halvings + 1) * (5,))(grid).shape[-2:] == size
    assert grow(5, 3, halvings)(torch.zeros(1, 5, *size)).shape == (1, 3, 16, 24)
    encoder = BevEncode(5, 4, halvings=halvings).eval()
    prediction = encoder(grid)
    assert prediction.semantic.shape == (1, 4, 16, 24)
    assert prediction.taps["enc3"].shape[-2:] == size and prediction.taps["enc1"].shape[-2:] == (8, 12)
    if halvings < 3:
        scales = BevUNet(5, 4, halvings=halvings).eval()(grid)
        assert scales["deep"].shape[-2:] == size and scales["middle"].shape[-2:] == (8, 12)
        assert scales["fine"].shape[-2:] == (16, 24)


def test_other_numbers_of_halvings_are_refused():
    for model, halvings in (("hdmapnet", 4), ("hdmapnet", 0), ("student", 3), ("student", 0)):
        with pytest.raises(ValueError, match=f"halvings is {halvings}"):
            build_model(model, BevGrid(cell_m=0.3), (176, 64), {"halvings": halvings})


def test_an_artificial_batch_has_the_inputs_that_the_config_gives():
    plain = TrainConfig(grid=BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.5), data=DataConfig(image_size=(64, 32)))
    batch = probe_batch(plain)
    assert batch.lidar is None and batch.lidar_mask is None and batch.sd_map is None
    assert batch.images.shape == (1, 6, 3, 32, 64) and batch.semantic.shape == (1, 4, 24, 48)
    assert (batch.semantic.sum(1) == 1).all() and batch.semantic[0, 1].sum(1).tolist() == 12 * [0] + [48] + 11 * [0]
    lidar = probe_batch(replace(plain, data=replace(plain.data, lidar=True)))
    assert lidar.lidar.shape == (1, 64, 5) and lidar.lidar_mask.all() and lidar.sd_map is None
    roads = probe_batch(replace(plain, data=replace(plain.data, sd_map=True)))
    assert roads.lidar is None and roads.sd_map.shape == (1, 1, 24, 48) and (roads.sd_map == -1).all()
