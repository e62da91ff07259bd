"""np.polyfit's slope through equal values, to the last bit, for many values at once.

The slope would be 0 but for rounding, and rounding is all that the script stored. np.polyfit solves the fit with
LAPACK's dgelsd: two Householder reflections reduce the values to two numbers, and the singular value decomposition of
the 2 x 2 triangle that the same reflections make of the abscissas turns these into the slope. For equal values the
result depends only on the value and on the order of the operations. Here they run in the order of OpenBLAS, the library
in numpy's wheels, on an x86-64 CPU with AVX2 (its Haswell and Zen kernels). The AVX-512 kernel (SkylakeX) also fuses
the two operations that `_reflected` leaves unfused, which changes a quarter of the results.
"""

import math

import numpy as np

from feature_backfill.engine.bars import Floats

LAGS = np.arange(2.0, 20.0)
"""The abscissas of the fit are the natural logs of these."""

FUSED = 16
"""How many of 18 or 17 items OpenBLAS handles in vector registers; the rest follows one by one."""

Reflector = tuple[list[float], float]
"""v and tau of the Householder reflection I - tau v v'."""


def slope_of_equal_values(values: Floats) -> Floats:
    """np.polyfit(np.log(LAGS), np.full(18, value), 1)[0] for each of a 1-D array of values."""
    items = _reflected(FIRST, [values] * len(LAGS))
    v, tau = SECOND
    upper, lower = items[0], items[1] - tau * _dot(v, items[1:])
    larger = _fused(upper, COS_LEFT, SIN_LEFT * lower) * (1 / LARGER)
    smaller = _fused(lower, COS_LEFT, -(SIN_LEFT * upper)) * (1 / SMALLER)
    return _fused(larger, -COS_RIGHT, SIN_RIGHT * smaller) / SCALE


def _reflected(reflector: Reflector, items: list[Floats]) -> list[Floats]:
    """x - tau (v . x) v, x the items."""
    v, tau = reflector
    factor = -tau * _dot(v, items)
    fused = [_fused(factor, weight, item) for weight, item in zip(v[:FUSED], items, strict=False)]
    return fused + [item + factor * weight for weight, item in zip(v[FUSED:], items[FUSED:], strict=True)]


def _dot(v: list[float], items: list[Floats]) -> Floats:
    """v . x: 16 products in four lanes, then the one or two left over."""
    products = [weight * item for weight, item in zip(v[:FUSED], items, strict=False)]
    lanes = [((products[k] + products[k + 4]) + products[k + 8]) + products[k + 12] for k in range(4)]
    total = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
    if len(v) == FUSED + 1:
        return _fused(items[FUSED], v[FUSED], total)
    return total + _fused(items[FUSED], v[FUSED], items[FUSED + 1] * v[FUSED + 1])


def _fused(a: Floats, b: float, c: Floats) -> Floats:
    """a * b + c, rounded once: product and sum with their exact errors (T. J. Dekker 1971, D. E. Knuth 1969)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    product_error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    added = total - product
    total_error = (product - (total - added)) + (c - added)
    return np.asarray(total + (total_error + product_error))


def _halves(x: Floats | float) -> tuple[Floats | float, Floats | float]:
    """x as a sum of two numbers with so few bits that their products are exact."""
    scaled = (2**27 + 1) * x
    high = scaled - (scaled - x)
    return high, x - high


def _reflector(column: list[float]) -> Reflector:
    """The reflection that leaves nothing of a column below its first item, as LAPACK's dlarfg makes it."""
    first, *below = column
    length = -math.copysign(math.hypot(first, math.hypot(*below)), first)
    return [1.0, *(item * (1 / (first - length)) for item in below)], (length - first) / length


def _reflectors() -> tuple[Reflector, Reflector, float]:
    """Both reflections for the columns of the fit, and the scale of the first of them.

    The columns are the abscissas and ones, each scaled to length 1.
    """
    columns = np.vander(np.log(LAGS), 2)
    scale = np.sqrt((columns * columns).sum(axis=0))
    columns /= scale
    first = _reflector(columns[:, 0].tolist())
    ones = _reflected(first, list(columns[:, 1:]))
    return first, _reflector([item.item() for item in ones[1:]]), float(scale[0])


FIRST, SECOND, SCALE = _reflectors()

LARGER, SMALLER = 1.4001896094229407, 0.19866820999856372
COS_LEFT, SIN_LEFT = 0.9900835677699046, 0.1404796384961775
COS_RIGHT, SIN_RIGHT = 0.7071067811865475, 0.7071067811865477
"""Singular values and rotations of the triangle that the reflections make of the columns, from LAPACK's dlasv2."""
