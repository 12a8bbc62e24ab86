"""What happened, as plain records: one mapping a round, update, seat, proposal, vote, fine and reward.

`flare show` prints them as JSON lines or lays them out in tables. Everything comes from a task's history; scores and
reasons come from a report, which says why its proposer decided as it did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flare_offchain.core.phases import Phase, RejectReason
from flare_offchain.core.records import ProposalRecord, RoundHistory, TaskHistory, UpdateRecord
from flare_offchain.core.types import Address
from flare_offchain.federation.report import MALFORMED, UNAVAILABLE, USED, Report, worker_key
from flare_offchain.storage.cid import cid_string

Record = dict[str, Any]

STATUS_TEXT = {
    USED: "the committee could fetch and decode it",
    UNAVAILABLE: "the committee could not fetch its object: it was not published, or not kept, in time",
    MALFORMED: "its object is no canonical update of this task, round, worker and base model",
}
REASON_TEXT = {
    "accepted": "it is in the aggregate",
    "distance": "its weights lie too far from those of the other updates, or point against the reference",
    "low_information": "what it does to the probe says too little of the labels, or of what the other updates do, "
    "in this round or over its worker's last ones",
    "noise": "nothing in it is like the other updates",
    "not_selected": "the rule takes a fixed number of updates, and others came first",
    "outlier_norm": "its norm is 0, or beyond what clipping can bring back",
}


def task_record(task: TaskHistory) -> Record:
    """Return a task without its rounds."""
    enrolled = {worker for worker, _, _ in task.enrolments}
    return {
        "event": "task",
        "task": task.task_id,
        "owner": task.owner,
        "status": "ENDED" if task.ended else "OPEN",
        "rounds": len(task.rounds),
        "workers": len(enrolled),
        "funded_wei": str(task.funded),
        "rewards_wei": str(sum(r.reward for r in task.rounds.values())),
        "spec_cid": cid_string(task.spec),
        "genesis_cid": cid_string(task.genesis),
        "model_cid": cid_string(task.base_model(len(task.rounds) + 1)),
        "rules": dict(task.rules),
    }


def round_record(task: TaskHistory, history: RoundHistory) -> Record:
    """Return a round without what it holds."""
    final = history.final_proposal
    return {
        "event": "round",
        "task": task.task_id,
        "round": history.number,
        "phase": history.phase.name.rstrip("_").upper(),
        "reason": history.void_reason.name if history.phase is Phase.Void else "",
        "enrolled": history.enrolled,
        "updates": len(history.updates),
        "accepted": None if final is None else sum(final.accepts(u.index) for u in history.updates),
        "seats": len(history.committee),
        "quorum": history.quorum,
        "attempts": len(history.proposers),
        "fines": len(history.fines),
        "reward_wei": str(history.reward),
        "seed": None if history.seed is None else history.seed.seed.hex(),
        "base_model_cid": cid_string(task.base_model(history.number)),
        "model_cid": cid_string(task.base_model(history.number + 1)),
    }


def update_record(task: TaskHistory, history: RoundHistory, update: UpdateRecord, report: Report | None) -> Record:
    """Return an update; with a report also its status, and its verdict where it could be used."""
    final = history.final_proposal
    record: Record = {
        "event": "update",
        "task": task.task_id,
        "round": history.number,
        "index": update.index,
        "worker": update.worker,
        "samples": update.sample_count,
        "weight": update.weight(int(task.rules["sampleCap"])),
        "bytes": update.content_id.size,
        "cid": cid_string(update.content_id),
        "accepted": None if final is None else final.accepts(update.index),
    }
    held = None if report is None else report.standings.get(worker_key(update.worker))
    return record | _verdict(report, update.index) | {"standing": None if held is None else held.value}


def _verdict(report: Report | None, index: int) -> Record:
    if report is None or index >= len(report.statuses):
        return {"status": None, "reason": None, "score": None, "margin": None, "multiplier": None}
    status = report.statuses[index]
    if status != USED:
        return {"status": status, "reason": status, "score": None, "margin": None, "multiplier": 0}
    verdict = report.plan.verdicts[report.used.index(index)]
    return {
        "status": status,
        "reason": verdict.reason,
        "score": verdict.score,
        "margin": verdict.margin,
        "multiplier": verdict.multiplier,
    }


def explanation(record: Mapping[str, Any]) -> str:
    """Say in one sentence what became of an update and why."""
    if record["status"] is None:
        return "no report of this round can be had, so nobody can say why"
    if record["status"] != USED:
        return f"not in the aggregate: {STATUS_TEXT[record['status']]}"
    verb = "accepted" if record["reason"] == "accepted" else "rejected"
    side = "below" if record["margin"] < 0 else "above"
    standing = "" if record["standing"] is None else f", standing {record['standing']:g}"
    numbers = f"score {record['score']:g}{standing}, {abs(record['margin']):g} {side} the cut"
    return f"{verb}: {REASON_TEXT[record['reason']]} ({numbers})"


def seat_records(history: RoundHistory) -> Iterator[Record]:
    """Yield the round's claims from the lowest up: first those that won the seats, then the others, without a seat."""
    seats = len(history.committee)
    for place, record in enumerate(sorted(history.claims, key=lambda record: record.claim)):
        yield {
            "event": "seat",
            "round": history.number,
            "seat": place if place < seats else None,
            "member": record.member,
            "number": record.number,
            "output_prefix": f"{record.claim.output_prefix:#026x}",
            "transaction": record.transaction.hex(),
        }


