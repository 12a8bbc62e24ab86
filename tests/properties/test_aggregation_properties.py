"""Exact aggregation against a second implementation in plain Python integers, and what its bits must not depend on."""

import hashlib
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from flare_offchain.compression.exact import (
    MAX_EXPONENT,
    MAX_MAGNITUDE,
    MIN_EXPONENT,
    DecodedUpdate,
    ExactTensor,
)
from flare_offchain.core.errors import ExactnessError, NoAcceptableUpdate
from flare_offchain.core.tensors import ModelSchema, TensorSpec
from flare_offchain.federation.aggregation.exact_rows import nearest_sum, trimmed_sum
from flare_offchain.federation.exact_sum import MAX_DIVISOR, apply, weighted_sum

pytestmark = pytest.mark.unit

SCHEMA = ModelSchema((TensorSpec("a", (2, 3)), TensorSpec("b", ()), TensorSpec("c", (0, 4)), TensorSpec("é", (5,))))
EXPONENTS = st.one_of(st.integers(-9, -7), st.integers(MIN_EXPONENT, MAX_EXPONENT))


@st.composite
def updates(draw, least=1, most=6):
    """Updates with small or with extreme integers, of near or of far exponents."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def tensor(shape):
        largest = draw(st.sampled_from([3, 1000, MAX_MAGNITUDE]))
        integers = rng.choice([-largest, largest, 0, *rng.integers(-largest, largest + 1, 5)], size=shape)
        return ExactTensor(np.asarray(integers, np.int64), draw(EXPONENTS))

    return [
        DecodedUpdate(SCHEMA, {t.name: tensor(t.shape) for t in SCHEMA.tensors})
        for _ in range(draw(st.integers(least, most)))
    ]


@st.composite
def weighted(draw):
    chosen = draw(updates())
    factors = draw(st.lists(st.integers(0, 4096), min_size=len(chosen), max_size=len(chosen)))
    factors[draw(st.integers(0, len(chosen) - 1))] = draw(st.integers(1, 4096))
    return chosen, factors


def plain_sum(chosen, factors, name):
    """Exponent and sums of one tensor, with nothing but Python integers."""
    terms = [(u.tensors[name], m) for u, m in zip(chosen, factors, strict=True) if m]
    exponent = min(t.exponent for t, _ in terms)
    flat = [[int(z) * m * 2 ** (t.exponent - exponent) for z in t.integers.flatten()] for t, m in terms]
    return exponent, [sum(column) for column in zip(*flat, strict=True)]


def plain_digest(chosen, factors, divisor):
    encoding = b""
    for tensor in SCHEMA.tensors:
        exponent, sums = plain_sum(chosen, factors, tensor.name)
        encoding += struct.pack("<h", exponent)
        encoding += b"".join(value.to_bytes(16, "little", signed=True) for value in sums)
    return hashlib.sha256(encoding + struct.pack("<Q", divisor)).digest()


@given(weighted(), st.integers(1, MAX_DIVISOR))
def test_sums_and_digest_are_those_of_python_integers(case, divisor):
    chosen, factors = case
    sums = weighted_sum(chosen, factors, SCHEMA)
    for tensor in SCHEMA.tensors:
        exponent, expected = plain_sum(chosen, factors, tensor.name)
        assert sums.tensors[tensor.name].exponent == exponent
        assert sums.tensors[tensor.name].to_integers().flatten().tolist() == expected
    assert sums.digest(divisor) == plain_digest(chosen, factors, divisor)


@given(weighted(), st.integers(1, MAX_DIVISOR), st.integers(0, 2**32 - 1))
def test_apply_rounds_as_the_protocol_says(case, divisor, seed):
    chosen, factors = case
    rng = np.random.default_rng(seed)
    base = {t.name: rng.normal(size=t.shape).astype(np.float32) for t in SCHEMA.tensors}
    model = apply(weighted_sum(chosen, factors, SCHEMA), divisor, base)
    for tensor in SCHEMA.tensors:
        exponent, sums = plain_sum(chosen, factors, tensor.name)
        for new, old, total in zip(model[tensor.name].flatten(), base[tensor.name].flatten(), sums, strict=True):
            step = float(total) / float(divisor) * 2.0**exponent
            assert new.tobytes() == np.float32(float(old) + step).tobytes()


@given(weighted(), st.randoms(use_true_random=False), st.integers(1, 2))
def test_bits_do_not_depend_on_order_layout_or_threads(case, random, threads):
    chosen, factors = case
    order = list(range(len(chosen)))
    random.shuffle(order)

    def relaid(tensor):
        integers = tensor.integers
        if integers.ndim == 2:
            integers = np.asfortranarray(integers)
        elif integers.size:
            integers = np.repeat(integers.reshape(-1), 2)[::2].reshape(integers.shape)
        return ExactTensor(integers, tensor.exponent)

    moved = [DecodedUpdate(SCHEMA, {name: relaid(t) for name, t in chosen[i].tensors.items()}) for i in order]
    with threadpool_limits(threads):
        digest = weighted_sum(moved, [factors[i] for i in order], SCHEMA).digest(7)
    assert digest == weighted_sum(chosen, factors, SCHEMA).digest(7)


@settings(max_examples=60)
@given(updates(least=2), st.data())
def test_order_statistics_are_those_of_fractions(chosen, data):
    count = len(chosen)
    rows = data.draw(st.lists(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True), min_size=1))
    factors = data.draw(st.lists(st.integers(1, 4096), min_size=count, max_size=count))
    keep = data.draw(st.integers(1, len(rows)))
    trim = data.draw(st.integers(0, (len(rows) - 1) // 2))
    trimmed = trimmed_sum(chosen, factors, rows, trim, SCHEMA)
    nearest = nearest_sum(chosen, factors, rows, keep, SCHEMA)
    for tensor in SCHEMA.tensors:
        for i in range(tensor.size):
            terms = [
                Fraction(2) ** u.tensors[tensor.name].exponent * int(u.tensors[tensor.name].integers.flat[i]) * m
                for u, m in zip(chosen, factors, strict=True)
            ]
            values = sorted(sum(terms[j] for j in row) for row in rows)
            low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
            median = (low + high) / 2
            near = sorted(values, key=lambda value: (abs(value - median), value))[:keep]
            for sums, expected in ((trimmed, values[trim : len(values) - trim]), (nearest, near)):
                exact = sums.tensors[tensor.name]
                total = int(exact.to_integers().flat[i]) * Fraction(2) ** exact.exponent
                assert total == sum(expected)


def large(value, exponent, size=3):
    schema = ModelSchema((TensorSpec("w", (size,)),))
    return DecodedUpdate(schema, {"w": ExactTensor(np.full(size, value, np.int64), exponent)})


def test_sums_past_53_and_64_bits_stay_exact():
    chosen = [large(MAX_MAGNITUDE, 8), large(-MAX_MAGNITUDE + 1, 8), large(1, -48)]
    factors = [4096, 4096, 1]
    sums = weighted_sum(chosen, factors, chosen[0].schema)
    assert sums.tensors["w"].high is not None
    assert sums.tensors["w"].to_integers().tolist() == [(4096 << 56) + 1] * 3
    assert sums.tensors["w"].to_float().tolist() == [float((4096 << 56) + 1)] * 3
    # 2**53 + 1 is the first integer that float64 summation would lose.
    odd = [large(2**24, 5), large(1, -24)]
    assert weighted_sum(odd, [1, 1], odd[0].schema).tensors["w"].to_integers().tolist() == [2**53 + 1] * 3


def test_float_conversion_of_wide_sums_rounds_once():
    # In two steps (high limb, then low limb) this tie would be rounded the wrong way.
    chosen = [large(2**24, 8), large(2**24 - 1, -21), large(1, -48)]
    exact = weighted_sum(chosen, [4096, 4096, 1], chosen[0].schema).tensors["w"]
    assert exact.to_float()[0] == float(int(exact.to_integers()[0]))


def test_no_negative_zero_comes_from_the_sum():
    chosen = [large(-1, -48), large(1, -48)]
    base = {"w": np.array([-0.0, 0.0, 1.0], np.float32)}
    model = apply(weighted_sum(chosen, [1, 1], chosen[0].schema), 3, base)
    assert not np.signbit(model["w"]).any()


def test_refusals():
    chosen = [large(1, 0)]
    schema = chosen[0].schema
    with pytest.raises(NoAcceptableUpdate):
        weighted_sum(chosen, [0], schema)
    with pytest.raises(NoAcceptableUpdate):
        weighted_sum([], [], schema)
    for factors in ([-1], [4097], [1, 1]):
        with pytest.raises(ExactnessError):
            weighted_sum(chosen, factors, schema)
    with pytest.raises(ExactnessError):
        weighted_sum(chosen, [1], SCHEMA)
    sums = weighted_sum(chosen, [1], schema)
    for divisor in (0, -1, MAX_DIVISOR + 1):
        with pytest.raises(ExactnessError):
            sums.digest(divisor)
        with pytest.raises(ExactnessError):
            apply(sums, divisor, {"w": np.zeros(3, np.float32)})
    for rows, trim in (([[0]], 1), ([[]], 0), ([[1]], 0), ([[-1]], 0)):
        with pytest.raises(ExactnessError):
            trimmed_sum(chosen, [1], rows, trim, schema)
    with pytest.raises(ExactnessError):
        nearest_sum(chosen, [1], [[0]], 2, schema)
