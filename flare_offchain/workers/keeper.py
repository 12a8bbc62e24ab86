"""Keeping: the steps that only move a round on, which anyone may take.

Every enrolled worker keeps its task's rounds moving, and so may an account that does nothing else. So that they do not
all pay for the same transaction, each has its turn: those that may act are put in an order that changes with every
step, and each waits a while for the ones before it (`turn`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from flare_offchain.blockchain.contracts import RoundCoordinator
from flare_offchain.blockchain.outcomes import Confirmed, Reverted, TransactionOutcome
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.records import TaskHistory
from flare_offchain.core.types import Address
from flare_offchain.workers.plan import Local, Step, View, Wait, next_step
from flare_offchain.workers.surroundings import History, read_view

if TYPE_CHECKING:
    from flare_offchain.blockchain.connector import BlockchainConnector
    from flare_offchain.blockchain.signers import Signer

KEEPING = frozenset(
    {
        Step.OPEN_ROUND,
        Step.CLOSE_TRAINING,
        Step.FIX_SEED,
        Step.CLOSE_SORTITION,
        Step.CLOSE_VALIDATION,
        Step.ADVANCE,
    }
)
"""Steps that anyone may take."""
SHARED = KEEPING | {Step.REVEAL}
"""Steps that one of several takes for all."""

RACES = frozenset(
    {
        "WrongPhase",
        "WrongRound",
        "WrongAttempt",
        "RoundInProgress",
        "SeedAlreadyFixed",
        "SeedNotFixed",
        "DeadlineNotPassed",
        "DeadlinePassed",
        "NoRoundsLeft",
        "TaskNotOpen",
        "TooManyClaims",
        "ClaimsNotThese",
        "SeatAlreadyClaimed",
        "SeedBlockNotReached",
        "UpdateAlreadySubmitted",
        "RoundFull",
        "AlreadyVoted",
        "NotProposer",
    }
)
"""Refusals that only say that somebody else, or time, was faster: read the chain again."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was taken. `outcome` is None where it needed no transaction."""

    step: Step
    round: int
    outcome: TransactionOutcome | None = None
    note: str = ""

    @property
    def gas_used(self) -> int:
        """Gas that the step cost; 0 where it needed no transaction."""
        return self.outcome.gas_used if isinstance(self.outcome, Confirmed) else 0


def keep(coordinator: RoundCoordinator, account: Signer, task_id: int, step: Step, view: View) -> TransactionOutcome:
    """Take a step of `KEEPING` in a round as seen. Raises `ChainUnavailable` as `RoundCoordinator.round_claims`."""
    match step:
        case Step.OPEN_ROUND:
            return coordinator.open_round(account, task_id)
        case Step.CLOSE_TRAINING:
            return coordinator.close_training(account, task_id)
        case Step.FIX_SEED:
            return coordinator.fix_seed(account, task_id)
        case Step.CLOSE_SORTITION:
            claims = coordinator.round_claims(task_id, view.round, view.block)
            return coordinator.close_sortition(account, task_id, claims)
        case Step.CLOSE_VALIDATION:
            return coordinator.close_validation(account, task_id)
        case Step.ADVANCE:
            return coordinator.advance(account, task_id)
        case _:
            raise ValueError(f"{step} is not a step that anyone may take")


def turn(address: Address, others: Collection[Address], view: View, step: Step) -> int:
    """Return how many turns `address` waits with a shared step: 0 for the first, and then each turn twice as many act.

    With n who may act, everybody has acted after log2(n) + 1 turns, so a step is late by a few turns at most even
    where most of them are gone. Somebody who is not among `others` comes after all of them.

    Args:
        address: whose turn to return.
        others: all who may act.
        view: the chain as seen; the order depends on round, phase, attempt and seed.
        step: what is due.
    """
    current = view.round
    words = (current.round, int(current.phase), current.attempt, current.seed_attempt, int(current.widened))
    domain = b"".join(word.to_bytes(32, "big") for word in words) + step.value.encode()

    def place(who: Address) -> bytes:
        return keccak(bytes.fromhex(who[2:]) + domain)

    if address not in others:
        return (len(others) + 1).bit_length()
    own = place(address)
    return sum(place(other) < own for other in others).bit_length()


def enrolled_workers(task: TaskHistory) -> frozenset[Address]:
    """Return the workers whose enrolment in a task is open."""
    changes = [(block, True, who) for who, _, block in task.enrolments]
    changes += [(block, False, who) for who, _, block in task.departures]
    standing: set[Address] = set()
    for _, enters, who in sorted(changes):
        (standing.add if enters else standing.discard)(who)
    return frozenset(standing)


def sharers(step: Step, view: View, task: TaskHistory) -> frozenset[Address]:
    """Return who may take a shared step: the seats that know the sums for a reveal, all enrolled workers otherwise."""
    if step is Step.REVEAL:
        return frozenset(s.member for s in view.round.seats if s.approved or s.member == view.round.proposal.proposer)
    return enrolled_workers(task)


class Keeper:
    """An account that moves a task's rounds on and does nothing else: it is not enrolled and holds no bond."""

    def __init__(
        self, connector: BlockchainConnector, coordinator: RoundCoordinator, history: History, task_id: int
    ) -> None:
        self.connector, self.coordinator, self.history, self.task_id = connector, coordinator, history, task_id
        self.account: Signer | None = None
        self._address = Address("0x" + "00" * 20)

    def use(self, account: Signer) -> Keeper:
        """Pay with an account. Without one it only watches (`take` then refuses)."""
        self.account, self._address = account, Address(account.address)
        return self

    def watch(self, address: Address) -> Keeper:
        """Look at the chain as an account whose key is elsewhere."""
        self._address = address
        return self

    @property
    def address(self) -> Address:
        """The account that is looked for, or pays."""
        return self._address

    def next_step(self) -> tuple[View, Step | Wait]:
        """Read the chain and return what is due."""
        view = read_view(self.connector, self.coordinator, self.history, self.task_id, self._address)
        step = next_step(view, Local(self._address))
        if self.account is not None and isinstance(step, Step) and step not in KEEPING:
            return view, Wait("its workers have something to do", until=view.round.deadline + 1)
        return view, step

    def take(self, step: Step, view: View) -> Done:
        """Take a step of `KEEPING`. Raises as `Worker.take`."""
        if self.account is None:
            raise ConfigurationError("without a key nothing is sent")
        outcome = keep(self.coordinator, self.account, self.task_id, step, view)
        if isinstance(outcome, Reverted) and outcome.error not in RACES and outcome.receipt is None:
            raise outcome.revert.exception()
        return Done(step, view.round.round, outcome)
