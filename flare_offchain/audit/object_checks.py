"""Checks of a round's objects, and the round's result computed again from them.

The auditor calls the functions that the committee calls (`flare_offchain.federation.round`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flare_offchain.audit.ledger import Ledger
from flare_offchain.consensus.identities import inner_hash
from flare_offchain.core.errors import FlareError, IntegrityError, MalformedObject, ObjectNotFound
from flare_offchain.core.phases import Phase, RejectReason
from flare_offchain.core.records import ProposalRecord, RoundHistory, TaskHistory
from flare_offchain.core.types import ContentId
from flare_offchain.federation.gather import TaskObjects, round_inputs
from flare_offchain.federation.report import USED, Report
from flare_offchain.federation.round import ProbePool, Proposed, check_proposal
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.storage.cid import cid_string
from flare_offchain.utils.serialization import read_model

Value = TypeVar("Value")
WHOLE = "an object hashes to its CID"


def fetch(ledger: Ledger, objects: TaskObjects, content_id: ContentId, number: int | None, name: str) -> bytes | None:
    """Fetch an object; a finding where its bytes are not those that its CID names. None where it cannot be had."""
    label = f"{name} {cid_string(content_id)}"
    try:
        data = objects.store.get(content_id)
    except IntegrityError as error:
        ledger.check(WHOLE, False, number, label, str(error))
        return None
    except ObjectNotFound:
        return None
    ledger.check(WHOLE, True, number, label)
    return data


def check_task_objects(ledger: Ledger, objects: TaskObjects, task: TaskHistory) -> TaskSpec | None:
    """Spec, genesis model and probe pool are there, whole and canonical."""
    spec: TaskSpec | None = None
    data = _needed(ledger, objects, task.spec, None, "spec")
    if data is not None:
        spec = _parsed(ledger, None, "spec", TaskSpec.decode, data)
    genesis = _needed(ledger, objects, task.genesis, None, "genesis model")
    if genesis is not None:
        _parsed(ledger, None, "genesis model", read_model, genesis)
    if spec is not None and spec.probe is not None:
        pool = _needed(ledger, objects, spec.probe.pool, None, "probe pool")
        if pool is not None:
            _parsed(ledger, None, "probe pool", ProbePool.decode, pool)
    return spec


def check_round_objects(
    ledger: Ledger, identity: TaskIdentity, objects: TaskObjects, task: TaskHistory, history: RoundHistory
) -> None:
    """Every update, report and model of a round; and the final model is what the updates give."""
    number = history.number
    updates = {
        update.index: fetch(ledger, objects, update.content_id, number, f"update {update.index}")
        for update in history.updates
        if history.seed is not None
    }
    for attempt, proposal in history.proposals.items():
        final = attempt == history.final_attempt
        _check_proposal(ledger, identity, objects, task, history, proposal, updates, final)
    if history.phase is Phase.Finalized and history.final_proposal is None:
        ledger.check("a final round has a proposal", False, number, "outcome", "no proposal is recorded")


def _check_proposal(
    ledger: Ledger,
    identity: TaskIdentity,
    objects: TaskObjects,
    task: TaskHistory,
    history: RoundHistory,
    proposal: ProposalRecord,
    updates: dict[int, bytes | None],
    final: bool,
) -> None:
    number, name = history.number, f"attempt {proposal.attempt}"
    get = _needed if final else fetch
    report_bytes = get(ledger, objects, proposal.report, number, f"report of {name}")
    model_bytes = get(ledger, objects, proposal.model, number, f"model of {name}")
    try:
        inputs = round_inputs(identity, task, history, objects)
    except FlareError as error:
        ledger.check("a round can be computed again", False, number, name, str(error))
        return
    proposed = Proposed(
        proposal.model,
        model_bytes,
        proposal.report,
        report_bytes,
        proposal.accepted_bitmap,
        proposal.accepted_weight,
    )
    if final and report_bytes is not None:
        _check_used(ledger, number, report_bytes, updates)
    found = check_proposal(inputs, proposed)
    if not final:
        verdict = "right" if found.approved else f"{found.reason.name}: {'; '.join(found.notes)}"
        ledger.note(f"round {number}: the proposal of {name} was not finalized; recomputed, it is {verdict}")
        return
    if found.reason is RejectReason.Unavailable:
        ledger.check("a final model's objects can be had", False, number, name, "; ".join(found.notes))
        return
    if report_bytes is not None:
        _check_state(ledger, objects, number, report_bytes, name)
    detail = f"{found.reason.name}: {'; '.join(found.notes)}"
    ledger.check("the final model is recomputed to its CID", found.approved, number, _label(proposal), detail)
    opening = history.openings.get(proposal.attempt)
    if found.sums_digest is not None and opening is not None:
        inner = inner_hash(proposal.attempt, found.sums_digest)
        ledger.equal("the revealed inner is that of the exact sums", opening.inner, inner, number, f"opening of {name}")


def _check_used(ledger: Ledger, number: int, report_bytes: bytes, updates: dict[int, bytes | None]) -> None:
    """Each update that the report used can still be had."""
    try:
        report = Report.decode(report_bytes)
    except MalformedObject:
        return
    for index, status in enumerate(report.statuses):
        if status == USED:
            there = updates.get(index) is not None
            ledger.check("a used update can be had", there, number, f"update {index}", "missing or altered")


def _check_state(ledger: Ledger, objects: TaskObjects, number: int, report_bytes: bytes, name: str) -> None:
    """The server optimiser's state after a final round can be had; whether it is right, the model's check covers."""
    try:
        state = Report.decode(report_bytes).state
    except MalformedObject:
        return
    if state is not None:
        _needed(ledger, objects, state, number, f"server optimiser's state of {name}")


def _label(proposal: ProposalRecord) -> str:
    return f"model {cid_string(proposal.model)}"


def _needed(ledger: Ledger, objects: TaskObjects, content_id: ContentId, number: int | None, name: str) -> bytes | None:
    before = len(ledger.findings)
    data = fetch(ledger, objects, content_id, number, name)
    if data is None and len(ledger.findings) == before:
        ledger.check("an object can be had", False, number, f"{name} {cid_string(content_id)}", "no store has it")
    return data


def _parsed(ledger: Ledger, number: int | None, name: str, read: Callable[[bytes], Value], data: bytes) -> Value | None:
    try:
        value = read(data)
    except MalformedObject as error:
        ledger.check("an object is canonical", False, number, name, str(error))
        return None
    ledger.check("an object is canonical", True, number, name)
    return value
