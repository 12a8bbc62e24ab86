"""The store on IPFS: Kubo nodes through their RPC, content ids computed here and compared with theirs."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO, TypeVar

from flare_offchain.core.errors import ConfigurationError, FlareError, IntegrityError, Retryable, StorageUnavailable
from flare_offchain.core.types import ContentId
from flare_offchain.storage.cid import ContentHasher, chunks_of
from flare_offchain.storage.kubo import KuboNode
from flare_offchain.storage.provider import DEFAULT_MAX_OBJECT_BYTES, SPOOL_BYTES, StorageProvider
from flare_offchain.utils.retry import RetryPolicy, call_with_retry

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_ENDPOINT = "http://127.0.0.1:5001"


class IPFSStorageProvider(StorageProvider):
    """Keeps objects on one or several Kubo nodes.

    Objects are written to every node and read from the first that returns the right bytes; one node that works is
    enough for either. A node may find an object in the network; `exists` only asks whether it holds it itself.
    Calls that a node did not answer are repeated a few times. A block that rotted on a node's disk is noticed when
    read, but Kubo does not write a block it believes to have: delete and put the object, or run
    `ipfs repo verify --heal`.

    Args:
        endpoints: RPC addresses, `http(s)://[user:password@]host:port` or multiaddrs.
        max_object_bytes: longest object to take in or hand out.
        timeout: seconds for one request in all, such as finding and fetching an object.
        retry: how often to repeat a call that was not answered.

    Raises:
        ConfigurationError: if there is no endpoint, or one is not an address.
    """

    remote = True

    def __init__(
        self,
        endpoints: str | Sequence[str] = DEFAULT_ENDPOINT,
        *,
        max_object_bytes: int = DEFAULT_MAX_OBJECT_BYTES,
        timeout: float = 60.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(max_object_bytes=max_object_bytes)
        addresses = [endpoints] if isinstance(endpoints, str) else list(endpoints)
        if not addresses:
            raise ConfigurationError("an IPFS store needs at least one endpoint, such as " + DEFAULT_ENDPOINT)
        self.nodes = tuple(KuboNode(address, timeout=timeout) for address in addresses)
        self._retry = retry or RetryPolicy()

    def check(self) -> dict[str, str]:
        """Return each node's version by its name.

        Raises:
            ConfigurationError: if one is too old.
            StorageUnavailable: if one does not answer.
        """
        return {node.name: node.check() for node in self.nodes}

    def close(self) -> None:
        """Close all connections."""
        for node in self.nodes:
            node.close()

    def put(self, data: bytes) -> ContentId:
        hasher = ContentHasher(self.max_object_bytes)
        hasher.update(data)
        return self._add(io.BytesIO(data), hasher.content_id())

    def put_stream(self, source: BinaryIO) -> ContentId:
        hasher = ContentHasher(self.max_object_bytes)
        # Each node reads the object from its beginning, and `source` may be read only once.
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as copy:
            try:
                for chunk in chunks_of(source):
                    hasher.update(chunk)
                    copy.write(chunk)
            except OSError as error:
                raise StorageUnavailable(f"no room for a temporary copy of an object: {error}") from error
            return self._add(copy, hasher.content_id())  # type: ignore[arg-type]

    def exists(self, content_id: ContentId) -> bool:
        if content_id.size > self.max_object_bytes:
            return False
        answers = self._ask_each(lambda node: node.has(content_id))
        silent = [answer for answer in answers if isinstance(answer, FlareError)]
        if not any(answer is True for answer in answers) and silent:
            raise silent[0]
        return any(answer is True for answer in answers)

    def delete(self, content_id: ContentId) -> None:
        self._change_all(lambda node: node.delete(content_id))

    def pin(self, content_id: ContentId) -> None:
        # Pinning fetches whatever the root links to, however much: only a verified object is known to end.
        self._fetch(content_id, _Discard(), None)
        self._change_one(lambda node: node.pin(content_id))

    def unpin(self, content_id: ContentId) -> None:
        self._change_all(lambda node: node.unpin(content_id))

    def collect(self) -> None:
        """Remove everything that is not pinned from every node, whoever put it there (`ipfs repo gc`)."""
        self._change_all(lambda node: node.collect())

    def _sources(self, content_id: ContentId) -> Iterator[Generator[bytes, None, None]]:
        for node in self.nodes:
            yield node.cat(content_id)

    def _fetch(self, content_id: ContentId, target: BinaryIO, max_bytes: int | None) -> None:
        fetch = super()._fetch
        call_with_retry(lambda: fetch(content_id, target, max_bytes), self._retry, on=StorageUnavailable)

    def _add(self, source: BinaryIO, content_id: ContentId) -> ContentId:
        def add(node: KuboNode) -> None:
            source.seek(0)
            node.add(source, content_id)

        self._change_one(add)
        return content_id

    def _ask_each(self, call: Callable[[KuboNode], T]) -> list[T | FlareError]:
        """Return each node's answer, or the error it ended in."""
        answers: list[T | FlareError] = []
        for node in self.nodes:

            def ask(node: KuboNode = node) -> T:
                return call(node)

            try:
                answers.append(call_with_retry(ask, self._retry, on=StorageUnavailable))
            except (Retryable, IntegrityError) as error:
                _LOG.warning("%s", error)
                answers.append(error)
        return answers

    def _change_one(self, call: Callable[[KuboNode], None]) -> None:
        """Make a change on every node; it must work on one."""
        answers = self._ask_each(call)
        if all(isinstance(answer, FlareError) for answer in answers):
            raise _worst(answers)

    def _change_all(self, call: Callable[[KuboNode], None]) -> None:
        """Make a change on every node; it must work on all."""
        errors = [answer for answer in self._ask_each(call) if isinstance(answer, FlareError)]
        if errors:
            raise _worst(errors)


def _worst(errors: Sequence[object]) -> FlareError:
    """Return the error to raise for several: wrong names first, since they will not pass."""
    found = [error for error in errors if isinstance(error, FlareError)]
    return next((error for error in found if not isinstance(error, Retryable)), found[0])


class _Discard(io.BytesIO):
    """A file that forgets what is written to it."""

    def write(self, data: object) -> int:
        return len(memoryview(data))  # type: ignore[arg-type]
