"""Exact combination by order statistics: row sums of updates, sorted coordinate by coordinate.

A *row* is a set of updates that stand together (one update alone, or an update with its nearest neighbours); its
value is the exact sum of multiplier * update over the set. For each coordinate the rows are sorted and some of them
are summed. Integers decide the order, so there is nothing to round and ties change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.exact import DecodedUpdate, ExactTensor, Int64Array
from flare_offchain.core.errors import ExactnessError
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.exact_sum import (
    MAX_MULTIPLIER,
    ExactSum,
    ExactSums,
    check_multipliers,
)

BLOCK_BYTES = 2**23
"""Bytes of the largest array held while a block of coordinates is combined."""
_FLOAT_EXACT = 2**53
_LIMB = 2**31
_NARROW = 2**63
_WIDE = 2**127


def trimmed_sum(
    updates: Sequence[DecodedUpdate],
    multipliers: Sequence[int],
    rows: Sequence[Sequence[int]],
    trim: int,
    schema: ModelSchema,
) -> ExactSums:
    """Return, for each coordinate, the sum of the row values without the `trim` lowest and `trim` highest.

    Args:
        updates: decoded updates.
        multipliers: one an update, 0 to MAX_MULTIPLIER.
        rows: for each row the indices of its updates.
        trim: rows dropped at either end; 2 * trim < number of rows.
        schema: the model's tensors.

    Raises:
        ExactnessError: an argument is out of range, or a sum could leave 128 bits.
    """
    if not 0 <= 2 * trim < len(rows):
        raise ExactnessError(f"cannot trim {trim} at either end of {len(rows)} rows")
    return _combine(updates, multipliers, rows, len(rows) - 2 * trim, schema, centred=False)


def nearest_sum(
    updates: Sequence[DecodedUpdate],
    multipliers: Sequence[int],
    rows: Sequence[Sequence[int]],
    keep: int,
    schema: ModelSchema,
) -> ExactSums:
    """Return, for each coordinate, the sum of the `keep` row values nearest to their median.

    The median of an even number of values is the mean of the middle two; distances are compared exactly; at equal
    distance the lower value is nearer. Arguments and errors as `trimmed_sum`; `keep` is 1 to the number of rows.
    """
    if not 1 <= keep <= len(rows):
        raise ExactnessError(f"cannot keep {keep} of {len(rows)} rows")
    return _combine(updates, multipliers, rows, keep, schema, centred=True)


def _combine(
    updates: Sequence[DecodedUpdate],
    multipliers: Sequence[int],
    rows: Sequence[Sequence[int]],
    keep: int,
    schema: ModelSchema,
    *,
    centred: bool,
) -> ExactSums:
    check_multipliers(updates, multipliers, schema)
    used = sorted({index for row in rows for index in row})
    if not all(rows) or used[0] < 0 or used[-1] >= len(updates):
        raise ExactnessError("rows name at least one update each, and only updates of the round")
    position = {index: place for place, index in enumerate(used)}
    membership = np.zeros((len(rows), len(used)))
    for number, row in enumerate(rows):
        for index in row:
            membership[number, position[index]] += 1
    factors = [int(multipliers[index]) for index in used]
    tensors = {
        tensor.name: _combine_tensor(
            [updates[index].tensors[tensor.name] for index in used], factors, membership, keep, centred
        )
        for tensor in schema.tensors
    }
    return ExactSums(schema, tensors)


def _combine_tensor(
    tensors: Sequence[ExactTensor], factors: Sequence[int], membership: NDArray[np.float64], keep: int, centred: bool
) -> ExactSum:
    exponent = min(tensor.exponent for tensor in tensors)
    scales = [factor << (tensor.exponent - exponent) for tensor, factor in zip(tensors, factors, strict=True)]
    bounds = [scale * tensor.magnitude for scale, tensor in zip(scales, tensors, strict=True)]
    row_bound = max(
        sum(int(count) * bound for count, bound in zip(row, bounds, strict=True)) for row in membership.tolist()
    )
    flat = [tensor.integers.reshape(-1) for tensor in tensors]
    # float64 products and sums of integers are exact while every partial sum stays below 2**53.
    wide = row_bound >= _FLOAT_EXACT // 4 or row_bound * keep >= _NARROW
    if row_bound * keep >= _WIDE:
        raise ExactnessError("a sum of rows would leave 128 bits")
    total: NDArray[np.object_] | Int64Array = np.zeros(flat[0].size, object if wide else np.int64)
    block = max(1, BLOCK_BYTES // (8 * max(membership.shape)))
    for start in range(0, total.size, block):
        part = slice(start, start + block)
        values = _rows_wide(flat, scales, membership, part) if wide else _rows_narrow(flat, scales, membership, part)
        values.sort(axis=1)
        total[part] = _select(values, keep, centred)
    if not wide:
        return ExactSum(np.asarray(total, np.int64), None, exponent)
    return _split(np.asarray(total, object), exponent)


def _rows_narrow(
    flat: Sequence[Int64Array], scales: Sequence[int], membership: NDArray[np.float64], part: slice
) -> NDArray[np.float64]:
    """Return the row values of a block as float64 [coordinates, rows], exact by the caller's bound."""
    terms = np.empty((len(flat), flat[0][part].size))
    for term, array, scale in zip(terms, flat, scales, strict=True):
        # A scale may exceed 2**53 only where the array is all zeros; as a power of two times 12 bits it is exact.
        np.multiply(array[part], float(scale), out=term)
    if membership.shape[0] == membership.shape[1] and (membership == np.eye(len(flat))).all():
        return np.ascontiguousarray(terms.T)
    return np.ascontiguousarray((membership @ terms).T)


