"""Ternary codec: every element becomes -1, 0 or 1 times one magnitude a tensor, with error feedback.

A threshold of 0 is sign compression (Karimireddy et al. 2019, arXiv:1901.09847), larger ones are TernGrad's idea (Wen
et al. 2017, arXiv:1705.07878) with a fixed rather than a random rule, since the feedback returns what rounding loses.
"""

from __future__ import annotations

import numpy as np

from flare_offchain.compression.layout import groups_of
from flare_offchain.compression.plan import Dense, GroupPlan, UpdatePlan, nearest_scale, scale_value
from flare_offchain.compression.stateful import Bases, FeedbackCodec
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights


class TernaryCompressor(FeedbackCodec):
    """Keeps the sign of every element above a threshold.

    Args:
        threshold: in root mean squares of the tensor, 0 to 10; 0 keeps the sign of every element that is not zero.
        error_feedback, returned: see `FeedbackCodec`.
    """

    def __init__(self, threshold: float = 1.5, *, error_feedback: bool = True, returned: float = 1.0) -> None:
        super().__init__(error_feedback=error_feedback, returned=returned)
        if not 0.0 <= threshold <= 10.0:
            raise ConfigurationError(f"a threshold is 0 to 10, not {threshold}")
        self.threshold = threshold

    def _plan(self, target: Weights, schema: ModelSchema, bases: Bases) -> tuple[UpdatePlan, Bases]:
        plans = []
        for group in groups_of(schema):
            parts = tuple(self._signs(target[tensor.name].reshape(-1)) for tensor in group.tensors)
            plans.append(GroupPlan(dense=parts if any(part.integers.any() for part in parts) else ()))
        return UpdatePlan(tuple(plans)), {}

    def _signs(self, values: Float32Array) -> Dense:
        magnitudes = np.abs(values).astype(np.float64)
        kept = magnitudes > 0
        if kept.any():
            # No threshold lies above the largest element: something is always sent.
            root = float(np.sqrt(np.square(magnitudes).mean()))
            kept &= magnitudes >= min(self.threshold * root, float(magnitudes.max()))
        magnitude = float(magnitudes[kept].mean()) if kept.any() else 0.0
        scale = nearest_scale(magnitude) if magnitude > 0 else 0
        if not kept.any() or scale_value(scale) > 2 * magnitude:
            return Dense(0, np.zeros(values.size, np.int64))
        return Dense(scale, np.where(kept, np.sign(values), 0).astype(np.int64))
