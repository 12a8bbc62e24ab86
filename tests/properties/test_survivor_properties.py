"""Mixing and trimming of accepted updates against their definitions in fractions, and what bits must not depend on."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from flare_offchain.compression.exact import DecodedUpdate, ExactTensor
from flare_offchain.core.tensors import ModelSchema, TensorSpec
from flare_offchain.federation.aggregation import exact_rows
from flare_offchain.federation.aggregation.geometry import gram_matrix
from flare_offchain.federation.aggregation.plan import ACCEPTED, UpdateVerdict
from flare_offchain.federation.aggregation.survivors import COMBINATIONS, MEAN, Combination, Survivors

pytestmark = pytest.mark.unit

SCHEMA = ModelSchema((TensorSpec("a", (3, 4)), TensorSpec("b", (5,))))
IN, OUT = UpdateVerdict(ACCEPTED, 1.0, 1.0, 1), UpdateVerdict("low_information", -1.0, -1.0, 0)
COMBINED = st.builds(
    Combination,
    st.sampled_from([kind for kind in COMBINATIONS if kind != MEAN]),
    st.sampled_from([0.0, 0.1, 0.25, 0.4]),
)


@st.composite
def rounds(draw):
    """Updates of near exponents, verdicts, cliques and clip factors that are whole multipliers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 9))
    updates = [
        DecodedUpdate(
            SCHEMA,
            {
                t.name: ExactTensor(rng.integers(-(2**20), 2**20, t.shape), -20 + int(rng.integers(0, 3)))
                for t in SCHEMA.tensors
            },
        )
        for _ in range(count)
    ]
    chosen = draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    label = rng.integers(0, count, count) if draw(st.booleans()) else np.arange(count)
    cliques = [np.flatnonzero(label == each).tolist() for each in range(count) if (label == each).any()]
    clips = rng.choice([1.0, 0.5, 0.25, 0.75], count)
    return updates, [IN if accepted else OUT for accepted in chosen], cliques, clips


def survivors_of(case, order=None):
    updates, verdicts, cliques, clips = case
    order = list(range(len(updates))) if order is None else order
    place = {old: new for new, old in enumerate(order)}
    moved = [updates[i] for i in order]
    accepted = [new for new, old in enumerate(order) if verdicts[old].accepted]
    groups = [[place[i] for i in clique] for clique in cliques]
    survivors = Survivors.of(groups, accepted, clips[order], gram_matrix(moved, SCHEMA))
    return moved, [verdicts[i] for i in order], survivors


def digest(updates, plan):
    return plan.combine(updates, SCHEMA).digest(plan.divisor)


@settings(max_examples=80)
@given(rounds(), COMBINED, st.randoms(use_true_random=False), st.integers(1, 2), st.sampled_from([1, 40, 2**20]))
def test_bits_do_not_depend_on_order_threads_or_blocks(case, combination, random, threads, block):
    updates, verdicts, survivors = survivors_of(case)
    plan = survivors.plan(verdicts, combination)
    order = list(range(len(updates)))
    random.shuffle(order)
    whole, exact_rows.BLOCK_BYTES = exact_rows.BLOCK_BYTES, block
    try:
        with threadpool_limits(threads):
            moved, moved_verdicts, moved_survivors = survivors_of(case, order)
            again = moved_survivors.plan(moved_verdicts, combination)
            assert digest(moved, again) == digest(updates, plan)
            assert moved_survivors.strange_rows(combination, again, 1e-9) == ""
    finally:
        exact_rows.BLOCK_BYTES = whole


@settings(max_examples=80)
@given(rounds(), COMBINED)
def test_result_is_that_of_the_definitions(case, combination):
    updates, verdicts, survivors = survivors_of(case)
    plan = survivors.plan(verdicts, combination)
    vectors = [
        [
            Fraction(2) ** u.tensors[t.name].exponent * int(z)
            for t in SCHEMA.tensors
            for z in u.tensors[t.name].integers.reshape(-1)
        ]
        for u in updates
    ]
    # A copy's share of its vote is a rounded multiplier; the definitions are followed with the very same shares.
    shares = [Fraction(multiplier, 4096) for multiplier in plan.multipliers]
    values = [[sum(shares[i] * vectors[i][c] for i in group) for c in range(17)] for group in survivors.groups]
    count = len(values)
    malicious = int(combination.share * count)
    if "mix" in combination.kind:
        exact = [[sum((a - b) ** 2 for a, b in zip(v, w, strict=True)) for w in values] for v in values]
        near = [
            sorted(range(count), key=lambda j, row=row, i=i: (row[j], j != i))[: count - malicious]
            for i, row in enumerate(exact)
        ]
        values = [[sum(values[j][c] for j in chosen) / len(chosen) for c in range(17)] for chosen in near]
    trim = min(malicious, (count - 1) // 2) if "trimmed" in combination.kind else 0
    sums = plan.combine(updates, SCHEMA)
    found = [
        Fraction(2) ** sums.tensors[t.name].exponent * int(z) / plan.divisor
        for t in SCHEMA.tensors
        for z in sums.tensors[t.name].to_integers().reshape(-1)
    ]
    for c, value in enumerate(found):
        kept = sorted(v[c] for v in values)[trim : count - trim]
        assert value == sum(kept) / len(kept)


@given(rounds(), COMBINED)
def test_only_the_accepted_take_part(case, combination):
    _, verdicts, survivors = survivors_of(case)
    plan = survivors.plan(verdicts, combination)
    accepted = {index for index, verdict in enumerate(verdicts) if verdict.accepted}
    assert {index for row in plan.rows for index in row} == set(plan.accepted) == accepted
    assert all(multiplier == 0 for i, multiplier in enumerate(plan.multipliers) if i not in accepted)


@given(rounds())
def test_parted_copies_and_rows_of_strangers_are_found(case):
    _, verdicts, survivors = survivors_of(case)
    combination = Combination("trimmed_mean", 0.1)
    plan = survivors.plan(verdicts, combination)
    several = next((group for group in survivors.groups if len(group) > 1), None)
    if several is not None:
        parted = tuple(row if row != several else several[1:] for row in plan.rows)
        assert survivors.strange_rows(combination, replace(plan, rows=parted), 1.0)
    if len(plan.rows) > 1:
        fewer = replace(plan, rows=plan.rows[1:], trim=0)
        assert survivors.strange_rows(combination, fewer, 1.0)
