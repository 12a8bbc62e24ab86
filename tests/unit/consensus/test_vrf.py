"""The VRF beyond its vectors: what must be refused, and the nonce."""

import copy
import pickle
import random
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare_offchain.consensus import vrf
from flare_offchain.consensus.curve import P256, SECP256K1, PythonGroup
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import P256_TAI, SECP256K1_TAI, SECP256K1_TAI_REFERENCE
from flare_offchain.core.errors import InvalidProof

pytestmark = pytest.mark.unit

SUITES = pytest.mark.parametrize(
    "suite", [SECP256K1_TAI, SECP256K1_TAI_REFERENCE, P256_TAI], ids=["libsecp256k1", "python", "P-256"]
)
SECRET = sha256(b"a secret").digest()


@given(secret=st.integers(1, SECP256K1.n - 1).map(lambda n: n.to_bytes(32, "big")), alpha=st.binary(max_size=100))
@settings(max_examples=25, deadline=None)
def test_both_implementations_prove_alike(secret, alpha):
    proof = vrf.prove(SECP256K1_TAI, secret, alpha)
    assert proof == vrf.prove(SECP256K1_TAI_REFERENCE, secret, alpha)
    key = vrf.public_key(SECP256K1_TAI, secret)
    output = vrf.verify(SECP256K1_TAI, key, alpha, proof)
    assert output == vrf.verify(SECP256K1_TAI_REFERENCE, key, alpha, proof) == vrf.proof_to_output(SECP256K1_TAI, proof)


@SUITES
def test_every_changed_bit_is_refused(suite):
    key, alpha = vrf.public_key(suite, SECRET), b"message"
    proof = vrf.prove(suite, SECRET, alpha)
    step = 1 if suite is SECP256K1_TAI else 29
    for bit in range(0, 8 * len(proof), step):
        changed = bytearray(proof)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidProof):
            vrf.verify(suite, key, alpha, bytes(changed))


@SUITES
def test_another_message_key_or_suite_is_refused(suite):
    key, alpha = vrf.public_key(suite, SECRET), b"message"
    proof = vrf.prove(suite, SECRET, alpha)
    other = vrf.public_key(suite, sha256(b"another secret").digest())
    negated = bytes([key[0] ^ 1]) + key[1:]
    for wrong_key, wrong_alpha in ((key, b"Message"), (key, b""), (other, alpha), (negated, alpha)):
        with pytest.raises(InvalidProof):
            vrf.verify(suite, wrong_key, wrong_alpha, proof)
    with pytest.raises(InvalidProof):
        vrf.verify(vrf.Suite(suite.byte ^ 0x80, suite.group), key, alpha, proof)


@SUITES
def test_malformed_proofs_and_keys_are_refused(suite):
    key, alpha = vrf.public_key(suite, SECRET), b"message"
    proof, order = vrf.prove(suite, SECRET, alpha), suite.group.curve.n
    s = int.from_bytes(proof[49:], "big")
    malformed = [
        b"",
        proof[:-1],
        proof + b"\x00",
        proof[:49] + order.to_bytes(32, "big"),
        proof[:49] + b"\xff" * 32,
        b"\x04" + proof[1:],
        bytes(33) + proof[33:],
        proof[:33] + bytes(48),
    ]
    if s + order < 2**256:
        malformed.append(proof[:49] + (s + order).to_bytes(32, "big"))
    for data in malformed:
        with pytest.raises(InvalidProof):
            vrf.verify(suite, key, alpha, data)
    for wrong in (b"", key[:-1], b"\x04" + key[1:], bytes(33), b"\x02" + b"\xff" * 32):
        with pytest.raises(InvalidProof):
            vrf.verify(suite, wrong, alpha, proof)


def test_an_unreduced_response_is_refused():
    """5 + n fits 256 bits: taken modulo n it would be the same proof in other bytes."""
    proof = vrf.encode_proof(SECP256K1_TAI, vrf.Proof(SECP256K1.generator, 1, 5))
    assert vrf.decode_proof(SECP256K1_TAI, proof) == vrf.Proof(SECP256K1.generator, 1, 5)
    for s in (SECP256K1.n, SECP256K1.n + 5):
        with pytest.raises(InvalidProof, match="not reduced"):
            vrf.decode_proof(SECP256K1_TAI, proof[:49] + s.to_bytes(32, "big"))


