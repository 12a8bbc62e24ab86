"""What every aggregation strategy must do, whatever its rule."""

from dataclasses import replace
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from flare_offchain.compression.exact import DecodedUpdate, ExactTensor
from flare_offchain.core.errors import ConfigurationError, MalformedObject, NoAcceptableUpdate
from flare_offchain.core.tensors import ModelSchema, subtract
from flare_offchain.federation import exact_sum
from flare_offchain.federation.aggregation import exact_rows
from flare_offchain.federation.aggregation.plan import Plan
from flare_offchain.federation.aggregation.registry import strategy_from_spec
from flare_offchain.federation.aggregation.strategy import SelectionRequest, quantise
from flare_offchain.federation.exact_sum import apply
from flare_offchain.federation.probe import Probe
from flare_offchain.models import MockModelAdapter, TrainingOptions, forward_function, forward_many_function
from flare_offchain.utils.datasets import load_dataset, split
from flare_offchain.utils.partition import partition
from flare_offchain.utils.serialization import decode_record, encode_record

SOFTMAX = {"inputs": 64, "classes": 10}
CLIENTS = 12


def train(weights, data, seed=0):
    """ΔW of five epochs of softmax regression."""
    adapter = MockModelAdapter()
    adapter.set_weights(weights)
    adapter.train(data, 5, 0.2, TrainingOptions(batch_size=16, seed=seed))
    return subtract(adapter.get_weights(), weights)


@cache
def honest_round():
    """A round of real training on digits, mildly skewed, from a model that has learnt a little."""
    parts = split(load_dataset("digits"), seed=1, probe=100)
    adapter = MockModelAdapter(seed=3)
    adapter.train(parts.train.subset(np.arange(100)), 1, 0.1)
    base = adapter.get_weights()
    schema = ModelSchema.of(base)
    shares = partition(parts.train, "dirichlet:5", CLIENTS, seed=2)
    deltas = [train(base, parts.train.subset(share), seed) for seed, share in enumerate(shares)]
    return SelectionRequest(
        updates=[quantise(delta, schema) for delta in deltas],
        sample_weights=[len(share) for share in shares],
        base=base,
        schema=schema,
        forward=forward_function("softmax", SOFTMAX),
        probe=Probe(parts.probe.features, parts.probe.labels),
        forward_many=forward_many_function("softmax", SOFTMAX),
        reference=train(base, parts.probe),
    )


def scaled(update, factor):
    """An update times an integer, on the same grid (coarsened where it would leave it)."""
    tensors = {}
    for name, tensor in update.tensors.items():
        shift = int(abs(factor)).bit_length()
        integers = np.rint(tensor.integers * factor / 2**shift).astype(np.int64)
        tensors[name] = ExactTensor(integers, tensor.exponent + shift)
    return DecodedUpdate(update.schema, tensors)


def model_of(strategy, request, plan):
    sums = strategy.combine(request.updates, plan, request.schema)
    return apply(sums, plan.divisor, request.base), sums.digest(plan.divisor)


def same(left, right):
    return all(left[name].tobytes() == right[name].tobytes() for name in left)


