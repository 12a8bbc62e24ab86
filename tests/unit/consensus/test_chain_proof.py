"""The proof that the contract takes: conversion, and every way to falsify a witness."""

import dataclasses
import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare_offchain.consensus import chain_proof, vrf
from flare_offchain.consensus.chain_proof import (
    HEAD_BYTES,
    MAX_PROOF_BYTES,
    parse_chain_proof,
    prove_for_chain,
    prove_many,
    verify_for_chain,
    with_witnesses,
)
from flare_offchain.consensus.curve import SECP256K1, Point
from flare_offchain.consensus.keys import VrfKey, encode_public_key
from flare_offchain.consensus.vrf import SECP256K1_TAI, SECP256K1_TAI_REFERENCE
from flare_offchain.core.errors import InvalidProof
from tests.suites.chain_proof_forgeries import forgeries, message_with_counter, mutated, opposite

pytestmark = pytest.mark.unit

P, N = SECP256K1.p, SECP256K1.n
KEY = VrfKey(sha256(b"a worker").digest())
ALPHA = message_with_counter(KEY, 2)
SUITES = pytest.mark.parametrize("suite", [SECP256K1_TAI, SECP256K1_TAI_REFERENCE], ids=["libsecp256k1", "python"])


@given(secret=st.integers(1, N - 1).map(lambda n: n.to_bytes(32, "big")), alpha=st.binary(min_size=32, max_size=32))
@settings(max_examples=25, deadline=None)
def test_a_proof_verifies_and_holds_the_proof_of_rfc9381(secret, alpha):
    key = VrfKey(secret)
    data = prove_for_chain(secret, alpha)
    proof = parse_chain_proof(data)
    assert proof.to_bytes() == data
    assert len(data) == HEAD_BYTES + 32 * proof.counter
    assert proof.to_rfc9381() == key.prove(alpha)
    beta = vrf.verify(SECP256K1_TAI, key.public_key, alpha, proof.to_rfc9381())
    assert verify_for_chain(key.public_x, alpha, data) == int.from_bytes(beta, "big")
    assert verify_for_chain(key.public_x, alpha, data, SECP256K1_TAI_REFERENCE) == int.from_bytes(beta, "big")


def test_witnesses_are_what_the_protocol_says():
    group, proof = SECP256K1_TAI_REFERENCE.group, parse_chain_proof(prove_for_chain(KEY, ALPHA))
    y = group.decode(KEY.public_key)
    encoding = vrf.encode_to_curve(SECP256K1_TAI_REFERENCE, KEY.public_key, ALPHA)
    s = group.multiply(proof.c, proof.gamma)
    assert proof.u == group.linear(proof.s, SECP256K1.generator, -proof.c, y)
    assert proof.t == group.multiply(proof.s, encoding.point)
    assert proof.s_x == s.x
    assert proof.slope * (proof.t.x - s.x) % P == (proof.t.y + s.y) % P
    v_x = (proof.slope**2 - proof.t.x - s.x) % P
    v = Point(v_x, (proof.slope * (proof.t.x - v_x) - proof.t.y) % P)
    assert v == group.linear(proof.s, encoding.point, -proof.c, proof.gamma)
    assert [root * root % P for root in proof.roots] == [-(x**3 + 7) % P for x in encoding.skipped]
    assert proof.counter == 2


def test_the_layout_is_the_documented_one():
    data = prove_for_chain(KEY, ALPHA)
    proof = parse_chain_proof(data)
    words = [proof.s, *proof.u, *proof.t, proof.s_x, proof.slope, *proof.roots]
    expected = bytes([proof.gamma.y % 2 * 128 + 2]) + proof.gamma.x.to_bytes(32, "big") + proof.c.to_bytes(16, "big")
    assert data == expected + b"".join(word.to_bytes(32, "big") for word in words)
    assert len(data) == 1 + 32 + 16 + 7 * 32 + 2 * 32


def test_anyone_adds_the_witnesses():
    pi = KEY.prove(ALPHA)
    assert with_witnesses(KEY.public_x, ALPHA, pi) == prove_for_chain(KEY, ALPHA)
    for bit in range(0, 8 * len(pi), 37):
        changed = bytearray(pi)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidProof):
            with_witnesses(KEY.public_x, ALPHA, bytes(changed))
    with pytest.raises(InvalidProof):
        with_witnesses(KEY.public_x, ALPHA + b"\x00", pi)


def test_a_proof_whose_counter_does_not_fit_has_no_on_chain_form(monkeypatch):
    monkeypatch.setattr(chain_proof, "MAX_COUNTER", 1)
    with pytest.raises(InvalidProof, match="no on-chain form"):
        with_witnesses(KEY.public_x, ALPHA, KEY.prove(ALPHA))


