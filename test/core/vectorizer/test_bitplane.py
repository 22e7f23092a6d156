"""Bit planes hold masks of any size, and their neighbourhoods are those of the cells."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapkd_core.vectorizer.bitplane import grow, neighbours, pack, shrink, stride_of, unpack

SHAPES = [(1, 1), (5, 7), (5, 8), (9, 16), (13, 31), (200, 400)]
AROUND = np.ones((3, 3), np.uint8)


def noise(shape: tuple[int, int], share: float = 0.5) -> np.ndarray:
    return (np.random.default_rng(0).random(shape) < share).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_comes_back(shape: tuple[int, int]) -> None:
    mask = noise(shape)
    np.testing.assert_array_equal(unpack(pack(mask), shape), mask)
    np.testing.assert_array_equal(unpack(pack(3 * mask), shape), mask)
    assert stride_of(shape) > shape[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_growing_and_shrinking_stop_at_the_border(shape: tuple[int, int]) -> None:
    few, many = noise(shape, 0.1), noise(shape, 0.9)
    stride = stride_of(shape)
    np.testing.assert_array_equal(unpack(grow(pack(few), stride), shape), cv2.dilate(few, AROUND))
    eroded = cv2.erode(many, AROUND, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    np.testing.assert_array_equal(unpack(shrink(pack(many), stride), shape), eroded)


def test_neighbours_go_round_clockwise_from_the_row_before() -> None:
    mask = noise((6, 9))
    padded = np.pad(mask, 1)
    steps = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    for plane, (down, right) in zip(neighbours(pack(mask), stride_of(mask.shape)), steps, strict=True):
        np.testing.assert_array_equal(unpack(plane, mask.shape), padded[1 + down : 7 + down, 1 + right : 10 + right])
