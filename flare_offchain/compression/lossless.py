"""Lossless compression of bytes with zlib (RFC 1950) and gzip (RFC 1952).

Decompression never produces more than `max_bytes`: the output is drawn through a bounded window, so a small input
that would inflate to gigabytes is refused after `max_bytes + 1` bytes.
"""

from __future__ import annotations

import zlib

from flare_offchain.compression.compressor import DEFAULT_MAX_BYTES, Compressor
from flare_offchain.core.errors import ConfigurationError, MalformedObject

_ZLIB_WINDOW = 15
_GZIP_WINDOW = 31


class _DeflateCompressor(Compressor[bytes]):
    """Deflate in the container that the window bits select."""

    _window = _ZLIB_WINDOW

    def __init__(self, level: int = 6, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if not 0 <= level <= 9:
            raise ConfigurationError(f"a compression level is 0 to 9, not {level}")
        if max_bytes < 0:
            raise ConfigurationError(f"a size bound is not negative, as {max_bytes} is")
        self.level = level
        self.max_bytes = max_bytes

    def compress(self, data: bytes) -> bytes:
        """Return the deflated form of `data`; the same bytes for the same input and zlib build (no time stamp)."""
        encoder = zlib.compressobj(self.level, zlib.DEFLATED, self._window)
        return encoder.compress(bytes(data)) + encoder.flush()

    def decompress(self, data: bytes) -> bytes:
        """Return the inflated bytes.

        Raises:
            MalformedObject: not deflate data, cut short, followed by other bytes, or larger than `max_bytes`.
        """
        decoder = zlib.decompressobj(self._window)
        try:
            result = decoder.decompress(bytes(data), self.max_bytes + 1)
        except zlib.error as error:
            raise MalformedObject(f"not a {type(self).__name__} stream: {error}") from error
        if len(result) > self.max_bytes:
            raise MalformedObject(f"the stream inflates past the bound of {self.max_bytes} bytes")
        if not decoder.eof:
            raise MalformedObject("the stream is cut short")
        if decoder.unused_data:
            raise MalformedObject(f"{len(decoder.unused_data)} bytes follow the end of the stream")
        return result


class ZlibCompressor(_DeflateCompressor):
    """zlib container: two bytes of header, Adler-32 checksum."""


class GzipCompressor(_DeflateCompressor):
    """gzip container: ten bytes of header (time stamp 0), CRC-32 checksum."""

    _window = _GZIP_WINDOW
