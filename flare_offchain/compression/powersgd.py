"""PowerSGD for updates: M ~ P Qᵀ with factors of few bits, warm start and error feedback.

Source: Vogels, Karimireddy, Jaggi 2019, arXiv:1905.13727. Deviations, because an update is one message and not an
all-reduce:

* both factors travel; one power iteration is a full one (P from Q, then Q from P);
* the factors are integers: P is quantised first, Q is then the least-squares fit to the *quantised* P, so that Q makes
  good what P lost, and is quantised in turn; decoding is exact integer arithmetic;
* columns are turned to singular directions and each has its own step, so a weak direction does not pay for a strong
  one;
* a bias is a column of its weight's matrix (`layout.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.allocation import Bits, allocate
from flare_offchain.compression.codec import FRAME_BYTES, relative_error
from flare_offchain.compression.exact import MAX_MAGNITUDE
from flare_offchain.compression.layout import Group, groups_of
from flare_offchain.compression.lowrank import Float64Array, least_squares, subspace
from flare_offchain.compression.plan import MAX_RANK, GroupPlan, Term, UpdatePlan, scale_parts, scale_value
from flare_offchain.compression.quantise import (
    MAX_BITS,
    MIN_BITS,
    best_scale,
    best_step,
    levels,
    quantise,
    quantise_dense,
)
from flare_offchain.compression.stateful import Bases, FeedbackCodec
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights


@dataclass(frozen=True, slots=True)
class _Directions:
    """A matrix times 2**-exponent and its leading directions: scaled ~ left @ right.T, left orthonormal."""

    scaled: Float32Array
    exponent: int
    left: Float64Array
    right: Float64Array


class PowerSGDCompressor(FeedbackCodec):
    """Low-rank codec of updates.

    Args:
        rank: directions kept of each matrix, 1 to 63; with `ratio`, at most so many.
        power_iterations: full power iterations a round, at least 1; more come closer to the best rank-r error.
        min_compression_rate: a matrix [m, n] is compressed only if m*n >= rate * rank * (m + n); others travel dense.
        bits: bits of a factor's integers, 2 to 8, before entropy coding; with `ratio`, at most so many of the longer
            factor's.
        dense_bits: bits of the integers of dense matrices.
        ratio: 0, or how many times smaller than float32 an update should be: then directions and their bits (up to
            `bits`) are spent where they save most error, over all matrices together (`allocation.py`).
        error_feedback: add what was lost to the next update.
        warm_start: begin the iteration at the last update's Q.
        returned: share of a refused update that returns into the residual (`feedback.py`).
        seed: of the first start of the iteration; workers need not agree on it.
    """

    def __init__(
        self,
        rank: int = 4,
        power_iterations: int = 1,
        min_compression_rate: float = 2.0,
        *,
        bits: int = 4,
        dense_bits: int = 4,
        ratio: float = 0.0,
        error_feedback: bool = True,
        warm_start: bool = True,
        returned: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(error_feedback=error_feedback, returned=returned)
        if not 1 <= rank <= MAX_RANK:
            raise ConfigurationError(f"a rank is 1 to {MAX_RANK}, not {rank}")
        if not 1 <= power_iterations <= 100:
            raise ConfigurationError(f"power iterations are 1 to 100, not {power_iterations}")
        if not 0.0 <= min_compression_rate < float("inf"):
            raise ConfigurationError(f"a compression rate is finite and not negative, as {min_compression_rate} is not")
        if not all(MIN_BITS <= count <= MAX_BITS for count in (bits, dense_bits)):
            raise ConfigurationError(
                f"factors and dense tensors have {MIN_BITS} to {MAX_BITS} bits, not {bits}, {dense_bits}"
            )
        if not (ratio == 0.0 or 1.0 <= ratio < float("inf")):
            raise ConfigurationError(f"a ratio is 0 (none) or at least 1, not {ratio}")
        self.rank = rank
        self.power_iterations = power_iterations
        self.min_compression_rate = min_compression_rate
        self.bits = bits
        self.dense_bits = dense_bits
        self.ratio = ratio
        self.warm_start = warm_start
        self.seed = seed

    @staticmethod
    def compute_compression_error(original: Weights | Float32Array, approximation: Weights | Float32Array) -> float:
        """Return the relative Frobenius error ‖original − approximation‖ / ‖original‖ over all tensors together."""
        return relative_error(original, approximation)

    def _plan(self, target: Weights, schema: ModelSchema, bases: Bases) -> tuple[UpdatePlan, Bases]:
        groups = groups_of(schema)
        plans: dict[int, GroupPlan] = {}
        found: dict[int, _Directions] = {}
        for index, group in enumerate(groups):
            rank = self._rank_of(group)
            if rank == 0 or not any(target[tensor.name].any() for tensor in group.tensors):
                plans[index] = self._dense(group, target)
            else:
                start = self._start(bases.get(group.weight.name), (group.columns, rank), index)
                found[index] = self._directions(group.join(dict(target)), start)
        next_bases = {}
        for (index, directions), bits in zip(found.items(), self._bits_of(found, plans, schema), strict=True):
            plans[index] = GroupPlan(self._terms(directions, bits))
            if self.warm_start:
                next_bases[groups[index].weight.name] = directions.right.astype(np.float32)
        return UpdatePlan(tuple(plans[index] for index in range(len(groups)))), next_bases

    def _start(self, warm: Float32Array | None, shape: tuple[int, int], index: int) -> Float64Array:
        if self.warm_start and warm is not None and warm.shape == shape and warm.any():
            return warm.astype(np.float64)
        generator = np.random.Generator(np.random.PCG64([self.seed, index]))
        return generator.standard_normal(shape, np.float32).astype(np.float64)

    def _directions(self, matrix: Float32Array, start: Float64Array) -> _Directions:
        # The power of two brings the largest element near 1 and is taken out again exactly.
        exponent = int(np.frexp(np.abs(matrix).max())[1])
        scaled = np.ldexp(matrix, -exponent)
        return _Directions(scaled, exponent, *subspace(scaled, start, self.power_iterations))

    def _bits_of(
        self, found: dict[int, _Directions], dense: dict[int, GroupPlan], schema: ModelSchema
    ) -> list[list[Bits]]:
        """Return the bits of both factors of each direction of each matrix."""
        if not self.ratio:
            return [[(self.bits, self.bits)] * item.left.shape[1] for item in found.values()]
        spent = FRAME_BYTES + len(found) + len(UpdatePlan(tuple(dense.values())).to_bytes())
        strengths = [np.ldexp(np.linalg.norm(item.right, axis=0), item.exponent) for item in found.values()]
        budget = 8.0 * (4 * schema.parameters / self.ratio - spent)
        shapes = [(item.scaled.shape[0], item.scaled.shape[1]) for item in found.values()]
        return allocate(strengths, shapes, budget, self.bits)

    def _rank_of(self, group: Group) -> int:
        """Return the rank of a group's approximation; 0 where it would not pay."""
        rank = min(self.rank, group.rows, group.columns)
        gain_needed = self.min_compression_rate * rank * (group.rows + group.columns)
        return rank if group.rows * group.columns >= gain_needed else 0

    def _dense(self, group: Group, target: Weights) -> GroupPlan:
        parts = tuple(quantise_dense(target[tensor.name], self.dense_bits) for tensor in group.tensors)
        return GroupPlan(dense=parts if any(part.integers.any() for part in parts) else ())

    def _terms(self, found: _Directions, bits: list[Bits]) -> tuple[Term, ...]:
        kept = [index for index, (count, _) in enumerate(bits) if count]
        if not kept:
            return ()
        integers = np.stack([_left(found.left[:, k], bits[k][0]) for k in kept], axis=1)
        right = np.ldexp(least_squares(found.scaled, integers.astype(np.float64)), found.exponent)
        terms = [_term(integers[:, column], right[:, column], bits[k][1]) for column, k in enumerate(kept)]
        return tuple(_within_range([term for term in terms if term is not None]))

    def _check_bases(self, bases: Bases, schema: ModelSchema) -> None:
        shapes = {group.weight.name: (group.columns, self._rank_of(group)) for group in groups_of(schema)}
        if any(shapes.get(name) != basis.shape for name, basis in bases.items()):
            raise MalformedObject("the codec state's warm starts are of another model or rank")


def _left(column: Float64Array, bits: int) -> NDArray[np.int64]:
    return quantise(column, best_step(column, bits), levels(bits))


def _term(left: NDArray[np.int64], right: Float64Array, bits: int) -> Term | None:
    scale = best_scale(right, bits)
    if scale is None:
        return None
    integers = quantise(right, scale_value(scale), levels(bits))
    return Term(scale, left, integers) if left.any() and integers.any() else None


def _within_range(terms: list[Term]) -> list[Term]:
    """Leave out the weakest terms until the sum's integers fit; error feedback brings them back."""
    kept = sorted(terms, key=lambda term: -term.scale)
    while kept:
        exponent = min(scale_parts(term.scale)[1] for term in kept)
        bound = sum(
            scale_value(term.scale) * 2.0**-exponent * float(np.abs(term.left).max()) * float(np.abs(term.right).max())
            for term in kept
        )
        if bound <= MAX_MAGNITUDE:
            break
        kept.pop()
    return [term for term in terms if any(term is other for other in kept)]
