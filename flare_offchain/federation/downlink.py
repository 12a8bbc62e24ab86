"""The newest model for a worker that has an older one: by the updates that made it, where those are fewer bytes.

A finalized model is the older one plus the exact sum of a round's updates by the published plan. All of that is on
record already: a worker that holds the older model fetches the report and the updates that the plan judges, combines
them with the committee's own function, and has the model when the bytes have the content id that the chain recorded.
Nothing is published for it, and every round's whole model stays in the store as a snapshot: whatever is missing,
malformed or does not give the recorded content id leads to the whole model, which is checked as ever.
"""

from __future__ import annotations

import logging

from flare_offchain.compression.codec import max_update_bytes
from flare_offchain.core.errors import FlareError, MalformedObject, RoundAbandoned
from flare_offchain.core.records import ProposalRecord, RoundHistory, TaskHistory
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.core.types import ContentId
from flare_offchain.federation.gather import TaskObjects
from flare_offchain.federation.report import MAX_REPORT_BYTES, Report
from flare_offchain.federation.round import RoundInputs, follow_report
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.serialization import read_model

logger = logging.getLogger(__name__)

_Step = tuple[RoundHistory, ProposalRecord]


def newest_model(identity: TaskIdentity, task: TaskHistory, wanted: ContentId, objects: TaskObjects) -> Weights:
    """Return a model, from the one that `objects` holds if that takes fewer bytes, else whole.

    Args:
        identity: the task.
        task: its history up to the round that made the model.
        wanted: the model's content id, as the chain records it.
        objects: the worker's objects; `objects.held` is where a way by updates may begin, and becomes the model.

    Raises:
        FlareError: the whole model cannot be had either (see `TaskObjects.model`).
    """
    # What a server optimiser remembers is larger than the model: there the way by updates never takes fewer bytes.
    steps = [] if objects.spec(task.spec).server is not None else _way(task, objects.held, wanted)
    if steps and _price(steps) < wanted.size:
        try:
            for round_history, final in steps:
                objects.hold(*_step(identity, task, round_history, final, objects))
        except FlareError as error:
            # A network store cannot tell an object that is gone from one that is late: the snapshot decides.
            logger.info("the model is fetched whole, its updates cannot be combined: %s", error)
    return objects.model(wanted)


def _way(task: TaskHistory, held: tuple[ContentId, Weights] | None, wanted: ContentId) -> list[_Step]:
    """Return the finalized rounds that lead from the held model to the wanted one; none if they do not."""
    if held is None:
        return []
    steps: list[_Step] = []
    goal = wanted
    for _, round_history in sorted(task.rounds.items(), reverse=True):
        final = round_history.final_proposal
        if final is None or (not steps and round_history.final_model != goal):
            continue
        if round_history.final_model != goal:
            return []
        steps.insert(0, (round_history, final))
        goal = task.base_model(round_history.number)
        if goal == held[0]:
            return steps
    return []


def _price(steps: list[_Step]) -> int:
    """Return a bound on the bytes that the way takes: every report and every update."""
    return sum(final.report.size + sum(u.content_id.size for u in found.updates) for found, final in steps)


def _step(
    identity: TaskIdentity, task: TaskHistory, found: RoundHistory, final: ProposalRecord, objects: TaskObjects
) -> tuple[ContentId, Weights]:
    """Return the model that a finalized round made of the held one."""
    if found.seed is None or objects.held is None:
        raise RoundAbandoned(f"round {found.number} cannot be followed: its seed or its base model is missing")
    if final.report.size > MAX_REPORT_BYTES:
        raise MalformedObject(f"the report of round {found.number} is too large")
    base_id, base = objects.held
    schema = ModelSchema.of(base)
    data = objects.store.get(final.report)
    used = set(Report.decode(data).used)
    limit = max_update_bytes(schema)
    inputs = RoundInputs(
        task=identity,
        round=found.number,
        spec=objects.spec(task.spec),
        base_id=base_id,
        base=base,
        seed=found.seed.seed,
        updates=tuple(found.updates),
        sample_cap=int(task.rules["sampleCap"]),
        objects={
            u.index: objects.store.get(u.content_id)
            for u in found.updates
            if u.index in used and u.content_id.size <= limit
        },
        pool=None,
    )
    model = follow_report(inputs, data)
    if content_id(model) != found.final_model:
        raise MalformedObject(f"the updates of round {found.number} do not give the model that was finalized")
    return content_id(model), read_model(model, schema)
