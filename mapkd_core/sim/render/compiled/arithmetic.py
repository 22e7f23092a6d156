"""float32 functions without branches, which the compiler turns into vector instructions."""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import exact, inline

F = np.float32
I = np.int32  # noqa: E741
PI_HIGH, PI_LOW = F(3.140625), F(math.pi - 3.140625)
LN2_HIGH, LN2_LOW = F(0.693359375), F(math.log(2) - 0.693359375)


@inline
def clip(value, low, high):
    """`value` held within two bounds."""
    value = value if value > low else low
    return value if value < high else high


@inline
def larger(a, b):
    """The larger of two numbers."""
    return a if a > b else b


@inline
def smaller(a, b):
    """The smaller of two numbers."""
    return a if a < b else b


@inline
def lerp(a, b, share):
    """From `a` (share 0) to `b` (share 1)."""
    return a + share * (b - a)


@inline
def sine(x):
    """sin(x) to about 2e-7 for |x| below a few hundred. Source: Cody and Waite's reduction, a Taylor series."""
    turns = np.floor(x * F(1 / math.pi) + F(0.5))
    r = (x - turns * PI_HIGH) - turns * PI_LOW
    s = r * r
    odd = turns - F(2) * np.floor(turns * F(0.5))
    p = F(-2.5052108e-8) * s + F(2.7557319e-6)
    p = p * s - F(1.9841270e-4)
    p = p * s + F(8.3333333e-3)
    p = p * s - F(0.16666667)
    return (r + r * s * p) * (F(1) - F(2) * odd)


@inline
def cosine(x):
    """cos(x) to about 4e-7 for |x| below a few hundred."""
    return sine(x + F(math.pi / 2))


@inline
def exponential(x):
    """exp(x) to about 2e-7 of itself; 0 below -87."""
    x = clip(x, F(-87.3), F(88.0))
    n = np.floor(x * F(1.44269504) + F(0.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = F(1 / 720) * r + F(1 / 120)
    p = p * r + F(1 / 24)
    p = p * r + F(1 / 6)
    p = p * r + F(0.5)
    p = p * r + F(1)
    p = p * r + F(1)
    return p * I((I(n) + I(127)) << I(23)).view(F)


@inline
def logarithm(x):
    """log(x) of a normal positive number to about 2e-7. Source: the series of atanh."""
    bits = F(x).view(I)
    shifted = I(bits - I(0x3F3504F3))  # so that the fraction lies in sqrt(1/2)..sqrt(2)
    exponent = shifted >> I(23)
    m = I(bits - I(exponent << I(23))).view(F)
    z = (m - F(1)) / (m + F(1))
    s = z * z
    p = F(2 / 9) * s + F(2 / 7)
    p = p * s + F(2 / 5)
    p = p * s + F(2 / 3)
    e = F(exponent)
    return e * LN2_HIGH + (F(2) * z + (z * s * p + e * LN2_LOW))


@exact
def lot(cell, stretch):
    """A number 0..1 that looks drawn by chance, from a cell's number."""
    value = abs(math.sin(cell)) * stretch
    return value - np.floor(value)
