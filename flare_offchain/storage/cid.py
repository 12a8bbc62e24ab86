"""Content ids, computed locally: the CID that Kubo gives an object, without asking Kubo.

An object of up to 262,144 bytes is one raw block. A longer one is cut into chunks of that size, each a raw leaf; the
leaves are the bottom of a balanced tree of dag-pb nodes with at most 174 links, and the root's digest names the object.
This is what `ipfs add --cid-version=1 --raw-leaves --chunker=size-262144` builds.

Source: https://specs.ipfs.tech/unixfs/ and https://ipld.io/specs/codecs/dag-pb/spec/ (canonical serialisation:
links before data, fields in this order).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from multiformats import CID, varint

from flare_offchain.core.errors import IntegrityError, MalformedObject
from flare_offchain.core.types import MAX_OBJECT_BYTES, ContentId

CHUNK_BYTES = 262_144
"""Size of a leaf; also the longest object that is one raw block."""
MAX_LINKS = 174
"""Most links of a tree node."""

RAW = "raw"
DAG_PB = "dag-pb"
# A CID in bytes: version 1, codec, sha2-256 (0x12), 32 bytes long (0x20), digest.
_CID_PREFIX = {RAW: bytes.fromhex("01551220"), DAG_PB: bytes.fromhex("01701220")}
_CID_CHARACTERS = 59


@dataclass(frozen=True, slots=True)
class _Node:
    """A block of the tree, as its parent sees it."""

    codec: str
    digest: bytes
    content: int
    """Bytes of the object below it."""
    tree: int
    """Bytes of all blocks below and including it (dag-pb's Tsize)."""


class ContentHasher:
    """Computes a content id from bytes that arrive in pieces.

    Holds one chunk and at most 174 nodes for each level of the tree: under 300 KiB for 4 GiB.

    Args:
        max_bytes: longest object to accept.
    """

    def __init__(self, max_bytes: int = MAX_OBJECT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._chunk = bytearray()
        self._levels: list[list[_Node]] = [[]]

    @property
    def size(self) -> int:
        """Number of bytes taken in so far."""
        return self._size

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next bytes of the object.

        Raises:
            MalformedObject: if the object is longer than `max_bytes`.
        """
        view = memoryview(data)
        self._size += len(view)
        if self._size > self._max_bytes:
            raise MalformedObject(f"an object exceeds the limit of {self._max_bytes} bytes")
        while view:
            # A full chunk is closed only when more bytes follow, so that the end always finds a chunk in hand.
            if len(self._chunk) == CHUNK_BYTES:
                self._close_chunk()
            taken = view[: CHUNK_BYTES - len(self._chunk)]
            self._chunk += taken
            view = view[len(taken) :]

    def content_id(self) -> ContentId:
        """Return the id of what was taken in. The hasher is spent afterwards."""
        self._close_chunk()
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            self._close_level(level)
            level += 1
        return ContentId(self._levels[level][0].digest, self._size)

    def _close_chunk(self) -> None:
        chunk = bytes(self._chunk)
        self._chunk.clear()
        self._add(0, _Node(RAW, hashlib.sha256(chunk).digest(), len(chunk), len(chunk)))

    def _add(self, level: int, node: _Node) -> None:
        if level == len(self._levels):
            self._levels.append([])
        # A full level is closed only when one more node needs room, so that a root is never wrapped again.
        if len(self._levels[level]) == MAX_LINKS:
            self._close_level(level)
        self._levels[level].append(node)

    def _close_level(self, level: int) -> None:
        children, self._levels[level] = self._levels[level], []
        block = _encode_node(children)
        content = sum(child.content for child in children)
        tree = len(block) + sum(child.tree for child in children)
        self._add(level + 1, _Node(DAG_PB, hashlib.sha256(block).digest(), content, tree))


def _encode_node(children: list[_Node]) -> bytes:
    """Return the dag-pb block of an inner node of a UnixFS file."""
    links = b"".join(
        _field(2, _field(1, _CID_PREFIX[child.codec] + child.digest) + _field(2, b"") + _number(3, child.tree))
        for child in children
    )
    file_type = 2
    sizes = b"".join(_number(4, child.content) for child in children)
    unixfs = _number(1, file_type) + _number(3, sum(child.content for child in children)) + sizes
    return links + _field(1, unixfs)


def _field(number: int, value: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + varint.encode(len(value)) + value


def _number(number: int, value: int) -> bytes:
    """Return a varint protobuf field."""
    return bytes([number << 3]) + varint.encode(value)


def chunks_of(source: bytes | BinaryIO | Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of an object in pieces of at most 262,144, whichever form it comes in."""
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source)
        yield from (view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES))
    elif isinstance(source, Iterable) and not hasattr(source, "read"):
        for piece in source:
            yield from chunks_of(piece)
    else:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk


def content_id(data: bytes | BinaryIO | Iterable[bytes], *, max_bytes: int = MAX_OBJECT_BYTES) -> ContentId:
    """Return the content id of an object.

    Args:
        data: the object: bytes, a binary file read from where it stands to its end, or pieces in order.
        max_bytes: longest object to accept.

    Raises:
        MalformedObject: if it is longer than `max_bytes`.
    """
    hasher = ContentHasher(max_bytes)
    for chunk in chunks_of(data):
        hasher.update(chunk)
    return hasher.content_id()


def codec_of(size: int) -> str:
    """Return the codec of the root block of an object of this size: `raw` or `dag-pb`."""
    return RAW if size <= CHUNK_BYTES else DAG_PB


def cid_string(identifier: ContentId) -> str:
    """Return the CID in its usual text form (CIDv1, base32, lower case)."""
    return str(CID("base32", 1, codec_of(identifier.size), ("sha2-256", identifier.digest)))


def content_id_of_cid(text: str, size: int) -> ContentId:
    """Return the content id behind a CID's text form and the object's size.

    Raises:
        MalformedObject: if the text is not a CIDv1 in base32 with sha2-256, or its codec is not that of this size.
    """
    try:
        if len(text) != _CID_CHARACTERS or text[0] != "b":
            raise ValueError("not CIDv1 in base32 with a 32-byte digest")
        cid = CID.decode(text)
        found = ContentId(bytes(cid.raw_digest), size)
    except (ValueError, LookupError) as error:
        raise MalformedObject(f"{text[:100]!r} with size {size} is not the CID of an object: {error}") from error
    if cid_string(found) != text:
        raise MalformedObject(
            f"{text[:100]!r} is not the CID of an object of {size} bytes: expected CIDv1, base32, sha2-256, "
            f"{codec_of(size)}"
        )
    return found


def verify(data: bytes, expected: ContentId) -> None:
    """Check that `data` is the object that `expected` names.

    Raises:
        IntegrityError: if it is not.
    """
    if len(data) != expected.size:
        raise IntegrityError(f"{cid_string(expected)} has {expected.size} bytes, not {len(data)}")
    found = content_id(data)
    if found != expected:
        raise IntegrityError(f"these bytes are {cid_string(found)}, not {cid_string(expected)}")
