"""Which directions of which matrices an update of so many bytes keeps, and at how many bits each.

A direction k of a matrix [m, n] of strength sigma_k is worth sigma_k**2 of squared error. With factors of b_m and b_n
bits it keeps 1 - d(b_m) - d(b_n) of that, d the relative error of a quantiser, and costs about m * h(b_m) + n * h(b_n)
bits, h the entropy of its integers. A bit more halves an error's root, so at equal worth a bit the shorter factor has
log2(sqrt(longer / shorter)) bits more (`extra_bits`). Each direction climbs from nothing to more bits by steps of
falling worth a bit, and the steps of all matrices are taken in that order until the bytes are spent: reverse
water-filling (Cover and Thomas 2006, section 10.3) with the quantisers at hand.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from math import log2

import numpy as np
from numpy.typing import NDArray

_LOST = {2: 0.17, 3: 0.0425, 4: 0.012, 5: 0.0035, 6: 0.001, 7: 0.0003, 8: 0.0001}
"""Share of a direction's squared norm that one factor of so many bits loses (Gaussian factors, the right one fitted to
the quantised left one)."""
_ENTROPY = {2: 1.45, 3: 2.25, 4: 3.15, 5: 4.05, 6: 5.0, 7: 5.95, 8: 6.9}
"""Bits an integer takes after entropy coding."""
_STEPS = {0: 2, 2: 3, 3: 4, 4: 5, 5: 6}
_TERM_BITS = 24
_MOST = 8

Bits = tuple[int, int]
"""Bits of the left and of the right factor; (0, 0) for a direction that is left out."""


def extra_bits(rows: int, columns: int) -> int:
    """Return how many bits more the shorter factor of a matrix is worth."""
    return round(log2(max(rows, columns) / max(1, min(rows, columns))) / 2)


def allocate(
    strengths: Sequence[NDArray[np.float64]], shapes: Sequence[tuple[int, int]], budget_bits: float, max_bits: int
) -> list[list[Bits]]:
    """Return the bits of every direction of every matrix.

    Args:
        strengths: for each matrix, its directions' singular values, falling.
        shapes: for each matrix, its rows and columns.
        budget_bits: bits that all may take together.
        max_bits: most bits of the longer factor's integers, 2 to 8; the shorter one may have up to 8.
    """
    chosen = [[0] * len(sigma) for sigma in strengths]
    queue: list[tuple[float, int, int]] = []

    def push(matrix: int, direction: int) -> None:
        bits = chosen[matrix][direction]
        after = _STEPS.get(bits, max_bits + 1)
        if after <= max_bits:
            shape = shapes[matrix]
            worth = float(strengths[matrix][direction]) ** 2 * (_kept(shape, after) - _kept(shape, bits))
            if worth > 0:
                heapq.heappush(queue, (-worth / (_cost(shape, after) - _cost(shape, bits)), matrix, direction))

    for matrix, sigma in enumerate(strengths):
        for direction in range(len(sigma)):
            push(matrix, direction)
    left = budget_bits
    while queue:
        _, matrix, direction = heapq.heappop(queue)
        bits = chosen[matrix][direction]
        cost = _cost(shapes[matrix], _STEPS[bits]) - _cost(shapes[matrix], bits)
        if cost > left:
            continue
        left -= cost
        chosen[matrix][direction] = _STEPS[bits]
        push(matrix, direction)
    return [[_of_both(shape, bits) for bits in own] for shape, own in zip(shapes, chosen, strict=True)]


def _of_both(shape: tuple[int, int], bits: int) -> Bits:
    """Return the bits of both factors where the longer one has `bits`."""
    if bits == 0:
        return 0, 0
    more = max(bits, min(_MOST, bits + extra_bits(*shape)))
    return (more, bits) if shape[0] <= shape[1] else (bits, more)


def _kept(shape: tuple[int, int], bits: int) -> float:
    return 1.0 - sum(_LOST[own] for own in _of_both(shape, bits)) if bits else 0.0


def _cost(shape: tuple[int, int], bits: int) -> float:
    if bits == 0:
        return 0.0
    return _TERM_BITS + sum(side * _ENTROPY[own] for side, own in zip(shape, _of_both(shape, bits), strict=True))
