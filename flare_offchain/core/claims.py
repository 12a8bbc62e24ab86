"""Claims as the chain lists them: verified, hashed onto a chain, and emitted (`contracts/types/Claims.sol`).

A claim is the top 96 bits of a VRF output and the number of the participant whose it is, 15 bytes. Claims compare as
the contract compares them: by prefix, ties by number; the lowest are seated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flare_offchain.core.errors import MalformedObject

PREFIX_BITS = 96
"""How many leading bits of an output order the claims."""
PREFIX_BYTES = PREFIX_BITS // 8
NUMBER_BYTES = 3
MAX_NUMBER = 2 ** (8 * NUMBER_BYTES) - 1
CLAIM_BYTES = PREFIX_BYTES + NUMBER_BYTES
COUNT_BYTES = 2
"""Before the claims of each event in the list that SORTITION is closed with."""
MAX_CLAIMS = 511
"""Claims that a round can count."""


@dataclass(frozen=True, slots=True, order=True)
class SeatClaim:
    """A verified claim on a seat. output_prefix: the top 96 bits of the output. number: the participant's, from 1."""

    output_prefix: int
    number: int

    @classmethod
    def of(cls, number: int, output: int) -> SeatClaim:
        """Return the claim of a participant with a whole output, 0 to 2**256 - 1."""
        if not 0 <= output < 2**256:
            raise ValueError("an output is an integer of 256 bits")
        return cls(output >> (256 - PREFIX_BITS), number)

    def to_bytes(self) -> bytes:
        """Return the 15 bytes that the chain lists. Raises `ValueError` for a number that is none."""
        if not 0 < self.number <= MAX_NUMBER:
            raise ValueError(f"participants are numbered 1 to {MAX_NUMBER}, not {self.number}")
        return self.output_prefix.to_bytes(PREFIX_BYTES, "big") + self.number.to_bytes(NUMBER_BYTES, "big")


def pack_claims(claims: Iterable[SeatClaim]) -> bytes:
    """Return claims as one `SeatsClaimed` event holds them: concatenated, in their order."""
    return b"".join(claim.to_bytes() for claim in claims)


def unpack_claims(packed: bytes) -> list[SeatClaim]:
    """Return the claims of an event. Raises `MalformedObject` where it does not divide into claims."""
    if len(packed) % CLAIM_BYTES:
        raise MalformedObject(f"an event of claims has a multiple of {CLAIM_BYTES} bytes, not {len(packed)}")
    starts = range(0, len(packed), CLAIM_BYTES)
    parts = [(packed[at : at + PREFIX_BYTES], packed[at + PREFIX_BYTES : at + CLAIM_BYTES]) for at in starts]
    return [SeatClaim(int.from_bytes(prefix, "big"), int.from_bytes(number, "big")) for prefix, number in parts]


def list_claims(events: Iterable[bytes]) -> bytes:
    """Return the list that SORTITION is closed with: of each event the count of its claims, 2 bytes, and the claims."""
    return b"".join((len(packed) // CLAIM_BYTES).to_bytes(COUNT_BYTES, "big") + packed for packed in events)


def unlist_claims(listed: bytes) -> list[SeatClaim]:
    """Return the claims of such a list. Raises `MalformedObject` where it is none."""
    claims: list[SeatClaim] = []
    at = 0
    while at < len(listed):
        start = at + COUNT_BYTES
        at = start + CLAIM_BYTES * int.from_bytes(listed[at:start], "big")
        if at > len(listed):
            raise MalformedObject(f"a list of claims ends after {len(listed)} bytes and announces {at}")
        claims += unpack_claims(listed[start:at])
    return claims
