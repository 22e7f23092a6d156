"""The normal numbers that `torch.randn` would draw on the CPU, so that both ray casters have the same noise.

Sources: Mersenne Twister (Matsumoto and Nishimura 1998); pairs of normal numbers (Box and Muller 1958), eight and
eight as torch pairs them.
"""
from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, I, cosine, logarithm, sine

WORDS, MIDDLE = 624, 397
W = np.uint32
TWIST, UPPER, LOWER = W(0x9908B0DF), W(0x80000000), W(0x7FFFFFFF)


def normals(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What `torch.randn(shape)` gives with a CPU generator seeded with `seed`, to rounding; at least 16 numbers."""
    result = np.empty(shape, np.float32)
    _fill(W(seed & 0xFFFFFFFF), result.reshape(-1), np.empty(WORDS, W), np.empty(WORDS, np.float32))
    return result


@inline
def _twisted(high, low, far):
    mixed = (high & UPPER) | (low & LOWER)
    return W(far ^ (mixed >> W(1)) ^ (TWIST if mixed & W(1) else W(0)))


@kernel
def _next(state):
    # Three loops, none of which reads what it has just written: vector instructions can do them.
    for j in range(WORDS - MIDDLE):
        state[j] = _twisted(state[j], state[j + 1], state[j + MIDDLE])
    for j in range(WORDS - MIDDLE, WORDS - 1):
        state[j] = _twisted(state[j], state[j + 1], state[j + MIDDLE - WORDS])
    state[WORDS - 1] = _twisted(state[WORDS - 1], state[0], state[MIDDLE - 1])


@kernel
def _uniform(state, out):
    """Numbers in 0..1 from as many words of the state."""
    for j in range(len(out)):
        y = state[j]
        y = W(y ^ (y >> W(11)))
        y = W(y ^ (W(y << W(7)) & W(0x9D2C5680)))
        y = W(y ^ (W(y << W(15)) & W(0xEFC60000)))
        y = W(y ^ (y >> W(18)))
        out[j] = F(I(y & W(0xFFFFFF))) * F(1 / (1 << 24))


@kernel
def _sixteen(block):
    for j in range(8):
        radius = math.sqrt(F(-2) * logarithm(F(1) - block[j]))
        angle = F(2 * math.pi) * block[j + 8]
        block[j], block[j + 8] = radius * cosine(angle), radius * sine(angle)


@kernel
def _fill(seed, out, state, spare):
    state[0] = seed
    for j in range(1, WORDS):
        before = state[j - 1]
        state[j] = W(W(1812433253) * W(before ^ (before >> W(30))) + W(j))
    n, at, kept = len(out), 0, 0
    while at < n:
        _next(state)
        count = min(WORDS, n - at)
        _uniform(state[:count], out[at : at + count])
        at += count
        kept = count
    for start in range(0, n - 15, 16):
        _sixteen(out[start : start + 16])
    if n % 16:  # the last sixteen are drawn anew
        have = WORDS - kept
        _uniform(state[kept:], spare[:have])
        if have < 16:
            _next(state)
            _uniform(state[: 16 - have], spare[have:16])
        for j in range(16):
            out[n - 16 + j] = spare[j]
        _sixteen(out[n - 16 :])
