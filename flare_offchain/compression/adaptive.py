"""Chooses by itself between directions and single elements, where an update is so small that neither always wins.

Above about 500 bytes low rank is better on every model measured; below, a rank-one term may cost more than the
elements that matter. There both are made at the same size and the one that loses less is sent; the format is the same.
"""

from __future__ import annotations

import numpy as np

from flare_offchain.compression.codec import FRAME_BYTES
from flare_offchain.compression.plan import UpdatePlan
from flare_offchain.compression.powersgd import PowerSGDCompressor
from flare_offchain.compression.stateful import Bases, FeedbackCodec
from flare_offchain.compression.topk import TopKCompressor
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.tensors import ModelSchema, Weights

SMALL_UPDATE = 500
"""Bytes of an update below which sparse plans are tried as well."""
_SEARCH_STEPS = 6


class AdaptiveCodec(FeedbackCodec):
    """PowerSGD of a given ratio, or top-k of the same size where that loses less.

    Args:
        ratio: how many times smaller than float32 an update should be, at least 1.
        rank, bits: most directions of a matrix, most bits of their integers.
        error_feedback, returned: see `FeedbackCodec`.
    """

    def __init__(
        self,
        ratio: float = 200.0,
        rank: int = 16,
        bits: int = 4,
        *,
        error_feedback: bool = True,
        returned: float = 1.0,
    ) -> None:
        super().__init__(error_feedback=error_feedback, returned=returned)
        if not 1.0 <= ratio < float("inf"):
            raise ConfigurationError(f"a ratio is at least 1, not {ratio}")
        self.low_rank = PowerSGDCompressor(rank, 1, 0.5, bits=bits, ratio=ratio, error_feedback=False)

    def _plan(self, target: Weights, schema: ModelSchema, bases: Bases) -> tuple[UpdatePlan, Bases]:
        plan, next_bases = self.low_rank._plan(target, schema, bases)
        size = len(plan.to_bytes())
        if FRAME_BYTES + size >= SMALL_UPDATE:
            return plan, next_bases
        budget = max(size, int(4 * schema.parameters / self.low_rank.ratio) - FRAME_BYTES)
        sparse = _sparse(target, schema, budget)
        if sparse is not None and _error(target, sparse, schema) < _error(target, plan, schema):
            return sparse, next_bases
        return plan, next_bases

    def _check_bases(self, bases: Bases, schema: ModelSchema) -> None:
        self.low_rank._check_bases(bases, schema)


def _sparse(target: Weights, schema: ModelSchema, budget: int) -> UpdatePlan | None:
    """Return the densest ternary top-k plan of at most `budget` bytes that a bisection of the density finds."""
    low, high, best = 1e-5, 0.5, None
    for _ in range(_SEARCH_STEPS):
        density = float(np.sqrt(low * high))
        plan, _ = TopKCompressor(density)._plan(target, schema, {})
        if len(plan.to_bytes()) <= budget:
            low, best = density, plan
        else:
            high = density
    return best


def _error(target: Weights, plan: UpdatePlan, schema: ModelSchema) -> float:
    try:
        decoded = plan.to_update(schema).tensors
    except MalformedObject:
        return float("inf")
    return sum(float(np.square(array - decoded[name].to_float()).sum()) for name, array in target.items())
