"""What each update does to the model's logits on the probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import Float32Array
from flare_offchain.federation.aggregation.strategy import SelectionRequest

Floats = NDArray[np.float64]
BATCH = 64
"""Models evaluated at a time."""
SMALL_STEP = 0.125
"""Share of an update that stands for its first-order effect; a power of two, so that scaling is exact."""


@dataclass(frozen=True, slots=True)
class Effects:
    """Changes of logits on the probe.

    Attributes:
        base: the base model's logits, [N, classes].
        full: change that the whole (clipped) update brings, [n, N, classes].
        first_order: change that SMALL_STEP of it brings, divided by SMALL_STEP.
        offsets: change of the output layer's offset of each class, [n, classes]; None where the model has no such
            tensor.
        lengths: norm of each clipped update, [n].
    """

    base: Floats
    full: Floats
    first_order: Floats
    offsets: Floats | None
    lengths: Floats

    @property
    def samples(self) -> int:
        """Number of probe samples."""
        return int(self.base.shape[0])

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.base.shape[1])


def measure_effects(request: SelectionRequest, factors: Floats, lengths: Floats) -> Effects:
    """Evaluate every update, times its clip factor, on the probe.

    Args:
        request: the round; it must have a model and a probe.
        factors: clip factor of each update, [n].
        lengths: norm of each update before clipping, [n].

    Raises:
        ConfigurationError: there is no model or no probe, or the model does not return [N, classes].
    """
    base = request.logits(request.base)
    count = len(request.updates)
    full, first_order = np.empty((count, *base.shape)), np.empty((count, *base.shape))
    for start in range(0, count, BATCH):
        part = slice(start, min(count, start + BATCH))
        deltas = _stack(request, factors, part)
        full[part] = _logits(request, deltas, 1.0, base.shape) - base
        first_order[part] = (_logits(request, deltas, SMALL_STEP, base.shape) - base) / SMALL_STEP
    return Effects(base, full, first_order, _offsets(request, base.shape[1]), factors * lengths)


def _stack(request: SelectionRequest, factors: Floats, part: slice) -> dict[str, Float32Array]:
    deltas = {}
    for tensor in request.schema.tensors:
        exact = [update.tensors[tensor.name] for update in request.updates[part]]
        scales = np.ldexp(factors[part], [entry.exponent for entry in exact])
        stacked = np.empty((len(exact), tensor.size), np.float32)
        for row, entry, scale in zip(stacked, exact, scales, strict=True):
            row[:] = entry.integers.reshape(-1) * scale
        deltas[tensor.name] = stacked.reshape(len(exact), *tensor.shape)
    return deltas


def _logits(request: SelectionRequest, deltas: dict[str, Float32Array], step: float, shape: Any) -> Floats:
    """Return the logits of base + step * delta for a batch of models, [b, N, classes]."""
    assert request.probe is not None and request.forward is not None
    models = {name: request.base[name] + np.float32(step) * delta for name, delta in deltas.items()}
    count = len(next(iter(models.values())))
    if request.forward_many is not None:
        logits = np.asarray(request.forward_many(models, request.probe.features), np.float64)
    else:
        logits = np.stack([request.logits({name: stack[i] for name, stack in models.items()}) for i in range(count)])
    if logits.shape != (count, *shape):
        raise ConfigurationError(f"expected logits of shape {(count, *shape)}, the model returned {logits.shape}")
    return logits


def _offsets(request: SelectionRequest, classes: int) -> Floats | None:
    """Return the updates' changes of the output offsets: the tensor with one number a class, if there is just one."""
    names = [tensor.name for tensor in request.schema.tensors if tensor.shape == (classes,)]
    if len(names) > 1:
        names = [name for name in names if name.startswith("output.")]
    if len(names) != 1:
        return None
    return np.stack([update.tensors[names[0]].to_float() for update in request.updates])
