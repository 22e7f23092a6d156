"""Our student: shapes, gradients, size, calibration as an input."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from rigs import ring

from mapkd_core.grid import GRID_60X30, GRID_120X60, BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.types import IMAGE_SIZE, Batch

SMALL_GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def batch_of(count=2, size=(176, 64), **rig):
    intrinsics, poses = ring(size=size, focal=90.0, **rig)
    repeat = lambda m: torch.from_numpy(np.tile(m, (count, 1, 1, 1))).float()  # noqa: E731
    torch.manual_seed(0)
    return Batch(torch.randn(count, 6, 3, size[1], size[0]), repeat(intrinsics), repeat(poses))


@pytest.mark.parametrize("grid", [GRID_60X30, GRID_120X60, SMALL_GRID])
def test_logits_lie_on_the_grid(grid):
    model = build_model("student", grid, (176, 64), {"variant": "nano"}).eval()
    with torch.inference_mode():
        prediction = model(batch_of(1))
    assert prediction.semantic.shape == (1, 4, *grid.shape)
    assert prediction.embedding is None and prediction.direction is None


def test_optional_heads():
    options = {"variant": "nano", "embedding_channels": 16, "direction_bins": 36}
    prediction = build_model("student", SMALL_GRID, (176, 64), options)(batch_of(1))
    assert prediction.embedding.shape == (1, 16, *SMALL_GRID.shape)
    assert prediction.direction.shape == (1, 37, *SMALL_GRID.shape)


def test_every_parameter_gets_a_gradient():
    model = build_model("student", SMALL_GRID, (176, 64), {"variant": "nano"})
    torch.manual_seed(1)
    for parameter in model.parameters():  # norms that start at zero would hide what lies behind them
        torch.nn.init.normal_(parameter, std=0.1)
    model(batch_of()).semantic.square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def test_a_tenth_of_hdmapnets_parameters_at_most():
    for variant in ("nano", "small", "base"):
        model = build_model("student", GRID_60X30, IMAGE_SIZE, {"variant": variant})
        assert sum(p.numel() for p in model.parameters()) < 7.8e6


def test_calibration_is_an_input_and_changes_the_map():
    model = build_model("student", SMALL_GRID, (176, 64), {"variant": "nano"}).eval()
    with torch.inference_mode():
        plain, moved = model(batch_of(1)).semantic, model(batch_of(1, height_m=2.5)).semantic
    assert (plain - moved).abs().max() > 1e-4


@pytest.mark.parametrize("view", ["pillars", "lift_splat"])
def test_a_camera_without_image_is_one_less(view):
    """In training as in the node: its gray image shows nothing, and other cameras serve where it looked."""
    model = build_model("student", SMALL_GRID, (176, 64), {"variant": "nano", "view": view}).eval()
    whole = batch_of(2)
    alive = torch.ones(2, 6, dtype=torch.bool)
    alive[1, 4] = False
    others = [0, 1, 2, 3, 5]
    fewer = Batch(whole.images[:, others], whole.intrinsics[:, others], whole.base_from_camera[:, others])
    with torch.inference_mode():
        some, all_, five = model(replace(whole, alive=alive)).semantic, model(whole).semantic, model(fewer).semantic
    assert torch.allclose(some[0], all_[0], atol=1e-5) and torch.allclose(some[1], five[1], atol=1e-5)
    assert (some[1] - all_[1]).abs().max() > 1e-4


@pytest.mark.parametrize("size", [(352, 128), (88, 32)])
def test_images_of_another_size_are_refused(size):
    """Larger ones would be sampled in the wrong places without a word."""
    model = build_model("student", SMALL_GRID, (176, 64), {"variant": "nano"})
    with pytest.raises(ValueError, match=f"images of {size[0]}x{size[1]}, the network was built for 176x64"):
        model(batch_of(1, size))


def test_the_options_must_not_name_another_image_size():
    assert build_model("student", SMALL_GRID, (176, 64), {"image_size": [176, 64]}).image_size == (176, 64)
    with pytest.raises(ValueError, match=r"image_size is \[352, 128\], its image size is \[176, 64\]"):
        build_model("student", SMALL_GRID, (176, 64), {"image_size": [352, 128]})


def test_unknown_names_get_a_suggestion():
    with pytest.raises(ValueError, match="did you mean 'student'"):
        build_model("studnet", GRID_60X30, IMAGE_SIZE)
    with pytest.raises(ValueError, match="did you mean 'bev_width'"):
        build_model("student", GRID_60X30, IMAGE_SIZE, {"bev_widht": 3})
    with pytest.raises(ValueError, match="variant"):
        build_model("student", GRID_60X30, IMAGE_SIZE, {"variant": "huge"})


def test_the_view_transform_is_a_choice():
    options = {"variant": "nano"}
    model = build_model("student", SMALL_GRID, (176, 64), {**options, "view": "lift_splat"})
    prediction = model(batch_of())
    assert prediction.semantic.shape == (2, 4, *SMALL_GRID.shape)
    prediction.semantic.mean().backward()
    assert model.view.depth.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="view 'mlp' is not one of pillars, lift_splat"):
        build_model("student", SMALL_GRID, (176, 64), {**options, "view": "mlp"})
