"""Claims as members send them: a participant's number and its proof (`IRoundActions.claimSeat`).

Unlike what the chain lists of them (`flare_offchain.core.claims`) they are not verified yet.
"""

from __future__ import annotations

from flare_offchain.consensus.chain_proof import proof_length
from flare_offchain.core.claims import MAX_NUMBER, NUMBER_BYTES
from flare_offchain.core.errors import MalformedObject


def encode_claim(number: int, proof: bytes) -> bytes:
    """Return a claim: [number, 3 bytes][on-chain proof].

    Raises `ValueError` for a number that is none, or a proof that has another length than its first byte says.
    """
    if not 0 < number <= MAX_NUMBER:
        raise ValueError(f"participants are numbered 1 to {MAX_NUMBER}, not {number}")
    if not proof or len(proof) != proof_length(proof[0]):
        raise ValueError(f"the proof of participant {number} does not have the length that its first byte says")
    return number.to_bytes(NUMBER_BYTES, "big") + proof


def split_claims(claims: bytes) -> list[tuple[int, bytes]]:
    """Return (number, proof) of each of the claims that were sent, concatenated.

    Raises `MalformedObject` where the bytes do not divide into claims; the contract refuses those as a whole.
    """
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(claims):
        # What lies beyond the bytes reads as 0, as in a call.
        first = claims[at + NUMBER_BYTES] if at + NUMBER_BYTES < len(claims) else 0
        end = at + NUMBER_BYTES + proof_length(first)
        if end > len(claims):
            raise MalformedObject(f"the claim at byte {at} ends after the {len(claims)} bytes that there are")
        found.append((int.from_bytes(claims[at : at + NUMBER_BYTES], "big"), claims[at + NUMBER_BYTES : end]))
        at = end
    return found
