"""Binary images as one big integer, so that one operation of Python works on all cells at once.

Bit `row * stride + col` of the integer is the cell (row, col). Every row ends in at least one bit that stays zero, so
a shift by one brings no neighbour over from the next row. What a shift pushes off the image is cut by `&` with the
plane it came from. On 200 x 400 cells an operation takes about a microsecond.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[Any]
"""(Y, X) uint8, zero or not."""


def stride_of(shape: tuple[int, ...]) -> int:
    """Bits from one row to the next for an image (Y, X): whole bytes, at least one bit to spare."""
    return (shape[1] + 8) // 8 * 8


def pack(mask: Mask) -> int:
    """The non-zero cells of a mask (Y, X) as an integer."""
    rows, cols = mask.shape
    padded = np.zeros((rows, stride_of(mask.shape)), np.uint8)
    padded[:, :cols] = mask
    return int.from_bytes(np.packbits(padded, bitorder="little").tobytes(), "little")


def unpack(plane: int, shape: tuple[int, ...]) -> Mask:
    """An integer as a mask (Y, X) of 0 and 1; bits beyond the image are cut off."""
    stride = stride_of(shape)
    bits = shape[0] * stride
    packed = np.frombuffer((plane & (1 << bits) - 1).to_bytes(bits // 8, "little"), np.uint8)
    return np.unpackbits(packed, bitorder="little").reshape(shape[0], stride)[:, : shape[1]]


def without(plane: int, other: int) -> int:
    """The cells of `plane` that are not in `other`; Python has no quick complement of a large integer."""
    return plane ^ (plane & other)


def grow(plane: int, stride: int) -> int:
    """Every cell with its eight neighbours; may set bits beyond the image."""
    plane |= plane << 1 | plane >> 1
    return plane | plane << stride | plane >> stride


def shrink(plane: int, stride: int) -> int:
    """The cells whose eight neighbours are all set; no cell at the border is among them."""
    plane &= plane << 1 & plane >> 1
    return plane & plane << stride & plane >> stride


def neighbours(plane: int, stride: int) -> tuple[int, int, int, int, int, int, int, int]:
    """Eight planes that say of every cell whether its neighbour is set: clockwise, that of the row before first.

    In the literature's names p2 (north), p3, p4 (east), p5, p6 (south), p7, p8 (west), p9; north is the row before.
    """
    before, after = plane << 1, plane >> 1
    return (
        plane << stride, after << stride, after, after >> stride,
        plane >> stride, before >> stride, before, before << stride,
    )  # fmt: skip
