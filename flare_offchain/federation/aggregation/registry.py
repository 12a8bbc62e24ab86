"""Aggregation strategies by the name that a task spec gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.federation.aggregation.fedavg import FedAvg
from flare_offchain.federation.aggregation.mutual_information import MIAggregationStrategy
from flare_offchain.federation.aggregation.order_statistics import Bulyan, CoordinateMedian, TrimmedMean
from flare_offchain.federation.aggregation.selection import Krum, MultiKrum, NearestNeighbourMixing
from flare_offchain.federation.aggregation.strategy import AggregationStrategy
from flare_offchain.federation.aggregation.weighting import CentredClipping, FLTrust, GeometricMedian, NormClipping

_ALL: tuple[type[AggregationStrategy], ...] = (
    FedAvg,
    MIAggregationStrategy,
    CoordinateMedian,
    TrimmedMean,
    GeometricMedian,
    Krum,
    MultiKrum,
    Bulyan,
    CentredClipping,
    NearestNeighbourMixing,
    FLTrust,
    NormClipping,
)
STRATEGIES: dict[str, type[AggregationStrategy]] = {strategy.name: strategy for strategy in _ALL}
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "str": (str,)}


def strategy_from_spec(name: str, parameters: Mapping[str, Any]) -> AggregationStrategy:
    """Return the strategy that a task spec names.

    Args:
        name: a key of STRATEGIES.
        parameters: the strategy's keyword arguments: plain integers, floats, booleans or text.

    Raises:
        ConfigurationError: the name or a parameter is unknown, or a value is of the wrong type or out of range.
    """
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise ConfigurationError(f"no aggregation strategy {name!r}; there are {', '.join(sorted(STRATEGIES))}")
    admitted = parameter_types(strategy)
    for key, value in parameters.items():
        if key not in admitted:
            raise ConfigurationError(f"{name} has no parameter {key!r}; it takes {', '.join(sorted(admitted))}")
        # bool is an int in Python; a spec must not rely on that.
        if type(value) not in _TYPES[admitted[key]]:
            raise ConfigurationError(f"{name}: {key} is {admitted[key]}, not {type(value).__name__}")
    return strategy(**parameters)


def parameter_types(strategy: type[AggregationStrategy]) -> dict[str, str]:
    """Return the parameters of a strategy: name to `int`, `float`, `bool` or `str`."""
    found: dict[str, str] = {}
    for ancestor in strategy.__mro__:
        initialiser = ancestor.__dict__.get("__init__")
        if initialiser is None or ancestor is object:
            continue
        for parameter in inspect.signature(initialiser).parameters.values():
            if parameter.name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                found.setdefault(parameter.name, str(parameter.annotation))
    return found
