"""Uniform mid-tread quantisers: integers times a step, clipped to what the bits admit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.exact import Int64Array
from flare_offchain.compression.plan import FIRST_SCALE, SCALES, Dense, nearest_scale, scale_value

MIN_BITS = 2
MAX_BITS = 8

_GAUSSIAN_STEP = {2: 1.22, 3: 0.65, 4: 0.34, 5: 0.19, 6: 0.104, 7: 0.057, 8: 0.031}
"""The step, in root mean squares, of the best uniform quantiser of 2**bits - 1 levels for Gaussian values."""
_CANDIDATES = 2.0 ** (np.arange(-2, 7) / 4)


_LEAST = 1e-200
"""Values smaller than this are zeros: far below what the format can say, and steps of them would underflow."""


def levels(bits: int) -> int:
    """Return the largest integer of a quantiser of `bits` bits: 2**(bits - 1) - 1."""
    return int(2 ** (bits - 1) - 1)


def quantise(values: NDArray[np.floating], step: float, limit: int) -> Int64Array:
    """Return the integers nearest to values / step (ties to even), clipped to ±limit."""
    return np.asarray(np.rint(np.clip(values / step, -limit, limit)), np.int64)


def best_step(values: NDArray[np.floating], bits: int) -> float:
    """Return the step with the least squared error among a few around the Gaussian optimum; 0 for all zeros."""
    scale = float(np.sqrt(np.square(values, dtype=np.float64).mean())) if values.size else 0.0
    if scale < _LEAST:
        return 0.0
    steps = _GAUSSIAN_STEP[bits] * scale * _CANDIDATES
    errors = [_error(values, float(step), levels(bits)) for step in steps]
    return float(steps[int(np.argmin(errors))])


def _error(values: NDArray[np.floating], step: float, limit: int) -> float:
    difference = values - step * np.rint(np.clip(values / step, -limit, limit))
    return float(np.square(difference, dtype=np.float64).sum())


def best_scale(values: NDArray[np.floating], bits: int) -> int | None:
    """Return the scale byte closest to the best step, or None where values are zero or below the window."""
    step = best_step(values, bits)
    if step < scale_value(FIRST_SCALE) / 2:
        return None
    return nearest_scale(step)


def quantise_dense(values: NDArray[np.floating], bits: int) -> Dense:
    """Return a flat tensor's integers at the best scale for `bits`."""
    flat = values.reshape(-1)
    scale = best_scale(flat, bits)
    integers = np.zeros(flat.size, np.int64) if scale is None else quantise(flat, scale_value(scale), levels(bits))
    return Dense(0 if scale is None or not integers.any() else scale, integers)


def covering_scale(largest: float, limit: int) -> int | None:
    """Return the finest scale byte that is a power of two and holds `largest` in ±limit steps; None for 0."""
    if largest <= 0.0:
        return None
    scale = nearest_scale(largest / limit, at_least=True)
    scale += -scale % 4
    return min(scale, SCALES - 4)
