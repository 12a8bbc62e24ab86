"""What the chain says happened, as frozen records.

Workers and the auditor read the chain through the same decoder (`flare_offchain.blockchain.events`) into these
records and fold them with `flare_offchain.core.history`. Every number is the contract's own; nothing is derived here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flare_offchain.core.claims import SeatClaim
from flare_offchain.core.errors import MalformedObject
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

    def votes_of(self, attempt: int) -> list[VoteRecord]:
        """The votes on one attempt, in the order in which they were cast."""
        return [vote for vote in self.votes if vote.attempt == attempt]


@dataclass(slots=True)
class TaskHistory:
    """All that the chain recorded of one task."""

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

    @property
    def funded(self) -> int:
        """Wei paid into the budget."""
        return sum(amount for amount, _ in self.fundings)

    def budget_before(self, number: int) -> int:
        """Wei in the budget when round `number` ended: what was paid in by then less what earlier rounds paid out."""
        ended = self.rounds[number].ended_block
        paid_in = sum(amount for amount, block in self.fundings if ended is None or block <= ended)
        return paid_in - sum(r.reward for n, r in self.rounds.items() if n < number)

    def base_model(self, number: int) -> ContentId:
        """The model that round `number` starts from: the newest one finalized before it, or the genesis model."""
        earlier = [r.final_model for n, r in sorted(self.rounds.items()) if n < number and r.final_model is not None]
        return earlier[-1] if earlier else self.genesis

    def newest_report(self, number: int) -> ContentId | None:
        """The report of the newest round finalized before round `number`; None if there is none.

        Raises:
            MalformedObject: the history has that round's final model without its proposal.
        """
        final = [r for n, r in sorted(self.rounds.items()) if n < number and r.final_model is not None]
        if not final:
            return None
        if final[-1].final_proposal is None:
            raise MalformedObject(f"round {final[-1].number} is final in the history, without its proposal")
        return final[-1].final_proposal.report
