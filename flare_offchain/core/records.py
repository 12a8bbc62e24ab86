"""What the chain says happened, as frozen records.

Workers and the auditor read the chain through the same decoder (`flare_offchain.blockchain.events`) into these
records and fold them with `flare_offchain.core.history`. Every number is the contract's own; nothing is derived here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flare_offchain.core.claims import SeatClaim
from flare_offchain.core.errors import MalformedObject, RoundAbandoned
from flare_offchain.core.phases import Fault, Phase, RejectReason, VoidReason
from flare_offchain.core.types import Address, ContentId


class EventLike(Protocol):
    """A decoded event: what the fold needs of it."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, object]: ...
    @property
    def block(self) -> int: ...
    @property
    def transaction_hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """One worker's commitment to its update of a round."""

    index: int
    worker: Address
    content_id: ContentId
    sample_count: int
    block: int

    def weight(self, sample_cap: int) -> int:
        """Return the aggregation weight: the sample count, capped."""
        return min(self.sample_count, sample_cap)


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """A claim on a seat, with a VRF output that the contract verified."""

    member: Address
    claim: SeatClaim
    block: int
    transaction: bytes
    """Hash of the transaction that carried the proof."""
    event: int
    """Which of the round's `SeatsClaimed` listed it, from 0."""

    @property
    def number(self) -> int:
        """The participant's number."""
        return self.claim.number


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """One member's vote on one attempt. A rejection has a reason, an approval a commitment."""

    member: Address
    attempt: int
    approved: bool
    commitment: bytes
    reason: RejectReason
    block: int


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """What a proposer put forward in one attempt."""

    proposer: Address
    attempt: int
    model: ContentId
    report: ContentId
    accepted_bitmap: bytes
    accepted_weight: int
    commitment: bytes
    block: int

    def accepts(self, index: int) -> bool:
        """Whether update `index` is in the proposed aggregate."""
        return index // 8 < len(self.accepted_bitmap) and bool(self.accepted_bitmap[index // 8] >> index % 8 & 1)


@dataclass(frozen=True, slots=True)
class OpeningRecord:
    """A revealed `inner` that opened the proposer's commitment."""

    revealer: Address
    attempt: int
    inner: bytes
    matching: int
    block: int


@dataclass(frozen=True, slots=True)
class ClosingRecord:
    """The end of the voting on one attempt, with the contract's tally."""

    attempt: int
    approvals: int
    rejections: int
    block: int


@dataclass(frozen=True, slots=True)
class FineRecord:
    """A fine, with the fault that it punishes."""

    member: Address
    attempt: int
    fault: Fault
    amount: int
    block: int


@dataclass(frozen=True, slots=True)
class CreditRecord:
    """A reward credited to a worker for a finalized round."""

    worker: Address
    amount: int
    block: int


@dataclass(frozen=True, slots=True)
class SeedRecord:
    """A round's seed and what it was made from."""

    previous: bytes
    block_hash: bytes
    seed_block: int
    seed: bytes
    threshold: int
    block: int


@dataclass(slots=True)
class RoundHistory:
    """All that the chain recorded of one round. Filled by the fold, read by everyone else."""

    number: int
    enrolled: int
    base_digest: bytes
    opened_block: int
    training_deadline: int
    phase: Phase = Phase.Training
    updates: list[UpdateRecord] = field(default_factory=list)
    seed_blocks: list[int] = field(default_factory=list)
    seed: SeedRecord | None = None
    widened_threshold: int | None = None
    widened_block: int | None = None
    claims: list[ClaimRecord] = field(default_factory=list)
    """In the order in which they were emitted."""
    quorum: int = 0
    seats_at_close: int = 0
    closing_transaction: bytes | None = None
    """Hash of the transaction that closed SORTITION and brought the list of claims; None before."""
    proposers: dict[int, Address] = field(default_factory=dict)
    window_deadlines: dict[int, int] = field(default_factory=dict)
    vote_deadlines: dict[int, int] = field(default_factory=dict)
    proposals: dict[int, ProposalRecord] = field(default_factory=dict)
    votes: list[VoteRecord] = field(default_factory=list)
    closings: dict[int, ClosingRecord] = field(default_factory=dict)
    openings: dict[int, OpeningRecord] = field(default_factory=dict)
    failed_attempts: list[int] = field(default_factory=list)
    fines: list[FineRecord] = field(default_factory=list)
    credits: list[CreditRecord] = field(default_factory=list)
    strikes: list[Address] = field(default_factory=list)
    final_model: ContentId | None = None
    final_attempt: int | None = None
    reward: int = 0
    void_reason: VoidReason = VoidReason.None_
    ended_block: int | None = None

    @property
    def committee(self) -> list[ClaimRecord]:
        """The claims that won a seat, by seat: the lowest, once SORTITION is closed; empty before."""
        return sorted(self.claims, key=lambda record: record.claim)[: self.seats_at_close]

    @property
    def final_proposal(self) -> ProposalRecord | None:
        """The proposal that was finalized, if one was."""
        return None if self.final_attempt is None else self.proposals.get(self.final_attempt)

    def accepts(self, index: int) -> bool:
        """Whether the round's final model holds update `index`; False where it has none."""
        final = self.final_proposal
        return final is not None and final.accepts(index)

    def votes_of(self, attempt: int) -> list[VoteRecord]:
        """The votes on one attempt, in the order in which they were cast."""
        return [vote for vote in self.votes if vote.attempt == attempt]