class AggregationSuite:
    """Subclass with `name` and `parameters` of a strategy."""

    name: str
    parameters: ClassVar[dict] = {}
    breakdown = 0.25
    """Share of sign-flipping attackers (times ten) that the rule must survive on this round."""

    @pytest.fixture
    def strategy(self):
        return strategy_from_spec(self.name, self.parameters)

    @pytest.fixture
    def request_(self):
        return honest_round()

    def test_an_honest_round_improves_the_model(self, strategy, request_):
        model, _ = model_of(strategy, request_, strategy.select(request_))
        assert self.accuracy(request_, model) > self.accuracy(request_, request_.base) + 0.05

    def test_survives_attackers(self, strategy, request_):
        count = int(self.breakdown * CLIENTS)
        updates = [scaled(u, -10) if i < count else u for i, u in enumerate(request_.updates)]
        attacked = replace(request_, updates=updates)
        model, _ = model_of(strategy, attacked, strategy.select(attacked))
        assert self.accuracy(request_, model) > self.accuracy(request_, request_.base) + 0.03

    def test_one_own_plan_checks(self, strategy, request_):
        assert strategy.check(request_, strategy.select(request_)) == []

    def test_plans_survive_the_report(self, strategy, request_):
        plan = strategy.select(request_)
        data = encode_record(plan.to_record())
        assert Plan.from_record(decode_record(data, max_bytes=2**20)) == plan

    def test_forged_multipliers_are_found(self, strategy, request_):
        plan = strategy.select(request_)
        victim = plan.accepted[0]
        entry = plan.verdicts[victim]
        forged = replace(entry, multiplier=4096 if entry.multiplier < 2048 else 1)
        verdicts = (*plan.verdicts[:victim], forged, *plan.verdicts[victim + 1 :])
        assert strategy.check(request_, replace(plan, verdicts=verdicts))

    def test_forged_divisors_are_found(self, strategy, request_):
        plan = strategy.select(request_)
        assert strategy.check(request_, replace(plan, divisor=plan.divisor * 2))

    def test_a_plan_for_other_updates_is_found(self, strategy, request_):
        plan = strategy.select(request_)
        shorter = replace(request_, updates=request_.updates[1:], sample_weights=request_.sample_weights[1:])
        assert strategy.check(shorter, plan)

    def test_excluding_an_update_is_found(self, strategy, request_):
        plan = strategy.select(request_)
        if len(plan.accepted) == 1:
            pytest.skip("the rule takes one update")
        best = max(plan.accepted, key=lambda i: plan.verdicts[i].margin)
        left_out = replace(plan.verdicts[best], reason="low_information", multiplier=0)
        verdicts = (*plan.verdicts[:best], left_out, *plan.verdicts[best + 1 :])
        rows = tuple(kept for row in plan.rows if (kept := tuple(i for i in row if i != best)))
        assert strategy.check(request_, replace(plan, verdicts=verdicts, rows=rows, trim=0))

    def test_bits_do_not_depend_on_threads(self, strategy, request_):
        results = []
        for threads in (1, 2):
            with threadpool_limits(threads):
                plan = strategy.select(request_)
                results.append((plan, model_of(strategy, request_, plan)[1]))
        assert results[0] == results[1]

    def test_a_followed_plan_gives_the_same_bits_in_any_order_and_layout(self, strategy, request_):
        plan = strategy.select(request_)
        order = np.random.default_rng(5).permutation(CLIENTS).tolist()
        place = {old: new for new, old in enumerate(order)}

        def relaid(update):
            return DecodedUpdate(
                update.schema,
                {
                    name: ExactTensor(np.asfortranarray(np.repeat(t.integers, 2, axis=0))[::2], t.exponent)
                    for name, t in update.tensors.items()
                },
            )

        moved = replace(request_, updates=[relaid(request_.updates[i]) for i in order])
        plan_moved = replace(
            plan,
            verdicts=tuple(plan.verdicts[i] for i in order),
            rows=tuple(tuple(sorted(place[i] for i in row)) for row in plan.rows),
        )
        assert model_of(strategy, moved, plan_moved)[1] == model_of(strategy, request_, plan)[1]

    def test_selection_does_not_depend_on_order(self, strategy, request_):
        order = np.random.default_rng(6).permutation(CLIENTS).tolist()
        moved = replace(
            request_,
            updates=[request_.updates[i] for i in order],
            sample_weights=[request_.sample_weights[i] for i in order],
        )
        plan, plan_moved = strategy.select(request_), strategy.select(moved)
        assert [plan.verdicts[i].accepted for i in order] == [v.accepted for v in plan_moved.verdicts]
        differences = [plan.multipliers[i] - m for i, m in zip(order, plan_moved.multipliers, strict=True)]
        assert max(map(abs, differences)) <= strategy.multiplier_margin
        place = {old: new for new, old in enumerate(order)}
        assert {tuple(sorted(place[i] for i in row)) for row in plan.rows} == set(plan_moved.rows)
        assert (plan_moved.rule, plan_moved.trim) == (plan.rule, plan.trim)
        if not any(differences):
            assert model_of(strategy, moved, plan_moved)[1] == model_of(strategy, request_, plan)[1]

    def test_bits_do_not_depend_on_the_block_of_coordinates(self, strategy, request_, monkeypatch):
        plan = strategy.select(request_)
        expected = model_of(strategy, request_, plan)[1]
        monkeypatch.setattr(exact_rows, "BLOCK_BYTES", 8 * CLIENTS * 7)
        monkeypatch.setattr(exact_sum, "BLOCK", 7)
        assert model_of(strategy, request_, strategy.select(request_))[1] == expected

    def test_aggregate_is_the_same_path(self, strategy, request_):
        deltas = [
            {name: t.to_float().astype(np.float32) for name, t in update.tensors.items()} for update in request_.updates
        ]
        model = strategy.aggregate(
            deltas,
            request_.sample_weights,
            request_.base,
            forward=request_.forward,
            probe=request_.probe,
            reference=request_.reference,
        )
        expected, _ = model_of(strategy, request_, strategy.select(request_))
        largest = max(float(np.abs(model[name] - expected[name]).max()) for name in model)
        # The grid of `aggregate` is not the round's, so that scores may differ in the last places.
        assert largest < 1e-3

    def test_nothing_to_aggregate_is_refused(self, strategy, request_):
        with pytest.raises(NoAcceptableUpdate):
            strategy.aggregate([], [], request_.base)

    def test_bad_updates_are_refused(self, strategy, request_):
        good = {name: np.zeros_like(array) for name, array in request_.base.items()}
        for bad in (
            {"output.bias": good["output.bias"]},
            {**good, "output.bias": good["output.bias"].astype(np.float64)},
            {**good, "output.bias": np.full(10, np.nan, np.float32)},
            {**good, "output.bias": np.full(10, 1e30, np.float32)},
        ):
            with pytest.raises(MalformedObject):
                strategy.aggregate([bad] * CLIENTS, [1] * CLIENTS, request_.base)

    def test_bad_parameters_are_refused(self):
        for parameters in ({"nonsense": 1}, {"score_margin": "0"}, {"score_margin": -1.0}, {"multiplier_margin": True}):
            with pytest.raises(ConfigurationError):
                strategy_from_spec(self.name, {**self.parameters, **parameters})

    def accuracy(self, request, model):
        parts = split(load_dataset("digits"), seed=1, probe=100)
        return float((request.forward(model, parts.test.features).argmax(1) == parts.test.labels).mean())
