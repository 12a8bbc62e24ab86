"""Which directions of which matrices an update of so many bytes keeps, and at how many bits each.

A direction k of a matrix [m, n] of strength sigma_k is worth sigma_k**2 of squared error; at b bits a factor keeps most
of that and costs about (m + n) * b' bits, b' the entropy of b-bit integers. Each direction climbs from nothing to more
bits by steps of falling worth a bit, and the steps of all matrices are taken in that order until the bytes are spent:
reverse water-filling (Cover and Thomas 2006, section 10.3) with the quantisers at hand.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_KEPT = {0: 0.0, 2: 0.66, 3: 0.915, 4: 0.976, 5: 0.993, 6: 0.998}
"""Share of a direction's squared norm that survives when both factors have so many bits (Gaussian factors, right
factor fitted to the quantised left one)."""
_ENTROPY = {0: 0.0, 2: 1.45, 3: 2.25, 4: 3.15, 5: 4.05, 6: 5.0}
"""Bits an integer takes after entropy coding."""
_STEPS = {0: 2, 2: 3, 3: 4, 4: 5, 5: 6}
_TERM_BITS = 24


def allocate(
    strengths: Sequence[NDArray[np.float64]], sides: Sequence[int], budget_bits: float, max_bits: int
) -> list[list[int]]:
    """Return the bits of every direction of every matrix, 0 where it is left out.

    Args:
        strengths: for each matrix, its directions' singular values, falling.
        sides: for each matrix, rows + columns.
        budget_bits: bits that all may take together.
        max_bits: most bits of a factor's integers, 2 to 8.
    """
    chosen = [[0] * len(sigma) for sigma in strengths]
    queue: list[tuple[float, int, int]] = []

    def push(matrix: int, direction: int) -> None:
        bits = chosen[matrix][direction]
        after = _STEPS.get(bits, max_bits + 1)
        if after <= max_bits:
            worth = float(strengths[matrix][direction]) ** 2 * (_KEPT[after] - _KEPT[bits])
            if worth > 0:
                heapq.heappush(queue, (-worth / _cost(sides[matrix], bits, after), matrix, direction))

    for matrix, sigma in enumerate(strengths):
        for direction in range(len(sigma)):
            push(matrix, direction)
    left = budget_bits
    while queue:
        _, matrix, direction = heapq.heappop(queue)
        bits = chosen[matrix][direction]
        cost = _cost(sides[matrix], bits, _STEPS[bits])
        if cost > left:
            continue
        left -= cost
        chosen[matrix][direction] = _STEPS[bits]
        push(matrix, direction)
    return chosen


def _cost(side: int, before: int, after: int) -> float:
    return side * (_ENTROPY[after] - _ENTROPY[before]) + (_TERM_BITS if before == 0 else 0)
