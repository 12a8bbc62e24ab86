"""The store of objects: what every implementation offers, and the verification none of them can skip."""

from __future__ import annotations

import io
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import BinaryIO

from flare_offchain.core.errors import (
    FlareError,
    IntegrityError,
    MalformedObject,
    ObjectNotFound,
    Retryable,
    StorageUnavailable,
)
from flare_offchain.core.types import ContentId
from flare_offchain.storage.cid import ContentHasher, cid_string

DEFAULT_MAX_OBJECT_BYTES = 2**30
"""Longest object that a store takes in or hands out unless told otherwise."""
SPOOL_BYTES = 2**22
"""Objects opened as files are kept in memory up to this size, on disk beyond it."""


class StorageProvider(ABC):
    """Keeps objects under their content ids.

    `put` pins what it stores. An object without a pin may disappear when the store is collected; a pinned one stays
    until it is unpinned or deleted. Every byte handed out has been checked against the content id.

    Args:
        max_object_bytes: longest object to take in or hand out.
    """

    remote = False
    """Whether objects may come over a network, so that fewer bytes are worth some computing."""

    def __init__(self, *, max_object_bytes: int = DEFAULT_MAX_OBJECT_BYTES) -> None:
        self.max_object_bytes = max_object_bytes

    def put(self, data: bytes) -> ContentId:
        """Store and pin an object; storing it again changes nothing.

        Raises:
            MalformedObject: if it is longer than the store accepts.
            StorageUnavailable: if it could not be stored.
        """
        return self.put_stream(io.BytesIO(data))

    @abstractmethod
    def put_stream(self, source: BinaryIO) -> ContentId:
        """Store and pin what `source` holds from where it stands to its end, without holding it in memory.

        Raises:
            MalformedObject: if it is longer than the store accepts.
            StorageUnavailable: if it could not be stored.
        """

    def get(self, content_id: ContentId, *, max_bytes: int | None = None) -> bytes:
        """Return an object.

        Args:
            content_id: its name.
            max_bytes: longest object that the caller wants; by default what the store hands out.

        Raises:
            MalformedObject: if the object is longer than `max_bytes`.
            ObjectNotFound: if the store does not hold it (or objects of this size at all).
            IntegrityError: if what the store holds is not the object.
            StorageUnavailable: if the store could not be read.
        """
        target = io.BytesIO()
        self._fetch(content_id, target, max_bytes)
        return target.getvalue()

    def open(self, content_id: ContentId, *, max_bytes: int | None = None) -> BinaryIO:
        """Return an object as a temporary file, verified in full and standing at its beginning; close it after use.

        Raises:
            MalformedObject, ObjectNotFound, IntegrityError, StorageUnavailable: as `get`.
        """
        target = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 (the caller closes it)
        try:
            self._fetch(content_id, target, max_bytes)  # type: ignore[arg-type]
            target.seek(0)
        except OSError as error:
            target.close()
            raise StorageUnavailable(f"no room for a temporary copy of an object: {error}") from error
        except FlareError:
            target.close()
            raise
        return target  # type: ignore[return-value]

    @abstractmethod
    def exists(self, content_id: ContentId) -> bool:
        """Return whether the store itself holds the whole object (not whether it could fetch it from elsewhere).

        Raises:
            StorageUnavailable: if the store could not be asked.
        """

    @abstractmethod
    def delete(self, content_id: ContentId) -> None:
        """Remove an object, pinned or not; nothing happens if the store does not hold it.

        Raises:
            StorageUnavailable: if the store could not be changed.
        """

    @abstractmethod
    def pin(self, content_id: ContentId) -> None:
        """Keep an object until it is unpinned, fetching it first where the store can do that.

        Raises:
            ObjectNotFound: if the object cannot be had.
            StorageUnavailable: if the store could not be changed.
        """

    @abstractmethod
    def unpin(self, content_id: ContentId) -> None:
        """Let an object go at the next collection; nothing happens if it is not pinned.

        Raises:
            StorageUnavailable: if the store could not be changed.
        """

    @abstractmethod
    def collect(self) -> None:
        """Remove every object that is not pinned.

        Raises:
            StorageUnavailable: if the store could not be changed.
        """

    @abstractmethod
    def _sources(self, content_id: ContentId) -> Iterator[Generator[bytes, None, None]]:
        """Yield, for each copy that can be tried, a generator of the object's bytes in pieces.

        A generator may raise `Retryable`; the next copy is tried then. Pieces are not trusted.
        """

    def _fetch(self, content_id: ContentId, target: BinaryIO, max_bytes: int | None) -> None:
        """Write the object to `target` from the first copy that verifies."""
        name = cid_string(content_id)
        if max_bytes is not None and content_id.size > max_bytes:
            raise MalformedObject(f"{name} has {content_id.size} bytes, more than the {max_bytes} admitted here")
        if content_id.size > self.max_object_bytes:
            raise ObjectNotFound(f"{name} has {content_id.size} bytes; this store keeps up to {self.max_object_bytes}")
        failures: list[FlareError] = []
        for pieces in self._sources(content_id):
            try:
                _copy_verified(pieces, content_id, target)
            except (Retryable, IntegrityError) as error:
                failures.append(error)
            else:
                return
        # A store that did not answer may hold the object, and one that lacks it may get it: both are worth another
        # try, unlike wrong bytes.
        for kind in (StorageUnavailable, Retryable, IntegrityError):
            for failure in failures:
                if isinstance(failure, kind):
                    raise failure
        raise ObjectNotFound(f"{name} is not in this store")


def _copy_verified(pieces: Generator[bytes, None, None], content_id: ContentId, target: BinaryIO) -> None:
    """Write `pieces` to `target`, from its start, and check them; stop at the first byte too many."""
    target.seek(0)
    target.truncate()
    hasher = ContentHasher()
    # Closing the generator releases its file or connection at once when the copy stops half-way.
    with closing(pieces):
        for piece in pieces:
            hasher.update(piece)
            if hasher.size > content_id.size:
                raise IntegrityError(f"{cid_string(content_id)} is longer than its {content_id.size} bytes")
            target.write(piece)
    if (found := hasher.content_id()) != content_id:
        raise IntegrityError(f"the store returned {cid_string(found)} for {cid_string(content_id)}")
