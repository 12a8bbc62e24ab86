"""A tiny real model without torch: softmax regression in numpy.

Small enough for tests and for devices that carry numpy only; it trains, and digits reach over 90 %.
"""

from __future__ import annotations

import numpy as np

from flare_offchain.core.tensors import Float32Array, Weights
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions, TrainingResult, cross_entropy
from flare_offchain.models.architectures import architecture_of, draw_weights
from flare_offchain.models.forward import forward_numpy
from flare_offchain.utils.datasets import Dataset
from flare_offchain.utils.threads import single_threaded


class MockModelAdapter(ModelAdapter):
    """Softmax regression: logits = features @ weight.T + bias.

    Args:
        inputs: elements of a sample.
        classes: number of classes.
        seed: of the first weights.
    """

    def __init__(self, inputs: int = 64, classes: int = 10, seed: int = 0) -> None:
        self.architecture = architecture_of("softmax", {"inputs": inputs, "classes": classes})
        self._weights = draw_weights(self.architecture.layers, seed)

    @property
    def description(self) -> dict[str, object]:
        """Architecture and parameters."""
        return {"architecture": "softmax", "parameters": dict(self.architecture.parameters)}

    def get_weights(self) -> dict[str, Float32Array]:
        """Return a copy of weight [classes, inputs] and bias [classes]."""
        return {name: array.copy() for name, array in self._weights.items()}

    def set_weights(self, weights: Weights) -> None:
        """Replace the weights (see `ModelAdapter.set_weights`)."""
        self.architecture.schema.check(weights)
        self._weights = {name: array.copy() for name, array in weights.items()}

    def predict(self, features: Float32Array) -> Float32Array:
        """Return logits, float32 [N, classes]."""
        return forward_numpy(self.architecture, self._weights, features)

    def _fit(self, data: Dataset, epochs: int, learning_rate: float, options: TrainingOptions) -> TrainingResult:
        inputs = data.features.reshape(len(data), -1)
        start, velocity = self.get_weights(), {name: np.zeros_like(array) for name, array in self._weights.items()}
        rate, losses = np.float32(learning_rate), []
        with single_threaded(), np.errstate(over="ignore", invalid="ignore"):
            for batch in options.batches(len(data), epochs):
                gradients, loss = self._gradients(inputs[batch], data.labels[batch])
                losses.append((loss, len(batch)))
                for name, gradient in gradients.items():
                    weight = self._weights[name]
                    gradient += np.float32(options.weight_decay) * weight
                    gradient += np.float32(options.proximal) * (weight - start[name])
                    velocity[name] = np.float32(options.momentum) * velocity[name] + gradient
                    self._weights[name] = weight - rate * velocity[name]
        last = losses[-(len(losses) // epochs) :]
        return TrainingResult(len(data), len(losses), sum(loss * n for loss, n in last) / len(data))

    def _gradients(self, inputs: Float32Array, labels: np.ndarray) -> tuple[dict[str, Float32Array], float]:
        logits = self.predict(inputs)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        errors = exponentials / exponentials.sum(axis=1, keepdims=True)
        errors[np.arange(len(labels)), labels] -= 1
        errors /= np.float32(len(labels))
        gradients = {"output.weight": errors.T @ inputs, "output.bias": errors.sum(axis=0)}
        return gradients, cross_entropy(logits.astype(np.float64), labels)
