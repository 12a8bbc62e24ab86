"""The published vectors through the contract's verifier, on the embedded chain."""

import pytest

from flare_offchain.consensus import chain_proof, vrf
from flare_offchain.consensus.chain_proof import ChainProof, prove_for_chain, verify_for_chain, with_witnesses
from flare_offchain.consensus.curve import SECP256K1
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import SECP256K1_TAI
from tests.suites.ecvrf_harness import deploy_harness
from tests.suites.vrf_vectors import DRAFT05_VECTORS, SECP256K1_VECTORS

pytestmark = pytest.mark.contracts

P = SECP256K1.p


@pytest.fixture(scope="module")
def harness():
    return deploy_harness()


@pytest.fixture(scope="module")
def verify(harness):
    """Return a function from (compressed key, message of any length, proof) to (valid, output)."""

    def call(key, message, proof):
        return harness.functions.verifyMessage(key[0], int.from_bytes(key[1:], "big"), message, proof).call()

    return call


@pytest.fixture
def with_any_key(monkeypatch):
    """Return a function like `with_witnesses` that takes a compressed key, also one with an odd y."""

    def witnessed(key, message, pi):
        monkeypatch.setattr(chain_proof, "encode_public_key", lambda _: key)
        return with_witnesses(0, message, pi)

    return witnessed


def test_all_published_proofs_verify_on_chain_with_the_published_output(verify, with_any_key):
    parities = set()
    for vector in SECP256K1_VECTORS:
        key, output = vector["pub"], int.from_bytes(vector["hash"], "big")
        proof = with_any_key(key, vector["message"], vector["pi"])
        assert verify(key, vector["message"], proof) == [True, output]
        assert verify_for_chain(0, vector["message"], proof) == output
        parities.add(key[0])
    assert parities == {2, 3}


def test_published_proofs_that_are_changed_are_refused(verify, with_any_key):
    for vector in SECP256K1_VECTORS[:12]:
        key, message = vector["pub"], vector["message"]
        proof = with_any_key(key, message, vector["pi"])
        for byte in (10, 40, 60, 100, 150, 220, 250):
            changed = bytearray(proof)
            changed[byte] ^= 1
            assert verify(key, message, bytes(changed)) == [False, 0]
        assert verify(bytes([key[0] ^ 1]) + key[1:], message, proof) == [False, 0]
        for other in (b"", message + b"\x00", message[:-1], message.ljust(32, b"\x00")):
            assert verify(key, other, proof) == [False, 0]


def test_draft05_proofs_are_refused_on_chain(verify):
    """With every witness as right as it can be made: only the hashes are another draft's."""
    group = SECP256K1_TAI.group
    for vector in DRAFT05_VECTORS:
        key, message, pi = vector["pub"], vector["message"], vrf.decode_proof(SECP256K1_TAI, vector["pi"])
        encoding = vrf.encode_to_curve(SECP256K1_TAI, key, message)
        u = group.linear(pi.s, SECP256K1.generator, -pi.c, group.decode(key))
        t, s = group.multiply(pi.s, encoding.point), group.multiply(pi.c, pi.gamma)
        slope = (t.y + s.y) * pow(t.x - s.x, -1, P) % P
        roots = tuple(pow(-SECP256K1.right_side(x), (P + 1) // 4, P) for x in encoding.skipped)
        proof = ChainProof(pi.gamma, pi.c, pi.s, u, t, s.x, slope, roots).to_bytes()
        assert verify(key, message, proof) == [False, 0]


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 64, 200])
def test_messages_of_any_length(verify, length):
    key, message = VrfKey.derive(b"lengths", bytes([length])), bytes(range(length))
    proof = prove_for_chain(key, message)
    assert verify(key.public_key, message, proof) == [True, verify_for_chain(key.public_x, message, proof)]


def test_a_message_of_32_bytes_is_what_rounds_use(harness, verify):
    key, alpha = VrfKey.derive(b"same", b""), bytes(range(32))
    proof = prove_for_chain(key, alpha)
    assert harness.functions.verify(key.public_x, alpha, proof).call() == verify(key.public_key, alpha, proof)
