"""The codec for federated averaging without loss: each tensor as 24-bit integers on its own power-of-two grid."""

from __future__ import annotations

import numpy as np

from flare_offchain.compression.codec import EncodedUpdate, UpdateCodec, check_delta, frame
from flare_offchain.compression.layout import groups_of
from flare_offchain.compression.plan import Dense, GroupPlan, UpdatePlan, scale_value
from flare_offchain.compression.quantise import covering_scale, quantise
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights

_LIMIT = 2**23


class DenseCodec(UpdateCodec):
    """Rounds every tensor to a grid of 2**23 steps up to its largest element, then entropy-codes the integers.

    The error is at most 2**-23 of the tensor's largest element, the rounding of float32 itself at that size. Elements
    below 2**-47 are lost.
    """

    def plan(self, delta: Weights, schema: ModelSchema) -> UpdatePlan:
        """Return the dense plan of ΔW."""
        check_delta(delta, schema)
        plans = []
        for group in groups_of(schema):
            parts = tuple(_round(delta[tensor.name].reshape(-1)) for tensor in group.tensors)
            plans.append(GroupPlan(dense=parts if any(part.integers.any() for part in parts) else ()))
        return UpdatePlan(tuple(plans))

    def encode(self, delta: Weights, schema: ModelSchema, context: bytes) -> EncodedUpdate:
        """Encode ΔW (see `UpdateCodec.encode`)."""
        plan = self.plan(delta, schema)
        return EncodedUpdate(frame(context, plan.to_bytes()), plan.to_update(schema))


def _round(values: Float32Array) -> Dense:
    scale = covering_scale(float(np.abs(values).max(initial=0.0)), _LIMIT)
    if scale is None:
        return Dense(0, np.zeros(values.size, np.int64))
    integers = quantise(values.astype(np.float64), scale_value(scale), _LIMIT)
    return Dense(scale if integers.any() else 0, integers)
