"""Seats, ranks and quorum."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare_offchain.consensus.sortition import (
    MAX_OUTPUT,
    Seat,
    attempts,
    lowest,
    quorum,
    threshold,
    wins,
)

pytestmark = pytest.mark.unit

addresses = st.integers(0, 2**160 - 1).map(lambda n: f"0x{n:040x}")
claims = st.lists(
    st.tuples(addresses, st.one_of(st.integers(0, MAX_OUTPUT), st.integers(0, 5).map(lambda n: n << 160))),
    max_size=30,
    unique_by=lambda claim: claim[0],
)


def test_threshold_values():
    assert threshold(0, 5) == threshold(5, 5) == MAX_OUTPUT
    assert threshold(6, 5) == MAX_OUTPUT // 6 * 5
    assert threshold(6, 5, widened=True) == threshold(10, 5, widened=True) == MAX_OUTPUT
    assert threshold(11, 5, widened=True) == MAX_OUTPUT // 11 * 10
    assert wins(threshold(6, 5), threshold(6, 5))
    assert not wins(threshold(6, 5) + 1, threshold(6, 5))


@given(enrolled=st.integers(0, 2**24), expected=st.integers(1, 2**16 - 1))
def test_threshold_is_the_share_and_grows_when_widened(enrolled, expected):
    limit, wide = threshold(enrolled, expected), threshold(enrolled, expected, widened=True)
    assert limit <= wide <= MAX_OUTPUT
    if enrolled > expected:
        exact = MAX_OUTPUT * expected / enrolled
        assert exact * (1 - 1e-12) <= limit <= exact * (1 + 1e-12)
        assert limit * enrolled <= MAX_OUTPUT * expected
    else:
        assert limit == MAX_OUTPUT


@pytest.mark.parametrize(("enrolled", "expected"), [(-1, 5), (5, 0)])
def test_threshold_ranges(enrolled, expected):
    with pytest.raises(ValueError, match="at least"):
        threshold(enrolled, expected)


@given(outputs=claims, max_seats=st.integers(2, 8))
def test_the_lowest_are_seated_in_any_order_of_claims(outputs, max_seats):
    ascending = sorted(outputs, key=lambda claim: (claim[1] >> 160, int(claim[0], 16)))
    expected = [member for member, _ in ascending[:max_seats]]
    for order in (outputs, outputs[::-1], sorted(outputs)):
        seats = lowest([Seat.of(member, output) for member, output in order], max_seats)
        assert [seat.member for seat in seats] == expected


def test_ties_go_to_the_lower_name_whatever_its_case():
    low, high = Seat.of("0x" + "0" * 38 + "Ab", 7 << 160), Seat.of("0x" + "0" * 38 + "aC", 7 << 160)
    assert lowest([high, low], 2) == (low, high)
    assert lowest([high, low], 1) == (low,)
    assert Seat.of("x", (7 << 160) + 2**160 - 1).output_prefix == 7, "the low bits of an output order nothing"


def test_a_member_claims_one_seat():
    with pytest.raises(ValueError, match="one seat"):
        lowest([Seat.of("0xaa", 1), Seat.of("0xaa", 2)], 5)


@pytest.mark.parametrize("output", [-1, 2**256])
def test_outputs_have_256_bits(output):
    with pytest.raises(ValueError, match="256 bits"):
        Seat.of("0xaa", output)


@given(
    basis_points=st.integers(5001, 10000),
    expected=st.integers(1, 64),
    enrolled=st.integers(0, 5000),
    seats=st.integers(0, 64),
)
def test_quorum(basis_points, expected, enrolled, seats):
    needed = quorum(basis_points, expected, enrolled, seats)
    parts = [min(expected, enrolled), seats]
    assert needed == max(2, *(ceil(basis_points * part / 10000) for part in parts))
    assert 2 * needed > max(parts), "two disjoint quorums do not exist"
    assert needed <= max(2, *parts), "a full committee can reach it"


@pytest.mark.parametrize("basis_points", [0, 5000, 10001])
def test_quorum_needs_a_majority(basis_points):
    with pytest.raises(ValueError, match="5001 to 10000"):
        quorum(basis_points, 5, 5, 5)


def test_attempts():
    assert (attempts(3, 5), attempts(5, 3)) == (3, 3)
