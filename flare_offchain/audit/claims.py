"""What the transactions of SORTITION carried, read back from their call data.

Events record prefixes of outputs and numbers only; the proofs stand in the call data of `claimSeat` (one) or
`claimSeats` (a batch that anyone may carry), and the list that SORTITION was closed with in that of `closeSortition` or
`advance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import function_signature_to_4byte_selector

from flare_offchain.consensus.claims import split_claims
from flare_offchain.core.errors import MalformedObject

CLAIM_SEAT = "claimSeat(uint256,uint32,bytes)"
CLAIM_SEATS = "claimSeats(uint256,uint32,bool,bytes)"
CLOSE_SORTITION = "closeSortition(uint256,bytes)"
ADVANCE = "advance(uint256,bytes)"


@dataclass(frozen=True, slots=True)
class SentClaims:
    """The claims of one transaction: for which task and round, whether keys came from snapshots, and in their order the
    participants' numbers with their proofs.
    """

    task: int
    round: int
    from_snapshot: bool
    claims: tuple[tuple[int, bytes], ...]


def sent_claims(call_data: bytes) -> SentClaims:
    """Return the claims that a transaction carried.

    Raises:
        MalformedObject: it is no claim on the coordinator (a contract may have carried the claims).
    """
    if _calls(call_data, CLAIM_SEAT):
        task, number, claim = _arguments(CLAIM_SEAT, call_data)
        return SentClaims(task, number, False, tuple(split_claims(claim)))
    task, number, from_snapshot, claims = _arguments(CLAIM_SEATS, call_data)
    return SentClaims(task, number, from_snapshot, tuple(split_claims(claims)))


def closing_list(call_data: bytes) -> tuple[int, bytes]:
    """Return the task whose SORTITION a transaction closed, and the list of claims that it brought.

    Raises:
        MalformedObject: it closes no SORTITION itself (a contract may have).
    """
    signature = CLOSE_SORTITION if _calls(call_data, CLOSE_SORTITION) else ADVANCE
    task, claims = _arguments(signature, call_data)
    return task, claims


def _calls(call_data: bytes, signature: str) -> bool:
    return call_data[:4] == function_signature_to_4byte_selector(signature)


def _arguments(signature: str, call_data: bytes) -> tuple[Any, ...]:
    if not _calls(call_data, signature):
        raise MalformedObject("its transaction is none of SORTITION's that can be read")
    types = signature[signature.index("(") + 1 : -1].split(",")
    try:
        return decode(types, call_data[4:])
    except DecodingError as error:
        raise MalformedObject(f"its transaction's call data cannot be decoded: {error}") from error
