"""A store in memory, for tests and simulations within one process."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from typing import BinaryIO

from flare_offchain.core.errors import ObjectNotFound
from flare_offchain.core.types import ContentId
from flare_offchain.storage.cid import chunks_of, cid_string, content_id
from flare_offchain.storage.provider import DEFAULT_MAX_OBJECT_BYTES, StorageProvider


class InMemoryStorageProvider(StorageProvider):
    """Keeps objects in a dictionary; safe to share between threads.

    Args:
        max_object_bytes: longest object to take in or hand out.
    """

    def __init__(self, *, max_object_bytes: int = DEFAULT_MAX_OBJECT_BYTES) -> None:
        super().__init__(max_object_bytes=max_object_bytes)
        self._objects: dict[str, bytes] = {}
        self._pins: set[str] = set()
        self._lock = threading.Lock()

    def put_stream(self, source: BinaryIO) -> ContentId:
        # One byte more than admitted tells an object at the limit from one beyond it.
        data = source.read(self.max_object_bytes + 1)
        identifier = content_id(data, max_bytes=self.max_object_bytes)
        name = cid_string(identifier)
        with self._lock:
            self._objects[name] = data
            self._pins.add(name)
        return identifier

    def exists(self, content_id: ContentId) -> bool:
        data = self._objects.get(cid_string(content_id))
        return data is not None and len(data) == content_id.size

    def delete(self, content_id: ContentId) -> None:
        name = cid_string(content_id)
        with self._lock:
            self._pins.discard(name)
            self._objects.pop(name, None)

    def pin(self, content_id: ContentId) -> None:
        name = cid_string(content_id)
        with self._lock:
            if name not in self._objects:
                raise ObjectNotFound(f"{name} is not in this store")
            self._pins.add(name)

    def unpin(self, content_id: ContentId) -> None:
        with self._lock:
            self._pins.discard(cid_string(content_id))

    def collect(self) -> None:
        with self._lock:
            self._objects = {name: data for name, data in self._objects.items() if name in self._pins}

    def _sources(self, content_id: ContentId) -> Iterator[Generator[bytes, None, None]]:
        data = self._objects.get(cid_string(content_id))
        if data is not None:
            yield (bytes(piece) for piece in chunks_of(data))
