"""The price of the honest-quorum assumption: how likely attackers capture a round's committee.

*Capture*: the attackers hold at least a quorum of the seats, so that they can finalize any model alone.

Model: of `enrolled` workers, `malicious` act together and see everything; the others claim what they win,
except `absent` ones, who never claim. Every worker wins independently with probability min(E / enrolled,
1), and with twice E after widening (the contract's integer threshold differs by less than 2**-240). With
more winners than `max_seats`, the lowest outputs stay. The attackers move last: where that serves them they
withhold claims so that too few seats force the widening, which the honest winners alone do not prevent.

Two facts make the result exact and cheap: the workers with the s lowest outputs are a uniformly random
s-subset, and which subset it is does not depend on how many outputs win. So the number of attackers among
them is hypergeometric, whatever the number of winners, and only the first `max_seats` of them matter. All
arithmetic is on integers and fractions.

Not in the model: attackers who influence the seed (each bit of influence at most doubles the probability) and
corruption after the committee is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb, expm1, lcm, log1p

from flare_offchain.consensus.sortition import quorum

SHARES = tuple(Fraction(twentieth, 20) for twentieth in range(1, 11))
"""Shares of attackers that a table shows: 5 % to 50 %."""


UNSAFE_SHARE = Fraction(1, 5)
UNSAFE_PROBABILITY = 0.01
"""A task is unsafe where `UNSAFE_SHARE` of its workers capture one of its rounds with a probability of
`UNSAFE_PROBABILITY` or more (docs/threat-model.md)."""


@dataclass(frozen=True, slots=True)
class CaptureRow:
    """One line of the capture table: a number of attackers and the exact probability a round."""

    malicious: int
    fraction: Fraction
    probability: Fraction


@dataclass(frozen=True, slots=True)
class _Round:
    """The parameters of one round, checked.

    one, two: numerators over `enrolled` of the probability to win, before and after widening.
    """

    enrolled: int
    malicious: int
    expected: int
    threshold_basis_points: int
    max_seats: int
    absent: int

    def __post_init__(self) -> None:
        if min(self.malicious, self.absent) < 0 or self.malicious + self.absent > self.enrolled:
            raise ValueError("attackers and absent workers are at least 0 and together at most the enrolled")
        if self.expected < 1 or self.max_seats < 2:
            raise ValueError("the expected committee is at least 1 and the cap on seats at least 2")
        self.quorum(0)

    @property
    def claimants(self) -> int:
        return self.enrolled - self.absent

    @property
    def one(self) -> int:
        return min(self.expected, self.enrolled)

    @property
    def two(self) -> int:
        return min(2 * self.expected, self.enrolled)

    def quorum(self, seats: int) -> int:
        return quorum(self.threshold_basis_points, self.expected, self.enrolled, seats)

    def captures(self, seats: int) -> list[tuple[int, int]]:
        """Return (a, subsets of that many seats with a attackers) for every a that captures."""
        honest = self.claimants - self.malicious
        possible = range(self.quorum(seats), min(seats, self.malicious) + 1)
        return [(a, comb(self.malicious, a) * comb(honest, seats - a)) for a in possible]

    def delays(self, seats: int, attackers: int, first: int) -> int:
        """Return `_delays` under these rules."""
        return _delays(self.threshold_basis_points, self.one, seats, attackers, first)


@lru_cache(maxsize=2**17)
def _delays(threshold_basis_points: int, expected: int, seats: int, attackers: int, first: int) -> int:
    """Return how many subsets of size `first` of the final seats force the widening without being captured.

    The attackers fall short of the quorum of those who win at first, and so do the honest on their own. It does not
    depend on how many workers there are, so a table computes it once. expected: min(E, enrolled).
    """
    total = 0
    for held in range(max(0, first - seats + attackers), min(attackers, first) + 1):
        honest = first - held
        is_captured = held >= quorum(threshold_basis_points, expected, expected, first)
        if not is_captured and honest < quorum(threshold_basis_points, expected, expected, honest):
            total += comb(attackers, held) * comb(seats - attackers, honest)
    return total


def capture_probability(
    enrolled: int,
    malicious: int,
    expected: int,
    threshold_basis_points: int,
    max_seats: int = 64,
    absent: int = 0,
) -> Fraction:
    """Return the exact probability that one round's committee is captured (see the module's text).

    expected: E. threshold_basis_points: t, 5001 to 10000. max_seats: the cap, >= 2. Raises `ValueError` for
    values outside these ranges, or more attackers and absent workers than are enrolled.
    """
    rules = _Round(enrolled, malicious, expected, threshold_basis_points, max_seats, absent)
    total = Fraction(sum(_uncapped(rules, seats) for seats in range(min(max_seats, rules.claimants + 1))))
    if rules.claimants >= max_seats:
        total += _capped(rules)
    return Fraction(total, max(enrolled, 1) ** rules.claimants)


def capture_table(
    enrolled: int,
    expected: int,
    threshold_basis_points: int,
    max_seats: int = 64,
    shares: Iterable[Fraction] = SHARES,
) -> list[CaptureRow]:
    """Return `capture_probability` for shares of attackers (rounded up to whole workers), all others
    claiming."""
    rows = []
    for share in shares:
        malicious = -(-share.numerator * enrolled // share.denominator)
        chance = capture_probability(enrolled, malicious, expected, threshold_basis_points, max_seats)
        rows.append(CaptureRow(malicious, share, chance))
    return rows


def over_rounds(probability: Fraction, rounds: int) -> float:
    """Return the probability that at least one of a task's rounds is captured, each with `probability`, 0 to 1;
    their seeds are independent."""
    if probability >= 1:
        return 1.0 if rounds else 0.0
    return -expm1(rounds * log1p(-float(probability)))


def unsafe_probability(
    enrolled: int, expected: int, threshold_basis_points: int, max_seats: int, rounds: int
) -> float | None:
    """Return with what probability `UNSAFE_SHARE` of the workers capture one of the rounds, if that makes the
    task unsafe; else None. Raises `ValueError` as `capture_probability` does."""
    (row,) = capture_table(enrolled, expected, threshold_basis_points, max_seats, (UNSAFE_SHARE,))
    chance = over_rounds(row.probability, rounds)
    return chance if chance >= UNSAFE_PROBABILITY else None


def _uncapped(rules: _Round, seats: int) -> int:
    """Return enrolled**claimants times P(exactly this many winners, and they are captured), for seats <
    max_seats.

    A subset of s winners has weight one^s (enrolled - one)^(claimants - s) at first; a subset that wins in
    two steps, one^first (two - one)^(s - first) (enrolled - two)^(claimants - s).
    """
    others = rules.claimants - seats
    at_once = rules.one**seats * (rules.enrolled - rules.one) ** others
    later = (rules.enrolled - rules.two) ** others
    steps = [rules.one**first * (rules.two - rules.one) ** (seats - first) for first in range(seats + 1)]
    total = 0
    for attackers, subsets in rules.captures(seats):
        delayed = sum(step * rules.delays(seats, attackers, first) for first, step in enumerate(steps))
        total += subsets * (at_once + later * delayed)
    return total


def _capped(rules: _Round) -> Fraction:
    """Return enrolled**claimants times P(at least `max_seats` winners, and the lowest of them are
    captured)."""
    seats, captures = rules.max_seats, rules.captures(rules.max_seats)
    at_once, delayed = _capped_weights(rules)
    common = lcm(*(comb(seats, first) for first in range(seats)))
    total = at_once * common * sum(subsets for _, subsets in captures)
    for first, weight in enumerate(delayed):
        ways = sum(subsets * rules.delays(seats, attackers, first) for attackers, subsets in captures)
        total += weight * ways * (common // comb(seats, first))
    return Fraction(total, common * comb(rules.claimants, seats))


def _capped_weights(rules: _Round) -> tuple[int, list[int]]:
    """Return enrolled**claimants times P(W >= cap) and, for each v below the cap, times P(V = v, W' >= cap).

    V and W are the winners before widening, W' after it. Each is what the cases below the cap leave.
    """
    cap, workers = rules.max_seats, rules.claimants
    miss, rest = rules.enrolled - rules.one, rules.enrolled - rules.two
    exactly = [comb(workers, v) * rules.one**v * miss ** (workers - v) for v in range(cap)]
    gaps = [rest ** (workers - w) for w in range(cap)]
    delayed = []
    for first, weight in enumerate(exactly):
        short = sum(
            comb(workers - first, w - first) * (rules.two - rules.one) ** (w - first) * gaps[w]
            for w in range(first, cap)
        )
        delayed.append(weight - comb(workers, first) * rules.one**first * short)
    return rules.enrolled**workers - sum(exactly), delayed
