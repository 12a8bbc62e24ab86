"""The peers' proofs, held to their published vectors and their own equations."""

import json
import random
import sys
from pathlib import Path

import pytest
from eth_utils import keccak

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts" / "bench"))

from _peer_proofs import chainlink_proof, witnet_proof

from flare_offchain.consensus.curve import SECP256K1, Point
from flare_offchain.consensus.secp256k1 import Secp256k1Group

pytestmark = pytest.mark.unit

GROUP = Secp256k1Group()
G, P, N = SECP256K1.generator, SECP256K1.p, SECP256K1.n
SOURCE = random.Random(1)
VECTORS = Path(__file__).parents[2] / "vectors" / "vectors_secp256k1_witnet_draft05_fe.json"
WITH_SECRET = [vector for vector in json.loads(VECTORS.read_text())["vectors"] if "priv" in vector]
PAIRS = [(SOURCE.randbytes(32), SOURCE.randbytes(32)) for _ in range(12)]


def octets(text):
    return bytes.fromhex(text.removeprefix("0x"))


def words(*values):
    return b"".join(value.to_bytes(32, "big") for value in values)


@pytest.mark.parametrize(("secret", "message"), PAIRS)
def test_a_chainlink_proof_satisfies_its_verifiers_equations(secret, message):
    (key, gamma, c, s, seed, u_address, c_gamma, s_h, z_inverse), _ = chainlink_proof(secret, message)
    assert seed == int.from_bytes(message, "big")
    assert Point(*key) == GROUP.multiply_secret(secret)
    u = GROUP.linear(c % N, Point(*key), s, G)
    assert "0x" + keccak(words(u.x, u.y))[-20:].hex() == u_address
    assert Point(*c_gamma) == GROUP.multiply(c % N, Point(*gamma))
    h = GROUP.multiply(pow(s, -1, N), Point(*s_h))
    v = GROUP.linear(1, Point(*c_gamma), 1, Point(*s_h))
    hashed = words(2, h.x, h.y, *key, *gamma, v.x, v.y) + bytes.fromhex(u_address[2:])
    assert int.from_bytes(keccak(hashed), "big") == c
    assert pow(s_h[0] - c_gamma[0], 5, P) * z_inverse % P == 1
    assert h.y % 2 == 0


@pytest.mark.parametrize("vector", WITH_SECRET, ids=range(len(WITH_SECRET)))
def test_a_witnet_proof_has_the_gamma_of_the_published_one(vector):
    (key, (gamma_x, gamma_y, _, _), *_), _ = witnet_proof(
        int(vector["priv"]).to_bytes(32, "big"), octets(vector["message"])
    )
    assert SECP256K1.encode(Point(*key)) == octets(vector["pub"])
    assert SECP256K1.encode(Point(gamma_x, gamma_y)) == octets(vector["pi"])[:33]


@pytest.mark.parametrize(("secret", "message"), PAIRS)
def test_a_witnet_proof_satisfies_its_verifiers_equations(secret, message):
    (key, (gamma_x, gamma_y, c, s), sent, u, components), _ = witnet_proof(secret, message)
    assert sent == message
    assert Point(*u) == GROUP.linear(s, G, N - c, Point(*key))
    assert Point(*components[2:]) == GROUP.multiply(c, Point(gamma_x, gamma_y))
    assert c < 2**128
