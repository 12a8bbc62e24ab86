"""Model architectures by name: their tensors, and first weights that every machine draws alike.

A task spec names an architecture and its numbers; what code that means is decided here, in the worker's own
installation. Nothing in this module needs torch.

| name | parameters (defaults) | samples |
| --- | --- | --- |
| softmax | inputs, classes | any shape with `inputs` elements |
| mlp | inputs, hidden ([128]), classes | any shape with `inputs` elements; ReLU between layers |
| cnn | channels (1), height, width, filters ([16, 32]), dense (64), classes | channels * height * width elements |
| gru | inputs, hidden (32), classes | [steps, inputs]; the last step's state is classified |
| tcn | inputs, filters ([32, 64, 64]), classes | [steps, inputs] with any number of steps |

A tcn has, for each entry of filters, a convolution over time of 5 steps, stride 2 and padding 2, and ReLU; the mean
over time is classified. A cnn has, for each entry of filters, a 3 x 3 convolution of padding 1, ReLU and 2 x 2 max
pooling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import Float32Array, ModelSchema, TensorSpec

Parameters = Mapping[str, object]

MAX_LAYERS = 64
MAX_LENGTH = 2**20
TIME_KERNEL = 5
"""Steps that a convolution over time sees."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A tensor and the fan-in that scales its first values."""

    name: str
    shape: tuple[int, ...]
    fan_in: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A registered architecture with all its parameters checked and filled in.

    Attributes:
        name: a key of `ARCHITECTURES`.
        parameters: every parameter, defaults included; integers or lists of integers.
        layers: its tensors.
    """

    name: str
    parameters: Mapping[str, int | tuple[int, ...]]
    layers: tuple[Layer, ...]

    @property
    def schema(self) -> ModelSchema:
        """Names and shapes of the tensors in canonical order."""
        ordered = sorted(self.layers, key=lambda layer: layer.name.encode())
        return ModelSchema(tuple(TensorSpec(layer.name, layer.shape) for layer in ordered))

    def integer(self, name: str) -> int:
        """Return an integer parameter."""
        value = self.parameters[name]
        assert isinstance(value, int)
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        """Return a list parameter."""
        value = self.parameters[name]
        assert isinstance(value, tuple)
        return value


def _linear(name: str, outputs: int, inputs: int) -> tuple[Layer, Layer]:
    return Layer(f"{name}.weight", (outputs, inputs), inputs), Layer(f"{name}.bias", (outputs,), inputs)


def _softmax(inputs: int, classes: int) -> tuple[Layer, ...]:
    return _linear("output", classes, inputs)


def _mlp(inputs: int, classes: int, hidden: tuple[int, ...] = (128,)) -> tuple[Layer, ...]:
    widths = (inputs, *hidden)
    layers = [_linear(f"hidden.{i}", widths[i + 1], widths[i]) for i in range(len(hidden))]
    return tuple(layer for pair in layers for layer in pair) + _linear("output", classes, widths[-1])


def _cnn(
    height: int, width: int, classes: int, channels: int = 1, filters: tuple[int, ...] = (16, 32), dense: int = 64
) -> tuple[Layer, ...]:
    layers, depths = [], (channels, *filters)
    for i, depth in enumerate(filters):
        fan_in = depths[i] * 9
        layers.append(Layer(f"convolution.{i}.weight", (depth, depths[i], 3, 3), fan_in))
        layers.append(Layer(f"convolution.{i}.bias", (depth,), fan_in))
    flat = depths[-1] * (height >> len(filters)) * (width >> len(filters))
    if flat == 0:
        raise ConfigurationError(
            f"{len(filters)} poolings leave nothing of {height} x {width} pixels; use fewer filters"
        )
    return (*layers, *_linear("dense", dense, flat), *_linear("output", classes, dense))


def _gru(inputs: int, classes: int, hidden: int = 32) -> tuple[Layer, ...]:
    gates = 3 * hidden
    return (
        Layer("recurrent.weight_ih_l0", (gates, inputs), hidden),
        Layer("recurrent.weight_hh_l0", (gates, hidden), hidden),
        Layer("recurrent.bias_ih_l0", (gates,), hidden),
        Layer("recurrent.bias_hh_l0", (gates,), hidden),
        *_linear("output", classes, hidden),
    )


def _tcn(inputs: int, classes: int, filters: tuple[int, ...] = (32, 64, 64)) -> tuple[Layer, ...]:
    layers, depths = [], (inputs, *filters)
    for i, depth in enumerate(filters):
        fan_in = depths[i] * TIME_KERNEL
        layers.append(Layer(f"convolution.{i}.weight", (depth, depths[i], TIME_KERNEL), fan_in))
        layers.append(Layer(f"convolution.{i}.bias", (depth,), fan_in))
    return (*layers, *_linear("output", classes, depths[-1]))


@dataclass(frozen=True, slots=True)
class _Entry:
    build: Callable[..., tuple[Layer, ...]]
    required: tuple[str, ...]
    defaults: Mapping[str, int | tuple[int, ...]]


ARCHITECTURES: Mapping[str, _Entry] = {
    "softmax": _Entry(_softmax, ("inputs", "classes"), {}),
    "mlp": _Entry(_mlp, ("inputs", "classes"), {"hidden": (128,)}),
    "cnn": _Entry(_cnn, ("height", "width", "classes"), {"channels": 1, "filters": (16, 32), "dense": 64}),
    "gru": _Entry(_gru, ("inputs", "classes"), {"hidden": 32}),
    "tcn": _Entry(_tcn, ("inputs", "classes"), {"filters": (32, 64, 64)}),
}


def architecture_of(name: str, parameters: Parameters) -> Architecture:
    """Return a registered architecture with its parameters checked.

    Raises:
        ConfigurationError: unknown name, missing or unknown parameter, or a value that is not a length in 1 to 2**20
            (for lists: at most 64 such).
    """
    if name not in ARCHITECTURES:
        raise ConfigurationError(
            f"unknown architecture {name!r}; known are {', '.join(sorted(ARCHITECTURES))}; a module of one's own is "
            f"offered by --module {name}=package.module:Class"
        )
    entry = ARCHITECTURES[name]
    known = {*entry.required, *entry.defaults}
    missing, extra = [key for key in entry.required if key not in parameters], sorted(set(parameters) - known)
    if missing or extra:
        raise ConfigurationError(
            f"architecture {name!r} takes {', '.join(sorted(known))}; missing {missing}, unknown {extra}"
        )
    filled = dict(entry.defaults) | {
        key: _lengths(key, value, isinstance(entry.defaults.get(key), tuple)) for key, value in parameters.items()
    }
    architecture = Architecture(name, filled, entry.build(**filled))
    if sum(prod(layer.shape) for layer in architecture.layers) > 2**30:
        raise ConfigurationError(f"architecture {name!r} would have more than 2**30 parameters")
    return architecture


def _lengths(key: str, value: object, many: bool) -> int | tuple[int, ...]:
    items = list(value) if many and isinstance(value, list | tuple) else [value]
    lengths = [item for item in items if type(item) is int and 1 <= item <= MAX_LENGTH]
    if len(items) > MAX_LAYERS or len(lengths) != len(items):
        kind = f"a list of at most {MAX_LAYERS} lengths" if many else "a length"
        raise ConfigurationError(f"{key} is {kind} from 1 to {MAX_LENGTH}, not {value!r}")
    return tuple(lengths) if many else lengths[0]


def initial_weights(architecture: str, parameters: Parameters, seed: int) -> dict[str, Float32Array]:
    """Return first weights: uniform in ±1/sqrt(fan-in), as torch draws them for these layers.

    The numbers come from PCG64 and single IEEE operations, so a seed gives the same bits on every machine. Those of a
    module of one's own (`own.py`) are what torch draws for it.
    """
    from flare_offchain.models.own import is_offered, own_adapter

    if is_offered(architecture):
        return own_adapter(architecture, parameters, seed).get_weights()
    return draw_weights(architecture_of(architecture, parameters).layers, seed)


def draw_weights(layers: tuple[Layer, ...], seed: int) -> dict[str, Float32Array]:
    """Return the first weights of given layers (see `initial_weights`)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    result = {}
    for layer in layers:
        bound = np.float32(1.0) / np.sqrt(np.float32(layer.fan_in))
        result[layer.name] = (generator.random(layer.shape, np.float32) * np.float32(2) - np.float32(1)) * bound
    return result