@dataclass(slots=True)
class TaskHistory:
    """All that the chain recorded of one task; or, of a daemon that runs for years, of its newest rounds (`forget`)."""

    task_id: int
    owner: Address
    spec: ContentId
    genesis: ContentId
    rules: Mapping[str, int]
    created_block: int
    fundings: list[tuple[int, int]] = field(default_factory=list)
    """(wei, block) of each payment into the budget."""
    rounds: dict[int, RoundHistory] = field(default_factory=dict)
    enrolments: list[tuple[Address, int, int]] = field(default_factory=list)
    """(worker, first round, block) of each enrolment."""
    departures: list[tuple[Address, int, int]] = field(default_factory=list)
    """(worker, last round, block) of each enrolment that ended."""
    numbers: dict[int, Address] = field(default_factory=dict)
    """Every worker that was ever enrolled, by its number as a participant."""
    withdrawals: list[tuple[Address, int]] = field(default_factory=list)
    ended: bool = False
    remainder: int | None = None
    forgotten: int = 0
    """Rounds 1 to this one were let go of; 0 where the history is whole."""
    basis: RoundHistory | None = None
    """The newest finalized of the forgotten rounds: the rounds that are left rest on its model and its report."""
    newest_updates: dict[Address, tuple[int, bool]] = field(default_factory=dict)
    """Of each worker, its newest update in a forgotten round: the round, and whether its model holds the update."""

    @property
    def opened(self) -> int:
        """How many rounds were opened: the number of the newest one."""
        return next(reversed(self.rounds), self.forgotten)

    @property
    def funded(self) -> int:
        """Wei paid into the budget."""
        return sum(amount for amount, _ in self.fundings)

    def forget(self, kept: int) -> None:
        """Let go of all rounds but the newest `kept` and those that have not ended.

        What later rounds rest on stays: the newest finalized model and its report, and what became of each worker's
        newest update. A history that is asked for more than it holds refuses.
        """
        while len(self.rounds) > kept and self.rounds[self.forgotten + 1].phase.terminal:
            self.forgotten += 1
            gone = self.rounds.pop(self.forgotten)
            for update in gone.updates:
                self.newest_updates[update.worker] = gone.number, gone.accepts(update.index)
            if gone.final_model is not None:
                self.basis = gone

    def was_accepted(self, worker: Address, number: int) -> bool | None:
        """Whether the model of round `number` holds the worker's update; None where the history cannot tell.

        It cannot of a round that was not opened, and of a forgotten one that a later update of the worker followed.
        """
        if number > self.forgotten:
            found = self.rounds.get(number)
            if found is None:
                return None
            return any(u.worker == worker and found.accepts(u.index) for u in found.updates)
        newest, accepted = self.newest_updates.get(worker, (0, False))
        return None if newest > number else newest == number and accepted

    def budget_before(self, number: int) -> int:
        """Wei in the budget when round `number` ended: what was paid in by then less what earlier rounds paid out.

        Raises:
            RoundAbandoned: earlier rounds were forgotten.
        """
        self._must_hold(1)
        ended = self.rounds[number].ended_block
        paid_in = sum(amount for amount, block in self.fundings if ended is None or block <= ended)
        return paid_in - sum(r.reward for n, r in self.rounds.items() if n < number)

    def base_model(self, number: int) -> ContentId:
        """The model that round `number` starts from: the newest one finalized before it, or the genesis model.

        Raises:
            RoundAbandoned: the round was forgotten.
        """
        found = self._finalized_before(number)
        return self.genesis if found is None or found.final_model is None else found.final_model

    def newest_report(self, number: int) -> ContentId | None:
        """The report of the newest round finalized before round `number`; None if there is none.

        Raises:
            MalformedObject: the history has that round's final model without its proposal.
            RoundAbandoned: the round was forgotten.
        """
        found = self._finalized_before(number)
        if found is None:
            return None
        if found.final_proposal is None:
            raise MalformedObject(f"round {found.number} is final in the history, without its proposal")
        return found.final_proposal.report

    def _finalized_before(self, number: int) -> RoundHistory | None:
        self._must_hold(number)
        finalized = [n for n, found in self.rounds.items() if n < number and found.final_model is not None]
        return self.rounds[max(finalized)] if finalized else self.basis

    def _must_hold(self, number: int) -> None:
        if number <= self.forgotten:
            raise RoundAbandoned(f"round {number} of task {self.task_id} is no longer held: read its history anew")
