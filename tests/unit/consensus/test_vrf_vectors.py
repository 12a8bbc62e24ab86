"""Published vectors: RFC 9381 B.1 for P-256, the community vectors for secp256k1, and draft-05's, which must fail."""

import pytest

from flare_offchain.consensus import vrf
from flare_offchain.consensus.curve import SECP256K1
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import P256_TAI, SECP256K1_TAI, SECP256K1_TAI_REFERENCE
from flare_offchain.core.errors import InvalidProof
from tests.suites.vrf_vectors import DRAFT05_VECTORS, P256_VECTORS, SECP256K1_VECTORS

pytestmark = pytest.mark.unit

SUITES = pytest.mark.parametrize("suite", [SECP256K1_TAI, SECP256K1_TAI_REFERENCE], ids=["libsecp256k1", "python"])


def test_all_vectors_are_there():
    assert (len(P256_VECTORS), len(SECP256K1_VECTORS), len(DRAFT05_VECTORS)) == (3, 45, 46)


@pytest.mark.parametrize("vector", P256_VECTORS, ids=lambda vector: vector["alpha"].hex()[:12])
def test_p256(vector):
    group, curve = P256_TAI.group, P256_TAI.group.curve
    assert vrf.public_key(P256_TAI, vector["sk"]) == vector["pk"]
    encoding = vrf.encode_to_curve(P256_TAI, vector["pk"], vector["alpha"])
    assert (curve.encode(encoding.point), encoding.counter) == (vector["H"], vector["ctr"])
    k = vrf.nonce(P256_TAI, vector["sk"], vector["H"])
    assert k == vector["k"]
    assert curve.encode(group.multiply_secret(k)) == vector["U"]
    assert curve.encode(group.multiply_secret(k, encoding.point)) == vector["V"]
    assert vrf.prove(P256_TAI, vector["sk"], vector["alpha"]) == vector["pi"]
    assert vrf.verify(P256_TAI, vector["pk"], vector["alpha"], vector["pi"]) == vector["beta"]
    assert vrf.proof_to_output(P256_TAI, vector["pi"]) == vector["beta"]


@pytest.mark.parametrize("vector", P256_VECTORS, ids=lambda vector: vector["alpha"].hex()[:12])
def test_p256_challenge_is_over_y_h_gamma_u_v(vector):
    decode = P256_TAI.group.decode
    proof = vrf.decode_proof(P256_TAI, vector["pi"])
    points = [decode(vector["pk"]), decode(vector["H"]), proof.gamma, decode(vector["U"]), decode(vector["V"])]
    assert vrf.challenge(P256_TAI, *points) == proof.c


@SUITES
def test_secp256k1(suite):
    for vector in SECP256K1_VECTORS:
        assert vrf.public_key(suite, vector["priv"]) == vector["pub"]
        assert vrf.prove(suite, vector["priv"], vector["message"]) == vector["pi"]
        assert vrf.verify(suite, vector["pub"], vector["message"], vector["pi"]) == vector["hash"]
        assert vrf.proof_to_output(suite, vector["pi"]) == vector["hash"]


@SUITES
def test_draft05_proofs_are_refused(suite):
    for vector in DRAFT05_VECTORS:
        with pytest.raises(InvalidProof, match="challenge"):
            vrf.verify(suite, vector["pub"], vector["message"], vector["pi"])
        # The output is hashed otherwise too, so that even an unverified one is another.
        assert vrf.proof_to_output(suite, vector["pi"]) != vector["hash"]


def test_a_key_gives_the_vectors_proofs_where_its_y_is_even():
    even = [vector for vector in SECP256K1_VECTORS if vector["pub"][0] == 2]
    assert 10 < len(even) < len(SECP256K1_VECTORS)
    for vector in even:
        key = VrfKey(vector["priv"])
        assert (key.public_key, key.prove(vector["message"])) == (vector["pub"], vector["pi"])


def test_a_key_is_negated_where_its_y_is_odd():
    for vector in SECP256K1_VECTORS:
        if vector["pub"][0] == 3:
            negated = (SECP256K1.n - int.from_bytes(vector["priv"], "big")).to_bytes(32, "big")
            assert VrfKey(vector["priv"]).export_secret() == negated
            assert VrfKey(vector["priv"]).public_key == b"\x02" + vector["pub"][1:]
            assert VrfKey(vector["priv"]) == VrfKey(negated)
