"""Logits of a model from its weights alone: what aggregation rules, validators and auditors evaluate.

softmax and mlp are computed in numpy, so that auditing them needs no torch; other architectures load torch when first
asked for. BLAS and torch are held to one thread: the number of threads must not show in scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import Float32Array, Weights
from flare_offchain.models.architectures import Architecture, Parameters, architecture_of
from flare_offchain.models.own import is_offered, own_forward
from flare_offchain.utils.threads import single_threaded

Forward = Callable[[Weights, Float32Array], Float32Array]
"""(weights, features [N, ...]) -> logits float32 [N, classes]."""
ForwardMany = Callable[[Mapping[str, Float32Array], Float32Array], Float32Array]
"""(weights with a leading axis of n models, features [N, ...]) -> logits float32 [n, N, classes]."""

NUMPY_ARCHITECTURES = ("softmax", "mlp")
_MODEL_BLOCK = 64
"""Models a block of the batched forward: keeps intermediate activations in the cache."""


def forward_function(architecture: str, parameters: Parameters) -> Forward:
    """Return the function that computes a model's logits.

    Raises:
        ConfigurationError: unknown architecture or parameters; or torch is needed and not installed.
    """
    if is_offered(architecture):
        return own_forward(architecture, parameters)
    described = architecture_of(architecture, parameters)
    if architecture in NUMPY_ARCHITECTURES:
        return lambda weights, features: forward_numpy(described, weights, features)
    return _torch_forward(described)


def forward_many_function(architecture: str, parameters: Parameters) -> ForwardMany:
    """Return the function that computes the logits of many models of one architecture at once."""
    if architecture in NUMPY_ARCHITECTURES:
        described = architecture_of(architecture, parameters)
        return lambda stacked, features: forward_many_numpy(described, stacked, features)
    forward = forward_function(architecture, parameters)

    def one_by_one(stacked: Mapping[str, Float32Array], features: Float32Array) -> Float32Array:
        count = len(next(iter(stacked.values())))
        return np.stack([forward({name: array[i] for name, array in stacked.items()}, features) for i in range(count)])

    return one_by_one


@dataclass(frozen=True, slots=True)
class Forwards:
    """Where logits are computed: for one model at a time, and for many at once, by architecture and parameters."""

    one: Callable[[str, Parameters], Forward]
    many: Callable[[str, Parameters], ForwardMany]


IN_PROCESS = Forwards(forward_function, forward_many_function)
"""In this process, with torch loaded where an architecture needs it."""


def _torch_forward(architecture: Architecture) -> Forward:
    try:
        from flare_offchain.models.pytorch import forward_torch
    except ImportError as error:
        raise ConfigurationError(
            f"evaluating a {architecture.name} needs torch: pip install 'flare-offchain[train]'"
        ) from error

    def forward(weights: Weights, features: Float32Array) -> Float32Array:
        return forward_torch(architecture, weights, features)

    return forward


def forward_numpy(architecture: Architecture, weights: Weights, features: Float32Array) -> Float32Array:
    """Return the logits, float32 [N, classes], of a softmax or mlp.

    Args:
        architecture: of a name in NUMPY_ARCHITECTURES.
        weights: its tensors.
        features: float32 [N, ...] with `inputs` elements a sample.
    """
    stacked = {name: array[None] for name, array in weights.items()}
    logits: Float32Array = forward_many_numpy(architecture, stacked, features)[0]
    return logits


def forward_many_numpy(
    architecture: Architecture, stacked: Mapping[str, Float32Array], features: Float32Array
) -> Float32Array:
    """Return the logits, float32 [n, N, classes], of n models of one softmax or mlp architecture."""
    if architecture.name not in NUMPY_ARCHITECTURES:
        raise ConfigurationError(f"a {architecture.name} has no forward in numpy")
    inputs = _flat(architecture, features)
    count = len(stacked["output.bias"])
    with single_threaded():
        blocks = [
            _layers(
                architecture, {name: array[start : start + _MODEL_BLOCK] for name, array in stacked.items()}, inputs
            )
            for start in range(0, count, _MODEL_BLOCK)
        ]
    classes = architecture.integer("classes")
    return np.concatenate(blocks) if blocks else np.zeros((0, len(inputs), classes), np.float32)


def _layers(architecture: Architecture, stacked: Weights, inputs: Float32Array) -> Float32Array:
    values: NDArray[np.float32] = inputs
    depth = len(architecture.integers("hidden")) if architecture.name == "mlp" else 0
    for name in [*(f"hidden.{i}" for i in range(depth)), "output"]:
        weight = stacked[f"{name}.weight"]
        if values.ndim == 2:
            # One product for all models of the block: the first layer's inputs are the same for each.
            wide = values @ weight.reshape(-1, weight.shape[-1]).T
            values = wide.reshape(len(values), *weight.shape[:2]).transpose(1, 0, 2)
        else:
            values = values @ weight.transpose(0, 2, 1)
        # The product is this function's own, so what follows may overwrite it.
        values += stacked[f"{name}.bias"][:, None, :]
        if name != "output":
            np.maximum(values, np.float32(0), out=values)
    return values


def _flat(architecture: Architecture, features: Float32Array) -> Float32Array:
    inputs = architecture.integer("inputs")
    if features.ndim < 2 or int(np.prod(features.shape[1:])) != inputs:
        raise ConfigurationError(
            f"samples of shape {features.shape[1:]} do not fit a {architecture.name} of {inputs} inputs"
        )
    return np.ascontiguousarray(features.reshape(len(features), inputs), np.float32)
