"""What every aggregation strategy is: floats select, integers combine.

`select` looks at the updates of a round and returns a plan; `check` compares a published plan with one's own; and
`combine` follows a plan exactly. A strategy implements `judge` (which updates may take part) and `compose` (how the
accepted ones combine); comparison within margins and the simple face `aggregate` are here, once for all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.exact import (
    MAX_EXPONENT,
    MAX_MAGNITUDE,
    MIN_EXPONENT,
    DecodedUpdate,
    ExactTensor,
)
from flare_offchain.core.errors import ConfigurationError, MalformedObject, NoAcceptableUpdate
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights
from flare_offchain.federation.aggregation.plan import (
    ACCEPTED,
    MAX_UPDATES,
    SUM,
    Plan,
    UpdateVerdict,
    publishable,
)
from flare_offchain.federation.aggregation.standing import Standing
from flare_offchain.federation.exact_sum import MAX_MULTIPLIER, ExactSums, apply
from flare_offchain.federation.probe import Probe
from flare_offchain.utils.threads import single_threaded

Forward = Callable[[Weights, Float32Array], NDArray[np.floating[Any]]]
"""(weights, features [N, ...]) -> logits [N, classes]."""
ForwardMany = Callable[[Mapping[str, Float32Array], Float32Array], NDArray[np.floating[Any]]]
"""(weights with a leading axis of n models, features [N, ...]) -> logits [n, N, classes]."""


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """What a strategy selects from.

    Attributes:
        updates: decoded updates, all of `schema`.
        sample_weights: one for each update, already capped: 1 to MAX_MULTIPLIER.
        base: the model that the updates refer to.
        schema: its tensors.
        forward: computes logits; None where no model is at hand (weight-space rules need none).
        probe: the round's probe; None where the task has none.
        forward_many: as `forward` for many models at once, where the model can do that.
        reference: an update that the committee trained itself on samples it trusts; only `fltrust` asks for it.
        standings: what each update's worker has shown before, for rules that remember; None: all are new.
    """

    updates: Sequence[DecodedUpdate]
    sample_weights: Sequence[int]
    base: Weights
    schema: ModelSchema
    forward: Forward | None = None
    probe: Probe | None = None
    forward_many: ForwardMany | None = None
    reference: Weights | None = None
    standings: Sequence[Standing] | None = None

    def __post_init__(self) -> None:
        if not self.updates:
            raise NoAcceptableUpdate("a round without updates has nothing to aggregate")
        if len(self.updates) > MAX_UPDATES:
            raise ConfigurationError(f"a round has at most {MAX_UPDATES} updates, not {len(self.updates)}")
        if len(self.sample_weights) != len(self.updates):
            raise ConfigurationError("each update needs one sample weight")
        if self.standings is not None and len(self.standings) != len(self.updates):
            raise ConfigurationError("each update's worker has one standing")
        if any(not 1 <= weight <= MAX_MULTIPLIER for weight in self.sample_weights):
            raise ConfigurationError(f"sample weights are 1 to {MAX_MULTIPLIER}")
        if any(update.schema != self.schema for update in self.updates):
            raise ConfigurationError("an update does not have the tensors of the model")

    @property
    def known_standings(self) -> Sequence[Standing]:
        """The standing of each update's worker; those of new workers where none are known."""
        return [Standing()] * len(self.updates) if self.standings is None else self.standings

    def vectors(self) -> NDArray[np.float64]:
        """Return the updates as float64 [n, parameters] (exact)."""
        return np.stack([update.to_vector() for update in self.updates])

    def logits(self, weights: Weights) -> NDArray[np.float64]:
        """Return a model's logits on the probe, float64 [N, classes].

        Raises:
            ConfigurationError: there is no model or no probe, or the model's output is not [N, classes].
        """
        if self.forward is None or self.probe is None:
            raise ConfigurationError("this aggregation rule needs the task's model and a probe")
        logits = np.asarray(self.forward(weights, self.probe.features), np.float64)
        if logits.ndim != 2 or len(logits) != len(self.probe):
            raise ConfigurationError(f"a model's output is [samples, classes], not {logits.shape}")
        return logits


@dataclass(frozen=True, slots=True)
class Judgement:
    """A strategy's own view of a round: verdicts (multipliers not yet set: 1 or 0) and what `compose` reuses."""

    verdicts: tuple[UpdateVerdict, ...]
    evidence: Any = None

    @property
    def accepted(self) -> tuple[int, ...]:
        """Indices of the updates that may take part."""
        return tuple(index for index, verdict in enumerate(self.verdicts) if verdict.accepted)


