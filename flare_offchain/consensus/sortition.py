"""Sortition: from VRF outputs to seats. The rules of docs/protocol.md section 3, as the contracts apply them.

All functions are pure. An output is an integer of 256 bits, uniform for whoever does not know the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flare_offchain.core.claims import PREFIX_BITS

MAX_OUTPUT = 2**256 - 1
BASIS_POINTS = 10_000
MIN_QUORUM = 2


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat of a committee without a chain: who holds it and the top 96 bits of the output that won it.

    On chain participants have numbers, and a claim is `flare_offchain.core.claims.SeatClaim`.
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
        """What seats are compared by: the prefix, then the name, first without its case."""
        return self.output_prefix, self.member.lower(), self.member


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


def lowest(claims: Iterable[Seat], max_seats: int) -> tuple[Seat, ...]:
    """Return the committee: the `max_seats` lowest claims, outputs ascending. Attempt a of a round is seat a's.

    Raises `ValueError` if a member claims twice.
    """
    ascending = sorted(claims, key=lambda seat: seat.order)
    if len({seat.member for seat in ascending}) != len(ascending):
        raise ValueError("a member claims one seat")
    return tuple(ascending[:max_seats])


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
