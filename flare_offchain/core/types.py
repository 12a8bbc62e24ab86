"""Value types that every layer shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

Address = NewType("Address", str)
"""An EIP-55 checksummed address."""

Wei = NewType("Wei", int)

DIGEST_BYTES = 32
MAX_OBJECT_BYTES = 2**32 - 1


@dataclass(frozen=True, slots=True, order=True)
class ContentId:
    """What names an object: the sha2-256 digest of its CIDv1 and its size in bytes.

    Codec and tree layout follow from the size (`flare_offchain.storage.cid`), so the pair names the CID exactly; it
    is what the contracts store.
    """

    digest: bytes
    size: int

    def __post_init__(self) -> None:
        if not isinstance(self.digest, bytes) or len(self.digest) != DIGEST_BYTES:
            raise ValueError(f"a digest is {DIGEST_BYTES} bytes")
        if not 0 <= self.size <= MAX_OBJECT_BYTES:
            raise ValueError(f"an object's size is 0 to {MAX_OBJECT_BYTES} bytes, not {self.size}")

    def __str__(self) -> str:
        return f"{self.digest.hex()}/{self.size}"
