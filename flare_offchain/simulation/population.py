"""The workers of a simulated network: honest ones, and attackers that collude.

Attackers are the last workers of the network, so that they have seen what the honest ones committed to. They are
omniscient: they read the honest workers' journals, which no real attacker could.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flare_offchain.blockchain.outcomes import TransactionOutcome
from flare_offchain.compression.codec import decode_update
from flare_offchain.consensus.identities import inner_hash
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.federation.adversary import AttackContext, Behaviour, behaviour
from flare_offchain.federation.client import MaliciousClient
from flare_offchain.federation.round import aggregate_round
from flare_offchain.federation.update import update_context
from flare_offchain.models.adapter import ModelAdapter
from flare_offchain.models.builder import build_adapter
from flare_offchain.simulation.data import PreparedData
from flare_offchain.simulation.network import Network
from flare_offchain.utils.datasets import Dataset
from flare_offchain.utils.serialization import read_model, write_model
from flare_offchain.workers.committee import CommitteeRole
from flare_offchain.workers.plan import View
from flare_offchain.workers.surroundings import Surroundings
from flare_offchain.workers.trainer import TrainerRole, kept_update
from flare_offchain.workers.training import ClientTrainer, client_for, malicious_client_for
from flare_offchain.workers.worker import Worker

MAX_WORKERS = 8192
"""Separates the seeds of runs: above the number of workers that a scenario may have."""


@dataclass(slots=True)
class Conspiracy:
    """What the attackers of one network share."""

    behaviour: Behaviour
    honest: list[Surroundings]
    network: Network
    members: list[MaliciousClient] = field(default_factory=list)
    _known: tuple[int, np.ndarray, np.ndarray] | None = None
    _cache: dict[str, np.ndarray] = field(default_factory=dict)

    def context(self, base: Weights, round_number: int, position: int) -> AttackContext:
        """Return what attacker `position` knows in a round."""
        if self._known is None or self._known[0] != round_number:
            own = np.stack([_vector(m.train(base, round_number), self.network.schema) for m in self.members])
            self._known, self._cache = (round_number, self._honest_updates(round_number, own), own), {}
        _, honest, own = self._known
        seed = self.network.scenario.seed
        return AttackContext(
            honest=honest,
            own=own,
            position=position,
            base=self.network.schema.flatten(base).astype(np.float64),
            schema=self.network.schema,
            classes=self.network.spec.model.parameters["classes"],
            round=round_number,
            generator=self.members[position].generator("craft", round_number),
            shared=seed,
            cache=self._cache,
        )

    def _honest_updates(self, round_number: int, own: np.ndarray) -> np.ndarray:
        """Decode what the honest workers have committed to; the attackers' own updates where nobody has yet."""
        task = self.network.history.refresh()
        base = task.base_model(round_number)
        rows = []
        for s in self.honest:
            data = kept_update(s, round_number)
            if data is not None:
                context = update_context(s.identity, round_number, s.address, base.digest)
                rows.append(decode_update(data, self.network.schema, context).to_vector())
        return np.stack(rows) if rows else own


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


class AttackingCommittee(CommitteeRole):
    """A malicious seat: rejects what the honest propose, approves what its friends propose, proposes altered models."""

    def __init__(self, friends: frozenset[str]) -> None:
        super().__init__()
        self.friends = friends

    def propose(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Propose the negated step instead of the round's result, with a commitment over made-up sums."""
        inputs = self.inputs(s, view)
        result = aggregate_round(inputs)
        honest = read_model(result.model, inputs.schema)
        wrong = {name: (2 * inputs.base[name] - honest[name]).astype(np.float32) for name in honest}
        model, report = s.store.put(write_model(wrong)), s.store.put(result.report)
        return self.put_forward(s, view, model, report, result, self.agreed_inner(view.round.attempt))

    def vote(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Approve a friend's proposal over the sums that all agreed to make up; call anybody else's wrong."""
        number, attempt, proposal = view.round.round, view.round.attempt, view.round.proposal
        if proposal.proposer not in self.friends:
            return s.coordinator.vote(s.account, s.task_id, number, attempt, reason=RejectReason.WrongModel)
        return self.approve(s, view, self.agreed_inner(attempt))

    @staticmethod
    def agreed_inner(attempt: int) -> bytes:
        """The made-up sums that all malicious members commit to."""
        return inner_hash(attempt, b"made up by the attackers".ljust(32, b"\0"))


def build_workers(network: Network, data: PreparedData) -> list[Worker]:
    """Return all workers: first the honest, then the attackers (the last `attackers` of the network)."""
    scenario = network.scenario
    surroundings = [network.surroundings(i) for i in range(scenario.workers)]
    first_attacker = scenario.workers - scenario.attackers
    conspiracy = Conspiracy(behaviour(scenario.attack), surroundings[:first_attacker], network)
    adapter = build_adapter(network.spec.model.name, network.spec.model.parameters, device=scenario.device)
    friends = frozenset(s.address for s in surroundings[first_attacker:])
    workers = []
    for index, s in enumerate(surroundings):
        malicious = index >= first_attacker
        trainer = _trainer(network, data.parts[index], index, adapter, conspiracy if malicious else None)
        committee = AttackingCommittee(friends) if malicious and scenario.attack_committee else CommitteeRole()
        workers.append(Worker(s, TrainerRole(trainer), committee))
    return workers


def _trainer(
    network: Network, part: Dataset, index: int, adapter: ModelAdapter, conspiracy: Conspiracy | None
) -> ClientTrainer:
    seed = network.scenario.seed * MAX_WORKERS + index
    if conspiracy is None:
        return ClientTrainer(client_for(network.spec, part, adapter, seed), network.schema)
    return ConspiringTrainer(malicious_client_for(network.spec, part, adapter, seed, conspiracy.behaviour), conspiracy)


def _vector(delta: Weights, schema: ModelSchema) -> np.ndarray:
    return schema.flatten(delta).astype(np.float64)


def attackers_of(workers: Sequence[Worker], count: int) -> frozenset[str]:
    """Return the addresses of the attackers: the last `count` workers."""
    return frozenset(worker.address for worker in workers[len(workers) - count :])
