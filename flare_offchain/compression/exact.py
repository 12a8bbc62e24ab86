"""Exact tensors: what every update decodes to.

A decoded tensor is a tensor of integers times one power of two. Integers add and multiply without rounding, so a
weighted sum of decoded updates has the same bits in any order, on any machine, with any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema

Int64Array = NDArray[np.int64]

MIN_EXPONENT = -48
MAX_EXPONENT = 8
"""Window of exponents that a decoder admits: element = integer * 2**exponent."""
MAX_MAGNITUDE = 2**24
"""Largest absolute integer that a decoder admits in a tensor (after factors are multiplied out)."""


@dataclass(frozen=True, slots=True)
class ExactTensor:
    """`integers * 2**exponent`; integers is int64 of the tensor's own shape, |integer| <= MAX_MAGNITUDE.

    `magnitude` is the largest |integer|, 0 where there is none. Sums are bounded by it, so integers are read-only.
    """

    integers: Int64Array
    exponent: int
    magnitude: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if self.integers.dtype != np.int64:
            raise MalformedObject(f"exact tensors are int64, not {self.integers.dtype}")
        if not MIN_EXPONENT <= self.exponent <= MAX_EXPONENT:
            raise MalformedObject(f"exponent {self.exponent} is outside {MIN_EXPONENT} to {MAX_EXPONENT}")
        largest = max(int(self.integers.max()), -int(self.integers.min())) if self.integers.size else 0
        if largest > MAX_MAGNITUDE:
            raise MalformedObject(f"an element exceeds {MAX_MAGNITUDE} steps")
        kept = self.integers.view()
        kept.setflags(write=False)
        object.__setattr__(self, "integers", kept)
        object.__setattr__(self, "magnitude", largest)

    def to_float(self) -> NDArray[np.float64]:
        """Return the values as float64; exact, since |integer| < 2**53 and the scale is a power of two."""
        return np.ldexp(self.integers.astype(np.float64), self.exponent)


@dataclass(frozen=True, slots=True)
class DecodedUpdate:
    """A decoded ΔW: one exact tensor for every tensor of the model, in the schema's names and shapes."""

    schema: ModelSchema
    tensors: Mapping[str, ExactTensor]

    def __post_init__(self) -> None:
        if set(self.tensors) != {t.name for t in self.schema.tensors}:
            raise MalformedObject("an update has exactly the tensors of the model")
        for spec in self.schema.tensors:
            if self.tensors[spec.name].integers.shape != spec.shape:
                raise MalformedObject(f"tensor {spec.name!r} has the wrong shape")

    def to_vector(self) -> NDArray[np.float64]:
        """Return ΔW as one float64 vector in canonical order (exact)."""
        if not self.schema.tensors:
            return np.zeros(0)
        return np.concatenate([self.tensors[t.name].to_float().reshape(-1) for t in self.schema.tensors])
