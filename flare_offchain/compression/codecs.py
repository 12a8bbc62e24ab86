"""Codecs by the names that a task spec uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature

from flare_offchain.compression.adaptive import AdaptiveCodec
from flare_offchain.compression.bounded import ErrorBoundedCodec
from flare_offchain.compression.codec import UpdateCodec
from flare_offchain.compression.dense import DenseCodec
from flare_offchain.compression.powersgd import PowerSGDCompressor
from flare_offchain.compression.ternary import TernaryCompressor
from flare_offchain.compression.topk import TopKCompressor
from flare_offchain.core.errors import ConfigurationError

CODECS: dict[str, Callable[..., UpdateCodec]] = {
    "adaptive": AdaptiveCodec,
    "bounded": ErrorBoundedCodec,
    "none": DenseCodec,
    "powersgd": PowerSGDCompressor,
    "ternary": TernaryCompressor,
    "topk": TopKCompressor,
}


def codec_from_spec(name: str, parameters: Mapping[str, object]) -> UpdateCodec:
    """Return a new codec with empty memory.

    Args:
        name: a key of `CODECS`.
        parameters: arguments of its constructor by name, plain numbers of the annotated type; an integer may stand
            for a float.

    Raises:
        ConfigurationError: unknown name or parameter, or a value of the wrong type or out of range.
    """
    if name not in CODECS:
        raise ConfigurationError(f"unknown codec {name!r}; known are {', '.join(sorted(CODECS))}")
    known = signature(CODECS[name]).parameters
    return CODECS[name](**{key: _typed(name, known, key, value) for key, value in parameters.items()})


def _typed(name: str, known: Mapping[str, Parameter], key: str, value: object) -> object:
    if key not in known:
        raise ConfigurationError(f"codec {name!r} has no parameter {key!r}; it has {', '.join(known) or 'none'}")
    wanted = known[key].annotation
    if wanted == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != wanted:
        raise ConfigurationError(f"parameter {key!r} of codec {name!r} is {wanted}, not {type(value).__name__}")
    return value
