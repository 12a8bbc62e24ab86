"""Claims as bytes: what members send, and what the chain lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare_offchain.consensus.claims import encode_claim, split_claims
from flare_offchain.core.claims import (
    CLAIM_BYTES,
    MAX_NUMBER,
    SeatClaim,
    list_claims,
    pack_claims,
    unlist_claims,
    unpack_claims,
)
from flare_offchain.core.errors import MalformedObject

pytestmark = pytest.mark.unit

numbers = st.integers(1, MAX_NUMBER)
listed = st.lists(st.builds(SeatClaim, st.integers(0, 2**96 - 1), numbers), max_size=20)


def proof(counter, filler=b"\x5a", parity=0):
    """Bytes that have the length of a proof that skips `counter` counters."""
    return bytes([parity << 7 | counter]) + filler * (272 + 32 * counter)


sent = st.lists(st.tuples(numbers, st.builds(proof, st.integers(0, 127), parity=st.integers(0, 1))), max_size=6)


@given(claims=listed)
def test_a_list_of_claims_is_15_bytes_each_and_reads_back(claims):
    packed = pack_claims(claims)
    assert len(packed) == 15 * len(claims)
    assert unpack_claims(packed) == claims


@given(events=st.lists(listed, max_size=4))
def test_a_list_names_how_many_claims_each_event_holds(events):
    packed = list_claims(pack_claims(claims) for claims in events)
    assert len(packed) == sum(2 + 15 * len(claims) for claims in events)
    assert unlist_claims(packed) == [claim for claims in events for claim in claims]


@given(events=st.lists(listed.filter(len), min_size=1, max_size=4), cut=st.integers(1, 16))
def test_a_list_that_is_cut_short_is_refused(events, cut):
    packed = list_claims(pack_claims(claims) for claims in events)
    with pytest.raises(MalformedObject, match="announces"):
        unlist_claims(packed[:-cut])


def test_a_claim_is_the_prefix_and_then_the_number():
    claim = SeatClaim.of(0x010203, (0xABCDEF << 232) + 2**160 - 1)
    assert claim.to_bytes() == bytes.fromhex("abcdef" + "00" * 9 + "010203")


@given(claims=listed)
def test_claims_are_ordered_as_their_bytes_are(claims):
    assert sorted(claims) == sorted(claims, key=SeatClaim.to_bytes)


@pytest.mark.parametrize("size", [1, CLAIM_BYTES - 1, CLAIM_BYTES + 1])
def test_a_list_that_does_not_divide_is_refused(size):
    with pytest.raises(MalformedObject, match="multiple of 15"):
        unpack_claims(bytes(size))


@pytest.mark.parametrize("number", [0, -1, 2**24])
def test_numbers_have_24_bits_and_are_not_0(number):
    with pytest.raises(ValueError, match="numbered 1 to"):
        SeatClaim(0, number).to_bytes()
    with pytest.raises(ValueError, match="numbered 1 to"):
        encode_claim(number, proof(0))


@pytest.mark.parametrize("output", [-1, 2**256])
def test_outputs_have_256_bits(output):
    with pytest.raises(ValueError, match="256 bits"):
        SeatClaim.of(1, output)


@given(claims=sent)
def test_a_batch_reads_back(claims):
    assert split_claims(b"".join(encode_claim(number, data) for number, data in claims)) == claims


@pytest.mark.parametrize("bad", [b"", proof(0)[:-1], proof(0) + b"\x00", proof(1)[:273], proof(127) + b"\x00"])
def test_a_proof_of_another_length_is_no_claim(bad):
    with pytest.raises(ValueError, match="the length"):
        encode_claim(1, bad)


@pytest.mark.parametrize(("size", "at"), [(1, 0), (3, 0), (4, 0), (275, 0), (277, 276), (280, 276), (276 + 307, 276)])
def test_a_batch_that_does_not_divide_is_refused_where_the_contract_refuses_it(size, at):
    whole = encode_claim(1, proof(0)) + encode_claim(2, proof(1))
    assert len(whole) == 276 + 308
    with pytest.raises(MalformedObject, match=f"claim at byte {at} "):
        split_claims(whole[:size])


@given(
    data=st.one_of(st.binary(max_size=1200), st.lists(st.binary(min_size=276, max_size=340), max_size=3).map(b"".join))
)
def test_any_bytes_are_claims_and_nothing_else_or_malformed(data):
    try:
        claims = split_claims(data)
    except MalformedObject:
        return
    assert b"".join(number.to_bytes(3, "big") + proof for number, proof in claims) == data


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_list_or_malformed(data):
    try:
        claims = unpack_claims(data)
    except MalformedObject:
        assert len(data) % CLAIM_BYTES
        return
    assert b"".join(c.output_prefix.to_bytes(12, "big") + c.number.to_bytes(3, "big") for c in claims) == data
