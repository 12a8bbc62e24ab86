"""The proof that the contract takes: RFC 9381's, with witnesses that spare it inversions and square roots.

Layout: docs/protocol.md section 2. Every witness follows from public values, so anyone can add them to an
81-byte proof (`with_witnesses`), and the secret is touched by RFC 9381's prover alone.

`verify_for_chain` checks what the contract checks, by other means: it compares points where the contract
compares addresses that `ecrecover` returns. Both accept a proof only if its counter is the first one that
gives a point, so a key and a message have one output; the bytes of a proof are not unique (w and p - w are
both roots) and identify nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flare_offchain.consensus import vrf
from flare_offchain.consensus.curve import FIELD_BYTES, SECP256K1, Group, Point
from flare_offchain.consensus.keys import VrfKey, encode_public_key
from flare_offchain.consensus.vrf import CHALLENGE_BYTES, SECP256K1_TAI, Suite
from flare_offchain.core.errors import InvalidProof

HEAD_BYTES = 273
"""Length of a proof whose counter is 0; each skipped counter adds one word."""
MAX_COUNTER = 127
MAX_PROOF_BYTES = HEAD_BYTES + FIELD_BYTES * MAX_COUNTER
_P, _N = SECP256K1.p, SECP256K1.n
_CHALLENGE_START = 1 + FIELD_BYTES
_WORDS_START = _CHALLENGE_START + CHALLENGE_BYTES
_HEAD_WORDS = 7


@dataclass(frozen=True, slots=True)
class ChainProof:
    """The fields of an on-chain proof. Coordinates and scalars are integers; names as in docs/protocol.md."""

    gamma: Point
    c: int
    s: int
    u: Point
    t: Point
    s_x: int
    """x of S = c·Gamma; its y follows from the slope."""
    slope: int
    """λ = (T.y + S.y) / (T.x - S.x), through T and -S."""
    roots: tuple[int, ...]
    """For each skipped counter w, w² = -(x³ + 7): since -1 is no square modulo p, x³ + 7 is none."""

    @property
    def counter(self) -> int:
        """The counter at which try-and-increment found H."""
        return len(self.roots)

    def to_bytes(self) -> bytes:
        """Return the on-chain form, 273 bytes and 32 for each skipped counter."""
        head = bytes([(self.gamma.y % 2) << 7 | self.counter]) + _word(self.gamma.x)
        words = (self.s, *self.u, *self.t, self.s_x, self.slope, *self.roots)
        return head + self.c.to_bytes(CHALLENGE_BYTES, "big") + b"".join(map(_word, words))

    def to_rfc9381(self) -> bytes:
        """Return the 81-byte proof (pi_string) inside; any verifier of the suite takes it."""
        return vrf.encode_proof(SECP256K1_TAI, vrf.Proof(self.gamma, self.c, self.s))


def proof_length(first: int) -> int:
    """Return the bytes of an on-chain proof that begins with this byte."""
    return HEAD_BYTES + FIELD_BYTES * (first & MAX_COUNTER)


def _word(value: int) -> bytes:
    return value.to_bytes(FIELD_BYTES, "big")


def parse_chain_proof(data: bytes) -> ChainProof:
    """Return the fields of an on-chain proof.

    Strict: the length that the counter implies, Gamma on the curve with its x below n, s below n,
    coordinates, slope and roots below p. Raises `InvalidProof`.
    """
    if not data or len(data) != proof_length(data[0]):
        raise InvalidProof(f"a proof is {HEAD_BYTES} bytes and {FIELD_BYTES} for each skipped counter")
    gamma = SECP256K1_TAI.group.decode(bytes([2 + (data[0] >> 7)]) + data[1:_CHALLENGE_START])
    c = int.from_bytes(data[_CHALLENGE_START:_WORDS_START], "big")
    starts = range(_WORDS_START, len(data), FIELD_BYTES)
    s, *rest = (int.from_bytes(data[start : start + FIELD_BYTES], "big") for start in starts)
    if s >= _N or gamma.x >= _N:
        raise InvalidProof("s and the x coordinate of Gamma are below the order of the group")
    if max(rest) >= _P:
        raise InvalidProof("coordinates, slope and roots are reduced modulo p")
    u_x, u_y, t_x, t_y, s_x, slope, *roots = rest
    return ChainProof(gamma, c, s, Point(u_x, u_y), Point(t_x, t_y), s_x, slope, tuple(roots))


def with_witnesses(public_x: int, alpha: bytes, proof: bytes) -> bytes:
    """Return the on-chain form of an 81-byte proof under a registered key.

    Raises `InvalidProof` if the proof does not verify, or (probability below 2**-100) has no on-chain form.
    """
    group, key = SECP256K1_TAI.group, encode_public_key(public_x)
    decoded = vrf.decode_proof(SECP256K1_TAI, proof)
    encoding = vrf.encode_to_curve(SECP256K1_TAI, key, alpha)
    u, t, s = _witness_points(group, group.decode(key), encoding.point, decoded)
    slope = (t.y + s.y) * pow(t.x - s.x, -1, _P) % _P
    roots = tuple(pow(-SECP256K1.right_side(x), (_P + 1) // 4, _P) for x in encoding.skipped)
    result = ChainProof(decoded.gamma, decoded.c, decoded.s, u, t, s.x, slope, roots)
    _check_challenge(group.decode(key), encoding.point, result)
    if encoding.counter > MAX_COUNTER or max(encoding.point.x, decoded.gamma.x) >= _N:
        raise InvalidProof("this proof has no on-chain form; nothing can be done but to use another key")
    return result.to_bytes()


def prove_for_chain(key: VrfKey | bytes, alpha: bytes) -> bytes:
    """Return the on-chain proof of a key (or its 32-byte secret scalar) over a message.

    The result has been verified: a fault while proving ends in `InvalidProof`, not in a proof that leaks
    the key.
    """
    key = key if isinstance(key, VrfKey) else VrfKey(key)
    return with_witnesses(key.public_x, alpha, key.prove(alpha))


def prove_many(claims: Iterable[tuple[VrfKey, bytes]]) -> list[bytes]:
    """Return the on-chain proofs of many (key, message) pairs, in order: about half a millisecond each."""
    return [prove_for_chain(key, alpha) for key, alpha in claims]


def verify_for_chain(public_x: int, alpha: bytes, proof: bytes, suite: Suite = SECP256K1_TAI) -> int:
    """Return the output (beta as a big-endian integer, 256 bits) of a valid on-chain proof.

    public_x: the registered key. suite: `SECP256K1_TAI`, or `SECP256K1_TAI_REFERENCE` to check without
    libsecp256k1. Raises `InvalidProof` for everything that the contract refuses.
    """
    key, parsed = encode_public_key(public_x), parse_chain_proof(proof)
    y, h = suite.group.decode(key), _encode_with_roots(suite, key, alpha, parsed.roots)
    decoded = vrf.Proof(parsed.gamma, parsed.c, parsed.s)
    u, t, s = _witness_points(suite.group, y, h, decoded)
    s_y = (parsed.slope * (parsed.t.x - parsed.s_x) - parsed.t.y) % _P
    if (parsed.u, parsed.t, Point(parsed.s_x, s_y)) != (u, t, s):
        raise InvalidProof("a witness is not the point or the slope that it stands for")
    _check_challenge(y, h, parsed)
    return int.from_bytes(vrf.proof_to_output(suite, parsed.to_rfc9381()), "big")


def _witness_points(group: Group, y: Point, h: Point, proof: vrf.Proof) -> tuple[Point, Point, Point]:
    """Return U, T and S, none of them the identity and T.x != S.x (where the slope would be free)."""
    u = group.linear(proof.s, group.curve.generator, -proof.c, y)
    t, s = group.multiply(proof.s, h), group.multiply(proof.c, proof.gamma)
    if u is None or t is None or s is None or t.x == s.x:
        raise InvalidProof("the proof is degenerate: U, T or S is the identity, or T and S share their x")
    return u, t, s


def _encode_with_roots(suite: Suite, key: bytes, alpha: bytes, roots: tuple[int, ...]) -> Point:
    """Return H at the proof's counter, after its roots have shown that no lower counter gives a point."""
    for counter, root in enumerate(roots):
        x = vrf.candidate(suite, key, alpha, counter)
        if x >= _P or (root * root + SECP256K1.right_side(x)) % _P:
            raise InvalidProof(f"counter {counter} was skipped without proof that it gives no point")
    x = vrf.candidate(suite, key, alpha, len(roots))
    point = suite.group.lift(x) if 0 < x < _N else None
    if point is None:
        raise InvalidProof(f"counter {len(roots)} gives no point")
    return point


def _check_challenge(y: Point, h: Point, proof: ChainProof) -> None:
    v_x = (proof.slope * proof.slope - proof.t.x - proof.s_x) % _P
    v = Point(v_x, (proof.slope * (proof.t.x - v_x) - proof.t.y) % _P)
    if vrf.challenge(SECP256K1_TAI, y, h, proof.gamma, proof.u, v) != proof.c:
        raise InvalidProof("the challenge does not match: wrong key, wrong message or forged proof")
