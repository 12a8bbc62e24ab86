"""The fold: decoded events in chain order become the history of a task.

One fold serves the workers, the command line and the auditor. It trusts the order and the decoding of the events
and nothing else: an event that cannot follow from the ones before raises `InconsistentHistory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from flare_offchain.core.claims import unpack_claims
from flare_offchain.core.errors import InconsistentHistory, MalformedObject
from flare_offchain.core.phases import Fault, Phase, RejectReason, VoidReason
from flare_offchain.core.records import (
    ClaimRecord,
    ClosingRecord,
    CreditRecord,
    EventLike,
    FineRecord,
    OpeningRecord,
    ProposalRecord,
    RoundHistory,
    SeedRecord,
    TaskHistory,
    UpdateRecord,
    VoteRecord,
)
from flare_offchain.core.types import Address, ContentId


def content_id(value: object) -> ContentId:
    """Return the content id of an event's (digest, size) tuple or mapping."""
    if isinstance(value, ContentId):
        return value
    if isinstance(value, Mapping):
        return ContentId(bytes(value["digest"]), int(value["size"]))
    digest, size = cast(tuple[bytes, int], value)
    return ContentId(bytes(digest), int(size))


class HistoryFold:
    """Folds the events of one coordinator into the histories of its tasks, incrementally.

    Args:
        only: the task to fold; all of them if None.
        kept: how many rounds of a task are held (`TaskHistory.forget`); all of them if None.
    """

    def __init__(self, *, only: int | None = None, kept: int | None = None) -> None:
        self.tasks: dict[int, TaskHistory] = {}
        self._only, self._kept = only, kept

    def extend(self, events: Iterable[EventLike]) -> HistoryFold:
        """Fold more events, in chain order. Events of names that no history needs are passed over."""
        for event in events:
            handler = _HANDLERS.get(event.name)
            if handler is None:
                continue
            arguments = cast(Mapping[str, Any], event.arguments)
            if self._only is not None and int(arguments["taskId"]) != self._only:
                continue
            if event.name == "TaskCreated":
                _create(self.tasks, arguments, event)
                continue
            task = self.tasks.get(int(arguments["taskId"]))
            if task is None:
                raise InconsistentHistory(
                    f"{event.name} in block {event.block} names task {arguments['taskId']}, never created"
                )
            handler(task, arguments, event)
            if self._kept is not None and event.name == "RoundOpened":
                task.forget(self._kept)
        return self


def _create(tasks: dict[int, TaskHistory], a: Mapping[str, Any], at: EventLike) -> None:
    task_id = int(a["taskId"])
    if task_id in tasks:
        raise InconsistentHistory(f"task {task_id} is created twice (block {at.block})")
    rules = a["rules"]
    tasks[task_id] = TaskHistory(
        task_id, Address(a["owner"]), content_id(a["spec"]), content_id(a["genesis"]), dict(rules), at.block
    )


