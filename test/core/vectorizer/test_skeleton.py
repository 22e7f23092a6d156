"""Thinning follows the paper cell by cell, and branches come out whole, in order, each cell once."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from mapkd_core.vectorizer import skeleton
from mapkd_core.vectorizer.bitplane import grow, pack, stride_of, unpack


def smooth_noise(seed: int, cells: float = 2.0, shape: tuple[int, int] = (40, 61)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, shape)
    return (cv2.GaussianBlur(noise, (0, 0), cells) > 0).astype(np.uint8)


def around(mask: np.ndarray, row: int, col: int) -> list[int]:
    """p2..p9 of the literature."""
    at = np.pad(mask, 1)
    steps = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    return [int(at[row + 1 + down, col + 1 + right]) for down, right in steps]


def deleted(p: list[int], odd: bool) -> bool:
    """Whether Guo and Hall (CACM 1989, algorithm A1) delete a cell with the neighbours p2..p9, as the paper puts it."""
    north, north_east, east, south_east, south, south_west, west, north_west = p
    ring = np.array([[north_west, north, north_east], [west, 0, east], [south_west, south, south_east]], np.uint8)
    pieces = cv2.connectedComponents(ring, connectivity=8)[0] - 1
    pairs = [max(p[k], p[(k + 1) % 8]) for k in range(8)]
    n = min(sum(pairs[0::2]), sum(pairs[1::2]))
    if odd:
        stays = east and (north or north_east or not south_east)
    else:
        stays = west and (south or south_west or not north_west)
    return pieces == 1 and 2 <= n <= 3 and not stays


def plainly_thinned_once(mask: np.ndarray, odd: bool) -> np.ndarray:
    result = mask.copy()
    for row, col in zip(*np.nonzero(mask), strict=True):
        if deleted(around(mask, row, col), odd):
            result[row, col] = 0
    return result


def plainly_thinned(mask: np.ndarray, max_passes: int) -> np.ndarray:
    """The same as `skeleton.thin`, with one image operation or one look at a cell after the other."""
    square = np.ones((3, 3), np.uint8)

    def inside(image: np.ndarray) -> np.ndarray:
        return cv2.erode(image, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)

    def opened_away(image: np.ndarray) -> np.ndarray:
        return image & (1 - cv2.dilate(inside(image), square, iterations=2))

    image = inside(mask) | opened_away(mask)
    for _ in range(max_passes - 1):
        before = image
        image = plainly_thinned_once(plainly_thinned_once(image, True), False)
        if (image == before).all():
            break
    return opened_away(image)


@pytest.mark.parametrize("odd", [True, False])
def test_a_sub_iteration_is_the_published_one_for_all_256_neighbourhoods(odd: bool) -> None:
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    mask = np.zeros((16 * 4, 16 * 4), np.uint8)
    steps = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
    centers = [(4 * (k // 16) + 1, 4 * (k % 16) + 1) for k in range(256)]
    for (row, col), p in zip(centers, bits.tolist(), strict=True):
        mask[row, col] = 1
        for (down, right), value in zip(steps, p, strict=True):
            mask[row + down, col + right] = value
    stride = stride_of(mask.shape)
    thinned = unpack(skeleton.thin_once(pack(mask), stride, odd), mask.shape)
    found = [not thinned[row, col] for row, col in centers]
    expected = [deleted(p, odd) for p in bits.tolist()]
    assert found == expected
    assert 0 < sum(expected) < 128


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("odd", [True, False])
def test_a_sub_iteration_is_the_published_one_on_noise(seed: int, odd: bool) -> None:
    for cells in (0.01, 1.0, 2.0):
        mask = smooth_noise(seed, cells)
        thinned = skeleton.thin_once(pack(mask), stride_of(mask.shape), odd)
        np.testing.assert_array_equal(unpack(thinned, mask.shape), plainly_thinned_once(mask, odd))


@pytest.mark.parametrize("max_passes", [1, 2, 4, 10])
@pytest.mark.parametrize("cells", [0.01, 1.0, 2.0, 4.0])
def test_thinning_is_the_published_one_until_nothing_changes(max_passes: int, cells: float) -> None:
    mask = smooth_noise(7, cells)
    cv2.line(mask, (2, 5), (57, 30), 1, 7)
    thinned = unpack(skeleton.thin(pack(mask), stride_of(mask.shape), max_passes), mask.shape)
    np.testing.assert_array_equal(thinned, plainly_thinned(mask, max_passes))


@pytest.mark.parametrize(
    ("rows", "idle"), [((".####", "##.#.", ".##.."), 0), (("#..##", "##...", ".#..#", ".#.##", "#####"), 1)]
)
def test_one_sub_iteration_without_a_change_is_not_the_last(rows: tuple[str, ...], idle: int) -> None:
    """The other one, on the other sides of a region, still takes cells away."""
    mask = np.pad(np.array([[cell == "#" for cell in row] for row in rows], np.uint8), 3)
    changed, image = [], mask
    for odd in (True, False, True):
        before, image = image, plainly_thinned_once(image, odd)
        changed.append(bool((image != before).any()))
    assert not changed[idle] and changed[idle + 1]
    thinned = unpack(skeleton.thin(pack(mask), stride_of(mask.shape), 4), mask.shape)
    np.testing.assert_array_equal(thinned, plainly_thinned(mask, 4))


def test_thinning_leaves_lines_and_no_areas() -> None:
    mask = np.zeros((60, 90), np.uint8)
    cv2.line(mask, (8, 10), (80, 20), 1, 7)
    cv2.rectangle(mask, (20, 28), (80, 56), 1, -1)
    stride = stride_of(mask.shape)
    thin = unpack(skeleton.thin(pack(mask), stride, 10), mask.shape)
    assert thin[:25].sum() == pytest.approx(72, abs=8) and thin[30:].sum() == 0
    assert cv2.connectedComponents(thin)[0] == 2


def test_branches_end_where_three_ways_meet() -> None:
    for seed in range(3):
        mask = smooth_noise(seed)
        stride = stride_of(mask.shape)
        plane = skeleton.thin(pack(mask), stride, 10)
        thin = unpack(plane, mask.shape)
        meets = np.zeros_like(mask)
        for row, col in zip(*np.nonzero(thin), strict=True):
            p = around(thin, row, col)
            meets[row, col] = sum(p[k - 1] < p[k] for k in range(8)) >= 3
        branches, zone = skeleton.split_at_junctions(plane, stride)
        expected = cv2.dilate(meets, np.ones((3, 3), np.uint8))
        np.testing.assert_array_equal(unpack(zone, mask.shape), expected)
        np.testing.assert_array_equal(unpack(branches, mask.shape), thin & (1 - expected))


def test_only_short_fragments_are_swept() -> None:
    mask = (np.random.default_rng(1).random((60, 80)) < 0.4).astype(np.uint8)
    stride = stride_of(mask.shape)
    branches, _ = skeleton.split_at_junctions(skeleton.thin(pack(mask), stride, 10), stride)
    before, after = (unpack(p, mask.shape) for p in (branches, skeleton.without_short_fragments(branches, stride, 2)))
    count, numbers = cv2.connectedComponents(before)
    for k in range(1, count):
        piece = numbers == k
        assert after[piece].all() or (not after[piece].any() and piece.sum() <= 4)
    assert 0 < after.sum() < before.sum()


def test_chains_walk_each_branch_once_and_keep_the_longest() -> None:
    mask = np.zeros((40, 60), np.uint8)
    cv2.line(mask, (3, 3), (50, 9), 1)
    cv2.line(mask, (5, 30), (25, 20), 1)
    cv2.circle(mask, (45, 25), 8, 1)
    cv2.line(mask, (1, 37), (4, 37), 1)
    found = skeleton.chains(mask, 6, 96)
    assert [len(chain) for chain in found] == sorted((len(chain) for chain in found), reverse=True)
    assert len(found) == 3
    for chain in found:
        assert (np.abs(np.diff(chain, axis=0)).max(1) == 1).all()
        assert len(np.unique(chain, axis=0)) == len(chain)
    assert sum(map(len, found)) == mask.sum() - 4
    assert len(skeleton.chains(mask, 6, 1)) == 1
    assert skeleton.chains(np.zeros_like(mask), 6, 96) == []


def test_growing_a_zone_past_the_border_is_harmless() -> None:
    mask = np.zeros((9, 8), np.uint8)
    mask[8] = mask[:, 4] = 1
    stride = stride_of(mask.shape)
    branches, zone = skeleton.split_at_junctions(pack(mask), stride)
    assert unpack(branches, mask.shape).sum() == mask.sum() - 4
    assert unpack(grow(zone, stride), mask.shape).shape == mask.shape


@pytest.mark.parametrize(("near", "spur"), [((), False), ((0,), True), ((-1,), True), ((0, -1), False)])
def test_a_short_chain_from_one_junction_to_another_is_no_side_branch(near: tuple[int, ...], spur: bool) -> None:
    chain = np.array([(col, 4) for col in range(2, 9)], np.int32)
    junctions = np.zeros((9, 12), np.uint8)
    for end in near:
        junctions[chain[end][1], chain[end][0]] = 1
    assert skeleton._is_spur(chain, junctions) is spur
