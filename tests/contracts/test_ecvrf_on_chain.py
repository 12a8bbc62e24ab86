"""The contract's verifier against the published vectors, the forgeries and Python's verifier, on the embedded chain."""

import random

import pytest

from flare_offchain.consensus import vrf
from flare_offchain.consensus.chain_proof import parse_chain_proof, prove_for_chain, verify_for_chain
from flare_offchain.consensus.curve import SECP256K1
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import SECP256K1_TAI
from flare_offchain.core.errors import InvalidProof
from tests.suites.chain_proof_forgeries import forgeries, message_with_counter, messages
from tests.suites.ecvrf_harness import deploy_harness

pytestmark = pytest.mark.contracts

KEY = VrfKey.derive(b"on chain", b"")
N = SECP256K1.n


@pytest.fixture(scope="module")
def harness():
    return deploy_harness()


@pytest.fixture(scope="module")
def verify(harness):
    """Return a function from (x, message, proof) to the output on chain, or None where the proof is refused."""

    def call(public_x, alpha, proof):
        valid, output = harness.functions.verify(public_x, alpha, proof).call()
        assert valid or output == 0
        return output if valid else None

    return call


def verify_in_python(public_x, alpha, proof):
    try:
        return verify_for_chain(public_x, alpha, proof)
    except InvalidProof:
        return None


def test_random_keys_and_messages(verify):
    counters = set()
    for number, alpha in zip(range(60), messages(b"random"), strict=False):
        key = VrfKey.derive(b"random", number.to_bytes(2, "big"))
        proof = prove_for_chain(key, alpha)
        output = verify(key.public_x, alpha, proof)
        assert output == verify_for_chain(key.public_x, alpha, proof)
        beta = vrf.verify(SECP256K1_TAI, key.public_key, alpha, parse_chain_proof(proof).to_rfc9381())
        assert output == int.from_bytes(beta, "big")
        counters.add(parse_chain_proof(proof).counter)
    assert {0, 1, 2, 3} <= counters


def test_long_searches(verify):
    """A proof with many skipped counters."""
    alpha = message_with_counter(KEY, 9)
    proof = prove_for_chain(KEY, alpha)
    assert len(proof) == 273 + 9 * 32
    assert verify(KEY.public_x, alpha, proof) == verify_for_chain(KEY.public_x, alpha, proof)


def test_forgeries_are_refused(verify):
    names = []
    for name, public_x, alpha, data in forgeries(KEY):
        assert verify(public_x, alpha, data) is None, name
        names.append(name)
    assert len(names) >= 40


def test_mutations_are_refused_on_both_sides(verify):
    """Changed bits all over the proof, and random words in every field."""
    alpha = message_with_counter(KEY, 2)
    proof = prove_for_chain(KEY, alpha)
    generator = random.Random(11)
    mutations = []
    for byte in range(len(proof)):
        changed = bytearray(proof)
        changed[byte] ^= 1 << generator.randrange(8)
        mutations.append(bytes(changed))
    for start in range(49, len(proof), 32):
        words = (bytes(32), b"\xff" * 32, generator.randbytes(32), SECP256K1.p.to_bytes(32, "big"))
        mutations += [proof[:start] + word + proof[start + 32 :] for word in words]
    for data in mutations:
        assert verify(KEY.public_x, alpha, data) is None
        assert verify_in_python(KEY.public_x, alpha, data) is None


def test_the_other_root_is_accepted_on_both_sides(verify):
    alpha = message_with_counter(KEY, 1)
    proof = prove_for_chain(KEY, alpha)
    other = proof[:-32] + (SECP256K1.p - int.from_bytes(proof[-32:], "big")).to_bytes(32, "big")
    assert verify(KEY.public_x, alpha, other) == verify(KEY.public_x, alpha, proof)
    assert verify_in_python(KEY.public_x, alpha, other) == verify(KEY.public_x, alpha, proof)


def test_keys_that_cannot_be(verify):
    alpha = message_with_counter(KEY, 0)
    proof = prove_for_chain(KEY, alpha)
    off_curve = next(x for x in range(1, 100) if SECP256K1_TAI.group.lift(x) is None)
    for x in (0, off_curve, N, SECP256K1.p, 2**256 - 1):
        assert verify(x, alpha, proof) is None
        assert verify_in_python(x, alpha, proof) is None
