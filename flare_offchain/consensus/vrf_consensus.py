"""Consensus by VRF committee in one process: the protocol's sortition and vote without a chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from secrets import token_bytes

from flare_offchain.consensus.ballot import Ballot
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.mechanism import ConsensusMechanism, ConsensusResult, DecisionStatus
from flare_offchain.consensus.selection import Claim, CommitteeSelection, local_alpha, select, verify_selection
from flare_offchain.consensus.sortition import BASIS_POINTS, MIN_QUORUM, quorum
from flare_offchain.core.errors import ConfigurationError, InvalidProof, RoundAbandoned

_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class ConsensusStats:
    """What a mechanism has done since it was made."""

    rounds: int
    proposals: int
    approved: int
    rejected: int
    votes: int
    """Votes cast, the proposers' own included."""
    decided_early: int
    """Decisions that were certain before everyone had voted."""
    votes_saved: int
    """Votes that were outstanding at those decisions."""
    seats: Mapping[str, int]
    """Participant to the number of committees it has sat on."""


@dataclass(slots=True)
class _Vote:
    result: ConsensusResult
    voted: set[str] = field(default_factory=set)
    saved: int = 0


class VRFConsensus(ConsensusMechanism):
    """Committees of the lowest verified VRF outputs, who decide by threshold vote.

    Each participant has a VRF key of its own and proves its output; `selection` holds all proofs, and
    `verify_selection` of `flare_offchain.consensus.selection` lets anyone check a committee. Attempt a of a round
    belongs to the member of rank a. A vote is decided as soon as no outstanding vote can change it. The same rules as
    on chain (docs/protocol.md section 3) except that all outputs are known, so that a committee has `committee_size`
    seats exactly (fewer only where fewer participate), and that votes are not commitments: the process is trusted to
    count.

    committee_size: seats, at least 2. min_committee_threshold: the approving share that decides, above 0.5 and at most
    1 (rounded to basis points), of `committee_size` or, if fewer participate, of those. vrf_seed: an integer or 32
    bytes make a run repeatable; without one it is drawn. Raises `ConfigurationError` for other values.
    """

    def __init__(
        self,
        committee_size: int = 5,
        min_committee_threshold: float = 0.6,
        vrf_seed: int | bytes | None = None,
    ) -> None:
        if committee_size < MIN_QUORUM:
            raise ConfigurationError(f"a committee has at least {MIN_QUORUM} seats, not {committee_size}")
        if not 0.5 < min_committee_threshold <= 1:
            raise ConfigurationError(f"the threshold is above 0.5 and at most 1, not {min_committee_threshold}")
        self.committee_size = committee_size
        self._basis_points = max(round(min_committee_threshold * BASIS_POINTS), BASIS_POINTS // 2 + 1)
        self._seed = _seed(vrf_seed)
        self._repeatable = vrf_seed is not None
        self._keys: dict[str, VrfKey] = {}
        self._selection: CommitteeSelection | None = None
        self._quorum = 0
        self._attempts: list[bytes] = []
        self._votes: dict[bytes, _Vote] = {}
        self._participants: dict[int, tuple[str, ...]] = {}
        self._seats: dict[str, int] = {}

    @property
    def seed(self) -> bytes:
        """The public seed that, with the round's number, makes the message everyone proves over."""
        return self._seed

    @property
    def selection(self) -> CommitteeSelection:
        """The current round's committee and proofs; `RoundAbandoned` before the first round."""
        if self._selection is None:
            raise RoundAbandoned("no committee has been selected yet: call select_committee first")
        return self._selection

    def add_participant(self, participant: str, key: VrfKey | None = None) -> int:
        """Register a participant's key and return its public x coordinate. A key is registered once and by one.

        Without a key one is made: from the operating system's randomness if `vrf_seed` was not given, otherwise from
        the seed, which is public, so that simulations repeat; such a key hides nothing. Raises `ValueError` for a
        participant or a key that is registered already.
        """
        if key is None:
            key = VrfKey.derive(self._seed, participant.encode()) if self._repeatable else VrfKey.generate()
        if participant in self._keys or key in self._keys.values():
            raise ValueError(f"{participant!r} or its key is registered already")
        self._keys[participant] = key
        return key.public_x

    def public_keys(self, participants: Iterable[str]) -> dict[str, int]:
        """Return participant to public x coordinate; `KeyError` for one that is not registered."""
        return {participant: self._keys[participant].public_x for participant in participants}

    def select_committee(self, participants: Sequence[str], round_number: int) -> tuple[str, ...]:
        """See `ConsensusMechanism.select_committee`. Participants that are new get a key (`add_participant`)."""
        if len(set(participants)) != len(participants):
            raise ValueError("a participant is named once")
        if len(participants) < MIN_QUORUM:
            raise RoundAbandoned(f"a committee needs at least {MIN_QUORUM} participants, not {len(participants)}")
        if self._selection is not None and round_number <= self._selection.round_number:
            raise RoundAbandoned(f"round {round_number} is not after round {self._selection.round_number}")
        for participant in participants:
            if participant not in self._keys:
                self.add_participant(participant)
        alpha = local_alpha(round_number, self._seed)
        keys = [(participant, self._keys[participant]) for participant in participants]
        claims = [Claim(participant, key.public_x, key.prove(alpha)) for participant, key in keys]
        self._selection = select(round_number, self._seed, claims, self.committee_size)
        members = self._selection.members
        self._quorum = quorum(self._basis_points, self.committee_size, len(participants), len(members))
        self._attempts = []
        self._participants[round_number] = tuple(participants)
        for member in members:
            self._seats[member] = self._seats.get(member, 0) + 1
        return members

    def verify_selection(self, selection: CommitteeSelection | None = None) -> None:
        """Verify a committee (the current one by default) against this mechanism's seed, size and registered keys.

        Raises `InvalidProof`. Whoever does not trust this process calls `selection.verify_selection` with a seed and
        keys of their own.
        """
        checked = selection or self.selection
        if checked.round_number not in self._participants:
            raise InvalidProof(f"no committee was selected for round {checked.round_number}")
        keys = self.public_keys(self._participants[checked.round_number])
        verify_selection(checked, self._seed, self.committee_size, keys)

    def propose_decision(self, decision: bytes, proposer: str | None = None) -> bytes:
        """See `ConsensusMechanism.propose_decision`. The next attempt opens when the one before is rejected."""
        members, attempt = self.selection.members, len(self._attempts)
        if self._attempts and self._votes[self._attempts[-1]].result.status is not DecisionStatus.REJECTED:
            raise RoundAbandoned("the round's proposal is still being voted on, or approved")
        if attempt == len(members):
            raise RoundAbandoned("every member has proposed and failed: the round is void")
        if proposer not in (None, members[attempt]):
            raise RoundAbandoned(f"it is {members[attempt]}'s turn to propose, not {proposer}'s")
        number = self.selection.round_number
        header = b"flare/local-proposal" + number.to_bytes(8, "big") + attempt.to_bytes(8, "big")
        proposal = sha256(header + decision).digest()
        ballot = Ballot(len(members), self._quorum)
        result = ConsensusResult(proposal, decision, members[attempt], number, attempt, ballot)
        self._votes[proposal] = _Vote(result, {members[attempt]})
        self._attempts.append(proposal)
        return proposal

    def vote(self, proposal: bytes, member: str, approve: bool) -> ConsensusResult:
        """See `ConsensusMechanism.vote`. A vote that is rejected is closed; an approved one still takes votes."""
        vote = self._votes[proposal]
        result = vote.result
        if proposal not in self._attempts or result.status is DecisionStatus.REJECTED:
            raise RoundAbandoned("the vote on this proposal is over")
        if member not in self.selection.members:
            raise RoundAbandoned(f"{member} holds no seat of round {result.round_number}")
        if member in vote.voted:
            raise RoundAbandoned(f"{member} has voted on this proposal already, or made it")
        vote.voted.add(member)
        vote.result = replace(result, ballot=result.ballot.cast(approve))
        if result.status is DecisionStatus.UNDECIDED and vote.result.status is not DecisionStatus.UNDECIDED:
            vote.saved = vote.result.ballot.outstanding
        return vote.result

    def get_consensus_result(self, proposal: bytes) -> ConsensusResult:
        """See `ConsensusMechanism.get_consensus_result`."""
        return self._votes[proposal].result

    def get_consensus_stats(self) -> ConsensusStats:
        """Return counts over all rounds so far."""
        votes = list(self._votes.values())
        statuses = [vote.result.status for vote in votes]
        return ConsensusStats(
            rounds=len(self._participants),
            proposals=len(votes),
            approved=statuses.count(DecisionStatus.APPROVED),
            rejected=statuses.count(DecisionStatus.REJECTED),
            votes=sum(len(vote.voted) for vote in votes),
            decided_early=sum(vote.saved > 0 for vote in votes),
            votes_saved=sum(vote.saved for vote in votes),
            seats=dict(self._seats),
        )


def _seed(given: int | bytes | None) -> bytes:
    if given is None:
        return token_bytes(_SEED_BYTES)
    if isinstance(given, int):
        return sha256(b"flare/vrf-seed" + str(given).encode()).digest()
    if len(given) != _SEED_BYTES:
        raise ConfigurationError(f"a seed is an integer or {_SEED_BYTES} bytes, not {len(given)} bytes")
    return given
