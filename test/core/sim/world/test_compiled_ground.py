"""The machine code that builds worlds gives what NumPy, SciPy and OpenCV give, to the last bit."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from mapkd_core.sim.world.textures import tileable_noise

pytest.importorskip("numba")
from mapkd_core.sim.world.compiled import layers, normals
from mapkd_core.sim.world.compiled.distances import signed_cells

F = np.float32


@pytest.mark.parametrize(("generator", "tables"), [
    (np.random.PCG64, normals.TABLES), (np.random.PCG64, None), (np.random.MT19937, normals.TABLES),
])  # fmt: skip
def test_normal_numbers_are_numpys_and_leave_the_generator_where_numpy_does(generator, tables, monkeypatch):
    assert normals.TABLES is not None, "numba has its tables elsewhere: worlds take longer to build"
    monkeypatch.setattr(normals, "TABLES", tables)
    ours, theirs = (np.random.Generator(generator(11)) for _ in range(2))
    found = np.empty((700, 800))
    normals.fill_normals(ours, found)
    expected = theirs.standard_normal((700, 800))
    assert np.abs(expected).max() > 4.5, "the ziggurat's tail is among them"
    np.testing.assert_array_equal(found, expected)
    assert ours.integers(1 << 60) == theirs.integers(1 << 60)


def test_noise_is_white_noise_weighed_by_frequency():
    size, exponent, low = 96, 1.3, 2.0
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) * size
    gain = np.where(frequency >= low, np.maximum(frequency, 1.0) ** -exponent, 0.0)
    draws = np.random.default_rng(4).standard_normal((size, size))
    expected = np.fft.ifft2(np.fft.fft2(draws) * gain).real
    found = tileable_noise(size, np.random.default_rng(4), exponent, low)
    np.testing.assert_allclose(found, expected / expected.std(), atol=1e-6)


def signed(inside: np.ndarray) -> np.ndarray:
    size = len(inside)
    found = np.empty((size, size), F)
    room = np.empty(size + 3, np.int32), np.empty(size + 3, np.int32)
    signed_cells(inside, 0.2, np.empty((size, size), np.int32), *room, found)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_distances_between_cells_are_exact(seed):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(130, 130)), (0.3, 1, 3, 6, 12, 30)[seed])
    inside = (smooth > np.quantile(smooth, (0.5, 0.9, 0.2, 0.5, 0.999, 0.7)[seed])).astype(np.uint8)
    far = [np.rint(ndimage.distance_transform_edt(cells) ** 2).astype(F) for cells in (inside == 0, inside)]
    outside, within = (np.minimum(np.sqrt(cells), F(len(inside))) for cells in far)
    expected = (outside - within) * F(0.2)
    np.testing.assert_array_equal(signed(inside), expected)


@pytest.mark.parametrize("value", [0, 1])
def test_without_cells_of_the_other_kind_far_is_far(value):
    found = signed(np.full((64, 64), value, np.uint8))
    np.testing.assert_array_equal(found, np.full((64, 64), 64 * F(0.2) * (-1 if value else 1)))


def bytes_of(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.integers(0, 256, (size, size), dtype=np.uint8)


def test_the_surface_is_what_opencv_makes_of_its_layers():
    rng, size = np.random.default_rng(0), 320
    coverage, yellow, marks, contact, light = (bytes_of(rng, size) for _ in range(5))
    kept, mottled = bytes_of(rng, 128), bytes_of(rng, 256)
    texels = np.empty((size, size), np.uint32)
    layers.surface(coverage, yellow, kept, mottled, marks, contact, light, texels)
    tiled = [np.tile(tile, (3, 3))[:size, :size] for tile in (kept, mottled)]
    expected = (
        cv2.multiply(coverage, tiled[0], scale=1 / 255), cv2.multiply(yellow, tiled[0], scale=1 / 255),
        cv2.multiply(cv2.subtract(tiled[1], marks), contact, scale=1 / 255), light,
    )  # fmt: skip
    np.testing.assert_array_equal(texels.view(np.uint8).reshape(size, size, 4), np.stack(expected, -1))


@pytest.mark.parametrize("tropical", [False, True])
def test_the_verge_is_what_numpy_makes_of_its_layers(tropical):
    rng, size, tile = np.random.default_rng(1), 160, 64
    district, edge = (rng.normal(0, scale, (size, size)).astype(F) for scale in (1, 3))
    fine, green, cell = rng.normal(size=(tile, tile)).astype(F), F(0.2), F(0.2)
    walkways, contact, mottle = bytes_of(rng, size) // 2, bytes_of(rng, size), bytes_of(rng, tile)
    texels = np.empty((size, size), np.uint32)
    layers.verge(district, fine, edge, walkways, contact, mottle, green, tropical, cell, texels)
    repeated, mottled = (np.tile(layer, (3, 3))[:size, :size] for layer in (fine, mottle))
    paved = np.clip((F(2.6) + F(0.9) * np.clip(district, -1, 1) - edge) / cell + F(0.5), 0, 1)
    if tropical:
        paved *= np.clip((edge - F(1.4)) / cell + F(0.5), 0, 1)
    grass = np.clip((district + F(0.5) * repeated - green) * F(4), 0, 1)
    paving = np.maximum((paved * F(255)).astype(np.uint8), walkways)
    expected = np.stack([paving, (grass * F(255)).astype(np.uint8), contact, mottled], -1)
    np.testing.assert_array_equal(texels.view(np.uint8).reshape(size, size, 4), expected)