class AggregationStrategy(ABC):
    """An aggregation rule.

    Args:
        score_margin: a published verdict may differ from one's own where the own margin is at most this.
        multiplier_margin: published multipliers may differ from one's own by at most this.
    """

    name: ClassVar[str]
    remembers: ClassVar[bool] = False
    """Whether published scores are evidence, -1 to 1, that counts in later rounds (see `Standing`)."""

    def __init__(self, *, score_margin: float = 1e-3, multiplier_margin: int = 2) -> None:
        if not (math.isfinite(score_margin) and 0 <= score_margin <= 1 and 0 <= multiplier_margin <= 64):
            raise ConfigurationError("a score margin is 0 to 1, a multiplier margin 0 to 64")
        self.score_margin = float(score_margin)
        self.multiplier_margin = multiplier_margin

    @abstractmethod
    def judge(self, request: SelectionRequest) -> Judgement:
        """Return a verdict for each update; raise `NoAcceptableUpdate` where none can take part."""

    @abstractmethod
    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Return the plan that combines the accepted updates of `judgement`."""

    def select(self, request: SelectionRequest) -> Plan:
        """Judge the updates and return the plan of the round.

        Raises:
            NoAcceptableUpdate: no update is acceptable. There is no fallback.
            ConfigurationError: the rule needs a model or a probe that the request lacks.
        """
        with single_threaded():
            judgement = self.judge(request)
            if not judgement.accepted:
                raise NoAcceptableUpdate(f"{self.name} accepts none of {len(request.updates)} updates")
            return self.compose(request, judgement)

    def check(self, request: SelectionRequest, published: Plan) -> list[str]:
        """Return where a published plan differs from one's own beyond the margins; empty: it stands.

        Differences inside the margins are followed: what comes after the accepted set is compared for the
        published set, not for one's own.
        """
        if len(published.verdicts) != len(request.updates):
            return [f"the plan judges {len(published.verdicts)} updates, the round has {len(request.updates)}"]
        with single_threaded():
            try:
                mine = self.judge(request)
            except NoAcceptableUpdate as error:
                return [str(error)]
            problems = self._compare_verdicts(mine, published)
            if problems:
                return problems
            return self.compare(request, replace(mine, verdicts=_adopt(mine, published)), published)

    def compare(self, request: SelectionRequest, judgement: Judgement, published: Plan) -> list[str]:
        """Compare the integers of a plan whose accepted set is settled; strategies with more to say extend this."""
        own = self.compose(request, judgement)
        return compare_integers(own, published, self.multiplier_margin)

    def combine(self, updates: Sequence[DecodedUpdate], plan: Plan, schema: ModelSchema) -> ExactSums:
        """Return the exact sums of a plan."""
        return plan.combine(updates, schema)

    def remember(self, standings: Sequence[Standing], plan: Plan) -> tuple[Standing, ...]:
        """Return the workers' standings after a plan, from those before; both in the order of its verdicts.

        Follows from published numbers alone. Empty for rules that do not remember.
        """
        if not self.remembers:
            return ()
        shown = [min(max(entry.score, -1.0), 1.0) for entry in plan.verdicts]
        return tuple(before.after(now) for before, now in zip(standings, shown, strict=True))

    def aggregate(
        self,
        local_model_updates: Sequence[Weights],
        client_data_sizes: Sequence[int],
        previous_global_weights: Weights,
        *,
        forward: Forward | None = None,
        probe: Probe | None = None,
        reference: Weights | None = None,
    ) -> dict[str, Float32Array]:
        """Return the new global weights; the same path as in a round, from float32 deltas.

        Args:
            local_model_updates: ΔW = W_local - W_global of each client, finite float32.
            client_data_sizes: samples of each client, at least 1; scaled down together where one exceeds 4096.
            previous_global_weights: W_global.
            forward, probe, reference: for rules that ask for them; see `SelectionRequest`.

        Raises:
            MalformedObject: an update does not have the model's names, shapes and dtype, or is not finite.
            NoAcceptableUpdate: no update is acceptable.
        """
        schema = ModelSchema.of(previous_global_weights)
        schema.check(previous_global_weights)
        if any(size < 1 for size in client_data_sizes):
            raise ConfigurationError("a client has at least one sample")
        largest = max([MAX_MULTIPLIER, *client_data_sizes])
        weights = [max(1, size * MAX_MULTIPLIER // largest) for size in client_data_sizes]
        updates = [quantise(update, schema) for update in local_model_updates]
        request = SelectionRequest(
            updates, weights, previous_global_weights, schema, forward, probe, reference=reference
        )
        plan = self.select(request)
        return apply(self.combine(updates, plan, schema), plan.divisor, previous_global_weights)

    def _compare_verdicts(self, mine: Judgement, published: Plan) -> list[str]:
        problems = []
        for index, (own, theirs) in enumerate(zip(mine.verdicts, published.verdicts, strict=True)):
            if own.accepted != theirs.accepted and abs(own.margin) > self.score_margin:
                problems.append(
                    f"update {index} is {theirs.reason}; here it is {own.reason}, {own.margin:+.6f} from the cut"
                )
            if self.remembers and abs(own.score - theirs.score) > self.score_margin:
                problems.append(f"update {index} has the score {theirs.score:+.6f}, here {own.score:+.6f}")
        return problems


def _adopt(mine: Judgement, published: Plan) -> tuple[UpdateVerdict, ...]:
    """Return one's own verdicts with the published accepted set."""
    return tuple(
        own if own.accepted == theirs.accepted else replace(own, reason=theirs.reason, multiplier=int(theirs.accepted))
        for own, theirs in zip(mine.verdicts, published.verdicts, strict=True)
    )


