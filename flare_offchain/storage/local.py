"""A store in a folder: every object is a file under its real CID, the same that IPFS would give it."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from flare_offchain.core.errors import ObjectNotFound, StorageUnavailable
from flare_offchain.core.types import ContentId
from flare_offchain.storage.cid import CHUNK_BYTES, ContentHasher, chunks_of, cid_string
from flare_offchain.storage.provider import DEFAULT_MAX_OBJECT_BYTES, StorageProvider

STALE_SECONDS = 3600
"""A temporary file untouched for so long belongs to a process that died."""

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EFBIG: "the file is larger than this system allows",
    errno.EACCES: "permission denied: let this user write the folder",
    errno.EPERM: "permission denied: let this user write the folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "a file is in the way: choose another folder",
    errno.EEXIST: "a file is in the way: choose another folder",
}


class LocalStorageProvider(StorageProvider):
    """Keeps each object in a file of its own; several processes may share the folder.

    A file appears under its name only when it is complete and on the disk: it is written to a temporary file, synced
    and renamed. `<folder>/objects/<two letters>/<CID>` holds objects, `<folder>/pins/…` an empty file for each pin.

    Args:
        folder: where to keep them; made if need be.
        max_object_bytes: longest object to take in or hand out.
        durable: wait until the disk has an object before naming it. Off, a power cut may lose or spoil recent
            objects (which reading would detect); for simulations.

    Raises:
        StorageUnavailable: if the folder cannot be made.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        max_object_bytes: int = DEFAULT_MAX_OBJECT_BYTES,
        durable: bool = True,
    ) -> None:
        super().__init__(max_object_bytes=max_object_bytes)
        self.folder = Path(folder).absolute()
        self._durable = durable
        self._temporary = self.folder / "temporary"
        with self._explained("make the store"):
            for part in ("objects", "pins", "temporary"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._remove_stale()

    def put_stream(self, source: BinaryIO) -> ContentId:
        hasher = ContentHasher(self.max_object_bytes)
        # The temporary file is gone by the end of the block unless it was renamed.
        with self._explained("store an object"), self._temporary_file() as (file, path):
            for chunk in chunks_of(source):
                hasher.update(chunk)
                file.write(chunk)
            file.flush()
            if self._durable:
                os.fsync(file.fileno())
            file.close()
            identifier = hasher.content_id()
            # Pinned before it is there, so that no collection can come in between.
            self._write_pin(identifier)
            target = self._path("objects", identifier)
            target.parent.mkdir(exist_ok=True)
            path.replace(target)
            self._sync_folder(target.parent)
        return identifier

    def exists(self, content_id: ContentId) -> bool:
        with self._explained("look for an object"):
            try:
                return self._path("objects", content_id).stat().st_size == content_id.size
            except FileNotFoundError:
                return False

    def delete(self, content_id: ContentId) -> None:
        with self._explained("delete an object"):
            self._path("pins", content_id).unlink(missing_ok=True)
            self._path("objects", content_id).unlink(missing_ok=True)

    def pin(self, content_id: ContentId) -> None:
        with self._explained("pin an object"):
            self._write_pin(content_id)
            if not self._path("objects", content_id).exists():
                self._path("pins", content_id).unlink(missing_ok=True)
                raise ObjectNotFound(f"{cid_string(content_id)} is not in {self.folder}")

    def unpin(self, content_id: ContentId) -> None:
        with self._explained("unpin an object"):
            self._path("pins", content_id).unlink(missing_ok=True)

    def collect(self) -> None:
        with self._explained("collect the store"):
            for path in sorted((self.folder / "objects").glob("*/*")):
                pin = self.folder / "pins" / path.parent.name / path.name
                if not pin.exists():
                    # Another process may pin it at this very moment: moved aside first, it can be put back.
                    aside = self._temporary / path.name
                    with suppress(FileNotFoundError):
                        path.replace(aside)
                        if pin.exists():
                            aside.replace(path)
                    aside.unlink(missing_ok=True)
            self._remove_stale()

    def _sources(self, content_id: ContentId) -> Iterator[Generator[bytes, None, None]]:
        yield self._read(content_id)

    def _read(self, content_id: ContentId) -> Generator[bytes, None, None]:
        with self._explained("read an object"):
            try:
                file = self._path("objects", content_id).open("rb")
            except FileNotFoundError as error:
                raise ObjectNotFound(f"{cid_string(content_id)} is not in {self.folder}") from error
            with file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

    def _path(self, part: str, content_id: ContentId) -> Path:
        # Spread over 1024 folders by letters near the end, where CIDs differ (as Kubo's own block store does).
        name = cid_string(content_id)
        return self.folder / part / name[-3:-1] / name

    def _write_pin(self, content_id: ContentId) -> None:
        path = self._path("pins", content_id)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        self._sync_folder(path.parent)

    @contextmanager
    def _temporary_file(self) -> Iterator[tuple[BinaryIO, Path]]:
        descriptor, name = tempfile.mkstemp(dir=self._temporary)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    def _remove_stale(self) -> None:
        before = time.time() - STALE_SECONDS
        for path in self._temporary.iterdir():
            # Another process may remove it first.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _sync_folder(self, folder: Path) -> None:
        # Only POSIX can open a folder, and only there does a rename need it to be durable.
        if not self._durable or os.name != "posix":
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Turn what the operating system says into an error that tells what to do."""
        try:
            yield
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
            raise StorageUnavailable(f"cannot {action} in {self.folder}: {advice}") from error
