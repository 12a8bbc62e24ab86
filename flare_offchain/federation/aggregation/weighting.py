"""Rules that weigh: norm clipping, geometric median, centred clipping, FLTrust.

Each finds real weights, from the Gram matrix alone; the weights become integer multipliers, and the sum is exact. So
is therefore every one of these rules up to the rounding of its weights to one part in MAX_MULTIPLIER.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError, NoAcceptableUpdate
from flare_offchain.federation.aggregation.geometry import clip_factors, distances_to, gram_matrix, norms
from flare_offchain.federation.aggregation.plan import Plan, UpdateVerdict
from flare_offchain.federation.aggregation.strategy import (
    AggregationStrategy,
    Judgement,
    SelectionRequest,
    quantise,
    summed,
    verdict,
)
from flare_offchain.federation.exact_sum import MAX_DIVISOR, MAX_MULTIPLIER

Floats = NDArray[np.float64]
ITERATIONS = 100
TOLERANCE = 1e-9


def weighted_plan(verdicts: Sequence[UpdateVerdict], weights: Floats, total: float | None = None) -> Plan:
    """Return a plan that sums weights * update, weights not negative, as integers over a common divisor.

    Args:
        verdicts: verdicts of the updates; those not accepted get no weight.
        weights: real weights, [n].
        total: what the multipliers' sum stands for; by default the weights' own sum, so that the result is
            Σ weights * update. Weights below half a step of the largest become one step (0 would mean: rejected).
    """
    accepted = np.asarray([entry.accepted for entry in verdicts])
    weights = np.where(accepted, weights, 0.0)
    largest = float(weights.max())
    if largest <= 0:
        raise NoAcceptableUpdate("no update has a weight above 0")
    multipliers = np.where(accepted, np.maximum(np.rint(weights / largest * MAX_MULTIPLIER), 1), 0).astype(int)
    value = float(weights.sum()) if total is None else total
    if value <= 0 or not np.isfinite(multipliers.sum() / value):
        raise NoAcceptableUpdate("the weights have no finite sum")
    divisor = max(1, min(MAX_DIVISOR, round(float(multipliers.sum()) / value)))
    return summed(verdicts, multipliers.tolist(), divisor)


def geometric_median_weights(gram: Floats) -> Floats:
    """Return the weights, summing to 1, with which Σ weights * vector is the geometric median.

    Weiszfeld's iteration in the span of the vectors, from their mean; distances are kept from 0 by TOLERANCE.
    Source: Pillutla, Kakade, Harchaoui, "Robust Aggregation for Federated Learning", IEEE TSP 2022, algorithm 2.
    """
    count = len(gram)
    weights = np.full(count, 1 / count)
    scale = max(float(norms(gram).max()), 1e-300)
    for _ in range(ITERATIONS):
        inverse = 1 / np.maximum(distances_to(gram, weights), TOLERANCE * scale)
        updated = inverse / inverse.sum()
        if np.abs(updated - weights).max() < TOLERANCE:
            return np.asarray(updated)
        weights = updated
    return weights


class NormClipping(AggregationStrategy):
    """The mean of updates clipped to the median norm, weighted by samples.

    Source: Sun et al., "Can You Really Backdoor Federated Learning?", 2019. Deviation: the bound is the round's
    median norm. Updates of norm 0 count as they are.
    """

    name = "norm_clipping"

    def judge(self, request: SelectionRequest) -> Judgement:
        """Every update takes part, clipped; one beyond 4096 times the median norm is out of range."""
        lengths = norms(gram_matrix(request.updates, request.schema))
        factors = np.where(lengths > 0, clip_factors(lengths), 1.0)
        verdicts = [
            verdict(factor, factor, None if factor * MAX_MULTIPLIER >= 1 else "outlier_norm")
            for factor in factors.tolist()
        ]
        return Judgement(tuple(verdicts), factors)

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Weigh by samples and clip factor."""
        samples = np.asarray(request.sample_weights, float)
        samples *= MAX_MULTIPLIER / samples.max()
        accepted = list(judgement.accepted)
        multipliers = np.rint(samples * judgement.evidence).astype(int).tolist()
        return summed(judgement.verdicts, multipliers, max(1, int(np.rint(samples[accepted]).sum())))


