"""Sortition: from VRF outputs to seats. The rules of docs/protocol.md section 3, as the contracts apply them.

All functions are pure. An output is an integer of 256 bits, uniform for whoever does not know the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_OUTPUT = 2**256 - 1
PREFIX_BITS = 96
"""How many leading bits of an output order the seats."""
BASIS_POINTS = 10_000
MIN_QUORUM = 2


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of the committee: who holds it and the top 96 bits of the output that won it.

    member: an address as hex text, or in a mechanism without a chain any other name.
    """

    member: str
    output_prefix: int

    @classmethod
    def of(cls, member: str, output: int) -> Seat:
        """Return the seat that a whole output (256 bits) wins."""
        if not 0 <= output <= MAX_OUTPUT:
            raise ValueError("an output is an integer of 256 bits")
        return cls(member, output >> (256 - PREFIX_BITS))

    @property
    def order(self) -> tuple[int, str, str]:
        """What seats are compared by: the prefix, then the address as a number (hex text of one length)."""
        return self.output_prefix, self.member.lower(), self.member


@dataclass(frozen=True, slots=True)
class Insertion:
    """What a claim did: all seats afterwards, the index that it took, and the seat that gave way, if any."""

    seats: tuple[Seat, ...]
    index: int
    evicted: Seat | None


def threshold(enrolled: int, expected: int, widened: bool = False) -> int:
    """Return the largest output that wins a seat.

    enrolled: workers enrolled for the round, >= 0. expected: E, the seats that a round has on average
    before the cap, >= 1; widening doubles it. With at most E enrolled, everyone wins.
    """
    if enrolled < 0 or expected < 1:
        raise ValueError("enrolled is at least 0 and the expected committee at least 1")
    seats = 2 * expected if widened else expected
    return MAX_OUTPUT if enrolled <= seats else MAX_OUTPUT // enrolled * seats


def wins(output: int, limit: int) -> bool:
    """Return whether an output wins a seat under a threshold: equal is enough."""
    return output <= limit


def insert(seats: Sequence[Seat], claim: Seat, max_seats: int) -> Insertion | None:
    """Return what a winning claim does to the seats; `None` if all seats are taken by lower outputs.

    A free seat is appended; without one, the claim takes over the index of the highest seat if it is lower.
    Raises `ValueError` if the member already holds a seat.
    """
    if any(seat.member == claim.member for seat in seats):
        raise ValueError(f"{claim.member} already holds a seat")
    if len(seats) < max_seats:
        return Insertion((*seats, claim), len(seats), None)
    index = max(range(len(seats)), key=lambda at: seats[at].order)
    if claim.order > seats[index].order:
        return None
    return Insertion((*seats[:index], claim, *seats[index + 1 :]), index, seats[index])


def ranked(seats: Sequence[Seat]) -> tuple[Seat, ...]:
    """Return the seats by rank: outputs ascending. Attempt a of a round belongs to rank a."""
    return tuple(sorted(seats, key=lambda seat: seat.order))


def attempts(seats: int, max_attempts: int) -> int:
    """Return how many proposals a round tries."""
    return min(seats, max_attempts)


def quorum(threshold_basis_points: int, expected: int, enrolled: int, seats: int) -> int:
    """Return the approvals that finalize: max(⌈t·min(E, enrolled)⌉, ⌈t·seats⌉, 2), E not widened.

    threshold_basis_points: t, 5001 to 10000, else `ValueError`.
    """
    if not BASIS_POINTS // 2 < threshold_basis_points <= BASIS_POINTS:
        raise ValueError(f"the threshold is 5001 to 10000 basis points, not {threshold_basis_points}")
    largest = max(min(expected, enrolled), seats)
    return max(-(-threshold_basis_points * largest // BASIS_POINTS), MIN_QUORUM)
