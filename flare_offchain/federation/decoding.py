"""Decoded updates of the newest round, kept while its attempts last.

A member decodes the same objects for every attempt of a round, and members that share a process decode the same ones.
Decoding is a pure function of the bytes, so what it gave may be used again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flare_offchain.compression.codec import decode_update
from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.core.tensors import ModelSchema

MAX_BYTES = 2**28
"""Bytes of decoded integers that are kept; what exceeds them is decoded anew."""


@dataclass(slots=True)
class DecodedUpdates:
    """Decodes updates of one round after the other.

    Attributes:
        limit: bytes of decoded integers to keep.
    """

    limit: int = MAX_BYTES
    _round: object = None
    _kept: dict[tuple[bytes, ModelSchema, bytes], DecodedUpdate] = field(default_factory=dict)
    _bytes: int = 0

    def turn_to(self, round_key: object) -> None:
        """Forget the updates of every other round."""
        if round_key != self._round:
            self.forget()
            self._round = round_key

    def forget(self) -> None:
        """Forget all updates: their round is over."""
        self._round, self._bytes = None, 0
        self._kept.clear()

    def decode(self, data: bytes, schema: ModelSchema, context: bytes) -> DecodedUpdate:
        """Return what `decode_update` returns.

        Raises:
            MalformedObject: as `decode_update`.
        """
        key = (data, schema, context)
        found = self._kept.get(key)
        if found is None:
            found = decode_update(data, schema, context)
            size = sum(tensor.integers.nbytes for tensor in found.tensors.values())
            if self._bytes + size <= self.limit:
                self._kept[key] = found
                self._bytes += size
        return found
