"""What a worker does next: a pure function of one view of the chain.

The plan knows nothing of keys, stores or transactions. It says which one step is now due, or what is waited for.
Everything it decides on is re-read from the chain before each step, so a step that was already taken, or that another
worker took first, is simply not due any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flare_offchain.blockchain.contracts import EnrolmentView, RoundView, TaskStatus, TaskView
from flare_offchain.core.claims import MAX_CLAIMS
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import Address


class Step(StrEnum):
    """The steps that move a round."""

    OPEN_ROUND = "open round"
    SUBMIT_UPDATE = "submit update"
    CLOSE_TRAINING = "close training"
    PUBLISH_UPDATE = "publish update"
    FIX_SEED = "fix seed"
    CLAIM_SEAT = "claim seat"
    CLOSE_SORTITION = "close sortition"
    PROPOSE = "propose"
    VOTE = "vote"
    CLOSE_VALIDATION = "close validation"
    REVEAL = "reveal"
    ADVANCE = "advance"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due. `until` is the time (seconds), `block` the block at which something may be; None: unknown."""

    reason: str
    until: int | None = None
    block: int | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """What the worker itself knows and the chain does not."""

    address: Address
    output: int | None = None
    """Its VRF output for the round, once the seed is fixed."""
    lower_claims: int = 0
    """How many claims of the round are known to be lower than its own would be."""
    unpublished: bool = False
    """Whether its update of the round is committed but not yet in the store."""
    knows_inner: bool = False
    """Whether it computed the sums of the proposal that is being voted on."""
    declined: frozenset[Step] = frozenset()
    """Steps that it tried in this phase and attempt and found it cannot or need not take."""


@dataclass(frozen=True, slots=True)
class View:
    """The chain at one block, as far as one worker needs it."""

    now: int
    """The timestamp that the next block will have at least."""
    block: int
    task: TaskView
    round: RoundView
    enrolment: EnrolmentView


def next_step(view: View, local: Local) -> Step | Wait:
    """Return the step that is due for this worker, or what it waits for."""
    due = {
        Phase.Training: _training,
        Phase.Sortition: _sortition,
        Phase.Aggregation: _aggregation,
        Phase.Validation: _validation,
        Phase.Reveal: _reveal,
    }.get(view.round.phase, _between)
    return due(view, local)


def _between(view: View, local: Local) -> Step | Wait:
    task, rules = view.task, view.task.rules
    if task.status is not TaskStatus.Open:
        return Wait("the task has ended")
    if task.round >= rules.max_rounds:
        return Wait("all rounds of the task are done")
    if task.consecutive_voids >= rules.max_consecutive_voids:
        return Wait("too many rounds in a row were void: the task is over")
    needed = max(rules.min_updates, 2)
    if task.enrolled < needed:
        return Wait(f"{task.enrolled} workers are enrolled, {needed} are needed")
    return Step.OPEN_ROUND


def _training(view: View, local: Local) -> Step | Wait:
    in_time = view.now <= view.round.deadline
    if in_time and _takes_part(view) and view.enrolment.update_round != view.round.round:
        if view.round.updates < view.task.rules.max_updates and Step.SUBMIT_UPDATE not in local.declined:
            return Step.SUBMIT_UPDATE
    if not in_time or view.round.updates >= min(view.round.enrolled, view.task.rules.max_updates):
        return Step.CLOSE_TRAINING
    return Wait("other workers are training", until=view.round.deadline + 1)


def _sortition(view: View, local: Local) -> Step | Wait:
    if local.unpublished:
        return Step.PUBLISH_UPDATE
    if not any(view.round.seed):
        if view.block > view.round.seed_block or view.now > view.round.deadline:
            return Step.FIX_SEED
        return Wait("the seed block is not there yet", until=view.round.deadline + 1, block=view.round.seed_block + 1)
    in_time = view.now <= view.round.deadline
    if in_time and may_claim(view, local.output) and local.lower_claims < view.task.rules.max_seats:
        if Step.CLAIM_SEAT not in local.declined:
            return Step.CLAIM_SEAT
    if not in_time or view.round.claims >= view.round.enrolled:
        return Step.CLOSE_SORTITION
    return Wait("members are claiming seats", until=view.round.deadline + 1)


def _aggregation(view: View, local: Local) -> Step | Wait:
    if view.now > view.round.deadline:
        return Step.ADVANCE
    if seat_of(view.round, local.address) == view.round.attempt and Step.PROPOSE not in local.declined:
        return Step.PROPOSE
    return Wait("the proposer is aggregating", until=view.round.deadline + 1)


def _validation(view: View, local: Local) -> Step | Wait:
    seat = seat_of(view.round, local.address)
    in_time = view.now <= view.round.deadline
    may_vote = seat is not None and seat != view.round.attempt and not view.round.seats[seat].voted
    if in_time and may_vote and Step.VOTE not in local.declined:
        return Step.VOTE
    if not in_time or _decided(view.round):
        return Step.CLOSE_VALIDATION
    return Wait("members are voting", until=view.round.deadline + 1)


def _reveal(view: View, local: Local) -> Step | Wait:
    if view.now > view.round.deadline:
        return Step.ADVANCE
    if local.knows_inner and Step.REVEAL not in local.declined:
        return Step.REVEAL
    return Wait("somebody who computed the proposal reveals", until=view.round.deadline + 1)


def _takes_part(view: View) -> bool:
    return view.enrolment.enrolled and view.enrolment.from_round <= view.round.round


def may_claim(view: View, output: int | None) -> bool:
    """Whether the contract would take a claim with this output (None: not known) while SORTITION is open."""
    if output is None or output > view.round.threshold or view.round.claims >= MAX_CLAIMS:
        return False
    return view.enrolment.counting and not view.enrolment.claimed


def _decided(current: RoundView) -> bool:
    seats = len(current.seats)
    everyone = current.approvals + current.rejections >= seats
    return everyone or seats - current.rejections < current.quorum


def seat_of(current: RoundView, member: Address) -> int | None:
    """Return the number of a member's seat, or None. Attempt n is seat n's to propose."""
    return next((number for number, seat in enumerate(current.seats) if seat.member == member), None)
