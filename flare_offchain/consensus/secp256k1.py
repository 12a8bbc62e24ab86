"""secp256k1 through libsecp256k1 (coincurve): fast, and constant time wherever a secret is involved.

`secp256k1_ec_pubkey_tweak_mul` (coincurve's `PublicKey.multiply`) runs in variable time, so it serves
public scalars alone. A secret times an arbitrary point goes through `secp256k1_ecdh`, whose multiplication
is constant time and whose hash function the caller may replace by one that returns the coordinates. A
secret times the generator is `secp256k1_ec_pubkey_create`; arithmetic of secret scalars is
`secp256k1_ec_seckey_tweak_{mul,add}`.

Python cannot wipe memory: secrets stay in it until they are collected.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from coincurve import PublicKey
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from flare_offchain.consensus.curve import FIELD_BYTES, SECP256K1, Group, Point
from flare_offchain.core.errors import InvalidProof


def _bytes(scalar: int) -> bytes:
    return scalar.to_bytes(FIELD_BYTES, "big")


def _key(point: Point) -> PublicKey:
    """Return a point in the library's form; the library checks that it is on the curve."""
    try:
        return PublicKey(b"\x04" + _bytes(point.x) + _bytes(point.y))
    except (ValueError, OverflowError) as error:
        raise InvalidProof("the coordinates are no point of secp256k1") from error


def _point(key: PublicKey) -> Point:
    data = key.format(compressed=False)
    return Point(int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big"))


def _copy_coordinates(output: Any, x: Any, y: Any, _data: Any) -> int:
    """Stand in for the hash function of `secp256k1_ecdh`: x, then y."""
    ffi.memmove(output, x, FIELD_BYTES)
    ffi.memmove(output + FIELD_BYTES, y, FIELD_BYTES)
    return 1


@cache
def _coordinates_function() -> Any:
    """Return `_copy_coordinates` as a C function, made on first use: only provers need it."""
    return ffi.callback("int(unsigned char *, const unsigned char *, const unsigned char *, void *)", _copy_coordinates)


def _scaled(secret: bytes, factor: int) -> Any:
    """Return a buffer with factor·secret mod n, for a factor in [1, n)."""
    _check_secret(secret)
    buffer = ffi.new("unsigned char[32]", secret)
    lib.secp256k1_ec_seckey_tweak_mul(GLOBAL_CONTEXT.ctx, buffer, _bytes(factor))
    return buffer


def _check_secret(secret: bytes) -> None:
    if len(secret) != FIELD_BYTES or not lib.secp256k1_ec_seckey_verify(GLOBAL_CONTEXT.ctx, secret):
        raise ValueError("a secret scalar is 32 bytes of an integer in [1, n)")


class Secp256k1Group(Group):
    """The group of secp256k1 on libsecp256k1."""

    curve = SECP256K1

    def lift(self, x: int) -> Point | None:
        """See `Group.lift`."""
        if not 0 <= x < SECP256K1.p:
            return None
        try:
            return _point(PublicKey(b"\x02" + _bytes(x)))
        except ValueError:
            return None

    def linear(self, u: int, left: Point, v: int, right: Point) -> Point | None:
        """See `Group.linear`. Variable time."""
        terms = [
            _key(point).multiply(_bytes(scalar % SECP256K1.n))
            for scalar, point in ((u, left), (v, right))
            if scalar % SECP256K1.n
        ]
        if not terms:
            return None
        try:
            return _point(PublicKey.combine_keys(terms))
        except ValueError:
            # The one way in which valid points have no sum here: it is the identity.
            return None

    def multiply_secret(self, secret: bytes, point: Point | None = None) -> Point:
        """See `Group.multiply_secret`. Constant time."""
        _check_secret(secret)
        if point is None:
            return _point(PublicKey.from_valid_secret(secret))
        output = ffi.new("unsigned char[64]")
        key = _key(point).public_key
        if not lib.secp256k1_ecdh(GLOBAL_CONTEXT.ctx, output, key, secret, _coordinates_function(), ffi.NULL):
            raise ValueError("libsecp256k1 refused to multiply: the result would not be a point")
        data = bytes(ffi.buffer(output, 64))
        return Point(int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big"))

    def respond(self, secret: bytes, factor: int, nonce: bytes) -> int:
        """See `Group.respond`. Constant time in secret and nonce; only the public sum leaves the library."""
        _check_secret(nonce)
        if factor == 0:
            return int.from_bytes(nonce, "big")
        total = _scaled(secret, factor)
        if not lib.secp256k1_ec_seckey_tweak_add(GLOBAL_CONTEXT.ctx, total, nonce):
            return 0
        return int.from_bytes(bytes(ffi.buffer(total, FIELD_BYTES)), "big")

    def negate_secret(self, secret: bytes) -> bytes:
        """Return n - secret as 32 bytes. Constant time."""
        return bytes(ffi.buffer(_scaled(secret, SECP256K1.n - 1), FIELD_BYTES))