def _rows_wide(
    flat: Sequence[Int64Array], scales: Sequence[int], membership: NDArray[np.float64], part: slice
) -> NDArray[np.object_]:
    """Return the row values of a block as Python integers [coordinates, rows].

    Each term is cut into three limbs of 31 bits, so that the products are still exact in float64: one hostile update
    with a far exponent makes this slower than the narrow way by a factor, not by the cost of Python integers
    throughout.
    """
    limbs = np.empty((3, len(flat), flat[0][part].size))
    for number, (array, scale) in enumerate(zip(flat, scales, strict=True)):
        shift = max(0, scale.bit_length() - MAX_MULTIPLIER.bit_length())
        scaled = array[part] * (scale >> shift)
        low = scaled.view(np.uint64) << np.uint64(shift)
        high = (scaled >> 1) >> (63 - shift)
        limbs[0, number] = low & np.uint64(_LIMB - 1)
        limbs[1, number] = low >> np.uint64(31) & np.uint64(_LIMB - 1)
        limbs[2, number] = (high << 2) + (low >> np.uint64(62)).astype(np.int64)
    first, second, third = ((membership @ limb).T.astype(np.int64).astype(object) for limb in limbs)
    return np.ascontiguousarray(first + second * _LIMB + third * _LIMB**2)


def _select(values: NDArray[np.float64] | NDArray[np.object_], keep: int, centred: bool) -> NDArray[np.object_]:
    """Sum `keep` of each line of sorted values: the middle ones, or those nearest to the median."""
    count = values.shape[1]
    kept: NDArray[Any]
    if not centred:
        trim = (count - keep) // 2
        kept = values[:, trim : trim + keep]
    else:
        # The nearest ones are a window in sorted order. It moves up while what it would lose at the bottom is
        # farther from the median than what it would gain; all quantities doubled, so that they stay integers.
        middle = values[:, (count - 1) // 2] + values[:, count // 2]
        start = np.zeros(len(values), np.int64)
        for first in range(count - keep):
            loses = middle - 2 * values[:, first]
            gains = 2 * values[:, first + keep] - middle
            start += np.asarray(loses > gains, np.int64) * (start == first)
        kept = np.take_along_axis(np.asarray(values), start[:, None] + np.arange(keep), axis=1)
    if kept.dtype == object:
        return np.asarray(kept.sum(axis=1))
    return np.asarray(kept.astype(np.int64).sum(axis=1))


def _split(total: NDArray[np.object_], exponent: int) -> ExactSum:
    """Return Python integers as two limbs."""
    raw = b"".join(int(value).to_bytes(16, "little", signed=True) for value in total)
    limbs = np.frombuffer(raw, "<i8").reshape(-1, 2)
    low, high = limbs[:, 0].astype(np.int64), limbs[:, 1].astype(np.int64)
    if (high == low >> 63).all():
        return ExactSum(low, None, exponent)
    return ExactSum(low, high, exponent)
