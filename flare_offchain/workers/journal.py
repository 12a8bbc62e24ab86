"""What a worker must remember and the chain does not: its unpublished update, and its codec's memory.

Everything else is re-read from the chain, so a worker that is killed and started again loses nothing. Entries are
written to a temporary file and renamed, so a file is either the old one or the new one.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path

from flare_offchain.core.errors import StorageUnavailable


class Journal(ABC):
    """Named entries of bytes that survive a restart."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Keep an entry; an entry of that name is replaced as a whole."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return an entry, or None."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Forget an entry; one that is not there is no fault."""


class MemoryJournal(Journal):
    """A journal for tests and for simulations that are not kept."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        self._entries[name] = data

    def read(self, name: str) -> bytes | None:
        return self._entries.get(name)

    def remove(self, name: str) -> None:
        self._entries.pop(name, None)


class FolderJournal(Journal):
    """One file an entry, in one folder of the worker's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageUnavailable(f"cannot create the journal {folder}: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        target = self.folder / name
        temporary = target.with_name(f".{name}.new")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            raise StorageUnavailable(f"cannot write the journal {target}: {error.strerror}") from error

    def read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnavailable(f"cannot read the journal {self.folder / name}: {error.strerror}") from error

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
