"""The normal numbers of `numpy.random.Generator.standard_normal`, drawn in a third of the time.

Sources: PCG64 (O'Neill 2014); the ziggurat (Marsaglia and Tsang 2000) in the form that NumPy has had since 1.17.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from mapkd_core.sim.kernel import exact, exact_kernel

TABLES: tuple[Any, ...] | None
"""Widths, sure magnitudes and heights of the 256 layers."""
try:
    # NumPy's tables cannot be computed: their last bits are not those of exact arithmetic. Numba's copy is no part of
    # its public face; in a version without it NumPy itself draws, three times as long.
    from numba.np.random import _constants

    TABLES = _constants.wi_double, _constants.ki_double, _constants.fi_double
except (ImportError, AttributeError):
    TABLES = None

U = np.uint64
TAIL, PER_TAIL = 3.6541528853610087963519472518, 0.27366123732975827203338247596
"""Where the tail of 256 layers begins, and its inverse."""
MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
WORD = (1 << 64) - 1


def fill_normals(rng: np.random.Generator, out: NDArray[np.float64]) -> None:
    """Fills `out` as `rng.standard_normal(out=out)` would, and leaves `rng` as that would."""
    if TABLES is None or type(rng.bit_generator) is not np.random.PCG64:
        rng.standard_normal(out=out)
        return
    held: Any = rng.bit_generator.state
    pcg = held["state"]
    words = np.array([pcg["state"] >> 64, pcg["state"] & WORD, pcg["inc"] >> 64, pcg["inc"] & WORD], np.uint64)
    _fill(words, *TABLES, out.reshape(-1))
    pcg["state"] = int(words[0]) << 64 | int(words[1])
    rng.bit_generator.state = held


@intrinsic
def _stepped(typing_context, high, low, add_high, add_low):
    """The next state: 128-bit integers, which LLVM has and Numba has not."""

    def codegen(context, builder, signature, args):
        wide = type(args[0].type)(128)
        shift = wide(64)
        high, low, add_high, add_low = (builder.zext(word, wide) for word in args)
        state = builder.or_(builder.shl(high, shift), low)
        state = builder.mul(state, wide(MULTIPLIER))
        state = builder.add(state, builder.or_(builder.shl(add_high, shift), add_low))
        words = [builder.trunc(builder.lshr(state, shift), args[0].type), builder.trunc(state, args[0].type)]
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.uint64, 2)(high, low, add_high, add_low), codegen


@exact
def _output(high, low):
    mixed, turn = high ^ low, high >> U(58)
    return (mixed >> turn) | (mixed << ((U(64) - turn) & U(63)))


@exact
def _share(word):
    """A number in 0..1."""
    return float(word >> U(11)) * (1.0 / 9007199254740992.0)


@exact_kernel
def _fill(words, wide, known, height, out):
    high, low, add_high, add_low = words[0], words[1], words[2], words[3]
    for i in range(len(out)):
        while True:
            high, low = _stepped(high, low, add_high, add_low)
            word = _output(high, low)
            layer = word & U(0xFF)
            magnitude = (word >> U(9)) & U(0x000FFFFFFFFFFFFF)
            x = float(magnitude) * wide[layer]
            if (word >> U(8)) & U(1):
                x = -x
            if magnitude < known[layer]:
                break
            high, low = _stepped(high, low, add_high, add_low)
            share = _share(_output(high, low))
            if layer != U(0):
                top, bottom = height[layer - U(1)], height[layer]
                if (top - bottom) * share + bottom < math.exp(-0.5 * x * x):
                    break
                continue
            while True:  # the tail
                beyond = -PER_TAIL * math.log1p(-share)
                high, low = _stepped(high, low, add_high, add_low)
                y = -math.log1p(-_share(_output(high, low)))
                if y + y > beyond * beyond:
                    break
                high, low = _stepped(high, low, add_high, add_low)
                share = _share(_output(high, low))
            x = TAIL + beyond
            if (magnitude >> U(8)) & U(1):
                x = -x
            break
        out[i] = x
    words[0], words[1] = high, low
