"""One round's result, computed from the chain's records and the objects they name.

`aggregate_round` is what a proposer runs, `check_proposal` what a validator runs, and the auditor calls the same two.
Both are pure: no chain, no store, no clock. What comes in was fetched and checked against its content id before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.core.errors import MalformedObject, NoAcceptableUpdate
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.records import UpdateRecord
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.core.types import ContentId
from flare_offchain.federation.aggregation.plan import Plan
from flare_offchain.federation.aggregation.registry import strategy_from_spec
from flare_offchain.federation.aggregation.standing import Standing
from flare_offchain.federation.aggregation.strategy import AggregationStrategy, SelectionRequest
from flare_offchain.federation.decoding import DecodedUpdates
from flare_offchain.federation.exact_sum import average_step, move
from flare_offchain.federation.probe import Probe, draw_probe
from flare_offchain.federation.report import MALFORMED, UNAVAILABLE, USED, Report, bitmap_of, worker_key
from flare_offchain.federation.server_optimiser import ServerOptimiser, server_optimiser
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.federation.update import TaskIdentity, update_context
from flare_offchain.models.forward import IN_PROCESS, Forwards
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.serialization import read_model, read_safetensors, write_model

MAX_MODEL_BYTES = 2**31
MAX_POOL_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class ProbePool:
    """The pool that probes are drawn from: features float32 [N, …] and labels int64 [N]."""

    features: np.ndarray
    labels: np.ndarray

    @classmethod
    def decode(cls, data: bytes) -> ProbePool:
        """Read a pool object; raise `MalformedObject` unless it has finite features and one label for each."""
        tensors = read_safetensors(data, max_bytes=MAX_POOL_BYTES)
        if set(tensors) != {"features", "labels"}:
            raise MalformedObject("a probe pool has the tensors features and labels")
        features, labels = tensors["features"], tensors["labels"]
        if features.dtype != np.float32 or labels.dtype != np.int64 or labels.ndim != 1:
            raise MalformedObject("a probe pool has float32 features and int64 labels")
        if len(features) != len(labels) or not len(labels) or not np.isfinite(features).all() or labels.min() < 0:
            raise MalformedObject("a probe pool has one label, not negative, for each finite sample")
        return cls(features, labels)

    def draw(self, seed: bytes, count: int) -> Probe:
        """Return the round's probe: `count` samples, chosen by the seed."""
        indices = draw_probe(seed, len(self.labels), min(count, len(self.labels)))
        return Probe(self.features[indices], self.labels[indices])


