"""What the attackers of a simulated network share: what the honest sent, what they send themselves, the rule in use.

They are omniscient: they read the honest workers' journals, which no real attacker could. What they cannot know is the
round's probe, for its seed does not exist while updates are made; they know the pool that it is drawn from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flare_offchain.compression.codec import decode_update
from flare_offchain.core.errors import NoAcceptableUpdate
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.federation.adversary import AttackContext, Behaviour
from flare_offchain.federation.aggregation.information import cross_entropies
from flare_offchain.federation.aggregation.registry import strategy_from_spec
from flare_offchain.federation.aggregation.strategy import SelectionRequest, quantise
from flare_offchain.federation.attack import Vector
from flare_offchain.federation.client import MaliciousClient
from flare_offchain.federation.exact_sum import apply
from flare_offchain.federation.probe import Probe
from flare_offchain.federation.round import ProbePool
from flare_offchain.federation.update import update_context
from flare_offchain.models.forward import forward_function, forward_many_function
from flare_offchain.simulation.network import Network
from flare_offchain.workers.surroundings import Surroundings
from flare_offchain.workers.trainer import kept_update
from flare_offchain.workers.training import ClientTrainer

SENDABLE = 2.0**31
"""Beyond the window of the wire no update can be sent."""


@dataclass(slots=True)
class Conspiracy:
    """What the attackers of one network know and have agreed on.

    Attributes:
        behaviour: what they do to their updates.
        honest: the honest workers, whose journals they read.
        samples: how many samples each honest worker has.
        network: where they attack.
        pool: the probe pool.
        members: the attackers' clients, in order.
    """

    behaviour: Behaviour
    honest: list[Surroundings]
    samples: list[int]
    network: Network
    pool: ProbePool
    members: list[MaliciousClient] = field(default_factory=list)
    _known: tuple[int, Vector, list[int], Vector] | None = None
    _cache: dict[str, Vector] = field(default_factory=dict)

    @property
    def probe(self) -> Probe:
        """The whole pool: what attackers know of every round's probe."""
        return Probe(self.pool.features, self.pool.labels)

    def context(self, base: Weights, round_number: int, position: int) -> AttackContext:
        """Return what attacker `position` knows in a round."""
        if self._known is None or self._known[0] != round_number:
            own = np.stack([_vector(m.train(base, round_number), self.network.schema) for m in self.members])
            self._known, self._cache = (round_number, *self._honest_updates(round_number, own), own), {}
        _, honest, weights, own = self._known
        rule = _RuleInUse(self, base, round_number, honest, weights)
        return AttackContext(
            honest=honest,
            own=own,
            position=position,
            base=self.network.schema.flatten(base).astype(np.float64),
            schema=self.network.schema,
            classes=self.members[position].data.classes,
            round=round_number,
            generator=self.members[position].generator("craft", round_number),
            shared=self.network.scenario.seed,
            aggregate=rule.step,
            damage=rule.harm,
            cache=self._cache,
        )

    def _honest_updates(self, round_number: int, own: Vector) -> tuple[Vector, list[int]]:
        """Decode what the honest have committed to, with their weights; the own updates where nobody has yet."""
        task = self.network.history.refresh()
        base = task.base_model(round_number)
        rows, weights = [], []
        cap = self.network.scenario.rules.sample_cap
        for s, samples in zip(self.honest, self.samples, strict=True):
            data = kept_update(s, round_number)
            if data is not None:
                context = update_context(s.identity, round_number, s.address, base.digest)
                rows.append(decode_update(data, self.network.schema, context).to_vector())
                weights.append(min(samples, cap))
        return (np.stack(rows), weights) if rows else (own, [1] * len(own))


@dataclass(frozen=True, slots=True)
class _RuleInUse:
    """The task's own rule, tried out by attackers that search against it (`white_box`)."""

    conspiracy: Conspiracy
    base: Weights
    round: int
    honest: Vector
    weights: list[int]

    def step(self, sent: Vector) -> Vector:
        """Return the step that the model would take with these malicious updates, on a probe of the attackers' own."""
        network = self.conspiracy.network
        schema, spec = network.schema, network.spec
        vectors = np.clip(np.concatenate([self.honest, sent]), -SENDABLE, SENDABLE).astype(np.float32)
        updates = [quantise(schema.unflatten(vector), schema) for vector in vectors]
        samples = [min(len(m.data), network.scenario.rules.sample_cap) for m in self.conspiracy.members]
        request = SelectionRequest(
            updates,
            [*self.weights, *samples],
            self.base,
            schema,
            forward_function(spec.model.name, spec.model.parameters),
            self._guess(),
            forward_many_function(spec.model.name, spec.model.parameters),
        )
        strategy = strategy_from_spec(spec.aggregation.name, spec.aggregation.parameters)
        try:
            plan = strategy.select(request)
        except NoAcceptableUpdate:
            return np.zeros(schema.parameters)
        model = apply(strategy.combine(updates, plan, schema), plan.divisor, self.base)
        return _vector(model, schema) - _vector(self.base, schema)

    def harm(self, step: Vector) -> float:
        """Return the mean cross entropy on the pool, in nats, after a step."""
        network = self.conspiracy.network
        model = network.schema.unflatten((_vector(self.base, network.schema) + step).astype(np.float32))
        forward = forward_function(network.spec.model.name, network.spec.model.parameters)
        logits = np.asarray(forward(model, self.conspiracy.pool.features), np.float64)
        return float(cross_entropies(logits, self.conspiracy.pool.labels).mean())

    def _guess(self) -> Probe | None:
        settings = self.conspiracy.network.spec.probe
        if settings is None:
            return None
        seed = hashlib.sha256(f"guess/{self.conspiracy.network.scenario.seed}/{self.round}".encode()).digest()
        return self.conspiracy.pool.draw(seed, settings.count)


class ConspiringTrainer(ClientTrainer):
    """Sends what the conspiracy crafts; encodes as everybody does."""

    def __init__(self, client: MaliciousClient, conspiracy: Conspiracy) -> None:
        super().__init__(client, conspiracy.network.schema)
        self.malicious, self.conspiracy, self.position = client, conspiracy, len(conspiracy.members)
        conspiracy.members.append(client)

    def make_update(self, base: Weights, round_number: int, context: bytes) -> bytes:
        """Craft and encode."""
        attack = self.conspiracy.context(base, round_number, self.position)
        delta = self.schema.unflatten(attack.own[self.position].astype(np.float32))
        return self.malicious.submit(self.malicious.craft(delta, attack), context).data


def _vector(delta: Mapping[str, np.ndarray], schema: ModelSchema) -> Vector:
    return schema.flatten(delta).astype(np.float64)
