"""Sparse codec: the largest elements of every matrix, at few bits, with error feedback.

With 2 bits the kept elements are ±1 times one magnitude: sparse ternary compression (Sattler et al. 2019,
arXiv:1903.02891). Deviation: positions are not run lengths but zeros in the entropy-coded stream, which costs within a
few per cent of the entropy of the positions.
"""

from __future__ import annotations

import numpy as np

from flare_offchain.compression.layout import groups_of
from flare_offchain.compression.plan import Dense, GroupPlan, UpdatePlan, nearest_scale, scale_value
from flare_offchain.compression.quantise import MAX_BITS, MIN_BITS, best_scale, levels, quantise
from flare_offchain.compression.stateful import Bases, FeedbackCodec
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights


class TopKCompressor(FeedbackCodec):
    """Keeps a share of the elements of each tensor.

    Args:
        density: share of the elements kept, in (0, 1]; at least one a tensor.
        bits: 2 for ternary, up to 8.
        error_feedback, returned: see `FeedbackCodec`.
    """

    def __init__(
        self, density: float = 0.03, *, bits: int = 2, error_feedback: bool = True, returned: float = 1.0
    ) -> None:
        super().__init__(error_feedback=error_feedback, returned=returned)
        if not 0.0 < density <= 1.0:
            raise ConfigurationError(f"a density is above 0 and at most 1, not {density}")
        if not MIN_BITS <= bits <= MAX_BITS:
            raise ConfigurationError(f"kept elements have {MIN_BITS} to {MAX_BITS} bits, not {bits}")
        self.density = density
        self.bits = bits

    def _plan(self, target: Weights, schema: ModelSchema, bases: Bases) -> tuple[UpdatePlan, Bases]:
        plans = []
        for group in groups_of(schema):
            parts = tuple(self._select(target[tensor.name].reshape(-1)) for tensor in group.tensors)
            plans.append(GroupPlan(dense=parts if any(part.integers.any() for part in parts) else ()))
        return UpdatePlan(tuple(plans)), {}

    def _select(self, values: Float32Array) -> Dense:
        integers = np.zeros(values.size, np.int64)
        count = max(1, round(self.density * values.size))
        # A stable sort makes ties fall the same way everywhere: the earlier element is kept.
        kept = np.argsort(-np.abs(values), kind="stable")[:count]
        kept = kept[values[kept] != 0]
        if kept.size == 0:
            return Dense(0, integers)
        scale: int | None
        if self.bits == MIN_BITS:
            magnitude = float(np.abs(values[kept], dtype=np.float64).mean())
            scale = nearest_scale(magnitude)
            integers[kept] = np.sign(values[kept]).astype(np.int64)
            if scale_value(scale) > 2 * magnitude:
                integers[kept] = 0
        elif (scale := best_scale(values[kept], self.bits)) is not None:
            integers[kept] = quantise(values[kept].astype(np.float64), scale_value(scale), levels(self.bits))
        return Dense(scale if scale is not None and integers.any() else 0, integers)
