"""Distance rules: Krum, Multi-Krum, nearest-neighbour mixing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError, NoAcceptableUpdate
from flare_offchain.federation.aggregation.geometry import gram_matrix, squared_distances
from flare_offchain.federation.aggregation.neighbours import nearest, strange_neighbour
from flare_offchain.federation.aggregation.plan import TRIMMED, Plan
from flare_offchain.federation.aggregation.strategy import (
    AggregationStrategy,
    Judgement,
    SelectionRequest,
    compare_integers,
    summed,
    tolerated,
    verdict,
)
from flare_offchain.federation.aggregation.weighting import geometric_median_weights, weighted_plan

Floats = NDArray[np.float64]


def krum_scores(distances: Floats, malicious: int) -> Floats:
    """Return for each update the sum of squared distances to its n - malicious - 2 nearest others (at least one)."""
    count = len(distances)
    closest = np.sort(distances, axis=1)[:, 1 : 1 + max(1, count - malicious - 2)]
    return np.asarray(closest.sum(axis=1))


class MultiKrum(AggregationStrategy):
    """The mean of the n - f updates whose neighbourhoods are tightest.

    Source: Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017.
    Margins are shares of the score at the cut.

    Args:
        malicious_share: share of malicious updates, 0 to less than 0.5.
    """

    name = "multi_krum"

    def __init__(self, malicious_share: float = 0.2, *, score_margin: float = 1e-3, multiplier_margin: int = 2) -> None:
        super().__init__(score_margin=score_margin, multiplier_margin=multiplier_margin)
        self.malicious_share = tolerated(malicious_share)

    def judge(self, request: SelectionRequest) -> Judgement:
        """Select by Krum score."""
        count = len(request.updates)
        malicious = int(self.malicious_share * count)
        if count < 3:
            raise NoAcceptableUpdate(f"{self.name} needs 3 updates, not {count}")
        scores = krum_scores(squared_distances(gram_matrix(request.updates, request.schema)), malicious)
        order = np.argsort(scores, kind="stable")
        chosen = self._chosen(count, malicious)
        cut = float(scores[order[chosen - 1 : chosen + 1]].mean())
        selected = set(order[:chosen].tolist())
        scale = max(abs(cut), 1e-300)
        return Judgement(
            tuple(
                verdict(
                    -score / scale,
                    abs(cut - score) / scale * (1 if index in selected else -1),
                    None if index in selected else "not_selected",
                )
                for index, score in enumerate(scores.tolist())
            )
        )

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Take the plain mean of the selected."""
        return summed(judgement.verdicts, [1] * len(judgement.verdicts), len(judgement.accepted))

    def _chosen(self, count: int, malicious: int) -> int:
        return count - malicious


class Krum(MultiKrum):
    """The one update whose neighbourhood is tightest. Source and arguments: `MultiKrum`."""

    name = "krum"

    def _chosen(self, count: int, malicious: int) -> int:
        return 1


class NearestNeighbourMixing(AggregationStrategy):
    """Each update is replaced by the mean of its n - f nearest (itself among them); then a robust rule follows.

    Source: Allouah et al., "Fixing by Mixing", AISTATS 2023, algorithm 2. A neighbour may differ from one's own list
    where its distance is within the score margin, as a share of the farthest neighbour's distance.

    Args:
        malicious_share: share of malicious updates, 0 to less than 0.5.
        rule: `trimmed_mean`, `median`, or `geometric_median` of the mixed updates.
    """

    name = "nnm"

    def __init__(
        self,
        malicious_share: float = 0.2,
        rule: str = "trimmed_mean",
        *,
        score_margin: float = 1e-3,
        multiplier_margin: int = 2,
    ) -> None:
        super().__init__(score_margin=score_margin, multiplier_margin=multiplier_margin)
        self.malicious_share = tolerated(malicious_share)
        if rule not in ("trimmed_mean", "median", "geometric_median"):
            raise ConfigurationError(f"nearest-neighbour mixing has no rule {rule!r}")
        self.rule = rule

    def judge(self, request: SelectionRequest) -> Judgement:
        """Every update takes part in its neighbourhood."""
        gram = gram_matrix(request.updates, request.schema)
        return Judgement(tuple(verdict(1.0, 1.0) for _ in request.updates), gram)

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Mix and combine."""
        gram: Floats = judgement.evidence
        count = len(gram)
        malicious = int(self.malicious_share * count)
        rows = nearest(squared_distances(gram), count - malicious)
        if self.rule == "geometric_median":
            mixing = np.zeros((count, count))
            for number, row in enumerate(rows):
                mixing[number, list(row)] = 1 / len(row)
            weights = geometric_median_weights(mixing @ gram @ mixing.T)
            return weighted_plan(judgement.verdicts, weights @ mixing)
        limit = (count - 1) // 2
        trim = limit if self.rule == "median" else min(malicious, limit)
        return Plan(judgement.verdicts, TRIMMED, (count - malicious) * (count - 2 * trim), rows, trim)

    def compare(self, request: SelectionRequest, judgement: Judgement, published: Plan) -> list[str]:
        """Compare the plan; neighbours at nearly the same distance may be exchanged."""
        own = self.compose(request, judgement)
        if own.rows and published.rows and own.rows != published.rows:
            problem = strange_neighbour(
                squared_distances(judgement.evidence), own.rows, published.rows, self.score_margin
            )
            if problem:
                return [problem]
            own = Plan(own.verdicts, own.rule, own.divisor, published.rows, own.trim)
        return compare_integers(own, published, self.multiplier_margin)
