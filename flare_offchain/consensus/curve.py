"""Short Weierstrass curves of prime order and cofactor 1, in pure Python.

Not constant time: for public values only. It verifies and audits proofs on any curve, and is the independent
implementation that the fast one (`flare_offchain.consensus.secp256k1`) is compared with. Parameters: SEC 2 v2
(secp256k1 = 2.4.1, P-256 = secp256r1 = 2.4.2). Encodings: SEC 1 v2, 2.3.3 and 2.3.4.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from flare_offchain.core.errors import InvalidProof

FIELD_BYTES = 32
POINT_BYTES = 33
"""Length of a compressed point: 02 or 03, then x."""


class Point(NamedTuple):
    """An affine point, never the identity (which is `None` wherever a result may be it)."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Curve:
    """y² = x³ + ax + b over the integers modulo p, p = 3 mod 4, with a generator of prime order n."""

    name: str
    p: int
    a: int
    b: int
    n: int
    generator: Point

    def right_side(self, x: int) -> int:
        """Return x³ + ax + b mod p."""
        return (pow(x, 3, self.p) + self.a * x + self.b) % self.p

    def contains(self, point: Point) -> bool:
        """Return whether the coordinates are reduced and satisfy the equation."""
        in_field = 0 <= point.x < self.p and 0 <= point.y < self.p
        return in_field and point.y * point.y % self.p == self.right_side(point.x)

    def negate(self, point: Point) -> Point:
        """Return -P. Neither curve has a point with y = 0, since the order is odd."""
        return Point(point.x, self.p - point.y)

    def encode(self, point: Point) -> bytes:
        """Return the 33-byte compressed form."""
        return bytes([2 + point.y % 2]) + point.x.to_bytes(FIELD_BYTES, "big")


SECP256K1 = Curve(
    "secp256k1",
    p=2**256 - 2**32 - 977,
    a=0,
    b=7,
    n=0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141,
    generator=Point(
        0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798,
        0x483ADA77_26A3C465_5DA4FBFC_0E1108A8_FD17B448_A6855419_9C47D08F_FB10D4B8,
    ),
)
P256 = Curve(
    "P-256",
    p=2**256 - 2**224 + 2**192 + 2**96 - 1,
    a=-3,
    b=0x5AC635D8_AA3A93E7_B3EBBD55_769886BC_651D06B0_CC53B0F6_3BCE3C3E_27D2604B,
    n=0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551,
    generator=Point(
        0x6B17D1F2_E12C4247_F8BCE6E5_63A440F2_77037D81_2DEB33A0_F4A13945_D898C296,
        0x4FE342E2_FE1A7F9B_8EE7EB4A_7C0F9E16_2BCE3357_6B315ECE_CBB64068_37BF51F5,
    ),
)


class Group(ABC):
    """What a VRF needs of a curve. Points are affine, scalars are integers, the identity is `None`.

    Methods that take a `secret` take 32 big-endian bytes of an integer in [1, n).
    """

    curve: Curve

    @abstractmethod
    def lift(self, x: int) -> Point | None:
        """Return the point with this x and an even y; `None` if x >= p or no point has it."""

    @abstractmethod
    def linear(self, u: int, left: Point, v: int, right: Point) -> Point | None:
        """Return u·left + v·right, for public u and v (any integers; taken modulo n)."""

    @abstractmethod
    def multiply_secret(self, secret: bytes, point: Point | None = None) -> Point:
        """Return secret·point, or secret·generator without a point."""

    @abstractmethod
    def respond(self, secret: bytes, factor: int, nonce: bytes) -> int:
        """Return nonce + factor·secret mod n, for a public factor in [0, n)."""

    def multiply(self, scalar: int, point: Point) -> Point | None:
        """Return scalar·point, for a public scalar."""
        return self.linear(scalar, point, 0, point)

    def decode(self, data: bytes) -> Point:
        """Return the point of its compressed form.

        Raises `InvalidProof` for another length, another prefix than 02 or 03 (so for the identity too), x
        >= p, or an x that is on no point.
        """
        if len(data) != POINT_BYTES or data[0] not in (2, 3):
            raise InvalidProof(f"a compressed point is {POINT_BYTES} bytes that begin with 02 or 03")
        point = self.lift(int.from_bytes(data[1:], "big"))
        if point is None:
            raise InvalidProof(f"no point of {self.curve.name} has the x coordinate {data[1:].hex()}")
        return point if data[0] == 2 else self.curve.negate(point)


