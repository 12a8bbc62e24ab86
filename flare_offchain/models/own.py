"""Modules of one's own: torch classes that this installation offers under a name.

A task spec names an architecture and plain parameters, never code. What is not built in, everybody who takes part or
audits offers from local configuration: `flare --module NAME=package.module:Class`, the variable FLARE_MODULES, or
`[modules]` in `worker.toml`. Nothing is imported before a task asks for the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import Float32Array, Weights
from flare_offchain.models.architectures import ARCHITECTURES, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from flare_offchain.models.adapter import ModelAdapter

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_offered: dict[str, str] = {}


def offer_module(name: str, path: str) -> None:
    """Offer a class under a name for as long as the process lives. Offering the same again does nothing.

    Args:
        name: what task specs call it: lower case, digits, - and _, no built-in architecture's.
        path: package.module:Class of a torch.nn.Module that returns logits [N, classes].

    Raises:
        ConfigurationError: name or path is not of that form, or the name already stands for another class.
    """
    if not _NAME.fullmatch(name) or name in ARCHITECTURES:
        raise ConfigurationError(f"{name!r} cannot name a module of one's own: lower case, and not built in")
    if not _PATH.fullmatch(path):
        raise ConfigurationError(f"a module is named package.module:Class, not {path!r}")
    if _offered.setdefault(name, path) != path:
        raise ConfigurationError(f"the module {name} is {_offered[name]} already, not {path}")


def offer_modules(texts: Mapping[str, str] | list[str]) -> None:
    """Offer several: a mapping of names to paths, or texts NAME=package.module:Class. Raises as `offer_module`."""
    pairs = texts.items() if isinstance(texts, Mapping) else (text.partition("=")[::2] for text in texts)
    for name, path in pairs:
        offer_module(name, path)


def is_offered(name: str) -> bool:
    """Whether a name stands for a module of one's own."""
    return name in _offered


def offered_path(name: str) -> str | None:
    """Return package.module:Class of an offered module; None where the name stands for none."""
    return _offered.get(name)


def own_adapter(name: str, parameters: Parameters, seed: int = 0, device: str = "cpu") -> ModelAdapter:
    """Return an adapter of an offered module, its constructor called with the spec's parameters.

    Raises:
        ConfigurationError: it cannot be imported or built, or torch is not installed.
    """
    try:
        from flare_offchain.models.pytorch import adapter_from_class
    except ImportError as error:
        raise ConfigurationError(f"the module {name} needs torch: pip install 'flare-offchain[train]'") from error
    return adapter_from_class(_offered[name], parameters, seed, device)


def own_forward(name: str, parameters: Parameters) -> Callable[[Weights, Float32Array], Float32Array]:
    """Return the function that computes the logits of an offered module, in evaluation mode on CPU.

    Raises:
        ConfigurationError: as `own_adapter`; of the function: samples that the module cannot take.
    """
    adapter = own_adapter(name, parameters)

    def forward(weights: Weights, features: Float32Array) -> Float32Array:
        adapter.set_weights(weights)
        try:
            return np.asarray(adapter.predict(features), np.float32)
        except (RuntimeError, ValueError) as error:
            raise ConfigurationError(f"samples of shape {features.shape[1:]} do not fit the module {name}") from error

    return forward
