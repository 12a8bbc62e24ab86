"""A task as its owner writes it down: `SPEC.toml` to spec, genesis model, probe pool, rules and budget.

    seed = 0                      # of the genesis model and of the pool's draw
    budget = "1 ether"
    workers = 20                  # how many are expected, for the capture table
    data = "digits"               # what is trained on, for people
    [model]                       # name, parameters
    [training]                    # epochs, learning_rate, batch_size, momentum, weight_decay, proximal
    [codec]                       # name, parameters
    [aggregation]                 # name, parameters
    [server]                      # the server optimiser, if there is to be one: name, parameters
    [probe]                       # count; and data, data_dir, pool — or object
    [rules]                       # durations, committee, rewards: `TaskRules`

Nothing here touches a chain or a store. Unknown names are refused: a mistyped setting must not silently be a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from flare_offchain.blockchain.contracts import TaskRules
from flare_offchain.cli.amounts import wei_of
from flare_offchain.cli.toml import read_toml
from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import ConfigurationError, DataError, MalformedObject
from flare_offchain.core.tensors import Float32Array
from flare_offchain.federation.aggregation.registry import strategy_from_spec
from flare_offchain.federation.round import MAX_POOL_BYTES, ProbePool
from flare_offchain.federation.server_optimiser import server_optimiser
from flare_offchain.federation.spec import Named, ProbeSettings, TaskSpec, TrainingSettings
from flare_offchain.models.architectures import initial_weights
from flare_offchain.models.forward import forward_function
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.datasets import load_dataset, split
from flare_offchain.utils.serialization import write_model, write_safetensors

DEFAULT_RULES: dict[str, Any] = {
    "training_duration": 600,
    "seed_duration": 120,
    "sortition_duration": 300,
    "proposal_duration": 300,
    "validation_duration": 300,
    "reveal_duration": 120,
    "expected_committee": 16,
    "max_seats": 32,
    "threshold_basis_points": 6667,
    "max_attempts": 3,
    "min_updates": 2,
    "max_updates": 256,
    "sample_cap": 512,
    "idle_rounds": 8,
    "strike_limit": 0,
    "max_consecutive_voids": 8,
    "max_rounds": 100,
    "invite_only": False,
    "round_reward": "0.01 ether",
    "fine_amount": "0.05 ether",
    "trainer_share": 6000,
    "proposer_share": 1500,
    "voter_share": 2000,
    "revealer_share": 500,
}
AMOUNTS = ("round_reward", "fine_amount")
SECTIONS = ("model", "training", "codec", "aggregation", "server", "probe", "rules")
SETTINGS = ("seed", "budget", "workers", "data", "censorship_share")
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A task ready to be created. `genesis` and `pool` are objects; `pool` is None where the rule needs no probe."""

    spec: TaskSpec
    genesis: bytes
    pool: bytes | None
    rules: TaskRules
    budget: int
    workers: int
    parameters: int


def read_task_file(path: Path) -> TaskFile:
    """Read a task's file and make the objects that it describes.

    Raises:
        ConfigurationError: an unknown name, or a value of the wrong type or out of range.
        DataError: the probe pool's data set is unknown or cannot be read.
    """
    values = read_toml(path)
    _known(values, (*SETTINGS, *SECTIONS), "")
    sections = {name: _section(values, name) for name in SECTIONS}
    seed = _integer(values.get("seed", 0), "seed", 0, MAX_SEED)
    model = _named(sections["model"], "model", ("name",))
    weights = initial_weights(model.name, model.parameters, seed)
    codec = _named(sections["codec"] or {"name": "powersgd"}, "codec")
    aggregation = _named(sections["aggregation"] or {"name": "fedavg"}, "aggregation")
    codec_from_spec(codec.name, codec.parameters)
    strategy_from_spec(aggregation.name, aggregation.parameters)
    server = _named(sections["server"], "server") if sections["server"] else None
    if server is not None:
        server_optimiser(server.name, server.parameters)
    pool, count = _pool(sections["probe"], seed, path.parent)
    if pool is not None:
        _check_pool(pool, model, weights)
    share = values.get("censorship_share", 0.2)
    try:
        spec = TaskSpec(
            model=model,
            training=_training(sections["training"]),
            codec=codec,
            aggregation=aggregation,
            probe=None if pool is None else ProbeSettings(content_id(pool), count),
            data=_text(values.get("data", ""), "data"),
            censorship_share=_number(share, "censorship_share"),
            server=server,
        )
        spec.encode()
    except MalformedObject as error:
        raise ConfigurationError(f"{path}: {error}") from error
    rules = read_rules(sections["rules"])
    return TaskFile(
        spec=spec,
        genesis=write_model(weights),
        pool=pool,
        rules=rules,
        budget=_amount(values.get("budget", 0), "budget"),
        workers=_integer(values.get("workers", 4 * rules.expected_committee), "workers", 2, 100_000),
        parameters=sum(int(array.size) for array in weights.values()),
    )


