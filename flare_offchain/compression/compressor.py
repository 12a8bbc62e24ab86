"""What every compressor offers, and the one that does nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from flare_offchain.core.errors import MalformedObject

Data = TypeVar("Data")

DEFAULT_MAX_BYTES = 2**30
"""Largest output of a decompression unless the caller names another bound."""


class Compressor(ABC, Generic[Data]):
    """Turns data into bytes and back. Compressors of bytes give back the same bytes; codecs of updates may lose."""

    @abstractmethod
    def compress(self, data: Data) -> bytes:
        """Return the compressed form of `data`."""

    @abstractmethod
    def decompress(self, data: bytes) -> Data:
        """Return what `compress` was given (or its approximation).

        Raises:
            MalformedObject: the bytes are not a complete, exact output of `compress`, or would grow past the bound.
        """


class NoCompression(Compressor[bytes]):
    """Passes bytes through, still within the size bound."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.max_bytes = max_bytes

    def compress(self, data: bytes) -> bytes:
        """Return a copy of `data` as bytes."""
        return bytes(data)

    def decompress(self, data: bytes) -> bytes:
        """Return `data`; more than `max_bytes` is refused."""
        if len(data) > self.max_bytes:
            raise MalformedObject(f"{len(data)} bytes exceed the bound of {self.max_bytes}")
        return bytes(data)
