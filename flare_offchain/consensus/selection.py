"""Selecting a committee from everyone's VRF proofs, in a form that anyone can check again.

Where all proofs are at hand, no threshold is needed: the seats go to the lowest outputs, which is what the contract
does where the expected committee is at least as large as the enrolment (`sortition.threshold`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flare_offchain.consensus import vrf
from flare_offchain.consensus.identities import vrf_alpha
from flare_offchain.consensus.keys import encode_public_key
from flare_offchain.consensus.sortition import Seat, lowest
from flare_offchain.core.errors import InvalidProof

_NO_CHAIN, _NO_CONTRACT, _NO_TASK = 0, "0x" + "00" * 20, 0


@dataclass(frozen=True, slots=True)
class Claim:
    """A participant's proof (81 bytes, RFC 9381) over the round's alpha, under its registered key."""

    member: str
    public_x: int
    proof: bytes


@dataclass(frozen=True, slots=True)
class CommitteeSelection:
    """A round's committee with all that it follows from. seats: by rank, lowest output first."""

    round_number: int
    seed: bytes
    max_seats: int
    claims: tuple[Claim, ...]
    seats: tuple[Seat, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """The committee by rank."""
        return tuple(seat.member for seat in self.seats)


def local_alpha(round_number: int, seed: bytes) -> bytes:
    """Return the message of a round that no chain knows: `vrf_alpha` with chain id, contract and task zero."""
    return vrf_alpha(_NO_CHAIN, _NO_CONTRACT, _NO_TASK, round_number, seed)


def select(round_number: int, seed: bytes, claims: Iterable[Claim], max_seats: int) -> CommitteeSelection:
    """Return the committee: after every proof has been verified, the `max_seats` lowest outputs.

    Raises `InvalidProof` if any proof is invalid, `ValueError` if a member claims twice.
    """
    alpha, all_claims = local_alpha(round_number, seed), tuple(claims)
    if len({claim.member for claim in all_claims}) != len(all_claims):
        raise ValueError("a participant claims once a round")
    seats: list[Seat] = []
    for claim in all_claims:
        output = vrf.verify(vrf.SECP256K1_TAI, encode_public_key(claim.public_x), alpha, claim.proof)
        seats.append(Seat.of(claim.member, int.from_bytes(output, "big")))
    return CommitteeSelection(round_number, seed, max_seats, all_claims, lowest(seats, max_seats))


def verify_selection(
    selection: CommitteeSelection, seed: bytes, max_seats: int, public_keys: Mapping[str, int]
) -> None:
    """Check a committee that somebody else selected; raise `InvalidProof` unless it is the only possible one.

    seed, max_seats: the mechanism's, from a source that the checker trusts. public_keys: participant to registered x
    coordinate, everyone who took part: a claim that was left out, or added, would change who is seated.
    """
    if (selection.seed, selection.max_seats) != (seed, max_seats):
        raise InvalidProof("the committee was selected with another seed or size")
    named = [claim.member for claim in selection.claims]
    if len(named) != len(public_keys) or {c.member: c.public_x for c in selection.claims} != dict(public_keys):
        raise InvalidProof("the claims are not exactly those of the registered participants and keys")
    if select(selection.round_number, seed, selection.claims, max_seats) != selection:
        raise InvalidProof("the seats do not follow from the proofs")
