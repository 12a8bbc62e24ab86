"""Proofs that nobody may accept: neither Python's verifier nor the contract's."""

import dataclasses
from collections.abc import Iterator
from hashlib import sha256

from flare_offchain.consensus import vrf
from flare_offchain.consensus.chain_proof import ChainProof, parse_chain_proof, prove_for_chain
from flare_offchain.consensus.curve import SECP256K1, Point
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import SECP256K1_TAI

Forgery = tuple[str, int, bytes, bytes]
"""A name, the key's x coordinate, the message and the proof."""

P, N = SECP256K1.p, SECP256K1.n
GROUP = SECP256K1_TAI.group


def messages(label: bytes = b"") -> Iterator[bytes]:
    """Yield messages of 32 bytes without end."""
    number = 0
    while True:
        yield sha256(label + number.to_bytes(8, "big")).digest()
        number += 1


def message_with_counter(key: VrfKey, counter: int) -> bytes:
    """Return a message whose H is found at this counter."""
    for alpha in messages():
        if vrf.encode_to_curve(SECP256K1_TAI, key.public_key, alpha).counter == counter:
            return alpha
    raise AssertionError


def root_of_minus(x: int) -> int:
    """A square root of -(x³ + 7), or, where there is none, of x³ + 7."""
    return pow(-SECP256K1.right_side(x) % P, (P + 1) // 4, P)


def forgeries(key: VrfKey) -> Iterator[Forgery]:
    """Yield forgeries under a key: malformed, mutated, and made with the knowledge of the secret."""
    alpha = message_with_counter(key, 2)
    proof = parse_chain_proof(prove_for_chain(key, alpha))
    for name, data in [*mutated(proof), *malformed(proof)]:
        yield name, key.public_x, alpha, data
    yield "another message", key.public_x, alpha[::-1], proof.to_bytes()
    yield "another key", VrfKey.derive(b"other", b"").public_x, alpha, proof.to_bytes()
    off_curve = next(x for x in range(1, 100) if GROUP.lift(x) is None)
    for name, x in (("key off the curve", off_curve), ("key zero", 0), ("key + n", key.public_x + N)):
        if x < 2**256:
            yield name, x, alpha, proof.to_bytes()
    yield from counters(key)
    yield from degenerate(key)
    yield from one_witness_chosen(key)
    yield from draft05(key)


def mutated(proof: ChainProof) -> Iterator[tuple[str, bytes]]:
    """Yield the proof with one field replaced by another plausible value."""
    minus = SECP256K1.negate
    s = GROUP.multiply(proof.c, proof.gamma)
    assert s is not None
    changes: dict[str, dict[str, object]] = {
        "gamma negated": {"gamma": minus(proof.gamma)},
        "gamma replaced": {"gamma": SECP256K1.generator},
        "c + 1": {"c": (proof.c + 1) % 2**128},
        "c zero": {"c": 0},
        "s + 1": {"s": (proof.s + 1) % N},
        "s negated": {"s": N - proof.s},
        "s zero": {"s": 0},
        "u negated": {"u": minus(proof.u)},
        "u.x + 1": {"u": Point(proof.u.x + 1, proof.u.y)},
        "u replaced by t": {"u": proof.t},
        "u zero": {"u": Point(0, 0)},
        "t negated": {"t": minus(proof.t)},
        "t.y + 1": {"t": Point(proof.t.x, proof.t.y + 1)},
        "t replaced by s": {"t": s},
        "t zero": {"t": Point(0, 0)},
        "s_x + 1": {"s_x": proof.s_x + 1},
        "s_x zero": {"s_x": 0},
        "s_x is t.x": {"s_x": proof.t.x},
        "slope + 1": {"slope": proof.slope + 1},
        "slope negated": {"slope": P - proof.slope},
        "slope zero": {"slope": 0},
        "slope through t and s": {"slope": (proof.t.y - s.y) * pow(proof.t.x - s.x, -1, P) % P},
        "roots swapped": {"roots": proof.roots[::-1]},
        "last root dropped": {"roots": proof.roots[:-1]},
        "one root too many": {"roots": (*proof.roots, 1)},
        "root zero": {"roots": (0, *proof.roots[1:])},
        "root + 1": {"roots": (*proof.roots[:-1], proof.roots[-1] + 1)},
    }
    for name, fields in changes.items():
        yield name, dataclasses.replace(proof, **fields).to_bytes()


def malformed(proof: ChainProof) -> Iterator[tuple[str, bytes]]:
    """Yield bytes that have not the form of a proof."""
    data = proof.to_bytes()
    yield "empty", b""
    yield "one byte", data[:1]
    yield "one byte short", data[:-1]
    yield "one byte more", data + b"\x00"
    yield "one word more", data + bytes(32)
    yield "one word short", data[:-32]
    yield "counter one higher", bytes([data[0] + 1]) + data[1:]
    yield "counter one lower", bytes([data[0] - 1]) + data[1:]
    yield "the proof of RFC 9381", proof.to_rfc9381()
    yield "s + n", data[:49] + min(proof.s + N, 2**256 - 1).to_bytes(32, "big") + data[81:]
    yield "s is n", data[:49] + N.to_bytes(32, "big") + data[81:]
    yield "gamma off the curve", data[:1] + (5).to_bytes(32, "big") + data[33:]
    yield "gamma zero", data[:1] + bytes(32) + data[33:]
    yield "all zero", bytes(273)
    yield "all one", b"\xff" * (273 + 32 * 127)
    yield "t.x + p", data[:145] + min(proof.t.x + P, 2**256 - 1).to_bytes(32, "big") + data[177:]


def prove_over(key: VrfKey, h: Point, roots: tuple[int, ...]) -> bytes:
    """Return a proof that is right in every point except that H is another than the message's."""
    secret = key.export_secret()
    gamma = GROUP.multiply_secret(secret, h)
    k = vrf.nonce(SECP256K1_TAI, secret, SECP256K1.encode(h))
    u, v = GROUP.multiply_secret(k), GROUP.multiply_secret(k, h)
    c = vrf.challenge(SECP256K1_TAI, GROUP.decode(key.public_key), h, gamma, u, v)
    response = GROUP.respond(secret, c, k)
    t, s = GROUP.multiply(response, h), GROUP.multiply(c, gamma)
    assert t is not None
    assert s is not None
    slope = (t.y + s.y) * pow(t.x - s.x, -1, P) % P
    return ChainProof(gamma, c, response, u, t, s.x, slope, roots).to_bytes()


def counters(key: VrfKey) -> Iterator[Forgery]:
    """Yield proofs, made with the secret, over an H that is a point but not the first: a choice of outputs."""
    for alpha in messages(b"counters"):
        points = [vrf.candidate(SECP256K1_TAI, key.public_key, alpha, counter) for counter in range(4)]
        lifted = [GROUP.lift(x) for x in points]
        if lifted[0] is None or lifted[1] is None:
            continue
        yield "skips a point", key.public_x, alpha, prove_over(key, lifted[1], (root_of_minus(points[0]),))
        yield "skips a point by zero", key.public_x, alpha, prove_over(key, lifted[1], (0,))
        yield "skips a point by its y", key.public_x, alpha, prove_over(key, lifted[1], (lifted[0].y,))
        yield "lies about the counter", key.public_x, alpha, prove_over(key, lifted[1], ())
        yield "H negated", key.public_x, alpha, prove_over(key, SECP256K1.negate(lifted[0]), ())
        break
    alpha = message_with_counter(key, 1)
    first = vrf.candidate(SECP256K1_TAI, key.public_key, alpha, 0)
    yield "H of another message", key.public_x, alpha, prove_over(key, SECP256K1.generator, (root_of_minus(first),))


def opposite(key: VrfKey, alpha: bytes, c: int = 2**100 + 7, multiple: int = 12345) -> ChainProof:
    """Return a proof in which T = -S: every slope passes for theirs, and V is the forger's choice.

    Gamma is `multiple` times H, not the key's. All that is left to match is the challenge.
    """
    h = vrf.encode_to_curve(SECP256K1_TAI, key.public_key, alpha).point
    response = -c * multiple % N
    gamma, t = GROUP.multiply(multiple, h), GROUP.multiply(response, h)
    u = GROUP.linear(response, SECP256K1.generator, -c, GROUP.decode(key.public_key))
    assert gamma is not None
    assert t is not None
    assert u is not None
    return ChainProof(gamma, c, response, u, t, t.x, 1, ())


def degenerate(key: VrfKey) -> Iterator[Forgery]:
    """Yield proofs in which T and S share their x."""
    alpha = message_with_counter(key, 0)
    proof = opposite(key, alpha)
    for slope in (0, 1, 3 * proof.t.x**2 * pow(2 * proof.t.y, -1, P) % P):
        data = dataclasses.replace(proof, slope=slope).to_bytes()
        yield f"T is -S, slope {slope:#x}", key.public_x, alpha, data


def one_witness_chosen(key: VrfKey) -> Iterator[Forgery]:
    """Yield proofs of a Gamma that is the forger's choice, right in everything but one of U, T and S.

    With T or S unchecked the owner of the key would choose its output; with U unchecked anybody would, for any key.
    """
    alpha = message_with_counter(key, 0)
    h = vrf.encode_to_curve(SECP256K1_TAI, key.public_key, alpha).point
    y, secret = GROUP.decode(key.public_key), int.from_bytes(key.export_secret(), "big")
    gamma, u, v = GROUP.multiply(12345, h), GROUP.multiply(777, SECP256K1.generator), GROUP.multiply(999, h)
    assert gamma is not None
    assert u is not None
    assert v is not None
    c = vrf.challenge(SECP256K1_TAI, y, h, gamma, u, v)
    for name, response in (("U", 999 + c * 12345), ("T", 777 + c * secret), ("S", 777 + c * secret)):
        t, s = GROUP.multiply(response % N, h), GROUP.multiply(c, gamma)
        assert t is not None
        assert s is not None
        if name == "T":
            t = GROUP.linear(1, v, 1, s)
        elif name == "S":
            s = GROUP.linear(1, t, -1, v)
        assert t is not None
        assert s is not None
        slope = (t.y + s.y) * pow(t.x - s.x, -1, P) % P
        data = ChainProof(gamma, c, response % N, u, t, s.x, slope, ()).to_bytes()
        yield f"{name} of the forger's choice", key.public_x, alpha, data


def draft05(key: VrfKey) -> Iterator[Forgery]:
    """Yield a proof whose challenge leaves out the public key, as the drafts before RFC 9381 did."""
    alpha = message_with_counter(key, 0)
    h = vrf.encode_to_curve(SECP256K1_TAI, key.public_key, alpha).point
    secret = key.export_secret()
    gamma = GROUP.multiply_secret(secret, h)
    k = vrf.nonce(SECP256K1_TAI, secret, b"draft")
    u, v = GROUP.multiply_secret(k), GROUP.multiply_secret(k, h)
    c = vrf.challenge(SECP256K1_TAI, h, gamma, u, v)
    response = GROUP.respond(secret, c, k)
    t, s = GROUP.multiply(response, h), GROUP.multiply(c, gamma)
    assert t is not None
    assert s is not None
    slope = (t.y + s.y) * pow(t.x - s.x, -1, P) % P
    data = ChainProof(gamma, c, response, u, t, s.x, slope, ()).to_bytes()
    yield "challenge without the key", key.public_x, alpha, data