def _round(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> RoundHistory:
    number = int(a["round"])
    found = task.rounds.get(number)
    if found is None:
        raise InconsistentHistory(f"block {at.block} records something of round {number}, which was never opened")
    return found


def _fund(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    task.fundings.append((int(a["amount"]), at.block))


def _enrolled(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    worker, number = Address(a["worker"]), int(a["number"])
    if task.numbers.setdefault(number, worker) != worker:
        raise InconsistentHistory(f"{task.numbers[number]} and {worker} have the same number (block {at.block})")
    task.enrolments.append((worker, int(a["fromRound"]), at.block))


def _departed(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    task.departures.append((Address(a["worker"]), int(a["afterRound"]), at.block))


def _ended(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    task.ended, task.remainder = True, int(a["remainder"])


def _withdrawn(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    task.withdrawals.append((Address(a["worker"]), int(a["amount"])))


def _opened(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    number = int(a["round"])
    if number != task.opened + 1:
        raise InconsistentHistory(f"round {number} is opened after round {task.opened} (block {at.block})")
    task.rounds[number] = RoundHistory(
        number, int(a["enrolled"]), bytes(a["baseModelDigest"]), at.block, int(a["deadline"])
    )


def _submitted(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.updates.append(
        UpdateRecord(
            len(found.updates),
            Address(a["worker"]),
            ContentId(bytes(a["digest"]), int(a["size"])),
            int(a["sampleCount"]),
            at.block,
        )
    )


def _training_closed(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.phase = Phase.Sortition
    found.seed_blocks.append(int(a["seedBlock"]))


def _seed_moved(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    _round(task, a, at).seed_blocks.append(int(a["seedBlock"]))


def _seed_fixed(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    if not found.seed_blocks:
        raise InconsistentHistory(f"the seed of round {found.number} is fixed before TRAINING closed")
    found.seed = SeedRecord(
        bytes(a["previousSeed"]),
        bytes(a["blockHash"]),
        found.seed_blocks[-1],
        bytes(a["seed"]),
        int(a["threshold"]),
        at.block,
    )


def _claimed(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    try:
        claims = unpack_claims(bytes(a["claims"]))
    except MalformedObject as error:
        raise InconsistentHistory(f"block {at.block}: {error}") from error
    strangers = sorted({claim.number for claim in claims} - task.numbers.keys())
    if strangers:
        raise InconsistentHistory(f"participants {strangers} claim in block {at.block} and never enrolled")
    event = found.claims[-1].event + 1 if found.claims else 0
    found.claims += [ClaimRecord(task.numbers[c.number], c, at.block, at.transaction_hash, event) for c in claims]


def _widened(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.widened_threshold, found.widened_block = int(a["threshold"]), at.block


def _sortition_closed(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.phase = Phase.Aggregation
    found.seats_at_close, found.quorum = int(a["seats"]), int(a["quorum"])
    found.closing_transaction = at.transaction_hash


def _attempt(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.phase = Phase.Aggregation
    found.proposers[int(a["attempt"])] = Address(a["proposer"])
    found.window_deadlines[int(a["attempt"])] = int(a["deadline"])


def _proposal(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    attempt = int(a["attempt"])
    found.phase = Phase.Validation
    found.vote_deadlines[attempt] = int(a["deadline"])
    found.proposals[attempt] = ProposalRecord(
        Address(a["proposer"]),
        attempt,
        content_id(a["model"]),
        content_id(a["report"]),
        bytes(a["acceptedBitmap"]),
        int(a["acceptedWeight"]),
        bytes(a["commitment"]),
        at.block,
    )


def _vote(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    _round(task, a, at).votes.append(
        VoteRecord(
            Address(a["member"]),
            int(a["attempt"]),
            bool(a["approved"]),
            bytes(a["commitment"]),
            RejectReason(int(a["reason"])),
            at.block,
        )
    )


def _closed(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.phase = Phase.Reveal
    attempt = int(a["attempt"])
    found.closings[attempt] = ClosingRecord(attempt, int(a["approvals"]), int(a["rejections"]), at.block)


def _opening(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    attempt = int(a["attempt"])
    _round(task, a, at).openings[attempt] = OpeningRecord(
        Address(a["revealer"]), attempt, bytes(a["inner"]), int(a["matching"]), at.block
    )


def _failed(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    _round(task, a, at).failed_attempts.append(int(a["attempt"]))


def _finalized(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.phase = Phase.Finalized
    found.final_model = ContentId(bytes(a["modelDigest"]), int(a["modelSize"]))
    found.final_attempt, found.reward, found.ended_block = int(a["attempt"]), int(a["reward"]), at.block


def _voided(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    found = _round(task, a, at)
    found.phase, found.ended_block = Phase.Void, at.block
    found.void_reason = VoidReason(int(a["reason"]))


def _fined(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    _round(task, a, at).fines.append(
        FineRecord(Address(a["member"]), int(a["attempt"]), Fault(int(a["fault"])), int(a["amount"]), at.block)
    )


def _credited(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    _round(task, a, at).credits.append(CreditRecord(Address(a["worker"]), int(a["amount"]), at.block))


def _struck(task: TaskHistory, a: Mapping[str, Any], at: EventLike) -> None:
    _round(task, a, at).strikes.append(Address(a["worker"]))


_HANDLERS: dict[str, Callable[[TaskHistory, Mapping[str, Any], EventLike], None]] = {
    "TaskCreated": lambda task, arguments, at: None,
    "TaskFunded": _fund,
    "TaskEnded": _ended,
    "WorkerEnrolled": _enrolled,
    "EnrolmentEnded": _departed,
    "RewardsWithdrawn": _withdrawn,
    "RoundOpened": _opened,
    "UpdateSubmitted": _submitted,
    "TrainingClosed": _training_closed,
    "SeedBlockMoved": _seed_moved,
    "SeedFixed": _seed_fixed,
    "SeatsClaimed": _claimed,
    "SortitionWidened": _widened,
    "SortitionClosed": _sortition_closed,
    "AttemptOpened": _attempt,
    "ProposalMade": _proposal,
    "VoteCast": _vote,
    "ValidationClosed": _closed,
    "CommitmentOpened": _opening,
    "AttemptFailed": _failed,
    "RoundFinalized": _finalized,
    "RoundVoided": _voided,
    "MemberFined": _fined,
    "RewardCredited": _credited,
    "UpdateStruck": _struck,
}
