"""ECVRF with try-and-increment: RFC 9381 in its final form, over any curve of prime order with cofactor 1.

Suites: `SECP256K1_TAI` (suite byte fe, the community suite ECVRF-SECP256K1-SHA256-TAI: RFC 9381's rules with
secp256k1's parameters; not the draft-05 suite that goes by the same name and byte, whose challenge leaves
out the public key) and `P256_TAI` (suite byte 01, ECVRF-P256-SHA256-TAI, RFC 9381 section 5.5). The P-256
suite exists for the published vectors only: its secret operations are plain Python and not constant time.
Section numbers below are RFC 9381's.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from flare_offchain.consensus.curve import (
    FIELD_BYTES,
    P256,
    POINT_BYTES,
    SECP256K1,
    Group,
    Point,
    PythonGroup,
)
from flare_offchain.consensus.secp256k1 import Secp256k1Group
from flare_offchain.core.errors import InvalidProof

CHALLENGE_BYTES = 16
PROOF_BYTES = POINT_BYTES + CHALLENGE_BYTES + FIELD_BYTES
OUTPUT_BYTES = 32
_ENCODE, _CHALLENGE, _OUTPUT, _BACK = b"\x01", b"\x02", b"\x03", b"\x00"
"""Domain separators, front and back."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A ciphersuite: its byte and the group it works in. Hash SHA-256, cLen 16, points compressed (section
    5.5)."""

    byte: int
    group: Group

    @property
    def front(self) -> bytes:
        """suite_string, the first byte of everything that is hashed."""
        return bytes([self.byte])


SECP256K1_TAI = Suite(0xFE, Secp256k1Group())
SECP256K1_TAI_REFERENCE = Suite(0xFE, PythonGroup(SECP256K1))
"""The same suite in pure Python: slow, not constant time, and independent of libsecp256k1."""
P256_TAI = Suite(0x01, PythonGroup(P256))


@dataclass(frozen=True, slots=True)
class Proof:
    """A decoded pi_string: Gamma, c in [0, 2**128), s in [0, n)."""

    gamma: Point
    c: int
    s: int


@dataclass(frozen=True, slots=True)
class Encoding:
    """What try-and-increment found: H, and the x coordinates it skipped because they are on no point."""

    point: Point
    skipped: tuple[int, ...]

    @property
    def counter(self) -> int:
        """The counter (ctr) at which H was found."""
        return len(self.skipped)


def candidate(suite: Suite, salt: bytes, alpha: bytes, counter: int) -> int:
    """Return the x coordinate that try-and-increment tries at a counter (0 to 255); section 5.4.1.1."""
    digest = sha256(suite.front + _ENCODE + salt + alpha + bytes([counter]) + _BACK).digest()
    return int.from_bytes(digest, "big")


def encode_to_curve(suite: Suite, salt: bytes, alpha: bytes) -> Encoding:
    """Return H for a message; section 5.4.1.1.

    salt: the compressed public key. Raises `InvalidProof` after 256 misses (probability about 2**-256).
    """
    skipped: list[int] = []
    for counter in range(256):
        x = candidate(suite, salt, alpha, counter)
        point = suite.group.lift(x)
        if point is not None:
            return Encoding(point, tuple(skipped))
        skipped.append(x)
    raise InvalidProof("no point within 256 attempts of try-and-increment: use another message")


def challenge(suite: Suite, *points: Point) -> int:
    """Return c for the points Y, H, Gamma, U, V in this order; section 5.4.3."""
    encoded = b"".join(suite.group.curve.encode(point) for point in points)
    digest = sha256(suite.front + _CHALLENGE + encoded + _BACK).digest()
    return int.from_bytes(digest[:CHALLENGE_BYTES], "big")


def nonce(suite: Suite, secret: bytes, h_string: bytes) -> bytes:
    """Return the nonce k as 32 bytes; section 5.4.2.1, that is RFC 6979 section 3.2 over m = `h_string`.

    The comparison with n leaks that a value was rejected, which says nothing about the one that is used.
    """
    order = suite.group.curve.n
    hashed = int.from_bytes(sha256(h_string).digest(), "big") % order
    seed = secret + hashed.to_bytes(FIELD_BYTES, "big")
    value, key = b"\x01" * 32, b"\x00" * 32
    for separator in (b"\x00", b"\x01"):
        key = hmac.digest(key, value + separator + seed, "sha256")
        value = hmac.digest(key, value, "sha256")
    while True:
        value = hmac.digest(key, value, "sha256")
        if 0 < int.from_bytes(value, "big") < order:
            return value
        key = hmac.digest(key, value + b"\x00", "sha256")
        value = hmac.digest(key, value, "sha256")


def public_key(suite: Suite, secret: bytes) -> bytes:
    """Return the compressed public key of a secret scalar (32 bytes, integer in [1, n)), else
    `ValueError`."""
    return suite.group.curve.encode(suite.group.multiply_secret(secret))


def prove(suite: Suite, secret: bytes, alpha: bytes) -> bytes:
    """Return pi_string, 81 bytes; section 5.1.

    secret: 32 bytes, big-endian, integer in [1, n), else `ValueError`. alpha: the message, any length.
    """
    group = suite.group
    y = group.multiply_secret(secret)
    h = encode_to_curve(suite, group.curve.encode(y), alpha).point
    gamma = group.multiply_secret(secret, h)
    k = nonce(suite, secret, group.curve.encode(h))
    c = challenge(suite, y, h, gamma, group.multiply_secret(k), group.multiply_secret(k, h))
    return encode_proof(suite, Proof(gamma, c, group.respond(secret, c, k)))


def verify(suite: Suite, key: bytes, alpha: bytes, proof: bytes) -> bytes:
    """Return beta_string, 32 bytes, of a valid proof; section 5.3 with validate_key.

    With cofactor 1 a key is valid if and only if it decodes. Raises `InvalidProof` for anything else.
    """
    group = suite.group
    y = group.decode(key)
    decoded = decode_proof(suite, proof)
    h = encode_to_curve(suite, key, alpha).point
    u = group.linear(decoded.s, group.curve.generator, -decoded.c, y)
    v = group.linear(decoded.s, h, -decoded.c, decoded.gamma)
    if u is None or v is None or challenge(suite, y, h, decoded.gamma, u, v) != decoded.c:
        raise InvalidProof("the challenge does not match: wrong key, wrong message or forged proof")
    return _output(suite, decoded.gamma)


def proof_to_output(suite: Suite, proof: bytes) -> bytes:
    """Return beta_string, 32 bytes, of a proof **without verifying it**; section 5.2 (proof_to_hash)."""
    return _output(suite, decode_proof(suite, proof).gamma)


def encode_proof(suite: Suite, proof: Proof) -> bytes:
    """Return pi_string = Gamma ‖ c ‖ s."""
    c, s = proof.c.to_bytes(CHALLENGE_BYTES, "big"), proof.s.to_bytes(FIELD_BYTES, "big")
    return suite.group.curve.encode(proof.gamma) + c + s


def decode_proof(suite: Suite, data: bytes) -> Proof:
    """Return a decoded pi_string; section 5.4.4. Raises `InvalidProof` unless Gamma decodes and s < n."""
    if len(data) != PROOF_BYTES:
        raise InvalidProof(f"a proof is {PROOF_BYTES} bytes, not {len(data)}")
    gamma = suite.group.decode(data[:POINT_BYTES])
    c = int.from_bytes(data[POINT_BYTES : POINT_BYTES + CHALLENGE_BYTES], "big")
    s = int.from_bytes(data[POINT_BYTES + CHALLENGE_BYTES :], "big")
    if s >= suite.group.curve.n:
        raise InvalidProof("s is not reduced modulo the order of the group")
    return Proof(gamma, c, s)


def _output(suite: Suite, gamma: Point) -> bytes:
    return sha256(suite.front + _OUTPUT + suite.group.curve.encode(gamma) + _BACK).digest()