def test_the_encoding_is_the_first_candidate_on_the_curve():
    key = vrf.public_key(SECP256K1_TAI, SECRET)
    counters = set()
    for number in range(64):
        alpha = bytes([number])
        encoding = vrf.encode_to_curve(SECP256K1_TAI, key, alpha)
        tried = [vrf.candidate(SECP256K1_TAI, key, alpha, counter) for counter in range(encoding.counter + 1)]
        assert encoding.skipped == tuple(tried[:-1])
        assert all(SECP256K1_TAI_REFERENCE.group.lift(x) is None for x in tried[:-1])
        assert (encoding.point.x, encoding.point.y % 2) == (tried[-1], 0)
        counters.add(encoding.counter)
    assert {0, 1, 2, 3} <= counters


def test_encoding_gives_up_after_256_misses():
    class Empty(type(SECP256K1_TAI.group)):
        def lift(self, x):
            return None

    with pytest.raises(InvalidProof, match="256 attempts"):
        vrf.encode_to_curve(vrf.Suite(0xFE, Empty()), b"", b"")


def test_nonce_of_rfc6979():
    """RFC 6979 A.2.5: P-256, SHA-256, messages "sample" and "test"."""
    secret = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
    expected = {
        b"sample": "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60",
        b"test": "d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0",
    }
    for message, k in expected.items():
        assert vrf.nonce(P256_TAI, secret, message).hex() == k


def test_nonce_draws_again_where_a_value_is_outside_the_order(monkeypatch):
    """An order of 2**254 refuses three draws in four; the sequence goes on as RFC 6979 3.2 h.3 says."""
    group = PythonGroup(replace(P256, n=2**254))
    draws = []

    def recording(key, message, digest):
        draws.append(hmac_digest(key, message, digest))
        return draws[-1]

    hmac_digest = vrf.hmac.digest
    monkeypatch.setattr(vrf.hmac, "digest", recording)
    lengths = set()
    for number in range(20):
        draws.clear()
        k = vrf.nonce(vrf.Suite(1, group), SECRET, bytes([number]))
        assert 0 < int.from_bytes(k, "big") < 2**254
        assert k == draws[-1]
        refused = draws[4:-1:3]
        assert all(int.from_bytes(value, "big") >= 2**254 for value in refused)
        lengths.add(len(refused))
    assert len(lengths) > 2


def test_keys_show_no_secret():
    key = VrfKey(SECRET)
    texts = [repr(key), str(key), f"{key}", f"{key!r}", repr([key]), repr({"key": key})]
    for secret in (SECRET, key.export_secret()):
        for shown in (secret.hex(), repr(secret), str(int.from_bytes(secret, "big"))):
            assert not any(shown in text for text in texts)
    assert f"{key.public_x:064x}" in repr(key)
    assert not hasattr(key, "__dict__")


def test_keys_are_not_pickled_or_copied():
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            attempt(VrfKey(SECRET))


def test_keys_compare_by_public_key():
    key = VrfKey(SECRET)
    assert key == VrfKey(key.export_secret())
    assert hash(key) == hash(VrfKey(key.export_secret()))
    assert key != VrfKey.generate()
    assert key != SECRET
    assert len({VrfKey.generate().public_x for _ in range(8)}) == 8


def test_derived_keys_depend_on_seed_and_label():
    keys = [VrfKey.derive(seed, label) for seed in (b"1" * 32, b"2" * 32) for label in (b"a", b"b")]
    assert len({key.public_x for key in keys}) == 4
    assert VrfKey.derive(b"1" * 32, b"a") == keys[0]


def test_every_key_has_even_y():
    generator = random.Random(1)
    for _ in range(50):
        key = VrfKey(generator.randbytes(32))
        point = SECP256K1_TAI.group.decode(key.public_key)
        assert key.public_key[0] == 2
        assert (point.x, point.y % 2) == (key.public_x, 0)
        assert SECP256K1_TAI.group.multiply_secret(key.export_secret()) == point
