"""The shared suite for every registered strategy, and what is particular to each."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from flare_offchain.core.errors import ConfigurationError, NoAcceptableUpdate
from flare_offchain.federation.aggregation.registry import STRATEGIES, strategy_from_spec
from tests.suites.aggregation_suite import CLIENTS, AggregationSuite, honest_round, model_of, scaled

pytestmark = pytest.mark.unit


class TestFedAvg(AggregationSuite):
    name = "fedavg"
    breakdown = 0.0

    def test_is_the_weighted_mean(self, strategy, request_):
        model, _ = model_of(strategy, request_, strategy.select(request_))
        weights = np.array(request_.sample_weights, float)
        mean = weights @ request_.vectors() / weights.sum()
        expected = request_.schema.flatten(request_.base) + mean
        assert np.allclose(request_.schema.flatten(model), expected, atol=1e-6)


class TestMutualInformation(AggregationSuite):
    name = "mutual_information"
    breakdown = 0.4


class TestMutualInformationWithoutLabels(AggregationSuite):
    name = "mutual_information"
    parameters: ClassVar = {"use_labels": False}
    breakdown = 0.4


class TestMutualInformationTrimmed(AggregationSuite):
    name = "mutual_information"
    parameters: ClassVar = {"combination": "trimmed_mean"}
    breakdown = 0.4


class TestMutualInformationMixing(AggregationSuite):
    name = "mutual_information"
    parameters: ClassVar = {"combination": "mixing", "residual_share": 0.2}
    breakdown = 0.4


class TestMutualInformationMixedAndTrimmed(AggregationSuite):
    name = "mutual_information"
    parameters: ClassVar = {"combination": "mixed_trimmed_mean", "residual_share": 0.2, "use_labels": False}
    breakdown = 0.4


class TestMedian(AggregationSuite):
    name = "median"

    def test_is_the_median(self, strategy, request_):
        model, _ = model_of(strategy, request_, strategy.select(request_))
        expected = request_.schema.flatten(request_.base) + np.median(request_.vectors(), axis=0)
        assert np.allclose(request_.schema.flatten(model), expected, atol=1e-6)


class TestTrimmedMean(AggregationSuite):
    name = "trimmed_mean"
    parameters: ClassVar = {"malicious_share": 0.25}

    def test_is_the_trimmed_mean(self, strategy, request_):
        model, _ = model_of(strategy, request_, strategy.select(request_))
        ordered = np.sort(request_.vectors(), axis=0)[3:-3]
        expected = request_.schema.flatten(request_.base) + ordered.mean(axis=0)
        assert np.allclose(request_.schema.flatten(model), expected, atol=1e-6)


class TestGeometricMedian(AggregationSuite):
    name = "geometric_median"

    def test_no_other_point_is_nearer(self, strategy, request_):
        model, _ = model_of(strategy, request_, strategy.select(request_))
        step = request_.schema.flatten(model).astype(float) - request_.schema.flatten(request_.base)
        vectors = request_.vectors()

        def total(point):
            return np.linalg.norm(vectors - point, axis=1).sum()

        noise = np.random.default_rng(0).standard_normal((20, step.size))
        assert all(total(step) <= total(step + 0.01 * direction) + 1e-4 for direction in noise)


class TestKrum(AggregationSuite):
    name = "krum"
    parameters: ClassVar = {"malicious_share": 0.25}

    def test_takes_one(self, strategy, request_):
        assert len(strategy.select(request_).accepted) == 1


class TestMultiKrum(AggregationSuite):
    name = "multi_krum"
    parameters: ClassVar = {"malicious_share": 0.25}

    def test_leaves_out_the_far_ones(self, strategy, request_):
        updates = [scaled(u, -30) if i < 3 else u for i, u in enumerate(request_.updates)]
        plan = strategy.select(replace(request_, updates=updates))
        assert plan.accepted == tuple(range(3, CLIENTS))


class TestBulyan(AggregationSuite):
    name = "bulyan"
    parameters: ClassVar = {"malicious_share": 0.17}
    breakdown = 0.17

    def test_refuses_too_few(self, request_):
        strategy = strategy_from_spec("bulyan", {"malicious_share": 0.24})
        few = replace(request_, updates=request_.updates[:9], sample_weights=request_.sample_weights[:9])
        with pytest.raises(NoAcceptableUpdate):
            strategy.select(few)


class TestCentredClipping(AggregationSuite):
    name = "centred_clipping"


class TestNearestNeighbourMixing(AggregationSuite):
    name = "nnm"
    parameters: ClassVar = {"malicious_share": 0.25}

    def test_forged_neighbours_are_found(self, strategy, request_):
        plan = strategy.select(request_)
        row = plan.rows[0]
        others = [i for i in range(CLIENTS) if i not in row]
        forged = tuple(sorted([*row[1:], others[0]])) if row[0] != 0 else tuple(sorted([*row[:-1], others[-1]]))
        assert strategy.check(request_, replace(plan, rows=(forged, *plan.rows[1:])))

    def test_ties_may_be_broken_either_way(self, strategy, request_):
        """Of two equal updates at the edge of a neighbourhood, either will do."""
        updates = [request_.updates[0]] * 2 + list(request_.updates[2:])
        tied = replace(request_, updates=updates)
        plan = strategy.select(tied)
        swap = {0: 1, 1: 0}
        rows = tuple(
            tuple(sorted(swap.get(i, i) for i in row)) if (0 in row) != (1 in row) and n > 1 else row
            for n, row in enumerate(plan.rows)
        )
        assert strategy.check(tied, replace(plan, rows=rows)) == []


class TestNearestNeighbourMedian(AggregationSuite):
    name = "nnm"
    parameters: ClassVar = {"malicious_share": 0.25, "rule": "median"}


class TestNearestNeighbourGeometricMedian(AggregationSuite):
    name = "nnm"
    parameters: ClassVar = {"malicious_share": 0.25, "rule": "geometric_median"}


class TestFLTrust(AggregationSuite):
    name = "fltrust"
    breakdown = 0.5

    def test_rejects_what_points_away(self, strategy, request_):
        updates = [scaled(u, -10) if i < 5 else u for i, u in enumerate(request_.updates)]
        plan = strategy.select(replace(request_, updates=updates))
        assert not set(plan.accepted) & set(range(5))

    def test_needs_a_reference(self, strategy, request_):
        with pytest.raises(ConfigurationError):
            strategy.select(replace(request_, reference=None))

    def test_a_zero_reference_is_refused(self, strategy, request_):
        zero = {name: np.zeros_like(array) for name, array in request_.base.items()}
        with pytest.raises(NoAcceptableUpdate):
            strategy.select(replace(request_, reference=zero))


class TestNormClipping(AggregationSuite):
    name = "norm_clipping"
    breakdown = 0.1

    def test_huge_updates_are_out_of_range(self, strategy, request_):
        updates = [scaled(request_.updates[0], 2**20), *request_.updates[1:]]
        plan = strategy.select(replace(request_, updates=updates))
        assert plan.verdicts[0].reason == "outlier_norm"


def test_every_strategy_has_a_suite():
    suites = {cls.name for cls in AggregationSuite.__subclasses__()}
    assert suites == set(STRATEGIES)


def test_unknown_strategies_are_refused():
    with pytest.raises(ConfigurationError, match="no aggregation strategy 'mean'"):
        strategy_from_spec("mean", {})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("trimmed_mean", {"malicious_share": 0.5}),
        ("multi_krum", {"malicious_share": -0.1}),
        ("bulyan", {"malicious_share": 0.25}),
        ("nnm", {"rule": "mean"}),
        ("centred_clipping", {"radius": 0.0}),
        ("centred_clipping", {"iterations": 0}),
        ("mutual_information", {"mi_threshold": 2.0}),
        ("mutual_information", {"min_clients": 0}),
        ("mutual_information", {"test_data_size": 1}),
        ("mutual_information", {"clique_cosine": 0.0}),
        ("mutual_information", {"max_halvings": 17}),
        ("mutual_information", {"combination": "median"}),
        ("mutual_information", {"combination": "mixing", "residual_share": 0.5}),
        ("mutual_information", {"residual_share": -0.1}),
    ],
)
def test_parameters_out_of_range_are_refused(name, parameters):
    with pytest.raises(ConfigurationError):
        strategy_from_spec(name, parameters)


@pytest.mark.parametrize("name", ["krum", "multi_krum"])
def test_krum_needs_neighbours(name):
    request = honest_round()
    few = replace(request, updates=request.updates[:2], sample_weights=request.sample_weights[:2])
    with pytest.raises(NoAcceptableUpdate):
        strategy_from_spec(name, {}).select(few)
