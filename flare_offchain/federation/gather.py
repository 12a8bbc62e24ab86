"""From a task's history and a store to the inputs of one round.

Workers and the auditor gather a round's objects with the same function; each object is checked against the content id
that the chain recorded before anything reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

from flare_offchain.compression.codec import max_update_bytes
from flare_offchain.core.errors import (
    FlareError,
    IntegrityError,
    MalformedObject,
    ObjectNotFound,
    RoundAbandoned,
    StorageUnavailable,
)
from flare_offchain.core.records import RoundHistory, TaskHistory, UpdateRecord
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.core.types import ContentId
from flare_offchain.federation.aggregation.registry import STRATEGIES
from flare_offchain.federation.aggregation.standing import Standing
from flare_offchain.federation.decoding import DecodedUpdates
from flare_offchain.federation.report import MAX_REPORT_BYTES, Report
from flare_offchain.federation.round import ProbePool, RoundInputs
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.storage.provider import StorageProvider
from flare_offchain.utils.serialization import read_model


class TaskObjects:
    """The objects of a task that every round needs: spec, probe pool, newest base model. Cached by content id."""

    def __init__(self, store: StorageProvider) -> None:
        self.store = store
        self._spec: tuple[ContentId, TaskSpec] | None = None
        self._pool: tuple[ContentId, ProbePool] | None = None
        self._model: tuple[ContentId, Weights] | None = None
        self.decoder = DecodedUpdates()

    def spec(self, content_id: ContentId) -> TaskSpec:
        """Return the task's spec."""
        if self._spec is None or self._spec[0] != content_id:
            self._spec = content_id, TaskSpec.decode(self.store.get(content_id))
        return self._spec[1]

    def pool(self, spec: TaskSpec) -> ProbePool | None:
        """Return the task's probe pool, or None where its rule needs none."""
        if spec.probe is None:
            return None
        if self._pool is None or self._pool[0] != spec.probe.pool:
            self._pool = spec.probe.pool, ProbePool.decode(self.store.get(spec.probe.pool))
        return self._pool[1]

    def model(self, content_id: ContentId) -> Weights:
        """Return a model."""
        if self._model is None or self._model[0] != content_id:
            self._model = content_id, read_model(self.store.get(content_id))
        return self._model[1]

    def standings(self, spec: TaskSpec, report: ContentId | None) -> Mapping[bytes, Standing]:
        """Return the workers' standings in a report; none where there is no report or the task's rule has no memory."""
        if report is None or not STRATEGIES[spec.aggregation.name].remembers:
            return {}
        return Report.decode(self.store.get(report, max_bytes=MAX_REPORT_BYTES)).standings

    @property
    def held(self) -> tuple[ContentId, Weights] | None:
        """The model that was read last, with its content id."""
        return self._model

    def hold(self, content_id: ContentId, weights: Weights) -> None:
        """Keep a model that the caller has computed and whose bytes have that content id."""
        self._model = content_id, weights

    def state(self, task: TaskHistory, number: int) -> bytes | None:
        """Return what the server optimiser remembered before round `number`: None before the first finalized round.

        Raises:
            FlareError: the newest finalized report or the state that it names cannot be had, or there is none in it.
        """
        report = task.newest_report(number)
        if report is None:
            return None
        named = Report.decode(self.store.get(report, max_bytes=MAX_REPORT_BYTES)).state
        if named is None:
            raise MalformedObject("the newest finalized report names no state of the server optimiser")
        return self.store.get(named)

    def fetch_updates(self, updates: list[UpdateRecord], schema: ModelSchema) -> Mapping[int, bytes | None]:
        """Fetch the objects of a round's updates.

        None where the store does not have one that verifies, or where it is larger than any update of the model: its
        size is on chain, so everybody leaves it out without reading it.
        """
        limit = max_update_bytes(schema)
        return {u.index: self.fetch(u.content_id) if u.content_id.size <= limit else None for u in updates}

    def fetch(self, content_id: ContentId) -> bytes | None:
        """Return an object, or None where the store does not have it whole and unaltered."""
        try:
            return self.store.get(content_id)
        except (ObjectNotFound, IntegrityError):
            return None


def round_inputs(
    identity: TaskIdentity, task: TaskHistory, round_history: RoundHistory, objects: TaskObjects
) -> RoundInputs:
    """Gather everything that a round's result depends on.

    Raises:
        RoundAbandoned: the seed is not fixed, or spec, pool, base model or the report before cannot be had.
        StorageUnavailable: the store itself did not answer (worth trying again).
    """
    if round_history.seed is None:
        raise RoundAbandoned(f"round {round_history.number} has no seed yet")
    base_id = task.base_model(round_history.number)
    try:
        spec = objects.spec(task.spec)
        pool = objects.pool(spec)
        base = objects.model(base_id)
        state = None if spec.server is None else objects.state(task, round_history.number)
        standings = objects.standings(spec, task.newest_report(round_history.number))
    except StorageUnavailable:
        raise
    except FlareError as error:
        raise RoundAbandoned(f"round {round_history.number} cannot be computed: {error}") from error
    return RoundInputs(
        task=identity,
        round=round_history.number,
        spec=spec,
        base_id=base_id,
        base=base,
        seed=round_history.seed.seed,
        updates=tuple(round_history.updates),
        sample_cap=int(task.rules["sampleCap"]),
        objects=objects.fetch_updates(round_history.updates, ModelSchema.of(base)),
        pool=pool,
        state=state,
        decoder=objects.decoder,
        standings=standings,
    )
