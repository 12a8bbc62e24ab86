"""Models in PyTorch: the registered architectures, and one's own modules from local configuration.

Importing this module imports torch; nothing else in the package does at import time.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from flare_offchain.core.errors import ConfigurationError, DataError
from flare_offchain.core.tensors import Float32Array, Weights
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions, TrainingResult
from flare_offchain.models.architectures import TIME_KERNEL, Architecture, draw_weights
from flare_offchain.utils.datasets import Dataset

PREDICT_BATCH = 1024


class Perceptron(nn.Module):
    """The softmax and mlp architectures."""

    def __init__(self, inputs: int, classes: int, hidden: tuple[int, ...] = ()) -> None:
        super().__init__()
        widths = (inputs, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(widths[i], widths[i + 1]) for i in range(len(hidden)))
        self.output = nn.Linear(widths[-1], classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits [N, classes] of samples of any shape with `inputs` elements."""
        values = features.flatten(1)
        for layer in self.hidden:
            values = torch.relu(layer(values))
        return self.output(values)  # type: ignore[no-any-return]


class ConvolutionalNetwork(nn.Module):
    """The cnn architecture."""

    def __init__(
        self, height: int, width: int, classes: int, channels: int, filters: tuple[int, ...], dense: int
    ) -> None:
        super().__init__()
        depths = (channels, *filters)
        self.sample_shape = (channels, height, width)
        self.convolution = nn.ModuleList(nn.Conv2d(depths[i], depths[i + 1], 3, padding=1) for i in range(len(filters)))
        self.dense = nn.Linear(depths[-1] * (height >> len(filters)) * (width >> len(filters)), dense)
        self.output = nn.Linear(dense, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits [N, classes] of samples with channels * height * width elements."""
        values = features.reshape(len(features), *self.sample_shape)
        for layer in self.convolution:
            values = torch.max_pool2d(torch.relu(layer(values)), 2)
        return self.output(torch.relu(self.dense(values.flatten(1))))  # type: ignore[no-any-return]


class RecurrentNetwork(nn.Module):
    """The gru architecture."""

    def __init__(self, inputs: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(inputs, hidden, batch_first=True)
        self.output = nn.Linear(hidden, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits [N, classes] of sequences [N, steps, inputs]."""
        _, state = self.recurrent(features)
        return self.output(state[-1])  # type: ignore[no-any-return]


class TemporalNetwork(nn.Module):
    """The tcn architecture."""

    def __init__(self, inputs: int, classes: int, filters: tuple[int, ...]) -> None:
        super().__init__()
        depths = (inputs, *filters)
        self.convolution = nn.ModuleList(
            nn.Conv1d(depths[i], depths[i + 1], TIME_KERNEL, stride=2, padding=TIME_KERNEL // 2)
            for i in range(len(filters))
        )
        self.output = nn.Linear(depths[-1], classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits [N, classes] of sequences [N, steps, inputs]."""
        values = features.transpose(1, 2)
        for layer in self.convolution:
            values = torch.relu(layer(values))
        return self.output(values.mean(dim=2))  # type: ignore[no-any-return]


_MODULES: Mapping[str, type[nn.Module]] = {
    "softmax": Perceptron,
    "mlp": Perceptron,
    "cnn": ConvolutionalNetwork,
    "gru": RecurrentNetwork,
    "tcn": TemporalNetwork,
}


def build_module(architecture: Architecture) -> nn.Module:
    """Return an untrained module of a registered architecture; its first values are torch's own and meant to be set."""
    with torch.random.fork_rng(devices=[]):
        return _MODULES[architecture.name](**architecture.parameters)


def select_device(device: str) -> torch.device:
    """Return the device for `auto` (CUDA where there is one), `cpu` or `cuda`.

    Raises:
        ConfigurationError: another name, or CUDA is asked for and not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigurationError(f"a device is auto, cpu or cuda, not {device!r}")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigurationError("there is no CUDA device here; use --device cpu or auto")
    return torch.device("cuda" if device != "cpu" and available else "cpu")


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Hold torch to one thread inside the `with` block: sums split by thread differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Descent:
    """Stochastic gradient descent with momentum and weight decay, the same bits as `torch.optim.SGD`'s.

    torch's own class loads its compiler when the first one is made: 9 seconds and over 100 MB in every worker.
    """

    def __init__(self, parameters: list[nn.Parameter], rate: float, momentum: float, weight_decay: float) -> None:
        self._parameters, self._rate, self._momentum, self._decay = parameters, rate, momentum, weight_decay
        self._velocity: dict[int, torch.Tensor] = {}
        self._clear()

    def step(self) -> None:
        """Move every parameter that has a gradient, and clear the gradients."""
        with torch.no_grad():
            for index, parameter in enumerate(self._parameters):
                if parameter.grad is None:
                    continue
                gradient = parameter.grad
                if self._decay:
                    gradient = gradient.add(parameter, alpha=self._decay)
                if self._momentum:
                    velocity = self._velocity.get(index)
                    if velocity is None:
                        velocity = self._velocity[index] = gradient.clone()
                    else:
                        velocity.mul_(self._momentum).add_(gradient)
                    gradient = velocity
                parameter.add_(gradient, alpha=-self._rate)
        self._clear()

    def _clear(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


class PyTorchModelAdapter(ModelAdapter):
    """A torch module as a `ModelAdapter`.

    Floating-point parameters and buffers (batch normalisation's running statistics too) are the weights: they travel,
    are combined and are set exactly like any other tensor. Integer buffers (its counters) stay where they are. Weights
    are float32 whatever the module computes in.

    A lossy update can leave a running variance below zero. The weight keeps that value, so every holder of the model
    has the same bytes; predictions take it as zero. A batch of a single sample, which has no variance, is left out of
    the training of a module with batch normalisation.

    Training on CPU is deterministic to the bit on one machine: one thread, seeded order, seeded dropout. On CUDA it is
    as deterministic as the kernels that torch picks; nothing in the protocol relies on it.

    Args:
        module: returns logits [N, classes] for features [N, ...].
        device: auto, cpu or cuda.
        description: what a serialised model says about itself; by default the module's class name.
    """

    def __init__(
        self, module: nn.Module, device: str = "auto", description: Mapping[str, object] | None = None
    ) -> None:
        self.device = select_device(device)
        self.module = module.to(self.device)
        self._description = dict(description or {"module": type(module).__qualname__})

    @property
    def description(self) -> dict[str, object]:
        """Architecture and parameters, or the class of one's own module."""
        return dict(self._description)

    def _tensors(self) -> dict[str, torch.Tensor]:
        state = self.module.state_dict()
        return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}

    def get_weights(self) -> dict[str, Float32Array]:
        """Return a float32 copy of parameters and floating-point buffers."""
        return {
            name: np.array(tensor.detach().cpu().float().numpy(), np.float32, order="C")
            for name, tensor in self._tensors().items()
        }

    def set_weights(self, weights: Weights) -> None:
        """Replace parameters and floating-point buffers (see `ModelAdapter.set_weights`)."""
        self.schema.check(weights)
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(torch.from_numpy(np.array(weights[name], np.float32)))

    def predict(self, features: Float32Array) -> Float32Array:
        """Return logits, float32 [N, classes], in evaluation mode."""
        self.module.eval()
        with _variances_from_zero(self._norms):
            return _logits(self.module, features, self.device)

    @property
    def _norms(self) -> list[nn.modules.batchnorm._BatchNorm]:
        return [part for part in self.module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]

    def _fit(self, data: Dataset, epochs: int, learning_rate: float, options: TrainingOptions) -> TrainingResult:
        features = torch.from_numpy(data.features).to(self.device)
        labels = torch.from_numpy(data.labels).to(self.device)
        trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        start = [parameter.detach().clone() for parameter in trained] if options.proximal else []
        descent = _Descent(trained, learning_rate, options.momentum, options.weight_decay)
        self.module.train()
        losses, sizes = [], []
        devices = [self.device] if self.device.type == "cuda" else []
        with one_torch_thread(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(options.seed)
            least = 2 if self._norms else 1
            for batch in options.batches(len(data), epochs):
                if len(batch) < least:
                    continue
                index = torch.from_numpy(batch).to(self.device)
                loss = nn.functional.cross_entropy(self.module(features[index]), labels[index])
                loss.backward()  # type: ignore[no-untyped-call]
                for parameter, first in zip(trained, start, strict=False):
                    if parameter.grad is not None:
                        parameter.grad.add_(parameter.detach() - first, alpha=options.proximal)
                descent.step()
                losses.append(loss.detach())
                sizes.append(len(batch))
        if not losses:
            raise DataError("batch normalisation needs batches of at least 2 samples")
        steps = len(losses) // epochs
        weighted = torch.stack(losses[-steps:]).double().cpu() * torch.tensor(sizes[-steps:], dtype=torch.float64)
        return TrainingResult(len(data), len(losses), float(weighted.sum()) / sum(sizes[-steps:]))


@contextmanager
def _variances_from_zero(norms: list[nn.modules.batchnorm._BatchNorm]) -> Iterator[None]:
    """Hold running variances to zero and above inside the `with` block, and put the values back."""
    buffers = [
        norm.running_var for norm in norms if norm.running_var is not None and bool((norm.running_var < 0).any())
    ]
    before = [buffer.clone() for buffer in buffers]
    for buffer in buffers:
        buffer.clamp_(min=0)
    try:
        yield
    finally:
        for buffer, values in zip(buffers, before, strict=True):
            buffer.copy_(values)


def _logits(module: nn.Module, features: Float32Array, device: torch.device) -> Float32Array:
    with one_torch_thread(), torch.no_grad():
        parts = [
            module(torch.from_numpy(np.array(features[start : start + PREDICT_BATCH], np.float32)).to(device)).cpu()
            for start in range(0, max(len(features), 1), PREDICT_BATCH)
        ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def build_torch_adapter(architecture: Architecture, seed: int, device: str) -> PyTorchModelAdapter:
    """Return an adapter of a registered architecture with the first weights that the seed gives."""
    description = {
        "architecture": architecture.name,
        "parameters": {
            key: list(value) if isinstance(value, tuple) else value for key, value in architecture.parameters.items()
        },
    }
    adapter = PyTorchModelAdapter(build_module(architecture), device, description)
    adapter.set_weights(draw_weights(architecture.layers, seed))
    return adapter


def adapter_from_class(path: str, arguments: Mapping[str, object], seed: int = 0, device: str = "auto") -> ModelAdapter:
    """Return an adapter of one's own module class, named "package.module:Class".

    Only for local configuration: importing runs code, so a path from a task spec must never come here.

    Args:
        path: where the class is.
        arguments: of its constructor.
        seed: of torch's generator while the module is built.
        device: auto, cpu or cuda.

    Raises:
        ConfigurationError: it cannot be imported or built, or is no torch module.
    """
    module_name, _, class_name = path.partition(":")
    if not module_name or not class_name:
        raise ConfigurationError(f"a model class is named package.module:Class, not {path!r}")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"model class {path!r} cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise ConfigurationError(f"{path!r} is not a torch.nn.Module")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = found(**arguments)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"model class {path!r} cannot be built with {dict(arguments)}: {error}") from error
    return PyTorchModelAdapter(module, device, {"class": path, "arguments": dict(arguments)})


def forward_torch(architecture: Architecture, weights: Weights, features: Float32Array) -> Float32Array:
    """Return the logits, float32 [N, classes], of a registered architecture on CPU.

    Raises:
        ConfigurationError: samples of a shape that the architecture cannot take.
        MalformedObject: weights of other names or shapes.
    """
    architecture.schema.check(weights)
    module = build_module(architecture).eval()
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    try:
        return _logits(module, features, torch.device("cpu"))
    except RuntimeError as error:
        raise ConfigurationError(f"samples of shape {features.shape[1:]} do not fit a {architecture.name}") from error
