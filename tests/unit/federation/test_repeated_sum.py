"""A sum that is asked for twice is computed once, and never handed over for anything else."""

import dataclasses

import pytest

from flare_offchain.federation.aggregation import plan as plan_module
from flare_offchain.federation.aggregation.mutual_information import MIAggregationStrategy
from flare_offchain.federation.aggregation.plan import ACCEPTED, SUM, TRIMMED, Plan, RepeatedSum, UpdateVerdict
from flare_offchain.federation.exact_sum import weighted_sum
from tests.suites.aggregation_suite import honest_round

pytestmark = pytest.mark.unit


@pytest.fixture
def computed(monkeypatch):
    """Count the sums that are really computed."""
    counted = []

    def counting(*arguments):
        counted.append(arguments)
        return weighted_sum(*arguments)

    monkeypatch.setattr(plan_module, "weighted_sum", counting)
    return counted


def digest(sums):
    return sums.digest(1)


def plan_of(multipliers, **changes):
    return Plan(tuple(UpdateVerdict(ACCEPTED, 1.0, 1.0, m) for m in multipliers), SUM, 1, **changes)


def test_the_second_time_nothing_is_computed_and_afterwards_it_is_forgotten(computed):
    request = honest_round()
    plan = plan_of(range(1, len(request.updates) + 1))
    repeated = RepeatedSum()
    first = repeated.first(request.updates, plan, request.schema)
    halved = dataclasses.replace(plan, divisor=2, step_shift=1)
    assert repeated.second(list(request.updates), halved, request.schema) is first
    assert len(computed) == 1
    again = repeated.second(request.updates, plan, request.schema)
    assert again is not first and digest(again) == digest(first)
    assert len(computed) == 2


@pytest.mark.parametrize("change", ["multipliers", "order", "equal copies", "fewer"])
def test_any_other_sum_is_computed(change, computed):
    request = honest_round()
    updates, multipliers = list(request.updates), list(range(1, len(request.updates) + 1))
    repeated = RepeatedSum()
    repeated.first(updates, plan_of(multipliers), request.schema)
    if change == "multipliers":
        multipliers[0] += 1
    elif change == "order":
        updates.reverse()
    elif change == "equal copies":
        updates = [dataclasses.replace(update) for update in updates]
    else:
        updates, multipliers = updates[1:], multipliers[1:]
    found = repeated.second(updates, plan_of(multipliers), request.schema)
    assert len(computed) == 2
    assert digest(found) == digest(weighted_sum(updates, multipliers, request.schema))


def test_another_combination_of_the_same_updates_is_computed(computed):
    request = honest_round()
    plan = plan_of([1] * len(request.updates))
    rows = tuple((index,) for index in range(len(request.updates)))
    repeated = RepeatedSum()
    repeated.first(request.updates, plan, request.schema)
    trimmed = dataclasses.replace(plan, rule=TRIMMED, rows=rows, trim=1)
    found = repeated.second(request.updates, trimmed, request.schema)
    assert digest(found) == digest(trimmed.combine(request.updates, request.schema))
    repeated.first(request.updates, trimmed, request.schema)
    wider = dataclasses.replace(trimmed, trim=2)
    found = repeated.second(request.updates, wider, request.schema)
    assert digest(found) == digest(wider.combine(request.updates, request.schema))


def test_a_round_by_mutual_information_sums_once_and_to_the_same_bits(computed):
    request = honest_round()
    strategy = MIAggregationStrategy()
    plan = strategy.select(request)
    sums = strategy.combine(request.updates, plan, request.schema)
    assert len(computed) == 1
    assert sums.digest(plan.divisor) == plan.combine(request.updates, request.schema).digest(plan.divisor)
    assert not strategy.check(request, plan)
    checked = strategy.combine(list(request.updates), plan, request.schema)
    assert checked.digest(plan.divisor) == sums.digest(plan.divisor)


def test_the_integers_that_bound_a_sum_cannot_be_written_to():
    tensor = next(iter(honest_round().updates[0].tensors.values()))
    assert tensor.magnitude == abs(tensor.integers).max()
    with pytest.raises(ValueError, match="read-only"):
        tensor.integers[...] = 2**40