def compare_integers(own: Plan, published: Plan, margin: int) -> list[str]:
    """Compare the integer part of two plans with the same accepted set."""
    problems = []
    if (own.rule, own.rows, own.trim, own.step_shift) != (
        published.rule,
        published.rows,
        published.trim,
        published.step_shift,
    ):
        problems.append("the plan's rule, rows, trim or step are not those that follow from its accepted set")
    differences = [abs(a - b) for a, b in zip(own.multipliers, published.multipliers, strict=True)]
    if max(differences) > margin:
        index = differences.index(max(differences))
        problems.append(f"update {index} has multiplier {published.multipliers[index]}, here {own.multipliers[index]}")
    # A divisor may be a sum of multipliers, each of which may differ.
    slack = sum(differences) << max(own.step_shift, published.step_shift)
    if abs(own.divisor - published.divisor) > slack:
        problems.append(f"the divisor is {published.divisor}, here {own.divisor}")
    return problems


def verdict(score: float, margin: float, rejection: str | None = None) -> UpdateVerdict:
    """Return a verdict with published (rounded) floats: multiplier 1, or 0 where a reason speaks against it."""
    return UpdateVerdict(rejection or ACCEPTED, publishable(score), publishable(margin), int(rejection is None))


def summed(verdicts: Sequence[UpdateVerdict], multipliers: Sequence[int], divisor: int, step_shift: int = 0) -> Plan:
    """Return a plan of the rule `sum`; an accepted update whose multiplier came out as 0 keeps 1."""
    return Plan(set_multipliers(verdicts, multipliers), SUM, divisor << step_shift, step_shift=step_shift)


def set_multipliers(verdicts: Sequence[UpdateVerdict], multipliers: Sequence[int]) -> tuple[UpdateVerdict, ...]:
    """Return verdicts with the given multipliers: at least 1 where accepted, 0 elsewhere."""
    return tuple(
        replace(entry, multiplier=max(1, int(factor)) if entry.accepted else 0)
        for entry, factor in zip(verdicts, multipliers, strict=True)
    )


def tolerated(share: float) -> float:
    """Return a share of malicious updates, or raise `ConfigurationError` unless it is 0 to less than 0.5."""
    if not (math.isfinite(share) and 0 <= share < 0.5):
        raise ConfigurationError("a share of malicious updates is 0 to less than 0.5")
    return float(share)


def quantise(update: Weights, schema: ModelSchema) -> DecodedUpdate:
    """Return a float32 ΔW on the finest grid that a decoder admits, each tensor on its own.

    The exponent is the smallest in the window with max|element| <= MAX_MAGNITUDE * 2**exponent, so the error of an
    element is at most 2**-25 of the tensor's largest, or 2**(MIN_EXPONENT - 1).

    Raises:
        MalformedObject: names, shapes or dtype are not the schema's, a value is not finite, or one exceeds 2**32.
    """
    schema.check(update)
    tensors = {}
    for tensor in schema.tensors:
        values = update[tensor.name].astype(np.float64)
        largest = float(np.max(np.abs(values), initial=0.0))
        if largest > math.ldexp(MAX_MAGNITUDE, MAX_EXPONENT):
            raise MalformedObject(f"tensor {tensor.name!r} has an element beyond {MAX_MAGNITUDE} * 2**{MAX_EXPONENT}")
        mantissa, power = math.frexp(largest / MAX_MAGNITUDE)
        exponent = power - 1 if mantissa == 0.5 else power
        exponent = max(MIN_EXPONENT, exponent) if largest else MIN_EXPONENT
        integers = np.rint(np.ldexp(values, -exponent)).astype(np.int64).reshape(tensor.shape)
        tensors[tensor.name] = ExactTensor(integers, exponent)
    return DecodedUpdate(schema, tensors)