@dataclass(frozen=True, slots=True)
class RoundInputs:
    """All that a round's result depends on.

    `objects[i]` is the checked object of update i, or None where no store has it. `state` is the checked object of what
    the task's server optimiser remembered before the round; None before the first finalized round, and where the task
    has no server optimiser. `decoder` may be shared. `forwards` says where
    logits are computed: it does not show in them.
    `standings` are those of the newest report that was finalized before, by `worker_key`; empty where there is none or
    the rule does not remember.
    """

    task: TaskIdentity
    round: int
    spec: TaskSpec
    base_id: ContentId
    base: Weights
    seed: bytes
    updates: tuple[UpdateRecord, ...]
    sample_cap: int
    objects: Mapping[int, bytes | None]
    pool: ProbePool | None
    state: bytes | None = None
    decoder: DecodedUpdates = field(default_factory=DecodedUpdates, repr=False, compare=False)
    standings: Mapping[bytes, Standing] = field(default_factory=dict)
    forwards: Forwards = field(default=IN_PROCESS, repr=False, compare=False)

    @property
    def schema(self) -> ModelSchema:
        """The names and shapes of the task's tensors."""
        return ModelSchema.of(self.base)

    def decode_updates(self) -> tuple[list[str], dict[int, DecodedUpdate]]:
        """Return the status of each update, and the decoded form of those that can be used."""
        schema = self.schema
        self.decoder.turn_to((self.task, self.round))
        statuses: list[str] = []
        decoded: dict[int, DecodedUpdate] = {}
        for update in self.updates:
            data = self.objects.get(update.index)
            if data is None:
                statuses.append(UNAVAILABLE)
                continue
            context = update_context(self.task, self.round, update.worker, self.base_id.digest)
            try:
                decoded[update.index] = self.decoder.decode(data, schema, context)
            except MalformedObject:
                statuses.append(MALFORMED)
            else:
                statuses.append(USED)
        return statuses, decoded

    def request(self, indices: list[int], decoded: Mapping[int, DecodedUpdate]) -> SelectionRequest:
        """Return what an aggregation strategy selects from: the updates at `indices`, in that order."""
        probe = None
        if self.pool is not None and self.spec.probe is not None:
            probe = self.pool.draw(self.seed, self.spec.probe.count)
        return SelectionRequest(
            updates=[decoded[i] for i in indices],
            sample_weights=[self.updates[i].weight(self.sample_cap) for i in indices],
            base=self.base,
            schema=self.schema,
            forward=self.forwards.one(self.spec.model.name, self.spec.model.parameters),
            probe=probe,
            forward_many=self.forwards.many(self.spec.model.name, self.spec.model.parameters),
            standings=[self._standing(i) for i in indices],
        )

    def _standing(self, index: int) -> Standing:
        return self.standings.get(worker_key(self.updates[index].worker), Standing())

    def standings_after(self, strategy: AggregationStrategy, plan: Plan, used: list[int]) -> dict[bytes, Standing]:
        """Return all workers' standings after a plan that judges the updates `used`."""
        changed = strategy.remember([self._standing(i) for i in used], plan)
        keys = [worker_key(self.updates[i].worker) for i in used]
        return dict(self.standings) | dict(zip(keys, changed, strict=False))

    def strategy(self) -> AggregationStrategy:
        """Return the task's aggregation rule."""
        return strategy_from_spec(self.spec.aggregation.name, self.spec.aggregation.parameters)

    def server(self) -> ServerOptimiser | None:
        """Return the task's server optimiser, if it has one."""
        named = self.spec.server
        return None if named is None else server_optimiser(named.name, named.parameters)


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a proposer proposes: two objects, the accepted set and the digest that only those who computed it know."""

    model: bytes
    report: bytes
    accepted: tuple[int, ...]
    accepted_bitmap: bytes
    accepted_weight: int
    sums_digest: bytes
    state: bytes | None = None
    """What the server optimiser remembers after the round: an object of its own, which the report names."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal as a validator sees it. An object that could not be had is None."""

    model_id: ContentId
    model: bytes | None
    report_id: ContentId
    report: bytes | None
    accepted_bitmap: bytes
    accepted_weight: int


@dataclass(frozen=True, slots=True)
class ProposalCheck:
    """A validator's finding: approve where `reason` is `None_`; `notes` say why not, for people.

    `state` is the recomputed state of the server optimiser, where the proposal is approved and the task has one.
    """

    reason: RejectReason
    sums_digest: bytes | None = None
    notes: tuple[str, ...] = field(default=())
    state: bytes | None = None

    @property
    def approved(self) -> bool:
        """Whether the validator approves."""
        return self.reason is RejectReason.None_


def aggregate_round(inputs: RoundInputs) -> RoundResult:
    """Decode, select and sum the updates of a round.

    Raises:
        NoAcceptableUpdate: no update could be used, or the rule accepted none.
    """
    statuses, decoded = inputs.decode_updates()
    used = sorted(decoded)
    if not used:
        raise NoAcceptableUpdate(f"none of the {len(inputs.updates)} updates of round {inputs.round} can be used")
    strategy = inputs.strategy()
    plan = strategy.select(inputs.request(used, decoded))
    model, state, sums_digest = _finish(inputs, strategy, plan, [decoded[i] for i in used])
    report = Report(
        inputs.task.task_id,
        inputs.round,
        inputs.base_id.digest,
        inputs.seed,
        tuple(statuses),
        plan,
        None if state is None else content_id(state),
        inputs.standings_after(strategy, plan, used),
    )
    accepted = report.accepted
    return RoundResult(
        model,
        report.encode(),
        tuple(accepted),
        bitmap_of(accepted, len(inputs.updates)),
        sum(inputs.updates[i].weight(inputs.sample_cap) for i in accepted),
        sums_digest,
        state,
    )


