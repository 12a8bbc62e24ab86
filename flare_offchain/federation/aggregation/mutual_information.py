"""Robust aggregation by mutual information between changes of a model's outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.core.errors import ConfigurationError, NoAcceptableUpdate
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.aggregation.effects import measure_effects
from flare_offchain.federation.aggregation.evidence import certainty, growth_view, labelled_evidence, peer_evidence
from flare_offchain.federation.aggregation.geometry import (
    chance_share,
    clip_factors,
    cliques,
    cosines,
    cosines_with,
    explained_shares,
    gram_and_products,
    norms,
)
from flare_offchain.federation.aggregation.information import cross_entropies
from flare_offchain.federation.aggregation.plan import SUM, Plan, RepeatedSum, publishable
from flare_offchain.federation.aggregation.standing import Standing
from flare_offchain.federation.aggregation.strategy import (
    AggregationStrategy,
    Judgement,
    SelectionRequest,
    compare_integers,
    set_multipliers,
    verdict,
)
from flare_offchain.federation.aggregation.survivors import MEAN, Combination, Survivors
from flare_offchain.federation.exact_sum import MAX_MULTIPLIER, ExactSums, apply
from flare_offchain.federation.probe import Probe

Floats = NDArray[np.float64]
LOSS_SLACK = 2.0
"""The accept test lets the probe's loss rise by this many standard errors: noise, not harm."""
SURE = 0.5
"""From this certainty on the base model's own predictions stand in for labels in the accept test."""
CLIP = 2.0
"""The accepted are clipped to this many times their median norm: honest updates differ in length, too."""
MAX_SAMPLES = 2.0
"""An update's samples count up to this many times the median, since workers only claim them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What `compose` needs of the judgement.

    Attributes:
        lengths: norms of the updates, [n].
        groups: indices of the updates that share a vote; each update is in one group.
        gram: their inner products, [n, n].
    """

    lengths: Floats
    groups: tuple[tuple[int, ...], ...]
    gram: Floats

    @property
    def votes(self) -> Floats:
        """What of a vote each update has, [n]."""
        return _votes(self.groups, len(self.lengths))


