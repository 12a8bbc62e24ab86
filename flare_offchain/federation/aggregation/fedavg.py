"""Federated averaging: the mean of the updates, weighted by samples.

Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017,
algorithm 1. Deviation: weights are capped integers, and the sum is exact.
"""

from __future__ import annotations

from flare_offchain.federation.aggregation.plan import Plan
from flare_offchain.federation.aggregation.strategy import (
    AggregationStrategy,
    Judgement,
    SelectionRequest,
    summed,
    verdict,
)


class FedAvg(AggregationStrategy):
    """Accepts every update: Σ samples * update / Σ samples. No defence against anyone."""

    name = "fedavg"

    def judge(self, request: SelectionRequest) -> Judgement:
        """Accept everything, with the sample weight as score."""
        return Judgement(tuple(verdict(weight, weight) for weight in request.sample_weights))

    def compose(self, request: SelectionRequest, judgement: Judgement) -> Plan:
        """Weigh each update by its samples."""
        return summed(judgement.verdicts, request.sample_weights, sum(request.sample_weights))
