"""Exact weighted sums of decoded updates, and the one rounding that turns them into a model.

Everything between the decoded integers and the division is integer arithmetic that cannot overflow, so the result
has the same bits in any order of arrival, memory layout, block size, number of threads or BLAS. The canonical
encoding and the final operations are those of docs/protocol.md §6.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.exact import DecodedUpdate, ExactTensor, Int64Array
from flare_offchain.core.errors import ExactnessError, NoAcceptableUpdate
from flare_offchain.core.tensors import Float32Array, ModelSchema, TensorSpec, Weights

MAX_MULTIPLIER = 2**12
"""Largest integer by which a plan multiplies an update."""
MAX_DIVISOR = 2**53 - 1
"""Largest divisor; up to here its conversion to float64 is exact."""
BLOCK = 2**15
"""Coordinates handled at a time: a block of int64 stays in the second-level cache."""
_NARROW = 2**63
_WIDE = 2**127


@dataclass(frozen=True, slots=True)
class ExactSum:
    """`(high * 2**64 + low) * 2**exponent`, elementwise and exact.

    `low` is int64, the tensor's elements in C order, and holds the lower 64 bits in two's complement. `high` is None
    where every sum fits into int64 (then `low` is the sum itself), else int64 like `low`: the upper 64 bits.
    """

    low: Int64Array
    high: Int64Array | None
    exponent: int

    def to_integers(self) -> NDArray[np.object_]:
        """Return the sums (without the exponent) as Python integers in an object array."""
        if self.high is None:
            return self.low.astype(object)
        return np.asarray(self.high.astype(object) * 2**64 + self.low.view(np.uint64).astype(object))

    def to_float(self) -> NDArray[np.float64]:
        """Return the sums (without the exponent) as float64, each rounded once, to nearest, ties to even."""
        # int64 -> float64 is one IEEE conversion and never yields -0.0.
        result = self.low.astype(np.float64)
        if self.high is not None:
            for index in np.flatnonzero(self.high != self.low >> 63):
                low, high = int(self.low[index]) % 2**64, int(self.high[index])
                # float() of a Python integer rounds once, whatever its width.
                result[index] = float((high << 64) + low)
        return result

    def encode(self) -> Iterator[bytes]:
        """Yield the canonical encoding: exponent as int16, then 16-byte two's complement integers, little-endian."""
        yield struct.pack("<h", self.exponent)
        for start in range(0, self.low.size, BLOCK):
            part = slice(start, start + BLOCK)
            limbs = np.empty((self.low[part].size, 2), "<i8")
            limbs[:, 0] = self.low[part]
            limbs[:, 1] = self.low[part] >> 63 if self.high is None else self.high[part]
            yield limbs.tobytes()


@dataclass(frozen=True, slots=True)
class ExactSums:
    """One exact sum for every tensor of the model."""

    schema: ModelSchema
    tensors: Mapping[str, ExactSum]

    def digest(self, divisor: int) -> bytes:
        """Return the SHA-256 of the canonical encoding of the sums and the divisor (32 bytes)."""
        check_divisor(divisor)
        state = hashlib.sha256()
        for tensor in self.schema.tensors:
            for chunk in self.tensors[tensor.name].encode():
                state.update(chunk)
        state.update(struct.pack("<Q", divisor))
        return state.digest()


def check_divisor(divisor: int) -> None:
    """Raise `ExactnessError` unless 1 <= divisor <= MAX_DIVISOR."""
    if not 1 <= divisor <= MAX_DIVISOR:
        raise ExactnessError(f"a divisor is 1 to {MAX_DIVISOR}, not {divisor}")


def check_multipliers(updates: Sequence[DecodedUpdate], multipliers: Sequence[int], schema: ModelSchema) -> None:
    """Check what every exact combination takes: one multiplier an update, in range, and the model's schema.

    Raises:
        ExactnessError: counts differ, or a multiplier is outside 0 to MAX_MULTIPLIER.
        NoAcceptableUpdate: every multiplier is 0; there is nothing to sum.
    """
    if len(updates) != len(multipliers):
        raise ExactnessError(f"{len(updates)} updates need as many multipliers, not {len(multipliers)}")
    if any(not 0 <= multiplier <= MAX_MULTIPLIER for multiplier in multipliers):
        raise ExactnessError(f"multipliers are 0 to {MAX_MULTIPLIER}")
    if any(update.schema != schema for update in updates):
        raise ExactnessError("an update does not have the tensors of the model")
    if not any(multipliers):
        raise NoAcceptableUpdate("no update has a multiplier above 0: there is nothing to average")