def read_rules(section: Mapping[str, Any]) -> TaskRules:
    """Return the rules that a section sets, the others by default. Their ranges are the contract's to check.

    Raises: ConfigurationError: an unknown name or a value of the wrong type.
    """
    _known(section, tuple(DEFAULT_RULES), "rules")
    rules: dict[str, Any] = {}
    for item in fields(TaskRules):
        value = section.get(item.name, DEFAULT_RULES[item.name])
        name = f"[rules] {item.name}"
        if item.name in AMOUNTS:
            rules[item.name] = _amount(value, name)
        elif item.name == "invite_only":
            if not isinstance(value, bool):
                raise ConfigurationError(f"{name} is true or false, not {value!r}")
            rules[item.name] = value
        else:
            rules[item.name] = _integer(value, name, 0, 2**32 - 1)
    return TaskRules(**rules)


def _pool(section: Mapping[str, Any], seed: int, folder: Path) -> tuple[bytes | None, int]:
    """Return the pool object and how many samples are drawn from it each round; paths are relative to the file's."""
    if not section:
        return None, 0
    _known(section, ("data", "data_dir", "pool", "object", "count"), "probe")
    count = _integer(section.get("count", 100), "[probe] count", 1, 100_000)
    if "object" in section:
        if set(section) - {"object", "count"}:
            raise ConfigurationError("[probe] has either a ready object, or data to make a pool from")
        return _ready_pool(folder / _text(section["object"], "[probe] object")), count
    if "data" not in section:
        raise ConfigurationError("[probe] needs data, the name of a data set, or object, a ready pool")
    directory = section.get("data_dir")
    where = None if directory is None else folder / Path(_text(directory, "[probe] data_dir")).expanduser()
    name = _text(section["data"], "[probe] data")
    try:
        dataset = load_dataset(name, where)
    except DataError as error:
        raise DataError(f"[probe] {str(error).replace('--data-dir', 'data_dir')}") from error
    size = _integer(section.get("pool", 2 * count), "[probe] pool", 1, len(dataset))
    probe = split(dataset, seed, probe=size).probe
    features, labels = np.ascontiguousarray(probe.features), np.ascontiguousarray(probe.labels)
    return write_safetensors({"features": features, "labels": labels}), count


def _ready_pool(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_POOL_BYTES:
            raise ConfigurationError(f"{path} is larger than {MAX_POOL_BYTES} bytes: no pool is")
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the probe pool {path}: {error.strerror}") from error


def _check_pool(pool: bytes, model: Named, weights: Mapping[str, Float32Array]) -> None:
    """The model takes the pool's samples and knows its labels."""
    try:
        probe = ProbePool.decode(pool)
    except MalformedObject as error:
        raise ConfigurationError(f"[probe] {error}") from error
    forward = forward_function(model.name, model.parameters)
    try:
        logits = forward(weights, probe.features[:2])
    except (ValueError, RuntimeError) as error:
        shape = list(probe.features.shape[1:])
        raise ConfigurationError(f"[probe] the model cannot take samples of the shape {shape}: {error}") from error
    if int(probe.labels.max()) >= logits.shape[1]:
        raise ConfigurationError(
            f"[probe] has the label {int(probe.labels.max())}, but the model only classes 0 to {logits.shape[1] - 1}"
        )


def _training(section: Mapping[str, Any]) -> TrainingSettings:
    _known(section, tuple(f.name for f in fields(TrainingSettings)), "training")
    values: dict[str, Any] = {}
    for item in fields(TrainingSettings):
        if item.name in section:
            name = f"[training] {item.name}"
            whole = item.type == "int"
            values[item.name] = (
                _integer(section[item.name], name, 1, 2**31) if whole else _number(section[item.name], name)
            )
    return TrainingSettings(**values)


def _named(section: Mapping[str, Any], name: str, required: tuple[str, ...] = ()) -> Named:
    if not section:
        raise ConfigurationError(f"[{name}] is missing: it needs at least a name")
    _known(section, ("name", "parameters"), name)
    if "name" not in section:
        raise ConfigurationError(f"[{name}] needs a name")
    parameters = section.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ConfigurationError(f"[{name}] parameters are a table of names and values")
    return Named(_text(section["name"], f"[{name}] name"), parameters)


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name, {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"[{name}] is a table")
    return section


def _known(values: Mapping[str, Any], known: tuple[str, ...], section: str) -> None:
    unknown = sorted(set(values) - set(known))
    if unknown:
        where = f"[{section}] " if section else ""
        raise ConfigurationError(f"{where}{unknown[0]!r} is no setting; there are {', '.join(known)}")


def _integer(value: object, name: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ConfigurationError(f"{name} is an integer from {low} to {high}, not {value!r}")
    return value


def _number(value: object, name: str) -> float:
    if type(value) not in (int, float):
        raise ConfigurationError(f"{name} is a number, not {value!r}")
    return float(value)  # type: ignore[arg-type]


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is text, not {value!r}")
    return value


def _amount(value: object, name: str) -> int:
    """An amount: an integer of wei, or text with a unit."""
    if isinstance(value, str):
        return wei_of(value)
    if type(value) is not int or value < 0:
        raise ConfigurationError(f'{name} is text such as "0.5 ether", or an integer of wei, not {value!r}')
    return value
