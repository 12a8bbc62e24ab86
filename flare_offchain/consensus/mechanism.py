"""What every way of deciding together offers, whatever it runs on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from flare_offchain.consensus.ballot import Ballot


class DecisionStatus(StrEnum):
    """Where a vote stands. `APPROVED` and `REJECTED` never change again."""

    UNDECIDED = "undecided"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ConsensusResult:
    """A proposal and its vote so far."""

    proposal: bytes
    """The proposal's identifier, 32 bytes."""
    decision: bytes
    """What is proposed: any bytes, such as a model's content id."""
    proposer: str
    round_number: int
    attempt: int
    ballot: Ballot

    @property
    def status(self) -> DecisionStatus:
        """The outcome as soon as it is certain, also while votes are outstanding."""
        if self.ballot.is_reached:
            return DecisionStatus.APPROVED
        return DecisionStatus.REJECTED if self.ballot.is_lost else DecisionStatus.UNDECIDED


class ConsensusMechanism(ABC):
    """Rounds of one committee, one or more proposals, and a vote on each.

    Participants are named by strings (addresses, where there is a chain). Everything that arrives too late, twice,
    or from someone whose turn it is not raises `RoundAbandoned` and changes nothing; a proposal's identifier that is
    none raises `KeyError`.
    """

    @abstractmethod
    def select_committee(self, participants: Sequence[str], round_number: int) -> tuple[str, ...]:
        """Start a round and return its committee, in the order in which its members may propose.

        round_number: higher than any before. Votes of earlier rounds end. Raises `ValueError` for names that repeat,
        `RoundAbandoned` where the participants are too few for a committee.
        """

    @abstractmethod
    def propose_decision(self, decision: bytes, proposer: str | None = None) -> bytes:
        """Put a decision to the committee and return the proposal's identifier.

        proposer: the member whose turn it is, which is also the default. A proposal is the proposer's approval.
        """

    @abstractmethod
    def vote(self, proposal: bytes, member: str, approve: bool) -> ConsensusResult:
        """Count one member's vote and return the result so far. Each member other than the proposer votes once."""

    @abstractmethod
    def get_consensus_result(self, proposal: bytes) -> ConsensusResult:
        """Return a proposal's result so far."""
