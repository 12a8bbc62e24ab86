"""Federated rounds under attack, as the robustness benchmark trains them.

All clients of a round train at once: one batched matrix product a layer, with the gradients written out. Data, first
weights, order of samples and probe of a round depend on the seed alone, so rules and attacks are paired by seed, and
*clean* (FedAvg over the honest clients alone) sees the very same honest training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from _harness import BenchmarkFailed

from flare_offchain.core.errors import NoAcceptableUpdate
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.adversary import AttackContext, Backdoor, Behaviour, LocalData, behaviour, craft_all
from flare_offchain.federation.aggregation.fedavg import FedAvg
from flare_offchain.federation.aggregation.information import cross_entropies, softmax
from flare_offchain.federation.aggregation.standing import Standing
from flare_offchain.federation.aggregation.strategy import AggregationStrategy, SelectionRequest, quantise
from flare_offchain.federation.exact_sum import MAX_MULTIPLIER, apply
from flare_offchain.federation.probe import Probe
from flare_offchain.models.architectures import initial_weights
from flare_offchain.models.forward import forward_function, forward_many_function
from flare_offchain.utils.datasets import Dataset, load_dataset, split
from flare_offchain.utils.partition import partition

Arrays = dict[str, np.ndarray]
DAMAGE_SAMPLES = 256
"""Samples of the honest clients on which white-box attackers measure harm."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is trained, and who attacks: the same for every rule.

    Each round every client takes `steps` steps of plain SGD on `batch` samples drawn with replacement from its own.
    `test` is a number of samples, or None for the data set's own test part. The last `malicious`
    clients attack. Accuracy is the mean over the `final_rounds` last rounds.
    """

    data: str
    scheme: str
    clients: int = 20
    malicious: int = 8
    rounds: int = 60
    steps: int = 10
    batch: int = 16
    learning_rate: float = 0.1
    hidden: tuple[int, ...] = (64,)
    pool: int = 300
    probe: int = 100
    test: int | None = 400
    final_rounds: int = 5

    def describe(self) -> str:
        """Return the training budget in one line."""
        return (
            f"{self.data}, {self.scheme}: {self.malicious} of {self.clients} clients attack; {self.rounds} rounds of "
            f"{self.steps} steps of {self.batch} samples, rate {self.learning_rate}, hidden {list(self.hidden)}, "
            f"probe {self.probe} of {self.pool}, {self.test or 'its own'} test samples, "
            f"mean of the last {self.final_rounds} rounds"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One training. Rates are over all rounds; `success` is the backdoor's, None for other attacks.

    void: rounds in which the rule accepted nobody, so that the model stayed.
    """

    accuracy: float
    true_positives: float
    false_positives: float
    success: float | None
    void: int


@dataclass
class World:
    """The data of one setting and seed; `folder` holds the data set's files, where it is read from files."""

    setting: Setting
    seed: int
    folder: Path | None = None
    train: Dataset = field(init=False)
    pool: Dataset = field(init=False)
    test: Dataset = field(init=False)
    shares: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        data = _load(self.setting.data, self.folder)
        parts = split(data, self.seed, probe=self.setting.pool, test=self.setting.test)
        self.train, self.pool, self.test = (_flat(part) for part in (parts.train, parts.probe, parts.test))
        self.shares = partition(self.train, self.setting.scheme, self.setting.clients, self.seed)

    @property
    def parameters(self) -> dict[str, object]:
        """The architecture's parameters."""
        inputs = int(np.prod(self.train.sample_shape))
        return {"inputs": inputs, "classes": self.train.classes, "hidden": list(self.setting.hidden)}

    @property
    def honest(self) -> int:
        """Number of honest clients: the first ones."""
        return self.setting.clients - self.setting.malicious

    @cached_property
    def initial(self) -> Arrays:
        """The first model."""
        return dict(initial_weights("mlp", self.parameters, self.seed))

    def probe(self, number: int) -> Probe:
        """Return the probe of a round, drawn after training as in a task."""
        seed = hashlib.sha256(f"{self.seed}/{number}".encode()).digest()
        return Probe(self.pool.features, self.pool.labels).draw(seed, self.setting.probe)

    def data_of(self, client: int, attack: Behaviour | None) -> LocalData:
        """Return what a client trains on; attackers know the whole pool."""
        own = self.train.subset(self.shares[client])
        data = LocalData(own.features, own.labels, own.classes)
        if attack is None or client < self.honest:
            return data
        generator = np.random.Generator(np.random.PCG64([self.seed, 11, client]))
        return attack.poison(data, generator, Probe(self.pool.features, self.pool.labels))


