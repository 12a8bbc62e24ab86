"""Proofs that are each altered in one way, drawn at random, as many as are asked for: nobody may accept one.

`chain_proof_forgeries` has one of each kind that was ever thought of; here every field and every binding is met many
times over. What is accepted though it differs, a root's other sign, is left out.
"""

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flare_offchain.consensus import vrf
from flare_offchain.consensus.chain_proof import parse_chain_proof, prove_for_chain
from flare_offchain.consensus.curve import SECP256K1
from flare_offchain.consensus.identities import vrf_alpha
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import SECP256K1_TAI
from tests.suites.chain_proof_forgeries import draft05, opposite, prove_over, root_of_minus

P, N, WORD = SECP256K1.p, SECP256K1.n, 2**256
GROUP = SECP256K1_TAI.group
FIELDS = {
    "gamma": (1, 33),
    "c": (33, 49),
    "s": (49, 81),
    "u.x": (81, 113),
    "u.y": (113, 145),
    "t.x": (145, 177),
    "t.y": (177, 209),
    "s.x": (209, 241),
    "slope": (241, 273),
}
"""First byte and end of each field that every proof has; roots follow, 32 bytes each."""


@dataclass(frozen=True, slots=True)
class Member:
    """A key, what its proof is bound to (chain, contract, task, round, seed), the message that follows, the proof."""

    key: VrfKey
    binding: tuple[int, str, int, int, bytes]
    alpha: bytes
    proof: bytes

    @classmethod
    def draw(cls, source: random.Random) -> "Member":
        """Return a member of some task."""
        key = VrfKey.derive(b"altered", source.randbytes(16))
        where = (31337, "0x" + source.randbytes(20).hex(), source.randrange(1, 10**6), source.randrange(1, 10**6))
        binding = (*where, source.randbytes(32))
        alpha = vrf_alpha(*binding)
        return cls(key, binding, alpha, prove_for_chain(key, alpha))


@dataclass(frozen=True, slots=True)
class Altered:
    """A key, a message and a proof that do not belong together, and what was done to them."""

    kind: str
    public_x: int
    alpha: bytes
    proof: bytes


Alteration = Callable[[random.Random, Member, Member], Altered | None]
"""From a member and another one of the same chain; None where it does not apply to this member."""


def altered_proofs(source: random.Random, members: int, each: int) -> Iterator[Altered]:
    """Yield, for each of `members` drawn members, every kind of alteration `each` times."""
    drawn = [Member.draw(source) for _ in range(members)]
    for member, other in zip(drawn, [*drawn[1:], drawn[0]], strict=True):
        for alteration in itertools.chain.from_iterable(itertools.repeat(ALTERATIONS, each)):
            altered = alteration(source, member, other)
            original = (member.key.public_x, member.alpha, member.proof)
            if altered and (altered.public_x, altered.alpha, altered.proof) != original:
                yield altered


def _replaced(kind: str, member: Member, start: int, value: bytes) -> Altered:
    data = member.proof[:start] + value + member.proof[start + len(value) :]
    return Altered(kind, member.key.public_x, member.alpha, data)


def _in_field(name: str, how: str) -> Alteration:
    """Return the alteration of one field: a bit, a drawn value, a neighbour, the negative, 0, all ones, another's."""

    def alter(source: random.Random, member: Member, other: Member) -> Altered:
        first = 273 + 32 * source.randrange(max(member.proof[0] & 127, 1))
        start, end = FIELDS.get(name, (first, first + 32))
        size, value = end - start, int.from_bytes(member.proof[start:end], "big")
        modulus = {"s": N, "c": 2**128}.get(name, P)
        changed = {
            "bit": value ^ (1 << source.randrange(8 * size)),
            "drawn": source.randrange(modulus),
            "neighbour": (value + source.choice([-1, 1])) % modulus,
            "negative": (modulus - value) % modulus,
            "zero": 0,
            "ones": 2 ** (8 * size) - 1,
            "not reduced": (value + modulus) % 2 ** (8 * size),
            "another's": int.from_bytes(other.proof[start:end].ljust(size, b"\1"), "big"),
        }[how]
        return _replaced(f"{name}, {how}", member, start, changed.to_bytes(size, "big"))

    if name != "root":
        return alter
    return lambda source, member, other: alter(source, member, other) if member.proof[0] & 127 else None


def _swapped(source: random.Random, member: Member, other: Member) -> Altered:
    """Two words change places."""
    one, two = source.sample([name for name in FIELDS if name != "c"], 2)
    (a, b), (c, d) = FIELDS[one], FIELDS[two]
    changed = bytearray(member.proof)
    changed[a:b], changed[c:d] = member.proof[c:d], member.proof[a:b]
    return Altered("fields swapped", member.key.public_x, member.alpha, bytes(changed))


def _elsewhere(index: int, kind: str) -> Alteration:
    """Return the alteration of one part of the message: the proof was made for another."""

    def alter(source: random.Random, member: Member, other: Member) -> Altered:
        binding = list(member.binding)
        binding[index] = {
            "chain": binding[0] + source.randrange(1, 100),
            "contract": "0x" + source.randbytes(20).hex(),
            "task": source.randrange(10**6, 10**9),
            "round": (member.binding[3] + source.choice([-1, 1, 4])) % 2**32,
            "seed": source.randbytes(32),
        }[kind]
        return Altered(f"another {kind}", member.key.public_x, vrf_alpha(*binding), member.proof)

    return alter


