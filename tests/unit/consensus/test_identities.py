"""The hashes, against ABI encodings written out by hand."""

import pytest
from eth_utils.crypto import keccak

from flare_offchain.consensus.identities import (
    bitmap_digest,
    inner_hash,
    possession_alpha,
    proposal_digest,
    round_seed,
    vote_commitment,
    vrf_alpha,
)
from flare_offchain.core.types import ContentId

pytestmark = pytest.mark.unit

COORDINATOR = "0x" + "c0" * 20
MEMBER = "0x" + "3e" * 20
MODEL, REPORT = ContentId(b"\x11" * 32, 1000), ContentId(b"\x22" * 32, 2**32 - 1)


def word(value):
    """One 32-byte word: integers and addresses on the right, digests as they are."""
    if isinstance(value, str):
        value = int(value, 16)
    return value if isinstance(value, bytes) else value.to_bytes(32, "big")


def tagged(tag, *values):
    """abi.encode of a string that is followed by static values: its offset, they, its length, its padded bytes."""
    assert len(tag) <= 32
    head = word(32 * (len(values) + 1)) + b"".join(map(word, values))
    return keccak(head + word(len(tag)) + tag.encode().ljust(32, b"\x00"))


def test_possession():
    assert possession_alpha(31337, COORDINATOR, MEMBER) == tagged("flare/possession", 31337, COORDINATOR, MEMBER)


def test_alpha():
    expected = tagged("flare/alpha", 1, COORDINATOR, 7, 9, b"\x55" * 32)
    assert vrf_alpha(1, COORDINATOR, 7, 9, b"\x55" * 32) == expected


def test_seed():
    whole = tagged("flare/seed", b"\x01" * 32, b"\x02" * 32, 7, 9)
    assert round_seed(b"\x01" * 32, b"\x02" * 32, 7, 9) == whole[:23] + bytes(9)


def test_proposal():
    digest = bitmap_digest(b"\x03\x01")
    assert digest == keccak(b"\x03\x01")
    result = proposal_digest(1, COORDINATOR, 7, 9, 2, MODEL, REPORT, digest, 4096)
    model, report = (MODEL.digest, MODEL.size), (REPORT.digest, REPORT.size)
    assert result == tagged("flare/proposal", 1, COORDINATOR, 7, 9, 2, *model, *report, digest, 4096)


def test_vote():
    proposal, inner = b"\x33" * 32, b"\x44" * 32
    expected = tagged("flare/vote", 1, COORDINATOR, 7, 9, 2, proposal, MEMBER, inner)
    assert vote_commitment(1, COORDINATOR, 7, 9, 2, proposal, MEMBER, inner) == expected


def test_inner():
    assert inner_hash(258, b"\x99" * 32) == keccak(b"flare/inner\x01\x02" + b"\x99" * 32)
    assert inner_hash(0, b"\x99" * 32) != inner_hash(1, b"\x99" * 32)


@pytest.mark.parametrize(
    "call",
    [
        lambda: possession_alpha(-1, COORDINATOR, MEMBER),
        lambda: possession_alpha(2**256, COORDINATOR, MEMBER),
        lambda: possession_alpha(1, "0x12", MEMBER),
        lambda: possession_alpha(1, COORDINATOR, "nobody"),
        lambda: vrf_alpha(1, COORDINATOR, 7, 2**32, bytes(32)),
        lambda: vrf_alpha(1, COORDINATOR, 7, 9, bytes(31)),
        lambda: vrf_alpha(1, COORDINATOR, 7, 9, bytes(33)),
        lambda: round_seed(bytes(31), bytes(32), 7, 9),
        lambda: round_seed(bytes(32), b"", 7, 9),
        lambda: proposal_digest(1, COORDINATOR, 7, 9, 2**16, MODEL, REPORT, bytes(32), 1),
        lambda: proposal_digest(1, COORDINATOR, 7, 9, 2, MODEL, REPORT, bytes(2), 1),
        lambda: proposal_digest(1, COORDINATOR, 7, 9, 2, MODEL, REPORT, bytes(32), 2**32),
        lambda: vote_commitment(1, COORDINATOR, 7, 9, 2, bytes(32), MEMBER, b""),
        lambda: vote_commitment(1, COORDINATOR, 7, 9, 2, b"", MEMBER, bytes(32)),
        lambda: inner_hash(2**16, bytes(32)),
        lambda: inner_hash(-1, bytes(32)),
        lambda: inner_hash(0, bytes(20)),
    ],
)
def test_values_that_do_not_fit_are_refused(call):
    with pytest.raises(ValueError, match=r"digest is 32 bytes|does not fit|attempt is"):
        call()
