"""Clients of a federation: what a worker does with its data in one round."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from flare_offchain.compression.codec import UpdateCodec
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights, subtract
from flare_offchain.federation.aggregation.fedavg import FedAvg
from flare_offchain.federation.aggregation.plan import Plan
from flare_offchain.federation.aggregation.strategy import AggregationStrategy, SelectionRequest
from flare_offchain.federation.attack import AttackContext, Behaviour, LocalData
from flare_offchain.federation.probe import Probe
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions
from flare_offchain.utils.datasets import Dataset


@dataclass(frozen=True, slots=True)
class ClientUpdate:
    """What a client submits: its name, the update's bytes, the number of samples it trained on."""

    client: str
    data: bytes
    samples: int


class Client(ABC):
    """A participant that trains, and that may sit on a committee."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def train(self, base: Weights, round_number: int) -> dict[str, Float32Array]:
        """Train from `base` and return ΔW = W_local - W_global.

        Raises:
            RoundAbandoned: training diverged; the client has nothing to submit.
        """

    @abstractmethod
    def submit(self, delta: Weights, context: bytes) -> ClientUpdate:
        """Compress ΔW into the update's bytes; `context` (32 bytes) binds them to client, round and base model."""

    def update(self, base: Weights, round_number: int, context: bytes) -> ClientUpdate:
        """Train and submit."""
        return self.submit(self.train(base, round_number), context)

    def acknowledge(self, accepted: bool) -> None:
        """Learn whether the last update went into the model. A client without memory forgets it."""
        del accepted

    def propose(self, strategy: AggregationStrategy, request: SelectionRequest) -> Plan:
        """As a proposer: return the plan of the round."""
        return strategy.select(request)

    def approve(self, strategy: AggregationStrategy, request: SelectionRequest, plan: Plan, is_exact: bool) -> bool:
        """As a validator: say whether a published plan stands; `is_exact`: the model is what the plan gives."""
        return is_exact and not strategy.check(request, plan)


class FederatedClient(Client):
    """A client with data of its own, a model to train and a codec.

    Args:
        name: unique in the federation.
        adapter: the model; clients that take turns may share one.
        data: at least one sample.
        codec: this client's own codec (it may remember what compression lost).
        epochs, learning_rate, options: see `ModelAdapter.train`. The order of samples differs from round to round.
    """

    def __init__(
        self,
        name: str,
        adapter: ModelAdapter,
        data: Dataset,
        codec: UpdateCodec,
        *,
        epochs: int = 1,
        learning_rate: float = 0.1,
        options: TrainingOptions | None = None,
    ) -> None:
        super().__init__(name)
        self.adapter = adapter
        self.data = data
        self.codec = codec
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.options = options or TrainingOptions()

    def train(self, base: Weights, round_number: int) -> dict[str, Float32Array]:
        """See `Client.train`."""
        seed = int.from_bytes(self._draw("order", round_number)[:6], "big")
        self.adapter.set_weights(base)
        self.adapter.train(self.data, self.epochs, self.learning_rate, replace(self.options, seed=seed))
        return subtract(self.adapter.get_weights(), base)

    def submit(self, delta: Weights, context: bytes) -> ClientUpdate:
        """See `Client.submit`."""
        encoded = self.codec.encode(delta, ModelSchema.of(delta), context)
        return ClientUpdate(self.name, encoded.data, len(self.data))

    def acknowledge(self, accepted: bool) -> None:
        """Tell the codec, whose memory depends on it."""
        self.codec.acknowledge(accepted)

    def _draw(self, purpose: str, round_number: int) -> bytes:
        return hashlib.sha256(f"{purpose}/{self.options.seed}/{self.name}/{round_number}".encode()).digest()


class MaliciousClient(FederatedClient):
    """A client that attacks.

    Args:
        behaviour: what it does; see `adversary.BEHAVIOURS`.
        probe: the probe, for attacks that know it.
        corrupt: as a committee member it proposes to accept everyone and approves whatever is proposed.
        Others as `FederatedClient`.
    """

    def __init__(
        self,
        name: str,
        adapter: ModelAdapter,
        data: Dataset,
        codec: UpdateCodec,
        *,
        behaviour: Behaviour,
        probe: Probe | None = None,
        corrupt: bool = False,
        epochs: int = 1,
        learning_rate: float = 0.1,
        options: TrainingOptions | None = None,
    ) -> None:
        super().__init__(name, adapter, data, codec, epochs=epochs, learning_rate=learning_rate, options=options)
        self.behaviour = behaviour
        self.corrupt = corrupt
        poisoned = behaviour.poison(
            LocalData(data.features, data.labels, data.classes), self.generator("poison", 0), probe
        )
        self.data = Dataset(data.name, poisoned.features, poisoned.labels, data.classes)

    def update(self, base: Weights, round_number: int, context: bytes) -> ClientUpdate:
        """Train, attack alone (knowing only the own update), submit."""
        delta = self.train(base, round_number)
        schema = ModelSchema.of(base)
        vector = schema.flatten(delta).astype(np.float64)
        alone = AttackContext(
            honest=vector[None],
            own=vector[None],
            position=0,
            base=schema.flatten(base).astype(np.float64),
            schema=schema,
            classes=self.data.classes,
            round=round_number,
            generator=self.generator("craft", round_number),
        )
        return self.submit(self.craft(delta, alone), context)

    def craft(self, delta: Weights, context: AttackContext) -> dict[str, Float32Array]:
        """Return what to send instead of `delta`."""
        vector = self.behaviour.craft(context.schema.flatten(delta).astype(np.float64), context)
        return context.schema.unflatten(vector.astype(np.float32))

    def generator(self, purpose: str, round_number: int) -> np.random.Generator:
        """Return this client's randomness for a purpose and a round."""
        return np.random.Generator(np.random.PCG64(int.from_bytes(self._draw(purpose, round_number), "big")))

    def propose(self, strategy: AggregationStrategy, request: SelectionRequest) -> Plan:
        """Propose the plain mean of everything, if corrupt."""
        return (FedAvg() if self.corrupt else strategy).select(request)

    def approve(self, strategy: AggregationStrategy, request: SelectionRequest, plan: Plan, is_exact: bool) -> bool:
        """Approve everything, if corrupt."""
        return self.corrupt or super().approve(strategy, request, plan, is_exact)


Knowledge = Callable[[AttackContext], AttackContext]
"""Gives attackers more to know: the rule and a measure of damage, for a white-box attack."""