def _another_key(source: random.Random, member: Member, other: Member) -> Altered:
    drawn = source.choice([other.key.public_x, source.randrange(1, P), (member.key.public_x + 1) % P])
    return Altered("another key", drawn, member.alpha, member.proof)


def _another_members_proof(source: random.Random, member: Member, other: Member) -> Altered:
    return Altered("another member's proof", member.key.public_x, member.alpha, other.proof)


def _another_members_proof_of_the_message(source: random.Random, member: Member, other: Member) -> Altered:
    proof = prove_for_chain(other.key, member.alpha)
    return Altered("another member's proof of the message", member.key.public_x, member.alpha, proof)


def _counter(source: random.Random, member: Member, other: Member) -> Altered:
    """Another counter, with roots dropped or drawn so that the length fits."""
    counter = source.choice([count for count in range(9) if count != member.proof[0] & 127])
    data = bytes([member.proof[0] & 128 | counter]) + member.proof[1:] + source.randbytes(32 * 9)
    return Altered("another counter", member.key.public_x, member.alpha, data[: 273 + 32 * counter])


def _bare_counter(source: random.Random, member: Member, other: Member) -> Altered:
    counter = source.choice([count for count in range(128) if count != member.proof[0] & 127])
    return _replaced("another counter, the same length", member, 0, bytes([member.proof[0] & 128 | counter]))


def _later_point(source: random.Random, member: Member, other: Member) -> Altered:
    """The owner of the key proves over the next candidate that is a point: a choice between two outputs."""
    key, roots, points = member.key, [], 0
    for counter in range(128):
        x = vrf.candidate(SECP256K1_TAI, key.public_key, member.alpha, counter)
        point = GROUP.lift(x)
        points += point is not None
        if points == 2:
            break
        roots.append(root_of_minus(x) if point is None else source.choice([0, point.y, root_of_minus(x)]))
    assert point is not None
    return Altered("a later point", key.public_x, member.alpha, prove_over(key, point, tuple(roots)))


def _equal_abscissas(source: random.Random, member: Member, other: Member) -> Altered:
    """T.x = S.x by the witness: any slope would do, and V would be the prover's."""
    proof = dataclasses.replace(parse_chain_proof(member.proof), slope=source.randrange(P))
    s = GROUP.multiply(proof.c, proof.gamma)
    assert s is not None
    to_t = source.random() < 0.5
    changed = dataclasses.replace(proof, s_x=proof.t.x) if to_t else dataclasses.replace(proof, t=s)
    return Altered("T.x = S.x by witness", member.key.public_x, member.alpha, changed.to_bytes())


def _opposite(source: random.Random, member: Member, other: Member) -> Altered | None:
    """T = -S in truth, with a Gamma that is not the key's; every slope fits, so V can be drawn again and again."""
    if member.proof[0] & 127:
        return None
    proof = opposite(member.key, member.alpha, c=source.randrange(1, 2**128), multiple=source.randrange(1, N))
    data = dataclasses.replace(proof, slope=source.randrange(P)).to_bytes()
    return Altered("T = -S", member.key.public_x, member.alpha, data)


def _draft05(source: random.Random, member: Member, other: Member) -> Altered:
    _, public_x, alpha, data = next(draft05(member.key))
    return Altered("challenge of an earlier draft", public_x, alpha, data)


def _shortened(source: random.Random, member: Member, other: Member) -> Altered:
    length = source.choice([source.randrange(len(member.proof)), len(member.proof) - 1, len(member.proof) - 32])
    return Altered("shortened", member.key.public_x, member.alpha, member.proof[:length])


def _lengthened(source: random.Random, member: Member, other: Member) -> Altered:
    data = member.proof + source.randbytes(source.choice([1, 31, 32, 64, source.randrange(1, 400)]))
    return Altered("lengthened", member.key.public_x, member.alpha, data)


def _several_bits(source: random.Random, member: Member, other: Member) -> Altered:
    changed = bytearray(member.proof)
    for place in source.sample(range(8 * len(changed)), source.randrange(2, 9)):
        changed[place // 8] ^= 1 << place % 8
    return Altered("several bits", member.key.public_x, member.alpha, bytes(changed))


def _parity(source: random.Random, member: Member, other: Member) -> Altered:
    return _replaced("the other Gamma of the same x", member, 0, bytes([member.proof[0] ^ 128]))


_HOW = ("bit", "drawn", "neighbour", "negative", "zero", "ones", "another's", "not reduced")
ALTERATIONS: tuple[Alteration, ...] = (
    # A root's negative is a root too.
    *(_in_field(name, how) for name in (*FIELDS, "root") for how in _HOW if (name, how) != ("root", "negative")),
    *(_elsewhere(index, kind) for index, kind in enumerate(("chain", "contract", "task", "round", "seed"))),
    _swapped,
    _another_key,
    _another_members_proof,
    _another_members_proof_of_the_message,
    _counter,
    _bare_counter,
    _later_point,
    _equal_abscissas,
    _opposite,
    _draft05,
    _shortened,
    _lengthened,
    _several_bits,
    _parity,
)