def test_many_proofs_in_order():
    keys = [VrfKey.derive(b"seed", bytes([number])) for number in range(20)]
    proofs = prove_many((key, ALPHA) for key in keys)
    assert proofs == [prove_for_chain(key, ALPHA) for key in keys]
    assert len({verify_for_chain(key.public_x, ALPHA, proof) for key, proof in zip(keys, proofs, strict=True)}) == 20


@SUITES
def test_forgeries_are_refused(suite):
    names = []
    for name, public_x, alpha, data in forgeries(KEY):
        names.append(name)
        with pytest.raises(InvalidProof):
            verify_for_chain(public_x, alpha, data, suite)
            pytest.fail(name)
    assert len(names) == len(set(names)) >= 40


def test_each_witness_is_checked_apart_from_the_challenge(monkeypatch):
    """With a hash that says yes to everything, the points alone must give a mutated proof away."""
    proof = parse_chain_proof(prove_for_chain(KEY, ALPHA))
    monkeypatch.setattr(vrf, "challenge", lambda *_: proof.c)
    assert verify_for_chain(KEY.public_x, ALPHA, proof.to_bytes())
    for name, data in mutated(proof):
        with pytest.raises(InvalidProof):
            verify_for_chain(KEY.public_x, ALPHA, data)
            pytest.fail(name)


def test_a_slope_that_the_prover_chooses_is_refused_apart_from_the_challenge(monkeypatch):
    alpha = message_with_counter(KEY, 0)
    proof = opposite(KEY, alpha)
    monkeypatch.setattr(vrf, "challenge", lambda *_: proof.c)
    with pytest.raises(InvalidProof, match="share their x"):
        verify_for_chain(KEY.public_x, alpha, proof.to_bytes())


def test_the_challenge_is_checked_apart_from_the_witnesses():
    """All witnesses fit this c; only the hash does not."""
    data = prove_for_chain(KEY, ALPHA)
    proof = parse_chain_proof(data)
    group, c = SECP256K1_TAI.group, proof.c ^ 1
    s = group.multiply(c, proof.gamma)
    u = group.linear(proof.s, SECP256K1.generator, -c, group.decode(KEY.public_key))
    slope = (proof.t.y + s.y) * pow(proof.t.x - s.x, -1, P) % P
    forged = dataclasses.replace(proof, c=c, u=u, s_x=s.x, slope=slope)
    with pytest.raises(InvalidProof, match="challenge"):
        verify_for_chain(KEY.public_x, ALPHA, forged.to_bytes())


@SUITES
def test_every_changed_bit_is_refused(suite):
    data = prove_for_chain(KEY, ALPHA)
    for bit in range(0, 8 * len(data), 1 if suite is SECP256K1_TAI else 53):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidProof):
            verify_for_chain(KEY.public_x, ALPHA, bytes(changed), suite)


def test_the_other_root_is_the_same_proof():
    proof = parse_chain_proof(prove_for_chain(KEY, ALPHA))
    other = dataclasses.replace(proof, roots=(P - proof.roots[0], proof.roots[1]))
    assert other.to_bytes() != proof.to_bytes()
    assert verify_for_chain(KEY.public_x, ALPHA, other.to_bytes()) == verify_for_chain(
        KEY.public_x, ALPHA, proof.to_bytes()
    )


@given(data=st.binary(max_size=MAX_PROOF_BYTES))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(InvalidProof):
        verify_for_chain(KEY.public_x, ALPHA, data)


def test_lengths_that_do_not_match_the_counter():
    data = prove_for_chain(KEY, ALPHA)
    for wrong in (b"", data[:1], data[:-1], data[:-32], data + bytes(1), data + bytes(32), data[: HEAD_BYTES - 1]):
        with pytest.raises(InvalidProof, match="bytes"):
            parse_chain_proof(wrong)


def test_public_keys_that_the_contract_cannot_use():
    off_curve = next(x for x in range(1, 100) if SECP256K1_TAI.group.lift(x) is None)
    above_order = next(x for x in range(N, N + 100) if SECP256K1_TAI.group.lift(x) is not None)
    for x in (-1, 0, off_curve, above_order, P, P + 1, 2**256 - 1, 2**256):
        with pytest.raises(InvalidProof, match="not the x coordinate"):
            encode_public_key(x)
        with pytest.raises(InvalidProof):
            verify_for_chain(x, ALPHA, prove_for_chain(KEY, ALPHA))


def test_random_fields_are_refused():
    generator = random.Random(5)
    proof = parse_chain_proof(prove_for_chain(KEY, ALPHA))
    for name in ("c", "s", "s_x", "slope"):
        for _ in range(20):
            value = generator.randrange(2**128 if name == "c" else N)
            with pytest.raises(InvalidProof):
                verify_for_chain(KEY.public_x, ALPHA, dataclasses.replace(proof, **{name: value}).to_bytes())
