"""The capture table against every outcome of small rounds, and against rounds that are played."""

import random
from fractions import Fraction
from itertools import permutations, product
from math import sqrt

import pytest

from flare_offchain.consensus.capture import capture_probability, capture_table, over_rounds, unsafe_probability
from flare_offchain.consensus.sortition import MAX_OUTPUT, Seat, lowest, quorum, threshold, wins

pytestmark = pytest.mark.unit


def is_captured(outputs, malicious, expected, basis_points, max_seats, enrolled):
    """Play one round with the rules of sortition. Workers 0 to malicious - 1 are the attackers."""

    def seats_of(claimants, limit):
        winners = [worker for worker in claimants if wins(outputs[worker], limit)]
        return lowest([Seat.of(f"{worker:040x}", outputs[worker]) for worker in winners], max_seats)

    def held(seats):
        return sum(int(seat.member, 16) < malicious for seat in seats)

    def needed(seats):
        return quorum(basis_points, expected, enrolled, len(seats))

    everyone, honest = range(len(outputs)), range(malicious, len(outputs))
    limit = threshold(enrolled, expected)
    at_once = seats_of(everyone, limit)
    if held(at_once) >= needed(at_once):
        return True
    honest_alone = seats_of(honest, limit)
    if len(honest_alone) >= needed(honest_alone):
        return False
    widened = seats_of(everyone, threshold(enrolled, expected, widened=True))
    return held(widened) >= needed(widened)


def enumerated(enrolled, malicious, expected, basis_points, max_seats, absent):
    """Sum over who wins when, and over every order of the outputs inside each of the three classes."""
    claimants = enrolled - absent
    first = min(Fraction(expected, enrolled), Fraction(1))
    second = min(Fraction(2 * expected, enrolled), Fraction(1)) - first
    chances = (first, second, 1 - first - second)
    bottoms = (0, threshold(enrolled, expected) + 1, threshold(enrolled, expected, widened=True) + 1)
    total, orders = Fraction(0), list(permutations(range(claimants)))
    for classes in product(range(3), repeat=claimants):
        weight = Fraction(1)
        for each in classes:
            weight *= chances[each]
        if weight:
            captured = sum(
                is_captured(
                    [bottoms[each] + (place << 160) for each, place in zip(classes, order, strict=True)],
                    malicious,
                    expected,
                    basis_points,
                    max_seats,
                    enrolled,
                )
                for order in orders
            )
            total += weight * Fraction(captured, len(orders))
    return total


@pytest.mark.parametrize(
    ("enrolled", "malicious", "expected", "basis_points", "max_seats", "absent"),
    [
        (4, 2, 2, 5001, 2, 0),
        (4, 2, 2, 6000, 3, 0),
        (4, 2, 2, 5001, 8, 0),
        (4, 2, 1, 6000, 4, 1),
        (4, 3, 1, 10000, 2, 0),
        (4, 2, 3, 6667, 3, 0),
        (4, 2, 4, 5001, 8, 0),
        (5, 3, 2, 6000, 3, 1),
        (5, 2, 1, 5001, 3, 2),
    ],
)
def test_every_outcome_of_small_rounds(enrolled, malicious, expected, basis_points, max_seats, absent):
    arguments = (enrolled, malicious, expected, basis_points, max_seats, absent)
    assert capture_probability(*arguments) == enumerated(*arguments)


@pytest.mark.parametrize(
    ("enrolled", "malicious", "expected", "basis_points", "max_seats"),
    [(30, 12, 8, 6000, 12), (40, 18, 6, 5001, 6), (25, 12, 10, 5001, 64), (12, 6, 10, 5001, 10)],
)
def test_rounds_that_are_played(enrolled, malicious, expected, basis_points, max_seats):
    generator, rounds = random.Random(7), 4000
    captured = sum(
        is_captured(
            [generator.randrange(MAX_OUTPUT + 1) for _ in range(enrolled)],
            malicious,
            expected,
            basis_points,
            max_seats,
            enrolled,
        )
        for _ in range(rounds)
    )
    chance = float(capture_probability(enrolled, malicious, expected, basis_points, max_seats))
    assert 0.005 < chance < 0.9
    assert abs(captured / rounds - chance) < 5 * sqrt(chance * (1 - chance) / rounds)


def test_where_everyone_sits_it_is_a_count():
    assert capture_probability(10, 5, 10, 6000) == 0
    assert capture_probability(10, 6, 10, 6000) == 1
    assert capture_probability(10, 10, 3, 6000) > Fraction(9, 10)
    assert capture_probability(2, 1, 5, 5001) == 0
    assert capture_probability(2, 2, 5, 5001) == 1


def test_no_attackers_no_capture():
    assert capture_probability(100, 0, 10, 6000) == 0
    assert capture_probability(0, 0, 10, 6000) == 0


def test_more_attackers_or_absent_workers_capture_more():
    chances = [capture_probability(60, malicious, 12, 6000, 24) for malicious in range(0, 61, 6)]
    assert chances == sorted(chances)
    assert capture_probability(60, 18, 12, 6000, 24, absent=20) > capture_probability(60, 18, 12, 6000, 24)


def test_the_table():
    rows = capture_table(100, 16, 6000, 32)
    assert [row.fraction for row in rows] == [Fraction(i, 20) for i in range(1, 11)]
    assert [row.malicious for row in rows] == list(range(5, 51, 5))
    assert all(row.probability == capture_probability(100, row.malicious, 16, 6000, 32) for row in rows)
    odd = capture_table(7, 3, 6000, 6, [Fraction(1, 3)])
    assert [row.malicious for row in odd] == [3], "shares are rounded up to whole workers"


@pytest.mark.parametrize(
    "arguments",
    [
        (10, -1, 3, 6000),
        (10, 11, 3, 6000),
        (10, 5, 3, 6000, 64, 6),
        (10, 5, 3, 6000, 64, -1),
        (10, 5, 0, 6000),
        (10, 5, 3, 5000),
        (10, 5, 3, 10001),
        (10, 5, 3, 6000, 1),
    ],
)
def test_ranges(arguments):
    with pytest.raises(ValueError, match=r"at least|threshold"):
        capture_probability(*arguments)


def test_over_rounds_is_the_chance_of_at_least_one():
    for chance in (Fraction(0), Fraction(1, 10**20), Fraction(1, 7), Fraction(1)):
        for rounds in (0, 1, 3, 50):
            exact = 1 - (1 - chance) ** rounds
            assert over_rounds(chance, rounds) == pytest.approx(float(exact), rel=1e-12)


def test_unsafe_is_a_fifth_that_captures_a_round_in_a_hundred_tasks():
    fifth = capture_probability(100, 20, 16, 6000, 32)
    assert float(fifth) == pytest.approx(1.1e-5, rel=0.05)
    limit = next(rounds for rounds in range(1, 10_000) if over_rounds(fifth, rounds) >= 0.01)
    assert unsafe_probability(100, 16, 6000, 32, limit - 1) is None
    assert unsafe_probability(100, 16, 6000, 32, limit) == pytest.approx(0.01, rel=0.01)
    assert unsafe_probability(20, 5, 6000, 32, 1) == pytest.approx(float(capture_probability(20, 4, 5, 6000, 32)))
    assert unsafe_probability(8, 5, 6000, 32, 1000) is None, "two of eight never reach three seats"
