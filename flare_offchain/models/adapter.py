"""What the rest of Flare asks of a model, whatever library holds it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError, DataError, MalformedObject, RoundAbandoned
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights
from flare_offchain.utils.datasets import Dataset
from flare_offchain.utils.serialization import decode_record, encode_record, read_model, write_model

MAX_MODEL_BYTES = 2**32 - 1


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train beside epochs and learning rate.

    Attributes:
        batch_size: samples a step; the last batch of an epoch may be smaller.
        momentum: of stochastic gradient descent, in [0, 1).
        weight_decay: L2 coefficient added to gradients, 0 or more.
        proximal: FedProx's mu (Li et al. 2020, arXiv:1812.06127): adds mu * (w - w_start) to gradients; 0 turns it off.
        seed: of the order of samples.
    """

    batch_size: int = 16
    momentum: float = 0.0
    weight_decay: float = 0.0
    proximal: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.seed < 0:
            raise ConfigurationError("a batch has at least 1 sample, and a seed is not negative")
        if not (0 <= self.momentum < 1 and self.weight_decay >= 0 and self.proximal >= 0):
            raise ConfigurationError("momentum is in [0, 1), weight decay and proximal term are not negative")

    def batches(self, samples: int, epochs: int) -> Iterator[NDArray[np.int64]]:
        """Yield the indices of each batch, a fresh permutation every epoch."""
        generator = np.random.Generator(np.random.PCG64(self.seed))
        for _ in range(epochs):
            order = generator.permutation(samples)
            for start in range(0, samples, self.batch_size):
                yield order[start : start + self.batch_size]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What training did: samples seen each epoch, steps taken, mean loss of the last epoch."""

    samples: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Share of samples classified right, in [0, 1], and mean cross entropy in nats."""

    accuracy: float
    loss: float
    samples: int


class ModelAdapter(ABC):
    """A classifier that can be trained, evaluated, and taken apart into named float32 tensors."""

    @abstractmethod
    def get_weights(self) -> dict[str, Float32Array]:
        """Return a copy of the weights."""

    @abstractmethod
    def set_weights(self, weights: Weights) -> None:
        """Replace the weights.

        Raises:
            MalformedObject: other names, shapes or dtypes than the model's, or values that are not finite.
        """

    @abstractmethod
    def _fit(self, data: Dataset, epochs: int, learning_rate: float, options: TrainingOptions) -> TrainingResult:
        """Run the epochs; arguments are checked."""

    @abstractmethod
    def predict(self, features: Float32Array) -> Float32Array:
        """Return logits, float32 [N, classes], for features [N, ...]."""

    @property
    @abstractmethod
    def description(self) -> dict[str, object]:
        """What a serialised model says about itself: plain numbers, strings and lists."""

    @property
    def schema(self) -> ModelSchema:
        """Names and shapes of the weights."""
        return ModelSchema.of(self.get_weights())

    def train(
        self,
        data: Dataset,
        epochs: int = 1,
        learning_rate: float = 0.1,
        options: TrainingOptions | None = None,
    ) -> TrainingResult:
        """Train by stochastic gradient descent on cross entropy; the same input gives the same weights.

        Args:
            data: at least one sample.
            epochs: passes over the data, at least 1.
            learning_rate: above 0.
            options: batch size, momentum and more; by default batches of 16, plain descent.

        Raises:
            DataError: there is nothing to train on.
            RoundAbandoned: training diverged (weights are no longer finite); the weights are left as they were before.
        """
        if len(data) == 0:
            raise DataError("there are no samples to train on")
        if epochs < 1 or not 0 < learning_rate < float("inf"):
            raise ConfigurationError("training takes at least 1 epoch and a learning rate above 0")
        before = self.get_weights()
        result = self._fit(data, epochs, learning_rate, options or TrainingOptions())
        if not all(np.isfinite(array).all() for array in self.get_weights().values()):
            self.set_weights(before)
            raise RoundAbandoned("training diverged: weights are not finite; lower the learning rate")
        return result

    def evaluate(self, data: Dataset) -> Evaluation:
        """Return accuracy and loss on labelled data; both NaN without samples."""
        if len(data) == 0:
            return Evaluation(float("nan"), float("nan"), 0)
        logits = self.predict(data.features).astype(np.float64)
        right = logits.argmax(axis=1) == data.labels
        return Evaluation(float(right.mean()), cross_entropy(logits, data.labels), len(data))

    def serialize_weights(self) -> bytes:
        """Return the weights as canonical safetensors bytes (the model object of the protocol)."""
        return write_model(self.get_weights())

    def deserialize_weights(self, data: bytes) -> None:
        """Replace the weights by those in a safetensors file of exactly this model's tensors."""
        self.set_weights(read_model(data, self.schema))

    def serialize_model(self) -> bytes:
        """Return description and weights as one canonical DAG-CBOR record."""
        return encode_record(
            {"type": "flare/model", "version": 1, "model": self.description, "weights": self.serialize_weights()}
        )

    def deserialize_model(self, data: bytes) -> None:
        """Replace the weights by those of a serialised model, which must describe itself as this one does.

        Raises:
            MalformedObject: not such a record, or of another model.
        """
        record = decode_record(data, max_bytes=MAX_MODEL_BYTES)
        match record:
            case {"type": "flare/model", "version": 1, "model": description, "weights": bytes(weights), **rest} if (
                not rest
            ):
                if description != decode_record(encode_record(self.description), max_bytes=2**16):
                    raise MalformedObject(f"the model is {description!r}, not {self.description!r}")
                self.deserialize_weights(weights)
            case _:
                raise MalformedObject("not a serialised model of version 1")


def cross_entropy(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean cross entropy, in nats, of logits [N, classes] against labels [N]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(axis=1)) - chosen).mean())
