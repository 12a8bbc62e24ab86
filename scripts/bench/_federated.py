"""Federated averaging through a compressor, as the compression benchmark trains it.

Every round each client trains the same number of steps on samples of its own share, its update passes through its
own compressor, and the server adds the mean of what was decoded. Seed, data, partition, steps and order of samples
are the same for every compressor, so differences are paired by seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from _harness import BenchmarkFailed

from flare_offchain.compression import UpdateCodec
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.models import ModelAdapter, TrainingOptions, build_adapter, initial_weights
from flare_offchain.utils.datasets import Dataset, check_files, load_dataset
from flare_offchain.utils.partition import partition

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained, and how: the same for every compressor.

    target: the test accuracy whose first round is looked for. final_rounds: the reported accuracy is the mean over
    the test accuracies of so many last rounds, each on the whole test part.
    """

    name: str
    data: str
    architecture: str
    parameters: Mapping[str, Any]
    scheme: str
    clients: int = 10
    rounds: int = 30
    steps: int = 20
    batch: int = 32
    learning_rate: float = 0.1
    momentum: float = 0.0
    target: float = 0.95
    final_rounds: int = 5
    curve_samples: int = 2_000

    def describe(self) -> str:
        """Return the setting in one line."""
        parts = {key: value for key, value in asdict(self).items() if key not in {"name", "curve_samples"}}
        return f"{self.name}: " + ", ".join(f"{key} {value}" for key, value in parts.items())


class Channel(Protocol):
    """One client's compressor: what the server gets of an update, and the bytes that travelled."""

    def send(self, delta: Weights, number: int) -> tuple[Arrays, int]:
        """Return the decoded update (float arrays) and the serialised size."""


class Float32Channel:
    """No compression: the float32 values and nothing else."""

    def send(self, delta: Weights, number: int) -> tuple[Arrays, int]:
        """Return the update itself."""
        return dict(delta), sum(array.nbytes for array in delta.values())


class CodecChannel:
    """Ours: encode, then decode the bytes as a committee member does."""

    def __init__(self, codec: UpdateCodec, schema: ModelSchema) -> None:
        self._codec, self._schema = codec, schema

    def send(self, delta: Weights, number: int) -> tuple[Arrays, int]:
        """Return what the bytes decode to."""
        context = number.to_bytes(32, "big")
        data = self._codec.encode(delta, self._schema, context).data
        self._codec.acknowledge(accepted=True)
        decoded = self._codec.decode(data, self._schema, context)
        return {name: tensor.to_float() for name, tensor in decoded.tensors.items()}, len(data)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One training: final accuracy in [0, 1], bytes of one update and of the same in float32, and the curve."""

    accuracy: float
    bytes_per_update: float
    float32_bytes: int
    rounds_to_target: int | None
    curve: tuple[float, ...]
    seconds: float

    @property
    def ratio(self) -> float:
        """Bytes of float32 over those sent."""
        return self.float32_bytes / self.bytes_per_update


def load(case: Case, data_dir: Path | None) -> Dataset:
    """Return the case's data set. MNIST and HAPT are looked for in `data_dir` and its folders."""
    folder = data_dir
    if data_dir is not None:
        named = {"mnist": "mnist", "hapt": "har_hapt"}.get(case.data, case.data)
        folder = next((found for found in (data_dir / named, data_dir / case.data) if found.is_dir()), data_dir)
    if folder is not None:
        check_files(case.data, folder)
    return load_dataset(case.data, folder)


def divide(case: Case, data: Dataset, seed: int) -> tuple[list[Dataset], Dataset]:
    """Return the clients' shares and the test part: the data set's own, whole subjects, or a quarter of it."""
    generator = np.random.Generator(np.random.PCG64([seed, 7]))
    if case.scheme == "subject":
        if data.subjects is None:
            raise BenchmarkFailed(f"{data.name} does not say which subject a sample is from")
        people = generator.permutation(np.unique(data.subjects))
        held = np.isin(data.subjects, people[: round(0.3 * len(people))])
    elif data.test_start is not None:
        held = np.arange(len(data)) >= data.test_start
    else:
        held = np.zeros(len(data), bool)
        held[generator.permutation(len(data))[: len(data) // 4]] = True
    train = data.subset(np.flatnonzero(~held))
    shares = [train.subset(part) for part in partition(train, case.scheme, case.clients, seed)]
    return shares, data.subset(np.flatnonzero(held))


def train(
    case: Case,
    shares: list[Dataset],
    test: Dataset,
    seed: int,
    channel: Callable[[ModelSchema, int], Channel],
    keep: Callable[[int, int, Weights], None] | None = None,
) -> Outcome:
    """Train a case through a compressor.

    Args:
        case: the setting.
        shares: each client's samples; clients weigh as many as they have.
        test: samples to measure accuracy on.
        seed: of first weights and order of samples.
        channel: makes a client's compressor from schema and client number.
        keep: sees every round's and client's ΔW, where updates are to be recorded.
    """
    started = time.monotonic()
    adapter = build_adapter(case.architecture, dict(case.parameters), seed, "cpu")
    weights: Arrays = dict(initial_weights(case.architecture, dict(case.parameters), seed))
    schema = ModelSchema.of(weights)
    channels = [channel(schema, client) for client in range(len(shares))]
    some = np.random.Generator(np.random.PCG64(seed)).permutation(len(test))[: case.curve_samples]
    curve_part = test.subset(np.sort(some))
    total, sent, curve = sum(map(len, shares)), 0, []
    for number in range(case.rounds):
        mean = {name: np.zeros(array.shape) for name, array in weights.items()}
        for client, share in enumerate(shares):
            delta = _local_update(case, adapter, weights, share, [seed, number, client])
            if keep is not None:
                keep(number, client, delta)
            decoded, size = channels[client].send(delta, number)
            sent += size
            for name, array in decoded.items():
                mean[name] += array * (len(share) / total)
        weights = {name: (array + mean[name]).astype(np.float32) for name, array in weights.items()}
        adapter.set_weights(weights)
        last = number >= case.rounds - case.final_rounds
        curve.append(adapter.evaluate(test if last else curve_part).accuracy)
    reached = next((number for number, accuracy in enumerate(curve, 1) if accuracy >= case.target), None)
    return Outcome(
        float(np.mean(curve[-case.final_rounds :])),
        sent / (case.rounds * len(shares)),
        4 * schema.parameters,
        reached,
        tuple(curve),
        round(time.monotonic() - started, 1),
    )


def _local_update(case: Case, adapter: ModelAdapter, weights: Weights, share: Dataset, seed: list[int]) -> Arrays:
    """Return ΔW of `steps` steps on samples drawn from a client's share."""
    generator = np.random.Generator(np.random.PCG64(seed))
    wanted = case.steps * case.batch
    rounds = [generator.permutation(len(share)) for _ in range(-(-wanted // len(share)))]
    chosen = share.subset(np.concatenate(rounds)[:wanted])
    adapter.set_weights(weights)
    options = TrainingOptions(batch_size=case.batch, momentum=case.momentum, seed=int(generator.integers(2**31)))
    adapter.train(chosen, 1, case.learning_rate, options)
    return {name: array - weights[name] for name, array in adapter.get_weights().items()}
