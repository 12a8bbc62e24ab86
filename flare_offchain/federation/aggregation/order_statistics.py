"""Coordinate-wise rules: median, trimmed mean, Bulyan. Integers are sorted, so the result is exact."""

from __future__ import annotations

import numpy as np

from flare_offchain.core.errors import ConfigurationError, NoAcceptableUpdate
from flare_offchain.federation.aggregation.geometry import gram_matrix, squared_distances
from flare_offchain.federation.aggregation.plan import NEAREST, TRIMMED, Plan
from flare_offchain.federation.aggregation.selection import krum_scores
from flare_offchain.federation.aggregation.strategy import (
    AggregationStrategy,
    Judgement,
    SelectionRequest,
    tolerated,
    verdict,
)


class CoordinateMedian(AggregationStrategy):
    """The median of each coordinate; of an even number of updates, the mean of the middle two.

    Source: Yin et al., "Byzantine-Robust Distributed Learning", ICML 2018, definition 1. Samples do not weigh.
    """

    name = "median"

    def judge(self, request: SelectionRequest) -> Judgement:
        """Every update takes part."""
        return Judgement(tuple(verdict(1.0, 1.0) for _ in request.updates))

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Trim all but the middle."""
        return _singletons(judgement, (len(judgement.accepted) - 1) // 2)


class TrimmedMean(AggregationStrategy):
    """The mean of each coordinate without the `malicious_share` lowest and highest values.

    Source: Yin et al., ICML 2018, definition 2. Samples do not weigh.

    Args:
        malicious_share: share of updates trimmed at either end, 0 to less than 0.5.
    """

    name = "trimmed_mean"

    def __init__(self, malicious_share: float = 0.2, *, score_margin: float = 1e-3, multiplier_margin: int = 2) -> None:
        super().__init__(score_margin=score_margin, multiplier_margin=multiplier_margin)
        self.malicious_share = tolerated(malicious_share)

    def judge(self, request: SelectionRequest) -> Judgement:
        """Every update takes part."""
        return Judgement(tuple(verdict(1.0, 1.0) for _ in request.updates))

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Trim both ends."""
        count = len(judgement.accepted)
        return _singletons(judgement, min(int(self.malicious_share * count), (count - 1) // 2))


class Bulyan(AggregationStrategy):
    """Repeated Krum selects n - 2f updates; of each coordinate, those nearest to their median are averaged.

    With f = malicious_share * n: after selecting theta = n - 2f updates, theta - 2f values a coordinate are kept.
    Source: El Mhamdi, Guerraoui, Rouault, "The Hidden Vulnerability of Distributed Learning in Byzantium", ICML 2018.

    Args:
        malicious_share: share of malicious updates, 0 to less than 0.25; the rule needs n >= 4f + 3.
    """

    name = "bulyan"

    def __init__(self, malicious_share: float = 0.1, *, score_margin: float = 1e-3, multiplier_margin: int = 2) -> None:
        super().__init__(score_margin=score_margin, multiplier_margin=multiplier_margin)
        self.malicious_share = tolerated(malicious_share)
        if malicious_share >= 0.25:
            raise ConfigurationError("bulyan tolerates less than a quarter")

    def judge(self, request: SelectionRequest) -> Judgement:
        """Select by repeated Krum; an update's score is its rank, its margin in ranks."""
        count = len(request.updates)
        malicious = int(self.malicious_share * count)
        if count < 4 * malicious + 3:
            raise NoAcceptableUpdate(f"bulyan needs {4 * malicious + 3} updates for {malicious} malicious, not {count}")
        distances = squared_distances(gram_matrix(request.updates, request.schema))
        left = list(range(count))
        order = []
        while left:
            among = distances[np.ix_(left, left)]
            # The last two or so are each other's neighbours and score alike: then the sum of all distances decides.
            order.append(left.pop(int(np.lexsort((among.sum(axis=1), krum_scores(among, malicious)))[0])))
        chosen = count - 2 * malicious
        ranks = {index: rank for rank, index in enumerate(order)}
        return Judgement(
            tuple(
                verdict(-ranks[i], chosen - 0.5 - ranks[i], None if ranks[i] < chosen else "not_selected")
                for i in range(count)
            )
        )

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Keep the values nearest to the median."""
        count, malicious = len(judgement.accepted), int(self.malicious_share * len(request.updates))
        trim = min(malicious, (count - 1) // 2)
        rows = tuple((index,) for index in judgement.accepted)
        return Plan(judgement.verdicts, NEAREST, len(rows) - 2 * trim, rows, trim)


def _singletons(judgement: Judgement, trim: int) -> Plan:
    rows = tuple((index,) for index in judgement.accepted)
    return Plan(judgement.verdicts, TRIMMED, len(rows) - 2 * trim, rows, trim)