@dataclass
class Population:
    """Some clients' training data in one array, for batched training."""

    features: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[LocalData]) -> Population:
        """Put the clients' data one after the other."""
        lengths = np.array([len(part.labels) for part in parts])
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)[:-1]]),
            lengths,
        )

    def deltas(self, base: Arrays, setting: Setting, draws: np.ndarray) -> Arrays:
        """Return ΔW of each client, stacked: tensor name to float32 [clients, ...].

        Args:
            base: the global model.
            setting: steps, batch and rate.
            draws: numbers in [0, 1) that choose samples, [clients, steps, batch].
        """
        chosen = self.starts[:, None, None] + (draws * self.lengths[:, None, None]).astype(np.int64)
        weights = {name: np.repeat(array[None], len(self.lengths), axis=0) for name, array in base.items()}
        for step in range(setting.steps):
            at = chosen[:, step]
            _descend(weights, self.features[at], self.labels[at], np.float32(setting.learning_rate))
        return {name: array - base[name] for name, array in weights.items()}


def _descend(weights: Arrays, features: np.ndarray, labels: np.ndarray, rate: np.float32) -> None:
    """Take one step of SGD on cross entropy for a stack of multi-layer perceptrons; features [n, batch, inputs]."""
    names = [*sorted(n.removesuffix(".weight") for n in weights if n.startswith("hidden.") and n.endswith(".weight"))]
    values = [features]
    for name in names:
        before = values[-1] @ weights[f"{name}.weight"].transpose(0, 2, 1) + weights[f"{name}.bias"][:, None]
        values.append(np.maximum(before, np.float32(0)))
    logits = values[-1] @ weights["output.weight"].transpose(0, 2, 1) + weights["output.bias"][:, None]
    gradient = softmax(logits)
    clients, batch = labels.shape
    gradient[np.arange(clients)[:, None], np.arange(batch)[None], labels] -= 1
    gradient /= np.float32(batch)
    for name, value in zip(["output", *reversed(names)], reversed(values), strict=True):
        weight = weights[f"{name}.weight"]
        below = gradient @ weight if name != "hidden.0" else None
        weights[f"{name}.bias"] -= rate * gradient.sum(axis=1)
        weight -= rate * (gradient.transpose(0, 2, 1) @ value)
        if below is not None:
            gradient = below * (value > 0)