_Jacobian = tuple[int, int, int]
"""(X, Y, Z) for the affine (X / Z², Y / Z³); Z = 0 is the identity."""
_IDENTITY: _Jacobian = (1, 1, 0)


class PythonGroup(Group):
    """The group law in Jacobian coordinates (Explicit-Formulas Database: dbl-2007-bl, add-2007-bl).

    **Not constant time**, secrets included: its `multiply_secret` and `respond` exist for test vectors
    only. The runtime proves with `flare_offchain.consensus.secp256k1.Secp256k1Group`.
    """

    def __init__(self, curve: Curve) -> None:
        self.curve = curve

    def lift(self, x: int) -> Point | None:
        """See `Group.lift`. The root is a power, since p = 3 mod 4."""
        p = self.curve.p
        if not 0 <= x < p:
            return None
        square = self.curve.right_side(x)
        root = pow(square, (p + 1) // 4, p)
        if root * root % p != square:
            return None
        return Point(x, root if root % 2 == 0 else p - root)

    def linear(self, u: int, left: Point, v: int, right: Point) -> Point | None:
        """See `Group.linear`. Both products share their doublings (Shamir's trick)."""
        u, v = u % self.curve.n, v % self.curve.n
        one, other = (left.x, left.y, 1), (right.x, right.y, 1)
        table = (_IDENTITY, one, other, self._add(one, other))
        total = _IDENTITY
        for bit in range(max(u.bit_length(), v.bit_length()) - 1, -1, -1):
            total = self._double(total)
            total = self._add(total, table[(u >> bit & 1) | (v >> bit & 1) << 1])
        return self._affine(total)

    def multiply_secret(self, secret: bytes, point: Point | None = None) -> Point:
        """See `Group.multiply_secret`, and the warning above."""
        product = self.multiply(self._scalar(secret), point or self.curve.generator)
        assert product is not None, "a scalar in [1, n) times a point of order n is never the identity"
        return product

    def respond(self, secret: bytes, factor: int, nonce: bytes) -> int:
        """See `Group.respond`, and the warning above."""
        return (self._scalar(nonce) + factor * self._scalar(secret)) % self.curve.n

    def _scalar(self, secret: bytes) -> int:
        scalar = int.from_bytes(secret, "big")
        if len(secret) != FIELD_BYTES or not 0 < scalar < self.curve.n:
            raise ValueError("a secret scalar is 32 bytes of an integer in [1, n)")
        return scalar

    def _double(self, point: _Jacobian) -> _Jacobian:
        p, (x, y, z) = self.curve.p, point
        if not z:
            return _IDENTITY
        xx, yy, zz = x * x % p, y * y % p, z * z % p
        yyyy = yy * yy % p
        s = 2 * ((x + yy) * (x + yy) - xx - yyyy) % p
        m = (3 * xx + self.curve.a * zz * zz) % p
        t = (m * m - 2 * s) % p
        return t, (m * (s - t) - 8 * yyyy) % p, 2 * y * z % p

    def _add(self, left: _Jacobian, right: _Jacobian) -> _Jacobian:
        p, (x1, y1, z1), (x2, y2, z2) = self.curve.p, left, right
        if not z1 or not z2:
            return right if not z1 else left
        zz1, zz2 = z1 * z1 % p, z2 * z2 % p
        u1, u2 = x1 * zz2 % p, x2 * zz1 % p
        s1, s2 = y1 * z2 * zz2 % p, y2 * z1 * zz1 % p
        if u1 == u2:
            return self._double(left) if s1 == s2 else _IDENTITY
        h, r = u2 - u1, s2 - s1
        hh = h * h % p
        hhh, v = h * hh % p, u1 * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - s1 * hhh) % p, h * z1 * z2 % p

    def _affine(self, point: _Jacobian) -> Point | None:
        x, y, z = point
        if not z:
            return None
        inverse = pow(z, -1, self.curve.p)
        square = inverse * inverse
        return Point(x * square % self.curve.p, y * square * inverse % self.curve.p)
