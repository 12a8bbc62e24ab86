"""The frequency tables of the entropy coder: constants that every machine computes alike.

A table gives to each integer -31..31 and to ESCAPE a frequency out of 2**14. The tables form a small family: three
shapes (weights 2**(-a*|k|), 2**(-a*|k|**1.5), 2**(-a*k*k): Laplace, in between, Gaussian) times a geometric range
of widths. An encoder names the table that fits its symbols best by one byte, so that no frequencies travel.
Everything is computed in integers (roots by `math.isqrt`), never in floating point.

Integers of wide distributions are split as `value = high * 2**shift + low`: `high` goes through a table, the
`shift` low bits are stored as they are; within one step of `high` the density is nearly flat, so that costs almost
nothing.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PRECISION = 14
TOTAL = 1 << PRECISION
LIMIT = 31
ESCAPE = 2 * LIMIT + 1
SYMBOLS = ESCAPE + 1
"""Symbols are value + LIMIT for -LIMIT <= value <= LIMIT, and ESCAPE for every value the table does not hold."""

SHAPES = 3
WIDTHS = 21
ZERO_CODE = SHAPES * WIDTHS
"""The code of a block of zeros, which takes no symbols at all."""
MAX_SHIFT = 24
WIDE_TABLES = 8
CODES = ZERO_CODE + 1 + MAX_SHIFT * WIDE_TABLES
"""Codes 0..62 are tables without low bits, 63 is all zeros, 64..255 are (shift 1..24) x (8 wide tables)."""

_ONE = 1 << 32
_STEPS = 64
_WIDE = (11, 12, 13, 14, 2 * WIDTHS + 12, 2 * WIDTHS + 13, 2 * WIDTHS + 14, 2 * WIDTHS + 15)
"""Laplace and Gaussian tables whose widths, doubled by each shift, cover every scale without a gap."""

"""Fractions of an octave in the fixed-point power of two."""


@cache
def _roots() -> tuple[int, ...]:
    """Return round-down 2**(-j/64) in units of 2**-32 for j = 0..63, by repeated integer square roots."""
    precision = 1 << 192
    root = 2 * precision
    for _ in range(6):
        root = isqrt(root * precision)
    powers, value = [], precision
    for _ in range(_STEPS):
        powers.append(_ONE * precision // value)
        value = value * root // precision
    return tuple(powers)


def _power(exponent: int) -> int:
    """Return 2**(-exponent/64) in units of 2**-32, rounded down."""
    octaves, step = divmod(exponent, _STEPS)
    return _roots()[step] >> octaves


def _reach(magnitude: int, shape: int) -> int:
    """Return 256 * |k|**(1, 1.5 or 2), rounded down."""
    return (256 * magnitude, isqrt(65536 * magnitude**3), 256 * magnitude**2)[shape]


def _decay(shape: int, width: int) -> int:
    """Return a: the weight of k is 2**(-a * reach(k) / (64 * 65536)); width 0 is the narrowest."""
    if shape == 0:
        return 10 * 16384 * _power(width * 24) // _ONE + 2000
    if shape == 1:
        return 12 * 16384 * _power(width * 30) // _ONE + 350
    return 12 * 16384 * _power(width * 38) // _ONE + 60


@cache
def frequencies(table: int) -> NDArray[np.uint32]:
    """Return the frequencies of one table, uint32 [SYMBOLS], their sum TOTAL; 0 where the table lacks a value."""
    shape, width = divmod(table, WIDTHS)
    decay = _decay(shape, width)
    weights = [_power(decay * _reach(magnitude, shape) // 65536) for magnitude in range(LIMIT + 1)]
    total = 2 * sum(weights) - weights[0]
    counts = [weight * TOTAL // total for weight in weights]
    result = np.zeros(SYMBOLS, np.uint32)
    for magnitude, count in enumerate(counts):
        result[LIMIT - magnitude] = result[LIMIT + magnitude] = max(count, 1 if magnitude == 1 else 0)
    result[ESCAPE] = 1
    result[LIMIT] += TOTAL - int(result.sum())
    return result


class Code(NamedTuple):
    """What a code byte means."""

    table: int
    shift: int


def code(index: int) -> Code:
    """Return table and shift of a code byte (not ZERO_CODE)."""
    if index < ZERO_CODE:
        return Code(index, 0)
    shift, wide = divmod(index - ZERO_CODE - 1, WIDE_TABLES)
    return Code(_WIDE[wide], shift + 1)
