"""The hashes that bind everything to its chain, contract, task and round (docs/protocol.md sections 2 and 4).

Each equals a view function or an internal computation of the contracts, byte for byte. `registry`,
`coordinator`, `account` and `member` are 20-byte addresses as hex text; integers outside their Solidity
type, digests of another length than 32 bytes and malformed addresses raise `ValueError`.
"""

from __future__ import annotations

from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError
from eth_utils.crypto import keccak

from flare_offchain.core.types import DIGEST_BYTES, ContentId

SEED_BYTES = 23
"""What a seed keeps of its hash."""
_INNER = b"flare/inner"


def _digest(types: str, *values: object) -> bytes:
    try:
        return keccak(encode(types.split(), values))
    except EncodingError as error:
        raise ValueError(f"a value does not fit its type: {error}") from error


def possession_alpha(chain_id: int, registry: str, account: str) -> bytes:
    """Return the message of an account's proof of possession, `IParticipantRegistry.possessionAlpha`."""
    return _digest("string uint256 address address", "flare/possession", chain_id, registry, account)


def vrf_alpha(chain_id: int, coordinator: str, task: int, round_number: int, seed: bytes) -> bytes:
    """Return the message whose VRF output decides a seat, `IRoundCoordinator.vrfAlpha`."""
    types = "string uint256 address uint256 uint32 bytes32"
    return _digest(types, "flare/alpha", chain_id, coordinator, task, round_number, _exact(seed))


def round_seed(previous_seed: bytes, block_hash: bytes, task: int, round_number: int) -> bytes:
    """Return the seed of a round, as `IRoundCoordinator.fixSeed` computes it: 32 bytes, of which the last 9 are 0."""
    types = "string bytes32 bytes32 uint256 uint32"
    digest = _digest(types, "flare/seed", _exact(previous_seed), _exact(block_hash), task, round_number)
    return digest[:SEED_BYTES] + bytes(DIGEST_BYTES - SEED_BYTES)


def bitmap_digest(accepted_bitmap: bytes) -> bytes:
    """Return keccak-256 of an accepted bitmap (bit i%8 of byte i/8 for update i)."""
    return keccak(accepted_bitmap)


def proposal_digest(
    chain_id: int,
    coordinator: str,
    task: int,
    round_number: int,
    attempt: int,
    model: ContentId,
    report: ContentId,
    bitmap: bytes,
    accepted_weight: int,
) -> bytes:
    """Return the digest of what a proposal says, `IRoundCoordinator.proposalDigest`.

    bitmap: the 32-byte digest of the accepted bitmap (`bitmap_digest`). accepted_weight: the sum of the
    accepted updates' weights.
    """
    return _digest(
        "string uint256 address uint256 uint32 uint16 (bytes32,uint64) (bytes32,uint64) bytes32 uint32",
        "flare/proposal",
        chain_id,
        coordinator,
        task,
        round_number,
        attempt,
        (model.digest, model.size),
        (report.digest, report.size),
        _exact(bitmap),
        accepted_weight,
    )


def inner_hash(attempt: int, sums_digest: bytes) -> bytes:
    """Return `inner`, the hidden half of a commitment: keccak-256 of "flare/inner", the attempt, the sums
    digest.

    sums_digest: SHA-256 over the canonical encoding of the round's exact sums, 32 bytes.
    """
    if not 0 <= attempt < 2**16:
        raise ValueError(f"an attempt is 0 to 65535, not {attempt}")
    return keccak(_INNER + attempt.to_bytes(2, "big") + _exact(sums_digest))


def vote_commitment(
    chain_id: int,
    coordinator: str,
    task: int,
    round_number: int,
    attempt: int,
    proposal: bytes,
    member: str,
    inner: bytes,
) -> bytes:
    """Return a member's commitment to `inner`, `IRoundCoordinator.voteCommitment`; `proposal`: its digest."""
    return _digest(
        "string uint256 address uint256 uint32 uint16 bytes32 address bytes32",
        "flare/vote",
        chain_id,
        coordinator,
        task,
        round_number,
        attempt,
        _exact(proposal),
        member,
        _exact(inner),
    )


def _exact(digest: bytes) -> bytes:
    # eth_abi pads short bytes32 values with zeros; here they are a mistake.
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest is {DIGEST_BYTES} bytes, not {len(digest)}")
    return digest