def weighted_sum(updates: Sequence[DecodedUpdate], multipliers: Sequence[int], schema: ModelSchema) -> ExactSums:
    """Return the exact sum of multiplier * update over the updates whose multiplier is not 0.

    Args:
        updates: decoded updates, any order (the multipliers in the same order).
        multipliers: integers, 0 to MAX_MULTIPLIER.
        schema: the model's tensors.

    Raises:
        ExactnessError, NoAcceptableUpdate: see `check_multipliers`; `ExactnessError` too if a sum could leave
            128 bits, which no admitted update can bring about.
    """
    check_multipliers(updates, multipliers, schema)
    chosen = [(update, int(factor)) for update, factor in zip(updates, multipliers, strict=True) if factor]
    return ExactSums(
        schema,
        {
            tensor.name: _sum_tensor([(update.tensors[tensor.name], factor) for update, factor in chosen])
            for tensor in schema.tensors
        },
    )


def apply(sums: ExactSums, divisor: int, base: Weights) -> dict[str, Float32Array]:
    """Return the new model: `float32(float64(base) + ldexp(float64(sum) / divisor, exponent))`.

    Each step is one IEEE operation in numpy, in this order; nothing is fused (`average_step`, then `move`).

    Args:
        sums: exact sums of the round's updates.
        divisor: 1 to MAX_DIVISOR.
        base: the model the updates refer to.

    Raises:
        MalformedObject: `base` does not have the schema of the sums.
        ExactnessError: the divisor is out of range.
    """
    return move(average_step(sums, divisor), base)


def average_step(sums: ExactSums, divisor: int) -> dict[str, NDArray[np.float64]]:
    """Return `ldexp(float64(sum) / divisor, exponent)` in the tensors' shapes; each element is below 2**77.

    Raises:
        ExactnessError: the divisor is out of range.
    """
    check_divisor(divisor)
    step = {}
    for tensor in sums.schema.tensors:
        exact = sums.tensors[tensor.name]
        values = np.ldexp(exact.to_float() / np.float64(divisor), exact.exponent)
        step[tensor.name] = values.reshape(tensor.shape)
    return step


def move(change: Mapping[str, NDArray[np.float64]], base: Weights) -> dict[str, Float32Array]:
    """Return `float32(float64(base) + change)`, tensor by tensor; elements of the change are at most 2**77.

    Raises:
        MalformedObject: `base` does not have the tensors of the change.
    """
    ModelSchema(tuple(TensorSpec(name, array.shape) for name, array in change.items())).check(base)
    # Finite: half the last place of the largest float32 is 2**103.
    return {name: (base[name].astype(np.float64) + array).astype(np.float32) for name, array in change.items()}


def _sum_tensor(terms: Sequence[tuple[ExactTensor, int]]) -> ExactSum:
    """Sum one tensor over the updates: within each exponent first, then across exponents."""
    groups: dict[int, list[tuple[Int64Array, int]]] = {}
    bounds: dict[int, int] = {}
    for tensor, factor in terms:
        # In C order whatever the layout; a view where the array is contiguous.
        groups.setdefault(tensor.exponent, []).append((tensor.integers.reshape(-1), factor))
        bounds[tensor.exponent] = bounds.get(tensor.exponent, 0) + factor * tensor.magnitude
    if max(bounds.values()) >= _NARROW:
        raise ExactnessError("a sum of updates of one exponent would leave 64 bits")
    exponent = min(groups)
    parts = {e - exponent: _sum_aligned(group) for e, group in groups.items()}
    total = sum(bound << (e - exponent) for e, bound in bounds.items())
    if total < _NARROW:
        low = parts.pop(0)
        for shift, part in parts.items():
            low += part << shift
        return ExactSum(low, None, exponent)
    if total >= _WIDE:
        raise ExactnessError("a sum of updates would leave 128 bits")
    return ExactSum(*_add_wide(parts), exponent)


def _sum_aligned(group: Sequence[tuple[Int64Array, int]]) -> Int64Array:
    """Return the sum of factor * array; the caller has checked that Σ|factor| * max|array| < 2**63."""
    total = np.zeros(group[0][0].size, np.int64)
    buffer = np.empty(min(BLOCK, total.size), np.int64)
    for start in range(0, total.size, BLOCK):
        accumulator = total[start : start + BLOCK]
        product = buffer[: accumulator.size]
        for array, factor in group:
            np.multiply(array[start : start + BLOCK], factor, out=product)
            accumulator += product
    return total


def _add_wide(parts: Mapping[int, Int64Array]) -> tuple[Int64Array, Int64Array]:
    """Return Σ part << shift as (lower, upper) 64 bits; shifts are 0 to 63."""
    size = next(iter(parts.values())).size
    low, high = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    for shift, part in parts.items():
        addend = part.view(np.uint64) << np.uint64(shift)
        low += addend
        high += low < addend
        # Two shifts, since one by 64 (shift 0) is undefined.
        high += (part >> 1) >> (63 - shift)
    return low.view(np.int64), high
