"""One Kubo node: the calls that a store needs."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import ipfshttpclient.multipart

from flare_offchain.core.errors import ConfigurationError, IntegrityError, ObjectNotFound, StorageUnavailable
from flare_offchain.core.types import ContentId
from flare_offchain.storage.cid import CHUNK_BYTES, MAX_LINKS, chunks_of, cid_string
from flare_offchain.storage.kubo_transport import Interrupted, KuboTransport

MIN_VERSION = (0, 35, 0)
"""Oldest Kubo that understands all options used here."""

ADD_OPTIONS = {
    "cid-version": "1",
    "raw-leaves": "true",
    "chunker": f"size-{CHUNK_BYTES}",
    "max-file-links": str(MAX_LINKS),
    "hash": "sha2-256",
    "trickle": "false",
    "quieter": "true",
    "progress": "false",
}
"""What makes `add` build the tree of `flare_offchain.storage.cid`, whatever the node's own configuration says."""

_BLOCKS_A_CALL = 64
_NOTHING_TO_DO = ("not pinned", "not found", "could not find")


class KuboNode:
    """The RPC of one node.

    Args:
        endpoint: its address: `http(s)://[user:password@]host[:port][/prefix]` or a multiaddr.
        timeout: seconds that one request may take in all.
        connect_timeout: seconds to wait for a connection.

    Raises:
        ConfigurationError: if the endpoint is not an address.
    """

    def __init__(self, endpoint: str, *, timeout: float = 60.0, connect_timeout: float = 5.0) -> None:
        self._transport = KuboTransport(endpoint, timeout=timeout, connect_timeout=connect_timeout)
        self._checked = False

    @property
    def name(self) -> str:
        """Its address, without credentials."""
        return self._transport.name

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def check(self) -> str:
        """Return the node's version, once it is known to be a Kubo new enough.

        Raises:
            ConfigurationError: if it is too old.
            StorageUnavailable: if it does not answer like a Kubo node.
        """
        version = str(self._transport.call("/version").get("Version", ""))
        match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
        if match is None:
            raise StorageUnavailable(f"{self.name} does not answer like a Kubo RPC endpoint")
        if tuple(map(int, match.groups())) < MIN_VERSION:
            needed = ".".join(map(str, MIN_VERSION))
            raise ConfigurationError(f"{self.name} runs Kubo {version}; Flare needs {needed} or newer: update it")
        self._checked = True
        return version

    def add(self, source: BinaryIO, expected: ContentId) -> None:
        """Add and pin the object in `source` (a file standing at its beginning).

        Raises:
            IntegrityError: if the node gives it another CID than `expected`.
            StorageUnavailable: if the node did not take it.
        """
        self._ready()
        body, headers = ipfshttpclient.multipart.stream_bytes(bytes(piece) for piece in chunks_of(source))
        found = self._transport.call("/add", options={**ADD_OPTIONS, "pin": "true"}, data=body, headers=headers).get(
            "Hash"
        )
        if found != cid_string(expected):
            raise IntegrityError(f"{self.name} named an object {found!r}, not {cid_string(expected)}")

    def cat(self, content_id: ContentId) -> Generator[bytes, None, None]:
        """Yield what the node returns for an object, not verified, at most one byte more than its size.

        Raises:
            ObjectNotFound: if the node answers that it cannot supply it, or does not supply it in time.
            StorageUnavailable: if the node does not answer.
        """
        self._ready()
        options = {"length": str(content_id.size + 1), "progress": "false"}
        received = 0
        with self._supplying(content_id):
            for piece in self._transport.stream("/cat", (cid_string(content_id),), options):
                received += len(piece)
                yield piece
        # The node reports a block that it lost on the way in a trailer, which the HTTP library drops.
        if received < content_id.size:
            raise ObjectNotFound(
                f"{self.name} supplied {received} of {content_id.size} bytes of {cid_string(content_id)}"
            )

    def has(self, content_id: ContentId) -> bool:
        """Return whether the node holds every block of the object itself."""
        self._ready()
        options = {"with-local": "true", "offline": "true"}
        try:
            found = self._transport.call(
                "/files/stat", (f"/ipfs/{cid_string(content_id)}",), options, refused=ObjectNotFound
            )
        except ObjectNotFound:
            return False
        return found.get("Local") is True and found.get("Size") == content_id.size

    def pin(self, content_id: ContentId) -> None:
        """Pin an object; the caller has verified it, so that its tree is as large as its size says.

        Raises:
            ObjectNotFound: if the node cannot find it.
            StorageUnavailable: if the node does not answer.
        """
        self._ready()
        with self._supplying(content_id):
            self._transport.lines("/pin/add", (cid_string(content_id),), {"recursive": "true"}, refused=ObjectNotFound)

    def unpin(self, content_id: ContentId) -> None:
        """Remove the pin; nothing happens if there is none."""
        self._ready()
        self._tolerant("/pin/rm", (cid_string(content_id),), {"recursive": "true"})

    def delete(self, content_id: ContentId) -> None:
        """Unpin an object and remove its blocks, except those that another pinned object shares."""
        self.unpin(content_id)
        root = cid_string(content_id)
        options = {"recursive": "true", "unique": "true", "offline": "true"}
        blocks = [root]
        blocks += [str(line["Ref"]) for line in self._tolerant("/refs", (root,), options) if line.get("Ref")]
        for start in range(0, len(blocks), _BLOCKS_A_CALL):
            # A block that another pin holds is reported in the answer, and stays.
            self._tolerant("/block/rm", tuple(blocks[start : start + _BLOCKS_A_CALL]), {"force": "true"})

    def collect(self) -> None:
        """Remove every block of the node that is not pinned (`ipfs repo gc`)."""
        self._ready()
        self._transport.lines("/repo/gc", (), {"silent": "true"})

    def _ready(self) -> None:
        if not self._checked:
            self.check()

    @contextmanager
    def _supplying(self, content_id: ContentId) -> Iterator[None]:
        """Tell an object that cannot be had from a node that cannot be reached.

        An object that nobody supplies, or somebody supplies slowly, looks like a broken answer. Whoever withholds
        an object must not pass for an outage of one's own node, so the node is asked whether it is there.
        """
        try:
            with self._transport.answering("an object", refused=ObjectNotFound):
                yield
        except Interrupted as error:
            self.check()
            raise ObjectNotFound(f"{self.name} could not supply {cid_string(content_id)} in time: {error}") from error

    def _tolerant(self, path: str, arguments: tuple[str, ...], options: Mapping[str, str]) -> list[dict[str, Any]]:
        """Make a call whose refusal means that there was nothing to do: no such pin, no such block."""
        try:
            return self._transport.lines(path, arguments, options, refused=ObjectNotFound)
        except ObjectNotFound as error:
            if not any(reason in str(error) for reason in _NOTHING_TO_DO):
                raise StorageUnavailable(str(error)) from error
            return []
