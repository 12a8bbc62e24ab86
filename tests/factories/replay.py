"""Replaying a task's record for another chain: the same seeds and update contents, under other names.

What an update says is bound to its chain, contract, task, round and sender by 32 bytes in its header. Here each
recorded update is taken out of its header and put under that of another chain's task and worker, as if those had made
it; all else is computed again from the recorded seeds. That the models are the recorded ones, CID by CID, shows that a
model depends on the seeds, the updates' contents and their weights, and on nothing else that a chain supplies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from flare_offchain.compression.codec import frame, unframe
from flare_offchain.core.errors import RoundAbandoned
from flare_offchain.core.records import TaskHistory
from flare_offchain.core.types import Address, ContentId
from flare_offchain.federation.gather import TaskObjects, round_inputs
from flare_offchain.federation.report import Report, worker_key
from flare_offchain.federation.round import RoundInputs, aggregate_round
from flare_offchain.federation.update import TaskIdentity, update_context
from flare_offchain.storage.cid import content_id
from flare_offchain.storage.provider import StorageProvider


@dataclass(frozen=True, slots=True)
class ReplayedRound:
    """A round as it ends on the other chain: its update objects there, its model and its report."""

    round: int
    updates: tuple[ContentId, ...]
    model: ContentId
    report: Report


def replay(
    recorded: TaskIdentity,
    task: TaskHistory,
    objects: TaskObjects,
    there: TaskIdentity,
    workers: Mapping[Address, Address],
    store: StorageProvider,
) -> Iterator[ReplayedRound]:
    """Compute the finalized rounds of a task again for another chain, each on the model of the one before.

    Args:
        recorded: the task as its record names it.
        task: its history.
        objects: where its objects are.
        there: the task on the other chain.
        workers: who takes each recorded worker's place.
        store: takes the other chain's objects, and gives the base models.

    Raises:
        RoundAbandoned: an object of the record cannot be had.
    """
    base = task.genesis
    store.put(objects.store.get(base))
    for _, history in sorted(task.rounds.items()):
        if history.final_proposal is None:
            continue
        made = _round(round_inputs(recorded, task, history, objects), base, there, workers, store)
        yield made
        base = made.model


def _round(
    inputs: RoundInputs,
    base: ContentId,
    there: TaskIdentity,
    workers: Mapping[Address, Address],
    store: StorageProvider,
) -> ReplayedRound:
    moved, data = [], {}
    for update in inputs.updates:
        original = inputs.objects.get(update.index)
        if original is None:
            raise RoundAbandoned(f"round {inputs.round}: update {update.index} of the record cannot be had")
        mine = update_context(inputs.task, inputs.round, update.worker, inputs.base_id.digest)
        theirs = update_context(there, inputs.round, workers[update.worker], base.digest)
        data[update.index] = frame(theirs, unframe(original, mine))
        named = store.put(data[update.index])
        moved.append(replace(update, worker=workers[update.worker], content_id=named))
    elsewhere = replace(
        inputs,
        task=there,
        base_id=base,
        base=TaskObjects(store).model(base),
        updates=tuple(moved),
        objects=data,
        standings={
            worker_key(workers[worker]): inputs.standings[worker_key(worker)]
            for worker in workers
            if worker_key(worker) in inputs.standings
        },
    )
    result = aggregate_round(elsewhere)
    store.put(result.model)
    return ReplayedRound(
        inputs.round, tuple(u.content_id for u in moved), content_id(result.model), Report.decode(result.report)
    )