class Federation:
    """Trains one world under one rule and one attack."""

    def __init__(self, world: World, rule: AggregationStrategy, attack: str | None, *, clean: bool = False) -> None:
        self.world, self.rule = world, rule
        self.attack = behaviour(attack) if attack is not None else None
        self.setting = world.setting
        self.count = world.honest if clean else self.setting.clients
        self.population = Population.of([world.data_of(client, self.attack) for client in range(self.count)])
        samples = np.array([len(share) for share in world.shares[: self.count]])
        self.samples = np.maximum(1, samples * MAX_MULTIPLIER // max(MAX_MULTIPLIER, samples.max())).tolist()
        self.schema = ModelSchema.of(world.initial)
        self.forward = forward_function("mlp", world.parameters)
        self.forward_many = forward_many_function("mlp", world.parameters)
        some = np.random.Generator(np.random.PCG64([world.seed, 13])).permutation(
            np.concatenate(world.shares[: world.honest])
        )
        self._harm_part = world.train.subset(np.sort(some[:DAMAGE_SAMPLES]))
        # Rates count from the round in which an attacker attacks.
        self.found = np.zeros(2)
        self.judged = np.zeros(2)
        self.void = 0
        self.standings = [Standing()] * self.count

    def run(self) -> Outcome:
        """Train all rounds."""
        model, scores = self.world.initial, []
        for number in range(1, self.setting.rounds + 1):
            model = self.round(model, number)
            if number > self.setting.rounds - self.setting.final_rounds:
                scores.append(self.accuracy(model))
        rates = np.divide(self.found, self.judged, out=np.zeros(2), where=self.judged > 0)
        return Outcome(float(np.mean(scores)), float(rates[1]), float(rates[0]), self._success(model), self.void)

    def round(self, base: Arrays, number: int) -> Arrays:
        """Return the model after one round."""
        vectors = self.updates(base, number)
        request = self.request(base, vectors, number)
        try:
            plan = self.rule.select(request)
        except NoAcceptableUpdate:
            self.void += 1
            return base
        self.standings = list(self.rule.remember(self.standings, plan)) or self.standings
        accepted = np.array([verdict.accepted for verdict in plan.verdicts])
        for malicious, part in ((0, slice(0, self.world.honest)), (1, slice(self.world.honest, None))):
            self.found[malicious] += np.sum(~accepted[part])
            self.judged[malicious] += accepted[part].size
        return apply(self.rule.combine(request.updates, plan, self.schema), plan.divisor, base)

    def updates(self, base: Arrays, number: int) -> np.ndarray:
        """Return what the clients send, float64 [clients, parameters]."""
        world, setting = self.world, self.setting
        generator = np.random.Generator(np.random.PCG64([world.seed, 5, number]))
        # Drawn for all clients, so that the honest ones' draws are the same with and without attackers.
        draws = generator.random((setting.clients, setting.steps, setting.batch))[: self.count]
        stacked = self.population.deltas(base, setting, draws)
        vectors = np.concatenate([stacked[t.name].reshape(self.count, -1) for t in self.schema.tensors], axis=1)
        vectors = vectors.astype(np.float64)
        if self.attack is None or self.count == world.honest:
            return vectors
        honest, own = vectors[: world.honest], vectors[world.honest :]
        generators = [np.random.Generator(np.random.PCG64([world.seed, 3, number, i])) for i in range(len(own))]
        context = AttackContext(
            honest,
            own,
            0,
            self.schema.flatten(base).astype(np.float64),
            self.schema,
            world.train.classes,
            number,
            generators[0],
            world.seed,
            lambda sent: self._step(base, np.concatenate([honest, sent]), number),
            lambda step: self._harm(base, step),
        )
        return np.concatenate([honest, craft_all(self.attack, context, generators)])

    def request(self, base: Arrays, vectors: np.ndarray, number: int) -> SelectionRequest:
        """Return what a committee selects from."""
        # Beyond the window of the wire no update can be sent.
        sent = np.clip(vectors, -(2.0**31), 2.0**31).astype(np.float32)
        updates = [quantise(self.schema.unflatten(vector), self.schema) for vector in sent]
        probe = self.world.probe(number)
        reference = self._reference(base, probe, number) if self.rule.name == "fltrust" else None
        return SelectionRequest(
            updates,
            self.samples,
            base,
            self.schema,
            self.forward,
            probe,
            self.forward_many,
            reference,
            self.standings,
        )

    def accuracy(self, model: Mapping[str, np.ndarray]) -> float:
        """Return the accuracy on the test part."""
        test = self.world.test
        return float((self.forward(model, test.features).argmax(axis=1) == test.labels).mean())

    def _reference(self, base: Arrays, probe: Probe, number: int) -> Arrays:
        """FLTrust's: the probe's labelled samples, trained on as a client trains."""
        if probe.labels is None:
            raise BenchmarkFailed("fltrust needs labels")
        data = Population.of([LocalData(probe.features, probe.labels, self.world.train.classes)])
        generator = np.random.Generator(np.random.PCG64([self.world.seed, 17, number]))
        draws = generator.random((1, self.setting.steps, self.setting.batch))
        return {name: array[0] for name, array in data.deltas(base, self.setting, draws).items()}

    def _step(self, base: Arrays, vectors: np.ndarray, number: int) -> np.ndarray:
        request = self.request(base, vectors, number)
        try:
            plan = self.rule.select(request)
        except NoAcceptableUpdate:
            return np.zeros(self.schema.parameters)
        model = apply(self.rule.combine(request.updates, plan, self.schema), plan.divisor, base)
        return self.schema.flatten(model).astype(np.float64) - self.schema.flatten(base)

    def _harm(self, base: Arrays, step: np.ndarray) -> float:
        vector = (self.schema.flatten(base) + step).astype(np.float32)
        part = self._harm_part
        logits = self.forward(self.schema.unflatten(vector), part.features).astype(np.float64)
        return float(cross_entropies(logits, part.labels).mean())

    def _success(self, model: Arrays) -> float | None:
        if not isinstance(self.attack, Backdoor):
            return None
        test = self.world.test
        others = test.labels != self.attack.target
        predicted = self.forward(model, self.attack.stamp(test.features[others])).argmax(axis=1)
        return float((predicted == self.attack.target).mean())


def train_clean(world: World) -> float:
    """Return the accuracy of FedAvg over the honest clients alone."""
    return Federation(world, FedAvg(), None, clean=True).run().accuracy


@cache
def _load(name: str, folder: Path | None) -> Dataset:
    """Return a data set, read once a process."""
    return load_dataset(name, folder)


def _flat(data: Dataset) -> Dataset:
    features = np.ascontiguousarray(data.features.reshape(len(data), -1))
    return Dataset(data.name, features, data.labels, data.classes)
