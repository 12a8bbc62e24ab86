"""The phases of a round and the codes beside them: the same lists as `contracts/types/Phase.sol`.

A test proves that both are equal. Solidity's `None` is `None_` here, a keyword otherwise.
"""

from __future__ import annotations

from enum import IntEnum


class Phase(IntEnum):
    """Where a round stands."""

    None_ = 0
    Training = 1
    Sortition = 2
    Aggregation = 3
    Validation = 4
    Reveal = 5
    Finalized = 6
    Void = 7

    @property
    def terminal(self) -> bool:
        """Whether the round has ended (or none was ever opened)."""
        return self in (Phase.None_, Phase.Finalized, Phase.Void)


class VoidReason(IntEnum):
    """Why a round ended without a new model."""

    None_ = 0
    TooFewUpdates = 1
    SeedExpired = 2
    TooFewSeats = 3
    AttemptsExhausted = 4


class Fault(IntEnum):
    """Why a member lost part of its bond."""

    None_ = 0
    VoteMissing = 1
    ApprovalMismatched = 2
    RejectionOverruled = 3
    ProposalRejected = 4
    CommitmentUnopened = 5


class RejectReason(IntEnum):
    """A validator's reason for rejecting a proposal."""

    None_ = 0
    Unavailable = 1
    WrongModel = 2
    WrongSelection = 3
    WrongBitmap = 4
    Malformed = 5
    Censored = 6
