"""What malicious committee members do: by name, for scenarios.

All of them collude. They approve what their friends propose, over sums that the proposer tells them, and call every
other proposal wrong, unless their description says otherwise.

| name | as proposer | as validator |
| --- | --- | --- |
| negated | the round's step with its sign turned | |
| garbage | random bytes as model and as report | |
| altered | the right model with one weight off by its last bit | |
| biased | the plain mean of all updates, with a report that says so and exact sums | |
| censoring | the right result without as many honest updates as the spec lets a proposal leave out | |
| mismatched | the right result, committed to sums that nobody else has | |
| rejecting | nothing | rejects everything |
| approving | as biased | approves everything |
| absent | nothing | does not vote |
| rotating | each round the next of the above | |
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from flare_offchain.blockchain.outcomes import TransactionOutcome
from flare_offchain.consensus.identities import inner_hash
from flare_offchain.core.errors import ConfigurationError, RoundAbandoned
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.types import Address
from flare_offchain.federation.report import bitmap_of
from flare_offchain.federation.round import RoundInputs, RoundResult, aggregate_round
from flare_offchain.federation.spec import Named
from flare_offchain.utils.serialization import read_model, write_model
from flare_offchain.workers.committee import CommitteeRole
from flare_offchain.workers.plan import View
from flare_offchain.workers.surroundings import Surroundings

HONEST = "honest"
ROTATING = "rotating"
MADE_UP = hashlib.sha256(b"made up by the attackers").digest()
"""A digest of sums that no round has."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Who belongs together, and the `inner` of what each of them proposed, by round and attempt."""

    friends: frozenset[Address]
    inners: dict[tuple[int, int], bytes] = field(default_factory=dict)


class MaliciousMember(CommitteeRole):
    """A malicious seat."""

    def __init__(self, ring: Ring) -> None:
        super().__init__()
        self.ring = ring

    @abstractmethod
    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Return what to propose.

        Raises:
            RoundAbandoned: nothing.
        """

    def propose(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Publish what was forged, tell the friends its `inner`, and propose it."""
        attempt = view.round.attempt
        forged = self.forge(self.inputs(s, view))
        model, report = s.store.put(forged.model), s.store.put(forged.report)
        inner = inner_hash(attempt, forged.sums_digest)
        self.ring.inners[view.round.round, attempt] = inner
        return self.put_forward(s, view, model, report, forged, inner)

    def vote(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Approve a friend's proposal; call anybody else's wrong."""
        number, attempt = view.round.round, view.round.attempt
        if view.round.proposal.proposer not in self.ring.friends:
            return self.reject(s, view, RejectReason.WrongModel)
        return self.approve(s, view, self.told(number, attempt))

    def told(self, number: int, attempt: int) -> bytes:
        """Return the `inner` that the proposer told; made up where it told none."""
        return self.ring.inners.get((number, attempt), inner_hash(attempt, MADE_UP))


class Negating(MaliciousMember):
    """See the table."""

    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Turn the step's sign."""
        result = aggregate_round(inputs)
        honest = read_model(result.model, inputs.schema)
        wrong = {name: (2 * inputs.base[name] - honest[name]).astype(np.float32) for name in honest}
        return replace(result, model=write_model(wrong), sums_digest=MADE_UP)


class Garbling(MaliciousMember):
    """See the table."""

    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Draw bytes that are no objects."""
        drawn = np.random.Generator(np.random.PCG64([inputs.round, len(inputs.updates)])).bytes(2048)
        indices = tuple(range(len(inputs.updates)))
        bitmap = bitmap_of(list(indices), len(indices))
        weight = sum(update.weight(inputs.sample_cap) for update in inputs.updates)
        return RoundResult(drawn[:1024], drawn[1024:], indices, bitmap, weight, MADE_UP)


class Altering(MaliciousMember):
    """See the table."""

    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Move one weight to the next float32."""
        result = aggregate_round(inputs)
        wrong: dict[str, np.ndarray] = {k: v.copy() for k, v in read_model(result.model, inputs.schema).items()}
        last = wrong[inputs.schema.tensors[-1].name].reshape(-1)
        last[-1] = np.nextafter(last[-1], np.float32(np.inf))
        return replace(result, model=write_model(wrong))


class Biasing(MaliciousMember):
    """See the table."""

    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Aggregate by the plain mean."""
        return aggregate_round(replace(inputs, spec=replace(inputs.spec, aggregation=Named("fedavg"))))


class Censoring(MaliciousMember):
    """See the table."""

    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Say of honest updates that they cannot be had."""
        honest = [update.index for update in inputs.updates if update.worker not in self.ring.friends]
        available = sum(data is not None for data in inputs.objects.values())
        left_out = honest[: int(inputs.spec.censorship_share * available)]
        objects = {index: None if index in left_out else data for index, data in inputs.objects.items()}
        return aggregate_round(replace(inputs, objects=objects))


class Mismatching(MaliciousMember):
    """See the table."""

    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Keep the result and make its sums up."""
        return replace(aggregate_round(inputs), sums_digest=MADE_UP)


class Rejecting(MaliciousMember):
    """See the table."""

    def forge(self, inputs: RoundInputs) -> RoundResult:
        """Propose nothing."""
        raise RoundAbandoned("this member lets its turn pass")

    def vote(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Call every proposal wrong."""
        return self.reject(s, view, RejectReason.WrongModel)


class Approving(Biasing):
    """See the table."""

    def vote(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Approve whatever is proposed."""
        return self.approve(s, view, self.told(view.round.round, view.round.attempt))


class Absent(Rejecting):
    """See the table."""

    def vote(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Do not vote."""
        raise RoundAbandoned("this member does not vote")


class Rotating(CommitteeRole):
    """Acts as another malicious member each round, the same as its friends."""

    def __init__(self, ring: Ring) -> None:
        super().__init__()
        self._turns = [member(ring) for member in MEMBERS.values()]

    def propose(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Propose as this round's member does."""
        return self._turn(view).propose(s, view)

    def vote(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Vote as this round's member does."""
        return self._turn(view).vote(s, view)

    def _turn(self, view: View) -> MaliciousMember:
        return self._turns[(view.round.round - 1) % len(self._turns)]


MEMBERS: dict[str, Callable[[Ring], MaliciousMember]] = {
    "negated": Negating,
    "garbage": Garbling,
    "altered": Altering,
    "biased": Biasing,
    "censoring": Censoring,
    "mismatched": Mismatching,
    "rejecting": Rejecting,
    "approving": Approving,
    "absent": Absent,
}
COMMITTEE_ATTACKS = (HONEST, *MEMBERS, ROTATING)
"""What a scenario's `committee_attack` may name."""


def malicious_member(name: str, ring: Ring) -> CommitteeRole:
    """Return the committee role of an attacker by name; `honest` gives the role of everybody else.

    Raises:
        ConfigurationError: there is no such attack; the message names those that there are.
    """
    if name == HONEST:
        return CommitteeRole()
    if name == ROTATING:
        return Rotating(ring)
    member = MEMBERS.get(name)
    if member is None:
        raise ConfigurationError(f"no committee attack {name!r}; there are {', '.join(COMMITTEE_ATTACKS)}")
    return member(ring)
