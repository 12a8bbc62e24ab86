"""VRF keys in the form that the contracts register: an x coordinate whose point has an even y."""

from __future__ import annotations

import hmac
import secrets

from flare_offchain.consensus import vrf
from flare_offchain.consensus.curve import FIELD_BYTES, SECP256K1
from flare_offchain.consensus.secp256k1 import Secp256k1Group
from flare_offchain.core.errors import InvalidProof

_GROUP = Secp256k1Group()


def encode_public_key(public_x: int) -> bytes:
    """Return the compressed public key (PK_string = 02 ‖ x) of a registered key.

    Raises `InvalidProof` unless x is on a point and in [1, n): an x in [n, p) is one that `ecrecover`, and
    so the contract, does not take.
    """
    point = _GROUP.lift(public_x) if 0 < public_x < SECP256K1.n else None
    if point is None:
        raise InvalidProof(f"{public_x:#x} is not the x coordinate of a usable public key")
    return SECP256K1.encode(point)


class VrfKey:
    """A secret scalar on secp256k1, negated where that is what makes its public key's y even.

    It shows its public key only: `repr`, `str`, comparison and hashing use that, and pickling is refused. A
    key signs nothing else and is not the account's key.
    """

    __slots__ = ("_secret", "public_key", "public_x")

    public_key: bytes
    """The compressed public key, 33 bytes that begin with 02."""
    public_x: int
    """What is registered on chain."""

    def __init__(self, secret: bytes) -> None:
        """Take 32 big-endian bytes of an integer in [1, n), else `ValueError`; s and n - s give the same
        key."""
        point = _GROUP.multiply_secret(secret)
        self._secret = secret if point.y % 2 == 0 else _GROUP.negate_secret(secret)
        self.public_x = point.x
        self.public_key = encode_public_key(point.x)

    @classmethod
    def generate(cls) -> VrfKey:
        """Return a new key from the operating system's randomness."""
        # One draw in 2**128 is outside [1, n): VrfKey refuses it, which is as good as drawing again.
        return cls(secrets.token_bytes(FIELD_BYTES))

    @classmethod
    def derive(cls, seed: bytes, label: bytes) -> VrfKey:
        """Return the key that a seed and a label determine (HMAC-SHA256), for runs that must repeat.

        The key is as secret as the seed: a seed that others know gives keys that others know.
        """
        return cls(hmac.digest(seed, b"flare/vrf-key" + label, "sha256"))

    def export_secret(self) -> bytes:
        """Return the (normalised) secret scalar, 32 bytes, for an encrypted key file. Never log it."""
        return self._secret

    def prove(self, alpha: bytes) -> bytes:
        """Return the 81-byte proof of RFC 9381 over a message."""
        return vrf.prove(vrf.SECP256K1_TAI, self._secret, alpha)

    def __repr__(self) -> str:
        return f"VrfKey(public_x={self.public_x:#066x})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VrfKey) and self.public_x == other.public_x

    def __hash__(self) -> int:
        return hash(self.public_x)

    def __reduce__(self) -> str:
        raise TypeError("a VrfKey is never pickled or copied; pass the object itself, or keep an encrypted key file")
