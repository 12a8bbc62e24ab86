"""Proofs in the peers' forms, so that every verifier gets the same keys and messages.

Chainlink's (VRF.sol of @chainlink/contracts): keccak, candidates rehashed, address(U) in the challenge, U = c*pk + s*G.
Witnet's (vrf-solidity 0.2.3): draft-irtf-cfrg-vrf-04, suite byte fe; the challenge leaves the key out.
Throw-away keys only: nonces are hashed from the secret and the message, but nothing here is constant time.
"""

from __future__ import annotations

from hashlib import sha256

from eth_utils import keccak

from flare_offchain.consensus.curve import SECP256K1, Point
from flare_offchain.consensus.secp256k1 import Secp256k1Group

_G = Secp256k1Group()
_P, _N = SECP256K1.p, SECP256K1.n


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _words(*points: Point) -> bytes:
    return b"".join(_word(point.x) + _word(point.y) for point in points)


def _some(point: Point | None) -> Point:
    if point is None:
        raise ValueError("a point of the proof is the identity: use another key")
    return point


def _times(scalar: int, point: Point) -> Point:
    return _some(_G.multiply(scalar, point))


def _nonce(form: bytes, secret: bytes, message: bytes) -> int:
    return int.from_bytes(sha256(b"bench/nonce" + form + secret + message).digest(), "big") % (_N - 1) + 1


def chainlink_proof(secret: bytes, message: bytes) -> tuple[tuple[object, ...], int]:
    """Return the fields of `VRF.Proof` in order, and how many candidates were skipped."""
    key = _G.multiply_secret(secret)
    candidate = keccak(_word(1) + _words(key) + message)
    skipped = 0
    while True:
        while int.from_bytes(candidate, "big") >= _P:
            candidate = keccak(candidate)
        h = _G.lift(int.from_bytes(candidate, "big"))
        if h is not None:
            break
        candidate, skipped = keccak(candidate), skipped + 1
    x, k = int.from_bytes(secret, "big"), _nonce(b"chainlink", secret, message)
    gamma, u, v = _times(x, h), _times(k, SECP256K1.generator), _times(k, h)
    address = keccak(_words(u))[-20:]
    c = int.from_bytes(keccak(_word(2) + _words(h, key, gamma, v) + address), "big")
    s = (k - c * x) % _N
    c_gamma, s_h = _times(c % _N, gamma), _times(s, h)
    inverse = pow(pow(s_h.x - c_gamma.x, 5, _P), -1, _P)
    fields = ((key.x, key.y), (gamma.x, gamma.y), c, s, int.from_bytes(message, "big"), "0x" + address.hex())
    return (*fields, (c_gamma.x, c_gamma.y), (s_h.x, s_h.y), inverse), skipped


def witnet_proof(secret: bytes, message: bytes) -> tuple[tuple[object, ...], int]:
    """Return the arguments of `fastVerify` in order, and how many counters were skipped."""
    key = _G.multiply_secret(secret)
    encode = SECP256K1.encode
    for skipped in range(256):
        digest = sha256(b"\xfe\x01" + encode(key) + message + bytes([skipped])).digest()
        h = _G.lift(int.from_bytes(digest, "big"))
        if h is not None:
            break
    else:
        raise ValueError("no point within 256 attempts: use another message")
    x, k = int.from_bytes(secret, "big"), _nonce(b"witnet", secret, message)
    gamma, u, v = _times(x, h), _times(k, SECP256K1.generator), _times(k, h)
    c = int.from_bytes(sha256(b"\xfe\x02" + b"".join(map(encode, (h, gamma, u, v)))).digest()[:16], "big")
    s = (k + c * x) % _N
    s_h, c_gamma = _times(s, h), _times(c, gamma)
    components = (s_h.x, s_h.y, c_gamma.x, c_gamma.y)
    return ((key.x, key.y), (gamma.x, gamma.y, c, s), message, (u.x, u.y), components), skipped