class GeometricMedian(AggregationStrategy):
    """The point with the smallest sum of distances to the updates. Samples do not weigh; see the weights' function."""

    name = "geometric_median"

    def judge(self, request: SelectionRequest) -> Judgement:
        """Every update takes part."""
        gram = gram_matrix(request.updates, request.schema)
        return Judgement(tuple(verdict(1.0, 1.0) for _ in request.updates), gram)

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Weigh by inverse distance to the median."""
        return weighted_plan(judgement.verdicts, geometric_median_weights(judgement.evidence))


class CentredClipping(AggregationStrategy):
    """Moves an estimate by the mean of differences clipped to a radius, a few times, from 0.

    Source: Karimireddy, He, Jaggi, "Learning from History for Byzantine Robust Optimization", ICML 2021, equation 4.
    Deviation: the start is 0 and not the last aggregate, so that a round stands by itself.

    Args:
        radius: as a share of the median norm, above 0.
        iterations: 1 to 100.
    """

    name = "centred_clipping"

    def __init__(
        self, radius: float = 1.0, iterations: int = 3, *, score_margin: float = 1e-3, multiplier_margin: int = 2
    ) -> None:
        super().__init__(score_margin=score_margin, multiplier_margin=multiplier_margin)
        if not 0 < radius <= 1000 or not 1 <= iterations <= 100:
            raise ConfigurationError("a radius is above 0, iterations are 1 to 100")
        self.radius = float(radius)
        self.iterations = iterations

    def judge(self, request: SelectionRequest) -> Judgement:
        """Every update takes part."""
        gram = gram_matrix(request.updates, request.schema)
        return Judgement(tuple(verdict(1.0, 1.0) for _ in request.updates), gram)

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Follow the estimate as a combination of updates: its weights stay not negative, their sum at most 1."""
        gram: Floats = judgement.evidence
        count = len(gram)
        radius = self.radius * float(np.median(norms(gram)))
        weights = np.zeros(count)
        for _ in range(self.iterations):
            distance = distances_to(gram, weights)
            clip = np.minimum(1.0, np.divide(radius, distance, out=np.ones(count), where=distance > 0))
            weights = weights * (1 - clip.mean()) + clip / count
        return weighted_plan(judgement.verdicts, weights)


class FLTrust(AggregationStrategy):
    """Updates are scaled to the norm of a trusted reference and weighed by their cosine with it, where positive.

    Source: Cao et al., "FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping", NDSS 2021, algorithm 2.
    The reference is what training on the committee's own labelled samples gives (`SelectionRequest.reference`).
    """

    name = "fltrust"

    def judge(self, request: SelectionRequest) -> Judgement:
        """Trust scores; an update against the reference is rejected."""
        if request.reference is None:
            raise ConfigurationError("fltrust needs a reference update, trained on samples the committee trusts")
        updates = [*request.updates, quantise(request.reference, request.schema)]
        gram = gram_matrix(updates, request.schema)
        lengths = norms(gram)
        reference = float(lengths[-1])
        if reference == 0:
            raise NoAcceptableUpdate("the reference update is zero")
        product = lengths[:-1] * reference
        trust = np.divide(gram[-1, :-1], product, out=np.zeros(len(product)), where=product > 0)
        verdicts = [verdict(t, t, None if t > 0 else "distance") for t in trust.tolist()]
        ratio = np.divide(reference, lengths[:-1], out=np.zeros(len(product)), where=product > 0)
        return Judgement(tuple(verdicts), (trust, ratio))

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Weigh by trust, scaled to the reference's norm."""
        trust, ratio = judgement.evidence
        accepted = np.asarray([entry.accepted for entry in judgement.verdicts])
        # Inside the margin an update may be accepted that has no trust of its own: it gets next to none.
        shares = np.where(accepted, np.maximum(trust, 1e-9), 0.0)
        return weighted_plan(judgement.verdicts, shares / shares.sum() * ratio)
