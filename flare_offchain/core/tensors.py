"""Named tensors: the form in which every layer passes models around.

A model is a mapping from tensor name to a C-contiguous float32 array. Wherever an order matters (files, hashes,
flattened vectors) it is the order of the names as UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import MalformedObject

Float32Array = NDArray[np.float32]
Weights = Mapping[str, Float32Array]
"""Tensor name to float32 array."""

MAX_TENSORS = 4096
MAX_DIMENSIONS = 8
MAX_PARAMETERS = 2**30


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name and shape of one tensor. A shape may be empty (a scalar) and may contain 0."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class ModelSchema:
    """The tensors of a model in canonical order."""

    tensors: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        names = [tensor.name for tensor in self.tensors]
        if names != sorted(set(names), key=lambda name: name.encode()):
            raise MalformedObject("tensor names must be unique and in UTF-8 order")
        if len(names) > MAX_TENSORS or self.parameters > MAX_PARAMETERS:
            raise MalformedObject(f"a model has at most {MAX_TENSORS} tensors and {MAX_PARAMETERS} parameters")
        if any(len(tensor.shape) > MAX_DIMENSIONS or min(tensor.shape, default=0) < 0 for tensor in self.tensors):
            raise MalformedObject(f"a tensor has at most {MAX_DIMENSIONS} dimensions, none negative")

    @classmethod
    def of(cls, weights: Weights) -> ModelSchema:
        """Return the schema of a model."""
        names = sorted(weights, key=lambda name: name.encode())
        return cls(tuple(TensorSpec(name, tuple(weights[name].shape)) for name in names))

    @property
    def parameters(self) -> int:
        """Number of elements of all tensors together."""
        return sum(tensor.size for tensor in self.tensors)

    def check(self, weights: Weights) -> None:
        """Raise `MalformedObject` unless `weights` has exactly these tensors, as finite float32."""
        if ModelSchema.of(weights) != self:
            raise MalformedObject("the model's tensors do not have the names and shapes of the task's model")
        for name, array in weights.items():
            if array.dtype != np.float32:
                raise MalformedObject(f"tensor {name!r} is {array.dtype}, not float32")
            if not np.isfinite(array).all():
                raise MalformedObject(f"tensor {name!r} has values that are not finite")

    def flatten(self, weights: Weights) -> Float32Array:
        """Return all elements as one float32 vector in canonical order."""
        if not self.tensors:
            return np.zeros(0, np.float32)
        return np.concatenate([np.asarray(weights[t.name], np.float32).reshape(-1) for t in self.tensors])

    def unflatten(self, vector: NDArray[np.float32]) -> dict[str, Float32Array]:
        """Return the tensors of a vector made by `flatten`."""
        if vector.shape != (self.parameters,):
            raise MalformedObject(f"expected {self.parameters} elements, not shape {vector.shape}")
        result, start = {}, 0
        for tensor in self.tensors:
            result[tensor.name] = vector[start : start + tensor.size].reshape(tensor.shape).copy()
            start += tensor.size
        return result


def subtract(left: Weights, right: Weights) -> dict[str, Float32Array]:
    """Return left - right, tensor by tensor (one IEEE operation an element)."""
    ModelSchema.of(left).check(right)
    return {name: left[name] - right[name] for name in left}
