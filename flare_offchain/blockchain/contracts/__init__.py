"""Thin typed wrappers: one a contract, one method a function."""

from flare_offchain.blockchain.contracts.coordinator import RoundCoordinator
from flare_offchain.blockchain.contracts.registry import ParticipantRegistry
from flare_offchain.blockchain.contracts.structs import (
    EnrolmentView,
    OutcomeView,
    Participant,
    ProposalView,
    RoundView,
    SeatView,
    TaskRules,
    TaskStatus,
    TaskView,
)

__all__ = [
    "EnrolmentView",
    "OutcomeView",
    "Participant",
    "ParticipantRegistry",
    "ProposalView",
    "RoundCoordinator",
    "RoundView",
    "SeatView",
    "TaskRules",
    "TaskStatus",
    "TaskView",
]