def check_proposal(inputs: RoundInputs, proposed: Proposed) -> ProposalCheck:
    """Judge a proposal against one's own computation (DESIGN: "a vote is: I recomputed it")."""
    if proposed.model is None or proposed.report is None:
        return ProposalCheck(RejectReason.Unavailable, notes=("the model or the report cannot be had",))
    try:
        report = Report.decode(proposed.report)
        read_model(proposed.model, inputs.schema)
    except MalformedObject as error:
        return ProposalCheck(RejectReason.Malformed, notes=(str(error),))
    foreign = _foreign(inputs, report)
    if foreign:
        return ProposalCheck(RejectReason.Malformed, notes=(foreign,))
    statuses, decoded = inputs.decode_updates()
    refused = _check_statuses(inputs, report, statuses)
    if refused is not None:
        return refused
    strategy = inputs.strategy()
    used = report.used
    disagreements = strategy.check(inputs.request(used, decoded), report.plan)
    if disagreements:
        return ProposalCheck(RejectReason.WrongSelection, notes=tuple(disagreements))
    if report.standings != inputs.standings_after(strategy, report.plan, used):
        note = "the standings are not those that follow from the report before and the plan's scores"
        return ProposalCheck(RejectReason.WrongSelection, notes=(note,))
    weight = sum(inputs.updates[i].weight(inputs.sample_cap) for i in report.accepted)
    if (
        proposed.accepted_bitmap != bitmap_of(report.accepted, len(inputs.updates))
        or proposed.accepted_weight != weight
    ):
        return ProposalCheck(RejectReason.WrongBitmap, notes=("the accepted set on chain is not the report's",))
    model, state, sums_digest = _finish(inputs, strategy, report.plan, [decoded[i] for i in used])
    if model != proposed.model:
        return ProposalCheck(RejectReason.WrongModel, notes=("the model is not the exact aggregate of the plan",))
    if report.state != (None if state is None else content_id(state)):
        note = "the report names another state of the server optimiser than follows from the round"
        return ProposalCheck(RejectReason.WrongModel, notes=(note,))
    return ProposalCheck(RejectReason.None_, sums_digest, state=state)


def follow_report(inputs: RoundInputs, report_data: bytes) -> bytes:
    """Return the bytes of the model that a report's plan gives.

    Nothing is scored or judged: for rounds whose result is final, where the caller compares the content id.

    Raises:
        MalformedObject: the report is another round's, or an update that it uses is missing or cannot be read.
        ExactnessError: the plan's sums leave the exact range.
    """
    report = Report.decode(report_data)
    foreign = _foreign(inputs, report)
    if foreign:
        raise MalformedObject(foreign)
    _, decoded = inputs.decode_updates()
    missing = [index for index in report.used if index not in decoded]
    if missing:
        raise MalformedObject(f"update {missing[0]} is missing or cannot be read")
    return _finish(inputs, inputs.strategy(), report.plan, [decoded[index] for index in report.used])[0]


def _foreign(inputs: RoundInputs, report: Report) -> str | None:
    if (report.task_id, report.round) != (inputs.task.task_id, inputs.round):
        return f"the report is of task {report.task_id}, round {report.round}"
    if report.base_digest != inputs.base_id.digest or report.seed != inputs.seed:
        return "the report names another base model or another seed"
    if len(report.statuses) != len(inputs.updates):
        return f"the report lists {len(report.statuses)} updates, the chain {len(inputs.updates)}"
    return None


def _check_statuses(inputs: RoundInputs, report: Report, mine: list[str]) -> ProposalCheck | None:
    """Compare what the proposer could use with what this validator can."""
    pairs = list(zip(report.statuses, mine, strict=True))
    wrong = [i for i, (theirs, ours) in enumerate(pairs) if USED in (theirs, ours) and MALFORMED in (theirs, ours)]
    if wrong:
        return ProposalCheck(RejectReason.WrongSelection, notes=(f"update {wrong[0]} is {mine[wrong[0]]}",))
    missing = [i for i, (theirs, ours) in enumerate(pairs) if theirs == USED and ours == UNAVAILABLE]
    if missing:
        return ProposalCheck(RejectReason.Unavailable, notes=(f"update {missing[0]} cannot be had",))
    left_out = [i for i, (theirs, ours) in enumerate(pairs) if theirs == UNAVAILABLE and ours == USED]
    available = mine.count(USED)
    if left_out and len(left_out) > inputs.spec.censorship_share * available:
        note = f"{len(left_out)} of {available} available updates are left out, {left_out[0]} among them"
        return ProposalCheck(RejectReason.Censored, notes=(note,))
    return None


def _finish(
    inputs: RoundInputs, strategy: AggregationStrategy, plan: Plan, updates: list[DecodedUpdate]
) -> tuple[bytes, bytes | None, bytes]:
    """Return the model's bytes, those of the server optimiser's state, and the digest of the sums they came from."""
    sums = strategy.combine(updates, plan, inputs.schema)
    change, state = average_step(sums, plan.divisor), None
    server = inputs.server()
    if server is not None:
        schema = inputs.schema
        before = server.start(schema) if inputs.state is None else server.decode(inputs.state, schema)
        change, after = server.advance(change, before)
        state = server.encode(after)
    return write_model(move(change, inputs.base)), state, sums.digest(plan.divisor)
