"""The data of a simulated network: each worker's part, the probe pool, the test set, and a model that fits them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.federation.adversary import behaviour
from flare_offchain.federation.aggregation.registry import strategy_from_spec
from flare_offchain.federation.server_optimiser import server_optimiser
from flare_offchain.models.own import is_offered
from flare_offchain.simulation.malicious_members import COMMITTEE_ATTACKS
from flare_offchain.simulation.scenario import NO_SERVER, Scenario
from flare_offchain.utils.datasets import Dataset, load_dataset, split
from flare_offchain.utils.partition import partition
from flare_offchain.utils.serialization import write_safetensors

ABSENT = "absent"
"""The attack of those who send no update at all; what is left is the honest workers alone."""
OFF_CHAIN_ONLY = {"fltrust": "an update that the committee trains itself, which no validator could check to the bit"}
"""Rules that exist for comparison in process, and why no committee can run them."""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """`parts[i]` is what worker i trains on."""

    parts: tuple[Dataset, ...]
    pool: Dataset
    test: Dataset

    @property
    def pool_object(self) -> bytes:
        """The probe pool as the object that a task's spec names."""
        return write_safetensors(
            {"features": np.ascontiguousarray(self.pool.features), "labels": np.ascontiguousarray(self.pool.labels)}
        )


def prepare(scenario: Scenario) -> PreparedData:
    """Load, split and partition the scenario's data. The same scenario gives the same parts.

    Raises:
        DataError: unknown or unreadable data, or a partition that cannot be made.
    """
    dataset = load_dataset(scenario.data, scenario.data_dir)
    test = None if dataset.test_start is not None else scenario.test_count
    parts = split(dataset, scenario.seed, probe=scenario.probe_pool, test=test)
    indices = partition(parts.train, scenario.partition, scenario.workers, scenario.seed)
    return PreparedData(tuple(parts.train.subset(part) for part in indices), parts.probe, parts.test)


def check_names(scenario: Scenario) -> None:
    """Raise `ConfigurationError` where the scenario names an attack, a rule or a codec that there is not."""
    if scenario.attack != ABSENT:
        behaviour(scenario.attack)
    if scenario.committee_attack not in COMMITTEE_ATTACKS:
        raise ConfigurationError(
            f"no committee attack {scenario.committee_attack!r}; there are {', '.join(COMMITTEE_ATTACKS)}"
        )
    codec_from_spec(scenario.codec, scenario.codec_parameters)
    if scenario.server != NO_SERVER:
        server_optimiser(scenario.server, scenario.server_parameters)
    strategy_from_spec(scenario.aggregation, scenario.aggregation_parameters)
    if scenario.aggregation in OFF_CHAIN_ONLY:
        raise ConfigurationError(
            f"{scenario.aggregation} needs {OFF_CHAIN_ONLY[scenario.aggregation]}: choose another rule"
        )


def model_parameters(scenario: Scenario, data: PreparedData) -> Mapping[str, Any]:
    """Return the architecture's parameters: those that follow from the data, and those that the scenario sets."""
    shape, classes = data.test.sample_shape, data.test.classes
    match scenario.model:
        case "softmax" | "mlp":
            derived: dict[str, Any] = {"inputs": int(np.prod(shape)), "classes": classes}
        case "cnn":
            derived = {**_image(shape), "classes": classes}
        case "gru" | "tcn":
            if len(shape) != 2:
                raise ConfigurationError(
                    f"a {scenario.model} needs sequences [steps, inputs]; {scenario.data} has {shape}"
                )
            derived = {"inputs": shape[1], "classes": classes}
        case own if is_offered(own):
            derived = {}
        case _:
            raise ConfigurationError(
                f"unknown model {scenario.model!r}: choose softmax, mlp, cnn, gru, tcn, or offer one of your own "
                "with --module"
            )
    if scenario.model == "mlp":
        derived["hidden"] = [128]
    return {**derived, **scenario.model_parameters}


def _image(shape: tuple[int, ...]) -> dict[str, Any]:
    match shape:
        case (height, width):
            return {"height": height, "width": width}
        case (channels, height, width):
            return {"channels": channels, "height": height, "width": width}
        case (pixels,) if int(np.sqrt(pixels)) ** 2 == pixels:
            side = int(np.sqrt(pixels))
            return {"height": side, "width": side}
    raise ConfigurationError(f"a cnn needs images; samples have the shape {shape}")
