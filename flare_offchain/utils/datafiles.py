"""Reading data files that nobody vouches for: bounded, checked against their own headers, never unpickled."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import DataError

MAX_DATA_BYTES = 2**33
_IDX_UNSIGNED_BYTE = 0x08


def find_file(place: Path, name: str) -> Path:
    """Return the file `name` (or `name`.gz) in a folder, or `place` itself if it is a file.

    Raises:
        DataError: there is none.
    """
    if place.is_file():
        return place
    for candidate in (place / name, place / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise DataError(f"{place} holds no file {name} (nor {name}.gz)")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex; `DataError` if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of an IDX file of unsigned bytes, gzipped or not.

    The header (two zero bytes, type 0x08, number of dimensions, each length as big-endian uint32) must account for
    every byte that follows.

    Raises:
        DataError: it does not, or the file cannot be read.
    """
    head_size = 4 + 4 * dimensions
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            head = stream.read(head_size)
            if len(head) != head_size or head[:4] != bytes([0, 0, _IDX_UNSIGNED_BYTE, dimensions]):
                raise DataError(f"{path} is not an IDX file of unsigned bytes in {dimensions} dimensions")
            shape = tuple(int(length) for length in np.frombuffer(head, ">u4", dimensions, 4))
            size = int(np.prod([*map(int, shape)], dtype=object))
            if size > MAX_DATA_BYTES:
                raise DataError(f"{path} claims {size} bytes; the limit is {MAX_DATA_BYTES}")
            data = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(data) != size:
        raise DataError(f"{path} does not hold the {size} bytes that its header announces")
    return np.frombuffer(data, np.uint8).reshape(shape)


class ArchiveArrays:
    """The arrays of an .npz file.

    Raises:
        DataError: not such a file, too large, or not readable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
                self.names = {entry.filename.removesuffix(".npy") for entry in archive.infolist()}
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is not an .npz file: {error}") from error
        if size > MAX_DATA_BYTES:
            raise DataError(f"{path} unpacks to {size} bytes; the limit is {MAX_DATA_BYTES}")

    def get(self, name: str, dtype: str | None = None, dimensions: int | None = None) -> NDArray[Any]:
        """Return one array, of the given dtype and number of dimensions where they are given."""
        if name not in self.names:
            raise DataError(f"{self.path} has no array {name!r}, only {', '.join(sorted(self.names)) or 'nothing'}")
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                array: NDArray[Any] = archive[name]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"array {name!r} of {self.path} cannot be read: {error}") from error
        if dtype is not None and array.dtype != np.dtype(dtype):
            raise DataError(f"array {name!r} of {self.path} is {array.dtype}, not {np.dtype(dtype)}")
        if dimensions is not None and array.ndim != dimensions:
            raise DataError(f"array {name!r} of {self.path} has {array.ndim} dimensions, not {dimensions}")
        return array
