"""Error-bounded codec: the caller says how much may be lost, the codec finds the fewest bytes that lose no more.

    ‖ΔW − decoded‖ <= relative_error * ‖ΔW‖        (Frobenius, over all tensors together)

Leading directions of each matrix travel as rank-one terms of coarse integers; what remains, their rounding included, is
rounded to one step for all tensors and entropy-coded by row, column or whole. The error is measured on the decoded
integers, never estimated, and the step is made finer until it is within the bound.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flare_offchain.compression.blocks import MAX_INTEGER, choose
from flare_offchain.compression.codec import relative_error
from flare_offchain.compression.layout import Group, groups_of
from flare_offchain.compression.lowrank import Float64Array, least_squares, subspace
from flare_offchain.compression.plan import (
    COLUMNS,
    FIRST_SCALE,
    MAX_RANK,
    ROWS,
    SCALES,
    WHOLE,
    Dense,
    GroupPlan,
    Term,
    UpdatePlan,
    nearest_scale,
    scale_parts,
    scale_value,
)
from flare_offchain.compression.quantise import quantise
from flare_offchain.compression.stateful import Bases, FeedbackCodec
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.tensors import ModelSchema, Weights

_RANKS = (0, 1, 2, 4, 8, 16, 32, MAX_RANK)
_MAX_FACTOR = 2**11
_FINER = 16
"""Scale bytes (four octaves) that a term's scale may lie below the dense part's."""
_ATTEMPTS = 64
_SLACK = 1 - 1e-9


class ErrorBoundedCodec(FeedbackCodec):
    """Codec whose relative error is given.

    Args:
        relative_error: at least 1e-6, below 1; sqrt(0.001) = 0.0316 is 0.1 % of the energy.
        error_feedback, returned: see `FeedbackCodec`; with feedback the bound is on ΔW plus the residual.
        seed: of the search for leading directions.

    Raises:
        MalformedObject: the bound cannot be met inside the format's window of exponents, because the update is below
            about 2**-45, or because its largest element is more than 2**24 steps.
    """

    def __init__(
        self, relative_error: float = 1e-3, *, error_feedback: bool = False, returned: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(error_feedback=error_feedback, returned=returned)
        if not 1e-6 <= relative_error < 1.0:
            raise ConfigurationError(f"a relative error is 1e-6 to below 1, not {relative_error}")
        self.relative_error = relative_error
        self.seed = seed

    def compress(self, data: Weights) -> bytes:
        """Return a self-describing form (`UpdateCodec.compress`) whose float32 tensors are within the bound.

        Any finite values pass, however large or small: they are scaled first. Where rounding back to float32 would
        break the bound, the error allowed before it is made smaller.
        """
        allowed = self.relative_error
        while allowed >= 1e-6 / 2:
            packed = super(ErrorBoundedCodec, self._with(allowed)).compress(data)
            if relative_error(data, self.decompress(packed)) <= self.relative_error:
                return packed
            allowed /= 2
        raise MalformedObject(f"a relative error of {self.relative_error} cannot be kept in float32")

    def _with(self, allowed: float) -> ErrorBoundedCodec:
        codec = ErrorBoundedCodec(self.relative_error, seed=self.seed)
        codec.relative_error = allowed
        return codec

    def _plan(self, target: Weights, schema: ModelSchema, bases: Bases) -> tuple[UpdatePlan, Bases]:
        groups = groups_of(schema)
        matrices = [group.join({name: array.astype(np.float64) for name, array in target.items()}) for group in groups]
        energy = sum(float(np.square(matrix).sum()) for matrix in matrices)
        if energy == 0.0:
            return UpdatePlan(tuple(GroupPlan() for _ in groups)), {}
        limit = self.relative_error**2 * energy * _SLACK
        scale = nearest_scale(float(np.sqrt(12 * limit / schema.parameters)))
        work = [_Work(group, matrix, self.seed) for group, matrix in zip(groups, matrices, strict=True)]
        plans = [item.plan(scale) for item in work]
        while (error := sum(plan[1] for plan in plans)) <= limit and scale + 1 < SCALES:
            coarser = [item.plan(scale + 1) for item in work]
            if sum(plan[1] for plan in coarser) > limit:
                break
            plans, scale = coarser, scale + 1
        for _ in range(_ATTEMPTS):
            if error <= limit or scale <= FIRST_SCALE:
                break
            scale -= 1
            plans = [item.plan(scale) for item in work]
            error = sum(plan[1] for plan in plans)
        if error > limit:
            raise MalformedObject(
                f"a relative error of {self.relative_error} cannot be kept: the update is too small or its elements"
                " differ too much; allow a larger error or scale the update"
            )
        return UpdatePlan(tuple(plan for plan, _ in _coarsen(work, plans, scale, limit))), {}


def _coarsen(
    work: list[_Work], plans: list[tuple[GroupPlan, float]], scale: int, limit: float
) -> list[tuple[GroupPlan, float]]:
    """Give single matrices the next coarser step while the whole stays within the limit, the largest first."""
    result = list(plans)
    if scale + 1 >= SCALES:
        return result
    for index in sorted(range(len(work)), key=lambda k: -work[k].matrix.size):
        trial = work[index].plan(scale + 1)
        if sum(error for _, error in result) - result[index][1] + trial[1] <= limit:
            result[index] = trial
    return result


class _Work:
    """One matrix with its leading directions, and plans of it at any step."""

    def __init__(self, group: Group, matrix: Float64Array, seed: int) -> None:
        self.group, self.matrix = group, matrix
        self._most = min(MAX_RANK, *matrix.shape) if min(matrix.shape) > 1 and matrix.any() else 0
        self._rank: int | None = None
        if self._most:
            self._exponent = int(np.frexp(np.abs(matrix).max())[1])
            self._scaled = np.ldexp(matrix, -self._exponent)
            start = np.random.Generator(np.random.PCG64(seed)).standard_normal((matrix.shape[1], self._most))
            self._left, self._right = subspace(self._scaled, start, 2)

    def plan(self, scale: int) -> tuple[GroupPlan, float]:
        """Return the cheapest plan at a scale and its squared error; the rank is sought once."""
        if not self.matrix.any():
            return GroupPlan(), 0.0
        if self._rank is None:
            costs = {rank: self._at(scale, rank) for rank in _RANKS if rank <= self._most}
            self._rank = min(costs, key=lambda rank: (costs[rank][2], rank))
        plan, error, _ = self._at(scale, self._rank)
        return plan, error

    def _at(self, scale: int, rank: int) -> tuple[GroupPlan, float, float]:
        """Return plan, squared error and bits at a scale and rank; a rank out of the format's range counts as 0."""
        terms = self._terms(scale, rank) if rank else ()
        product = np.zeros(self.matrix.shape)
        for term in terms:
            product += scale_value(term.scale) * np.outer(term.left, term.right)
        integers = quantise(self.matrix - product, scale_value(scale), MAX_INTEGER)
        decoded = product + scale_value(scale) * integers
        finest = min(scale_parts(byte)[1] for byte in (scale, *(term.scale for term in terms)))
        reach = max(float(np.abs(array).max()) for array in (decoded, product, decoded - product))
        error = float(np.square(self.matrix - decoded).sum())
        if reach > np.ldexp(float(MAX_INTEGER), finest):
            return self._at(scale, 0) if rank else (GroupPlan(), float("inf"), float("inf"))
        plan, bits = _dense(self.group, integers, scale)
        bits += sum(24 + (choose(term.left).cost + choose(term.right).cost) / 64 for term in terms)
        return replace(plan, terms=terms), error, bits

    def _terms(self, scale: int, rank: int) -> tuple[Term, ...]:
        """Return terms whose own rounding is about as large as what they leave over."""
        rows, columns = self.matrix.shape
        sigma = np.linalg.norm(self._right, axis=0)
        rest = max(float(np.square(self._scaled).sum() - np.square(sigma[:rank]).sum()), 0.0) / self.matrix.size
        level = max(float(np.sqrt(rest)), float(np.ldexp(scale_value(scale), -self._exponent))) / np.sqrt(rank)
        kept = [k for k in range(rank) if sigma[k] > level]
        if not kept:
            return ()
        steps = [max(level * np.sqrt(columns) / sigma[k], 1 / _MAX_FACTOR) for k in kept]
        lefts = np.stack(
            [quantise(self._left[:, k], step, _MAX_FACTOR) for k, step in zip(kept, steps, strict=True)], axis=1
        )
        used = [k for k in range(len(kept)) if lefts[:, k].any()]
        if not used:
            return ()
        right = np.ldexp(least_squares(self._scaled, lefts[:, used].astype(np.float64)), self._exponent)
        terms = []
        for column, k in enumerate(used):
            step = float(np.ldexp(level, self._exponent)) * np.sqrt(rows) / float(np.linalg.norm(lefts[:, k]))
            byte = max(nearest_scale(step), scale - _FINER, FIRST_SCALE)
            integers = quantise(right[:, column], scale_value(byte), _MAX_FACTOR)
            if integers.any():
                terms.append(Term(byte, lefts[:, k], integers))
        return tuple(terms)


def _dense(group: Group, integers: np.ndarray, scale: int) -> tuple[GroupPlan, float]:
    """Return the cheapest cut of a matrix of integers and its bits."""
    parts = group.split(integers)
    weight = parts[group.weight.name].reshape(-1)
    tensors = [weight, *(parts[bias.name].reshape(-1) for bias in group.tensors[1:])]
    if not integers.any():
        return GroupPlan(), 8.0
    dense = tuple(Dense(scale if part.any() else 0, part) for part in tensors)
    costs = {WHOLE: 8 + choose(weight).cost / 64}
    if group.rows > 1 and weight.any():
        matrix = weight.reshape(group.rows, -1)
        costs[ROWS] = sum(8 + choose(row).cost / 64 for row in matrix)
        costs[COLUMNS] = sum(8 + choose(column).cost / 64 for column in np.ascontiguousarray(matrix.T))
    cut = min(costs, key=lambda key: (costs[key], key))
    bits = costs[cut] + sum(16 + choose(part).cost / 64 for part in tensors[1:])
    return GroupPlan((), dense, cut, group.rows if cut != WHOLE else 1), bits
