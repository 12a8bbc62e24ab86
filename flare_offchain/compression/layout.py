"""How the tensors of a model are grouped into matrices.

A tensor of two or more dimensions is the matrix [first dimension, rest] (a convolution kernel [out, in*height*width]).
If the model has the bias that belongs to it (the name with its last "weight" replaced by "bias", of shape [out]), the
bias is the matrix's last column: its gradient is that of an input that is always 1, so it shares the weight's row
space, and a bias then costs one row of a factor rather than a tensor of its own. Every other tensor is a matrix of
one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.tensors import ModelSchema, TensorSpec

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Group:
    """One matrix: a tensor and perhaps its bias."""

    weight: TensorSpec
    bias: TensorSpec | None

    @property
    def rows(self) -> int:
        """Rows of the matrix; 1 for tensors of fewer than two dimensions."""
        return self.weight.shape[0] if len(self.weight.shape) >= 2 else 1

    @property
    def columns(self) -> int:
        """Columns of the matrix, the bias's included."""
        rest = self.weight.size // self.rows if self.rows else 0
        return rest + (self.bias is not None)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The group's tensors, the weight first."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def join(self, arrays: dict[str, NDArray[Number]]) -> NDArray[Number]:
        """Return the matrix [rows, columns] of the group's tensors."""
        weight = arrays[self.weight.name].reshape(self.rows, -1 if self.weight.size else self._rest)
        if self.bias is None:
            return weight
        return np.concatenate([weight, arrays[self.bias.name][:, None]], axis=1)

    def split(self, matrix: NDArray[Number]) -> dict[str, NDArray[Number]]:
        """Return the tensors of a matrix made by `join`, in their own shapes."""
        result = {self.weight.name: np.ascontiguousarray(matrix[:, : self._rest]).reshape(self.weight.shape)}
        if self.bias is not None:
            result[self.bias.name] = np.ascontiguousarray(matrix[:, self._rest])
        return result

    @property
    def _rest(self) -> int:
        return self.columns - (self.bias is not None)


def groups_of(schema: ModelSchema) -> tuple[Group, ...]:
    """Return the groups of a model, in the schema's order of the tensors that lead them."""
    tensors = {tensor.name: tensor for tensor in schema.tensors}
    biases: dict[str, TensorSpec] = {}
    for tensor in schema.tensors:
        if len(tensor.shape) >= 2 and "weight" in tensor.name:
            head, _, tail = tensor.name.rpartition("weight")
            bias = tensors.get(f"{head}bias{tail}")
            if bias is not None and bias.shape == tensor.shape[:1]:
                biases[tensor.name] = bias
    paired = {bias.name for bias in biases.values()}
    return tuple(Group(tensor, biases.get(tensor.name)) for tensor in schema.tensors if tensor.name not in paired)
