"""Rounds of a federation in one process: the real codec, selection and exact sum, without a chain."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flare_offchain.compression.codec import decode_update
from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.core.errors import ConfigurationError, NoAcceptableUpdate, RoundAbandoned
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights
from flare_offchain.federation.aggregation.plan import Plan
from flare_offchain.federation.aggregation.standing import Standing
from flare_offchain.federation.aggregation.strategy import (
    AggregationStrategy,
    Forward,
    ForwardMany,
    SelectionRequest,
)
from flare_offchain.federation.attack import AttackContext
from flare_offchain.federation.client import Client, ClientUpdate, Knowledge, MaliciousClient
from flare_offchain.federation.exact_sum import MAX_MULTIPLIER, average_step, move
from flare_offchain.federation.probe import SEED_BYTES, Probe
from flare_offchain.federation.server_optimiser import Floats, ServerOptimiser
from flare_offchain.utils.serialization import encode_record, write_model


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """What happened in a round.

    Attributes:
        number: the round, from 1.
        submitted: clients whose updates arrived, in order of the plan's verdicts.
        plan: the plan followed; None where the round was void.
        model_digest: SHA-256 of the global model after the round.
        update_bytes: bytes of all updates together.
        reason: why the round was void; empty otherwise.
    """

    number: int
    submitted: tuple[str, ...]
    plan: Plan | None
    model_digest: bytes
    update_bytes: int
    reason: str = ""

    @property
    def accepted(self) -> tuple[str, ...]:
        """Clients whose updates are in the model."""
        return () if self.plan is None else tuple(self.submitted[index] for index in self.plan.accepted)


class Orchestrator:
    """Runs rounds: train, compress, decompress, select, sum, apply.

    Args:
        clients: at least one, of different names.
        strategy: the aggregation rule.
        weights: the first global model.
        forward, forward_many: the model's logits, for rules that look at them.
        pool: samples from which each round's probe is drawn.
        probe_count: samples of a probe.
        seed: 32 bytes; each round's seed follows from it.
        sample_cap: a client's samples count up to here, 1 to MAX_MULTIPLIER.
        server: the server optimiser; None takes the average step as it is.
        knowledge: adds to what attackers know beside each other's and the honest updates.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        strategy: AggregationStrategy,
        weights: Weights,
        *,
        forward: Forward | None = None,
        forward_many: ForwardMany | None = None,
        pool: Probe | None = None,
        probe_count: int = 100,
        seed: bytes = bytes(SEED_BYTES),
        sample_cap: int = MAX_MULTIPLIER,
        knowledge: Knowledge | None = None,
        server: ServerOptimiser | None = None,
    ) -> None:
        names = [client.name for client in clients]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError("a federation has clients, each with a name of its own")
        if not 1 <= sample_cap <= MAX_MULTIPLIER or len(seed) != SEED_BYTES:
            raise ConfigurationError(f"a sample cap is 1 to {MAX_MULTIPLIER}, a seed {SEED_BYTES} bytes")
        self.schema = ModelSchema.of(weights)
        self.schema.check(weights)
        self.clients = tuple(clients)
        self.strategy = strategy
        self.weights: dict[str, Float32Array] = dict(weights)
        self.round = 0
        self.standings: dict[str, Standing] = {}
        self._forward, self._forward_many = forward, forward_many
        self._pool, self._probe_count = pool, probe_count
        self._seed, self._sample_cap, self._knowledge = seed, sample_cap, knowledge
        self._server = server
        self._state = None if server is None else server.start(self.schema)

    def run_round(self) -> RoundSummary:
        """Run one round. Where no update is acceptable the model stays as it is and the summary says why."""
        self.round += 1
        updates = self._collect()
        size = sum(len(update.data) for update in updates)
        names = tuple(update.client for update in updates)
        request = self._request(updates)
        try:
            plan, reason = self._conclude(request, names), ""
            self.standings |= zip(names, self.strategy.remember(request.known_standings, plan), strict=False)
        except NoAcceptableUpdate as error:
            plan, reason = None, str(error)
        accepted = set() if plan is None else {names[index] for index in plan.accepted}
        for client in self.clients:
            if client.name in names:
                client.acknowledge(client.name in accepted)
        return RoundSummary(self.round, names, plan, self.model_digest(), size, reason)

    def model_digest(self) -> bytes:
        """Return the SHA-256 of the global model's canonical bytes."""
        return hashlib.sha256(write_model(self.weights)).digest()

    def _conclude(self, request: SelectionRequest, names: tuple[str, ...]) -> Plan:
        """Decide the round and replace the model; `names` are the submitters."""
        del names
        plan = self.strategy.select(request)
        self._take(request, plan)
        return plan

    def _take(self, request: SelectionRequest, plan: Plan) -> None:
        """Replace the model, and what the server optimiser remembers, by what a plan gives."""
        self.weights, self._state, _ = self._follow(request, plan)

    def _follow(
        self, request: SelectionRequest, plan: Plan
    ) -> tuple[dict[str, Float32Array], dict[str, dict[str, Floats]] | None, bytes]:
        """Return the model that a plan gives, the server optimiser's state, and the digest of the exact sums."""
        sums = self.strategy.combine(request.updates, plan, self.schema)
        change, state = average_step(sums, plan.divisor), self._state
        if self._server is not None and state is not None:
            change, state = self._server.advance(change, state)
        return move(change, self.weights), state, sums.digest(plan.divisor)

    def _collect(self) -> list[ClientUpdate]:
        """Train everyone, let attackers collude, return the updates. A client whose training diverges sits out."""
        deltas: dict[str, Mapping[str, Float32Array]] = {}
        for client in self.clients:
            try:
                deltas[client.name] = client.train(self.weights, self.round)
            except RoundAbandoned:
                continue
        deltas.update(self._collude(deltas))
        return [
            client.submit(deltas[client.name], self._context(client.name))
            for client in self.clients
            if client.name in deltas
        ]

    def _collude(self, deltas: Mapping[str, Weights]) -> dict[str, dict[str, Float32Array]]:
        malicious = [c for c in self.clients if isinstance(c, MaliciousClient) and c.name in deltas]
        honest = [name for name in deltas if name not in {client.name for client in malicious}]
        if not malicious or not honest:
            return {}
        vectors = {name: self.schema.flatten(delta).astype(np.float64) for name, delta in deltas.items()}
        context = AttackContext(
            honest=np.stack([vectors[name] for name in honest]),
            own=np.stack([vectors[client.name] for client in malicious]),
            position=0,
            base=self.schema.flatten(self.weights).astype(np.float64),
            schema=self.schema,
            classes=malicious[0].data.classes,
            round=self.round,
            generator=malicious[0].generator("craft", self.round),
        )
        context = self._knowledge(context) if self._knowledge else context
        crafted = {}
        for position, client in enumerate(malicious):
            own = replace(context, position=position, generator=client.generator("craft", self.round))
            crafted[client.name] = client.craft(deltas[client.name], own)
        return crafted

    def _request(self, updates: Sequence[ClientUpdate]) -> SelectionRequest:
        decoded: list[DecodedUpdate] = [
            decode_update(update.data, self.schema, self._context(update.client)) for update in updates
        ]
        probe = None if self._pool is None else self._pool.draw(self._round_seed(), self._probe_count)
        return SelectionRequest(
            decoded,
            [min(update.samples, self._sample_cap) for update in updates],
            self.weights,
            self.schema,
            self._forward,
            probe,
            self._forward_many,
            standings=[self.standings.get(update.client, Standing()) for update in updates],
        )

    def _round_seed(self) -> bytes:
        return hashlib.sha256(b"flare/local-round" + self._seed + self.round.to_bytes(8, "big")).digest()

    def _context(self, name: str) -> bytes:
        """Return what binds an update to its client, round and base model."""
        return hashlib.sha256(encode_record(["flare/local", name, self.round, self.model_digest()])).digest()