def proposal_records(history: RoundHistory) -> Iterator[Record]:
    """Yield the attempts, with the proposal where one was made."""
    for attempt, proposer in sorted(history.proposers.items()):
        proposal = history.proposals.get(attempt)
        closing, opening = history.closings.get(attempt), history.openings.get(attempt)
        yield {
            "event": "proposal",
            "round": history.number,
            "attempt": attempt,
            "proposer": proposer,
            "outcome": _attempt_outcome(history, attempt),
            "accepted": None if proposal is None else _accepted(history, proposal),
            "accepted_weight": None if proposal is None else proposal.accepted_weight,
            "approvals": None if closing is None else closing.approvals,
            "rejections": None if closing is None else closing.rejections,
            "matching": None if opening is None else opening.matching,
            "model_cid": None if proposal is None else cid_string(proposal.model),
            "report_cid": None if proposal is None else cid_string(proposal.report),
        }


def _accepted(history: RoundHistory, proposal: ProposalRecord) -> list[int]:
    return [update.index for update in history.updates if proposal.accepts(update.index)]


def _attempt_outcome(history: RoundHistory, attempt: int) -> str:
    if history.final_attempt == attempt:
        return "finalized"
    if attempt not in history.proposals:
        return "no proposal" if attempt in history.failed_attempts or history.phase.terminal else "awaited"
    closing = history.closings.get(attempt)
    if closing is None:
        return "in voting"
    if closing.rejections >= history.quorum or len(history.committee) - closing.rejections < history.quorum:
        return "rejected"
    if attempt in history.openings:
        return "no quorum"
    return "not opened" if attempt in history.failed_attempts or history.phase.terminal else "to be revealed"


def vote_records(history: RoundHistory) -> Iterator[Record]:
    """Yield the votes in the order in which they were cast."""
    for vote in history.votes:
        yield {
            "event": "vote",
            "round": history.number,
            "attempt": vote.attempt,
            "member": vote.member,
            "approved": vote.approved,
            "reason": "" if vote.reason is RejectReason.None_ else vote.reason.name,
        }


def fine_records(history: RoundHistory) -> Iterator[Record]:
    """Yield the fines."""
    for fine in history.fines:
        yield {
            "event": "fine",
            "round": history.number,
            "attempt": fine.attempt,
            "member": fine.member,
            "fault": fine.fault.name,
            "amount_wei": str(fine.amount),
        }


def reward_records(history: RoundHistory) -> Iterator[Record]:
    """Yield the credits: a member's when the round was finalized, a trainer's when it settled."""
    for credit in history.credits:
        yield {
            "event": "reward",
            "round": history.number,
            "worker": credit.worker,
            "amount_wei": str(credit.amount),
            "block": credit.block,
        }


def worker_records(task: TaskHistory, worker: Address) -> Iterator[Record]:
    """Yield what a worker did and got in each round in which it did or got anything."""
    for history in task.rounds.values():
        update = next((u for u in history.updates if u.worker == worker), None)
        seat = next((i for i, record in enumerate(history.committee) if record.member == worker), None)
        final = history.final_proposal
        record: Record = {
            "event": "worker round",
            "task": task.task_id,
            "round": history.number,
            "worker": worker,
            "update": None if update is None else update.index,
            "accepted": None if update is None or final is None else final.accepts(update.index),
            "seat": seat,
            "proposed": [a for a, p in sorted(history.proposals.items()) if p.proposer == worker],
            "votes": ["approve" if v.approved else v.reason.name for v in history.votes if v.member == worker],
            "fines": [fine.fault.name for fine in history.fines if fine.member == worker],
            "fined_wei": str(sum(fine.amount for fine in history.fines if fine.member == worker)),
            "reward_wei": str(sum(c.amount for c in history.credits if c.worker == worker)),
            "struck": worker in history.strikes,
        }
        if update is not None or seat is not None or record["fines"] or record["struck"]:
            yield record