class MIAggregationStrategy(AggregationStrategy):
    """Keeps updates that know something, and averages them.

    1. Updates are clipped to the median norm, so that length is no evidence.
    2. Updates that lie in the span of the others no more than noise would are rejected (`noise`).
    3. What a small step along each update does to the logits on the round's probe is compared with the probe's labels
       (or, without labels, with what the base model believes and what its peers do); to that comes how far the update
       goes on in the direction in which the model has grown; see `evidence`.
    4. The reference is the median evidence of the better half; an update's score is its evidence as a share of the
       reference, -1 to 1. The reference moves with the round: no absolute threshold can separate.
    5. A worker's standing is its mean score over the last rounds, this one included. Below `mi_threshold` the update is
       rejected, and so it is where its own score lies below -`mi_threshold`, whatever its worker has shown before
       (`low_information`). Without labels trust once lost is won back only as fast as the reference is strong.
    6. Near-copies (a cosine of `clique_cosine`) share one vote, unless they are more than half of all.
    7. The mean of the accepted, clipped to CLIP times their own median norm, weighted by votes and (with
       `weigh_samples`) capped samples, is taken. Short malicious updates must not shorten the honest ones, so the
       median is that of the accepted. With another `combination` a robust one takes the mean's place; see `survivors`.
    8. The step is halved up to `max_halvings` times until the probe's loss does not rise; if it still rises, nobody is
       accepted. Without labels the loss is that of the base model's own predictions, once it is sure of them.

    Args:
        mi_threshold: share of the reference below which an update is rejected, -1 to 1; from its worker's second
            update on that is compared with the standing.
        min_clients: at least so many updates must be accepted. Where fewer reach the cut, those of the best standing
            join them as long as it is positive; if that does not suffice the round is abandoned.
        test_data_size: the first so many samples of the probe are used, at least 2.
        use_labels: whether to use the probe's labels where it has them.
        weigh_samples: whether updates weigh by their samples, counted up to MAX_SAMPLES times the median, as workers
            only claim them.
        clique_cosine: from this cosine on updates are copies, in (0, 1].
        max_halvings: 0 to 16.
        combination: of the accepted: `mean`, `trimmed_mean`, `mixing` (of nearest neighbours) or `mixed_trimmed_mean`.
            Samples weigh in the mean only.
        residual_share: share of the accepted that other combinations than the mean take to be malicious all the same,
            0 to less than 0.5.
        score_margin, multiplier_margin: see `AggregationStrategy`.
    """

    name = "mutual_information"
    remembers = True

    def __init__(
        self,
        mi_threshold: float = 0.4,
        min_clients: int = 2,
        test_data_size: int = 100,
        *,
        use_labels: bool = True,
        weigh_samples: bool = True,
        clique_cosine: float = 0.97,
        max_halvings: int = 4,
        combination: str = MEAN,
        residual_share: float = 0.1,
        score_margin: float = 1e-3,
        multiplier_margin: int = 2,
    ) -> None:
        super().__init__(score_margin=score_margin, multiplier_margin=multiplier_margin)
        if not (math.isfinite(mi_threshold) and -1 <= mi_threshold <= 1):
            raise ConfigurationError("mi_threshold is a share of the reference, -1 to 1")
        if min_clients < 1 or test_data_size < 2:
            raise ConfigurationError("min_clients is at least 1, test_data_size at least 2")
        if not 0 < clique_cosine <= 1 or not 0 <= max_halvings <= 16:
            raise ConfigurationError("clique_cosine is in (0, 1], max_halvings 0 to 16")
        self.mi_threshold = float(mi_threshold)
        self.min_clients = min_clients
        self.test_data_size = test_data_size
        self.use_labels = use_labels
        self.weigh_samples = weigh_samples
        self.clique_cosine = float(clique_cosine)
        self.max_halvings = max_halvings
        self.combination = Combination(combination, float(residual_share))
        self._tried = RepeatedSum()

    def judge(self, request: SelectionRequest) -> Judgement:
        """Score every update; see the class."""
        request = self._shorten(request)
        count = len(request.updates)
        if count < self.min_clients:
            raise NoAcceptableUpdate(f"{count} updates are fewer than min_clients = {self.min_clients}")
        gram, along = gram_and_products(request.updates, request.schema, request.base)
        lengths = norms(gram)
        clips = clip_factors(lengths)
        cosine = cosines(gram)
        effects = measure_effects(request, clips, lengths)
        labels = self._labels(request)
        groups = self._groups(cosine)
        votes = _votes(groups, count)
        scores = peer_evidence(effects, cosine, votes) if labels is None else labelled_evidence(effects, labels)
        scores = scores + growth_view(cosines_with(request.base, along, lengths))
        learnt = explained_shares(gram) - chance_share(count, request.schema.parameters)
        if count < 3:
            learnt = np.ones(count)
        sound = np.rint(clips * MAX_MULTIPLIER) >= 1
        usable = sound & (learnt >= 0)
        reference = self._reference(scores, usable)
        evidence = np.clip(scores / reference, -1.0, 1.0)
        past = request.known_standings
        if labels is None:
            evidence = self._won_back(evidence, reference, past)
        evidence = np.array([publishable(share) for share in evidence])
        standing = np.array([before.after(now).value for before, now in zip(past, evidence.tolist(), strict=True)])
        worst = evidence + abs(self.mi_threshold)
        margins = np.minimum(standing - self._cut(standing, usable & (worst >= 0)), worst)
        verdicts = []
        for score, margin, share, whole in zip(evidence, margins, learnt, sound, strict=True):
            if not whole:
                verdicts.append(verdict(score, -1.0, "outlier_norm"))
            elif share < 0:
                verdicts.append(verdict(score, min(share, margin), "noise"))
            else:
                verdicts.append(verdict(score, min(share, margin), None if margin >= 0 else "low_information"))
        return Judgement(tuple(verdicts), Evidence(lengths, groups, gram))

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Weigh the accepted updates and find the step that the accept test admits."""
        request = self._shorten(request)
        plan = self._unhalved(request, judgement)
        for shift, slack in self._slacks(request, plan):
            if slack >= 0:
                return replace(plan, divisor=plan.divisor << shift, step_shift=shift)
        raise NoAcceptableUpdate("the accepted updates raise the probe's loss at every step size")

    def compare(self, request: SelectionRequest, judgement: Judgement, published: Plan) -> list[str]:
        """Compare weights; the published step stands where the accept test is within the margin."""
        request = self._shorten(request)
        plan = self._unhalved(request, judgement)
        if plan.rows != published.rows and plan.rule == published.rule:
            survivors = self._survivors(judgement)
            problem = survivors.strange_rows(self.combination, published, self.score_margin)
            if problem:
                return [problem]
            plan = replace(plan, rows=published.rows)
        if not self._admits(request, plan, published.step_shift):
            return [f"the step shift {published.step_shift} is not what the accept test gives"]
        shift = published.step_shift
        own = replace(plan, divisor=plan.divisor << shift, step_shift=shift)
        return compare_integers(own, published, self.multiplier_margin)

    def combine(self, updates: Sequence[DecodedUpdate], plan: Plan, schema: ModelSchema) -> ExactSums:
        """Return the exact sums of a plan; those of the accept test where they are the same."""
        return self._tried.second(updates, plan, schema)

    def _shorten(self, request: SelectionRequest) -> SelectionRequest:
        probe = request.probe
        if probe is None or len(probe) <= self.test_data_size:
            return request
        features = probe.features[: self.test_data_size]
        labels = None if probe.labels is None else probe.labels[: self.test_data_size]
        return replace(request, probe=Probe(features, labels))

    def _labels(self, request: SelectionRequest) -> NDArray[np.int64] | None:
        return request.probe.labels if self.use_labels and request.probe is not None else None

    def _reference(self, scores: Floats, usable: NDArray[np.bool_]) -> float:
        """Return the median evidence of the better half, above 0."""
        ordered = np.sort(scores[usable])[::-1]
        if len(ordered) < self.min_clients:
            raise NoAcceptableUpdate(f"only {len(ordered)} updates are neither noise nor out of range")
        reference = float(np.median(ordered[: (len(ordered) + 1) // 2]))
        if reference <= 0:
            raise NoAcceptableUpdate("the better half of the updates carries no information")
        return reference

    def _won_back(self, evidence: Floats, reference: float, past: Sequence[Standing]) -> Floats:
        """Return evidence in which a worker whose standing is below the cut rises by the reference's part of the way.

        A share of next to nothing is chance. What stands in for labels is what the model believes, and that is what
        attackers bend once chance has let them in; so chance must not make good what better evidence has shown.
        """
        before = np.array([standing.value for standing in past])
        lost = np.array([standing.rounds > 0 for standing in past]) & (before < self.mi_threshold)
        risen = before + min(1.0, reference) * (evidence - before)
        return np.where(lost & (evidence > before), risen, evidence)

    def _cut(self, standing: Floats, usable: NDArray[np.bool_]) -> float:
        """Return the standing from which updates are accepted."""
        ordered = np.sort(standing[usable])[::-1]
        if np.sum(ordered >= self.mi_threshold) >= self.min_clients:
            return self.mi_threshold
        if len(ordered) < self.min_clients:
            raise NoAcceptableUpdate(f"fewer than {self.min_clients} updates carry information")
        cut = float(ordered[self.min_clients - 1])
        if cut <= 0:
            raise NoAcceptableUpdate(f"fewer than {self.min_clients} updates carry information")
        return cut

    def _groups(self, cosine: Floats) -> tuple[tuple[int, ...], ...]:
        """Return who shares a vote: copies, unless they are more than half."""
        found = cliques(cosine, self.clique_cosine)
        small = [(tuple(group),) if len(group) <= len(cosine) / 2 else tuple((i,) for i in group) for group in found]
        return tuple(group for part in small for group in part)

    def _clips(self, judgement: Judgement) -> Floats:
        """Return by which factor each update is shortened, [n]."""
        lengths: Floats = judgement.evidence.lengths
        bound = CLIP * float(np.median(lengths[list(judgement.accepted)]))
        return np.minimum(1.0, bound / np.maximum(lengths, 1e-300))

    def _survivors(self, judgement: Judgement) -> Survivors:
        evidence: Evidence = judgement.evidence
        return Survivors.of(evidence.groups, judgement.accepted, self._clips(judgement), evidence.gram)

    def _unhalved(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        if self.combination.kind != MEAN:
            return self._survivors(judgement).plan(judgement.verdicts, self.combination)
        evidence: Evidence = judgement.evidence
        samples = np.asarray(request.sample_weights if self.weigh_samples else np.ones(len(request.updates)), float)
        samples = np.minimum(samples, MAX_SAMPLES * np.median(samples))
        accepted = np.asarray([entry.accepted for entry in judgement.verdicts])
        weights = np.where(accepted, samples * evidence.votes, 0.0)
        # Scaled so that the largest weight uses all bits of a multiplier.
        weights *= MAX_MULTIPLIER / weights.max()
        multipliers = np.rint(weights * self._clips(judgement)).astype(int).tolist()
        verdicts = set_multipliers(judgement.verdicts, multipliers)
        divisor = int(np.maximum(np.rint(weights[accepted]), 1).sum())
        return Plan(verdicts, SUM, divisor)

    def _slacks(self, request: SelectionRequest, plan: Plan) -> Iterator[tuple[int, float]]:
        """Yield for each step shift by how much the probe's loss stays below what is tolerated, in nats."""
        labels, base = self._labels(request), request.logits(request.base)
        if labels is None:
            if certainty(base) < SURE:
                yield 0, 0.0
                return
            labels = base.argmax(axis=1)
        sums = self._tried.first(request.updates, plan, request.schema)
        before = cross_entropies(base, labels)
        for shift in range(self.max_halvings + 1):
            model = apply(sums, plan.divisor << shift, request.base)
            change = cross_entropies(request.logits(model), labels) - before
            yield shift, float(LOSS_SLACK * change.std() / math.sqrt(len(change)) - change.mean())

    def _admits(self, request: SelectionRequest, plan: Plan, published: int) -> bool:
        for shift, slack in self._slacks(request, plan):
            if shift == published:
                return slack >= -self.score_margin
            if slack > self.score_margin:
                return False
        return False


def _votes(groups: Sequence[Sequence[int]], count: int) -> Floats:
    votes = np.ones(count)
    for group in groups:
        votes[list(group)] = 1 / len(group)
    return votes
