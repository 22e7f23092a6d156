import numpy as np
import pytest
import torch

from mapkd_core.sim.world.textures import PackedTexture, box_filtered_stripes, sample_bilinear, tileable_noise


def texture(layer: np.ndarray, cell_m: float = 0.1) -> PackedTexture:
    empty = np.zeros_like(layer)
    half = layer.shape[0] * cell_m / 2
    return PackedTexture.of((layer, empty, empty, 255 - layer), (-half, -half), cell_m)


def sampled(
    tex: PackedTexture, x: np.ndarray, y: np.ndarray, axis: tuple[float, float], minor: float
) -> list[np.ndarray]:
    points = [torch.from_numpy(np.asarray(values, np.float32)) for values in (x, y)]
    axes = [torch.full_like(points[0], a) for a in axis]
    return [c.numpy() for c in tex.sample(*points, *axes, torch.full_like(points[0], minor))]


def test_noise_has_no_seam_and_unit_deviation():
    noise = tileable_noise(128, np.random.default_rng(0), 1.2)
    assert abs(noise.std() - 1) < 1e-4 and abs(noise.mean()) < 1e-4
    inner, seam = np.abs(np.diff(noise, axis=0)).mean(), np.abs(noise[0] - noise[-1]).mean()
    assert seam < 1.5 * inner


def test_fine_samples_are_bilinear_and_channels_stay_apart():
    layer = np.random.default_rng(1).integers(0, 256, (64, 64)).astype(np.uint8)
    x, y = np.random.default_rng(2).uniform(-2.5, 2.5, (2, 500))
    first, second, third, fourth = sampled(texture(layer), x, y, (0.01, 0.0), 0.01)
    grid = torch.from_numpy(layer.astype(np.float32) / 255)
    exact = sample_bilinear(
        grid, torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32)), (-3.2, -3.2), 0.1
    )
    np.testing.assert_allclose(first, exact.numpy(), atol=0.09)  # 16 steps between texels
    assert abs((first - exact.numpy()).mean()) < 0.01
    assert second.max() == 0 and third.max() == 0
    np.testing.assert_allclose(first + fourth, 1, atol=2e-3)


def test_a_wide_spot_sees_the_mean_and_a_long_one_averages_only_along_itself():
    layer = np.zeros((256, 256), np.uint8)
    layer[:, 124:132] = 255  # a band 0.8 m wide along y
    middle = np.zeros(1)
    across = sampled(texture(layer), middle, middle, (6.4, 0.0), 0.1)[0][0]
    along = sampled(texture(layer), middle, middle, (0.0, 0.8), 0.1)[0][0]
    assert along > 0.95
    assert across == pytest.approx(0.8 / 6.4, abs=0.05)
    layer = np.zeros((1024, 1024), np.uint8)
    layer[:, 508:516] = 255
    wide = sampled(texture(layer), middle, middle, (12.8, 0.0), 12.8)[0][0]
    assert wide == pytest.approx(0.8 / 12.8, abs=0.02)


def test_stripes_keep_their_mean_at_any_width():
    at = torch.linspace(-10, 10, 4001)
    for width in (0.001, 0.3, 2.0, 30.0):
        stripes = box_filtered_stripes(at, 2.0, 0.25, torch.full_like(at, width))
        assert float(stripes.mean()) == pytest.approx(0.25, abs=0.01)
        assert float(stripes.min()) >= -1e-3 and float(stripes.max()) <= 1 + 1e-3


def test_layers_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="64s"):
        texture(np.zeros((65, 65), np.uint8))
