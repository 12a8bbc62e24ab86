"""The VRF proofs of a round, read back from the transactions that carried them.

Events record outputs only; the proofs stand in call data, of `claimSeat` (one) or `claimSeats` (a batch that anyone
may carry).
"""

from __future__ import annotations

from collections.abc import Iterator

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.types import Address

CLAIM_SEAT = function_signature_to_4byte_selector("claimSeat(uint256,uint32,address,bytes)")
CLAIM_SEATS = function_signature_to_4byte_selector("claimSeats(uint256,uint32,bytes)")


def proof_for_member(call_data: bytes, member: Address) -> bytes:
    """Return the proof that a claiming transaction carried for a member.

    Raises:
        MalformedObject: the transaction is no claim on the coordinator (a contract may have carried the proof), or
            has no proof for this member.
    """
    selector, arguments = call_data[:4], call_data[4:]
    try:
        if selector == CLAIM_SEAT:
            _, _, claimant, proof = decode(["uint256", "uint32", "address", "bytes"], arguments)
            if str(to_checksum_address(claimant)) == member:
                return bytes(proof)
        elif selector == CLAIM_SEATS:
            _, _, claims = decode(["uint256", "uint32", "bytes"], arguments)
            for claimant, proof in split_claims(claims):
                if claimant == member:
                    return proof
    except DecodingError as error:
        raise MalformedObject(f"the claim's call data cannot be decoded: {error}") from error
    raise MalformedObject("its transaction carries no proof for it that can be read")


def split_claims(claims: bytes) -> Iterator[tuple[Address, bytes]]:
    """Yield (member, proof) of a batch: concatenated [member 20][length 2][proof]."""
    position = 0
    while position + 22 <= len(claims):
        length = int.from_bytes(claims[position + 20 : position + 22], "big")
        proof = claims[position + 22 : position + 22 + length]
        if len(proof) != length:
            return
        yield Address(to_checksum_address(claims[position : position + 20])), proof
        position += 22 + length
