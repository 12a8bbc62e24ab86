"""Server optimisers: what the model makes of a round's average step, and what it remembers of earlier ones.

The average step is exact up to one division. From there on every operation is a single IEEE operation of numpy in
float64, in the order written here, so that everybody gets the same bits. What an optimiser remembers is its *state*: an
object in the store like the model, whose content id the report of a finalized round names. Validators and the auditor
compute it again from the state before it; a void round leaves it as it is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from inspect import signature
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.utils.serialization import read_safetensors, write_safetensors

Floats = NDArray[np.float64]
Step = Mapping[str, Floats]
"""Tensor name to float64 array in the tensor's shape."""
State = Mapping[str, Step]
"""What is remembered, by kind (`momentum`, `variance`)."""

MAX_CHANGE = 2.0**77
"""Changes are held to this, which no average step exceeds: a model stays finite whatever its optimiser."""
_HEADER_BYTES_A_TENSOR = 1024


class ServerOptimiser(ABC):
    """Turns average steps into changes of the model."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    """What it remembers of each tensor."""

    @abstractmethod
    def _advance(self, step: Step, state: State) -> tuple[dict[str, Floats], dict[str, dict[str, Floats]]]:
        """Return the change, not yet held to MAX_CHANGE, and the new state."""

    def advance(self, step: Step, state: State) -> tuple[dict[str, Floats], dict[str, dict[str, Floats]]]:
        """Return the change to make and the new state. Nothing that is passed in is altered.

        Args:
            step: the round's average step.
            state: what `start`, `decode` or the last `advance` returned.
        """
        change, after = self._advance(step, state)
        return {name: np.clip(array, -MAX_CHANGE, MAX_CHANGE) for name, array in change.items()}, after

    def start(self, schema: ModelSchema) -> dict[str, dict[str, Floats]]:
        """Return the state before the first finalized round: zeros."""
        return {kind: {t.name: np.zeros(t.shape) for t in schema.tensors} for kind in self.kinds}

    def encode(self, state: State) -> bytes:
        """Return a state as an object: safetensors in float64, `kind/tensor`."""
        return write_safetensors(
            {f"{kind}/{name}": array for kind in self.kinds for name, array in state[kind].items()}
        )

    def decode(self, data: bytes, schema: ModelSchema) -> dict[str, dict[str, Floats]]:
        """Read a state.

        Raises:
            MalformedObject: it is not canonical, not finite, or not of this optimiser and model.
        """
        count = len(self.kinds) * len(schema.tensors)
        limit = 64 + _HEADER_BYTES_A_TENSOR * count + 8 * len(self.kinds) * schema.parameters
        tensors = read_safetensors(data, max_bytes=limit)
        shapes = {f"{kind}/{t.name}": t.shape for kind in self.kinds for t in schema.tensors}
        if {name: array.shape for name, array in tensors.items()} != shapes:
            raise MalformedObject(f"not the state of {self.name} for this model")
        if any(array.dtype != np.float64 for array in tensors.values()):
            raise MalformedObject("a server optimiser's state is float64")
        return {kind: {t.name: tensors[f"{kind}/{t.name}"] for t in schema.tensors} for kind in self.kinds}


class FedAvgM(ServerOptimiser):
    """Momentum on the server: v <- momentum * v + step; change = learning_rate * v.

    Source: Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification", arXiv:1909.06335, section 4.3.

    Args:
        learning_rate: above 0, at most 100.
        momentum: 0 to less than 1.
    """

    name = "fedavgm"
    kinds = ("momentum",)

    def __init__(self, learning_rate: float = 1.0, momentum: float = 0.9) -> None:
        self.learning_rate = _within("learning_rate", learning_rate, 0.0, 100.0, low_too=False)
        self.momentum = _within("momentum", momentum, 0.0, 1.0, high_too=False)

    def _advance(self, step: Step, state: State) -> tuple[dict[str, Floats], dict[str, dict[str, Floats]]]:
        """See the class."""
        velocity = {name: self.momentum * state["momentum"][name] + array for name, array in step.items()}
        return {name: self.learning_rate * array for name, array in velocity.items()}, {"momentum": velocity}


class FedAdam(ServerOptimiser):
    """Adam on the server, without bias correction.

    m <- beta1 * m + (1 - beta1) * step; v <- beta2 * v + (1 - beta2) * step²; change = learning_rate * m / (√v + tau).
    Source: Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2. Deviation: v starts at 0, not tau².

    Args:
        learning_rate: above 0, at most 100.
        beta1, beta2: 0 to less than 1.
        tau: keeps steps of tensors that hardly move small; 1e-12 to 100.
    """

    name = "fedadam"
    kinds = ("momentum", "variance")

    def __init__(
        self, learning_rate: float = 0.01, beta1: float = 0.9, beta2: float = 0.99, tau: float = 0.001
    ) -> None:
        self.learning_rate = _within("learning_rate", learning_rate, 0.0, 100.0, low_too=False)
        self.beta1 = _within("beta1", beta1, 0.0, 1.0, high_too=False)
        self.beta2 = _within("beta2", beta2, 0.0, 1.0, high_too=False)
        self.tau = _within("tau", tau, 1e-12, 100.0)

    def _advance(self, step: Step, state: State) -> tuple[dict[str, Floats], dict[str, dict[str, Floats]]]:
        """See the class."""
        rest1, rest2 = 1.0 - self.beta1, 1.0 - self.beta2
        first, second, change = {}, {}, {}
        for name, array in step.items():
            first[name] = self.beta1 * state["momentum"][name] + rest1 * array
            second[name] = self.beta2 * state["variance"][name] + rest2 * (array * array)
            change[name] = self.learning_rate * first[name] / (np.sqrt(second[name]) + self.tau)
        return change, {"momentum": first, "variance": second}


SERVER_OPTIMISERS: dict[str, Callable[..., ServerOptimiser]] = {"fedavgm": FedAvgM, "fedadam": FedAdam}


def server_optimiser(name: str, parameters: Mapping[str, object]) -> ServerOptimiser:
    """Return the optimiser that a task spec names.

    Raises:
        ConfigurationError: the name or a parameter is unknown, or a value is no number in range.
    """
    found = SERVER_OPTIMISERS.get(name)
    if found is None:
        raise ConfigurationError(f"no server optimiser {name!r}; there are {', '.join(SERVER_OPTIMISERS)}")
    known = signature(found).parameters
    for key, value in parameters.items():
        if key not in known:
            raise ConfigurationError(f"{name} has no parameter {key!r}; it takes {', '.join(known)}")
        if type(value) not in (int, float):
            raise ConfigurationError(f"{name}: {key} is a number, not {value!r}")
    return found(**parameters)


def _within(name: str, value: float, low: float, high: float, *, low_too: bool = True, high_too: bool = True) -> float:
    number = float(value)
    above = number >= low if low_too else number > low
    below = number <= high if high_too else number < high
    if not (math.isfinite(number) and above and below):
        raise ConfigurationError(f"{name} is from {low} to {high}, not {value}")
    return number
