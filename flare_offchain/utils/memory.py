"""Giving memory back that a process holds and no longer needs (Linux; elsewhere nothing happens).

Loading a large library touches many pages of its file: relocations, tables, initialisers. They stay resident in the
process although nothing reads them again. torch's CUDA build alone holds 170 MiB of libraries that a CPU never uses.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_MADV_DONTNEED = 4
_SMAPS = Path("/proc/self/smaps")


@dataclass(slots=True)
class _Mapping:
    """A mapped library's part: where it is, and how much of it is resident, in KiB."""

    start: int
    end: int
    resident: int = 0
    own: int = 0
    """Pages that differ from the file's: relocated or written. They must stay."""


def settle() -> None:
    """Make what a daemon has built at its start permanent, and give back what building it took.

    Modules and their objects, a hundred thousand, are never garbage. As long as the collector counts them it waits for
    a quarter as many new ones before it looks for cycles among the old, and a waiting daemon gains garbage for hours.
    """
    gc.collect()
    gc.freeze()
    # A second time, so that the collector counts from here.
    gc.collect()
    release_free_memory()
    release_library_pages()


def release_library_pages() -> int:
    """Let go of the pages of loaded libraries that are as in their files; what is used again is mapped again.

    Only parts are touched that cannot be written and hold no page of the process's own, so that nothing can be lost.
    Return how many bytes were let go; 0 where the system does not tell.
    """
    libc = _libc()
    if libc is None:
        return 0
    released = 0
    for part in _library_parts():
        if part.resident and not part.own:
            failed = libc.madvise(ctypes.c_void_p(part.start), ctypes.c_size_t(part.end - part.start), _MADV_DONTNEED)
            released += 0 if failed else part.resident * 1024
    return released


def release_free_memory() -> None:
    """Give the system back what the C library keeps of memory that was freed."""
    libc = _libc()
    if libc is not None and hasattr(libc, "malloc_trim"):
        libc.malloc_trim(ctypes.c_size_t(0))


@cache
def _libc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None


def _library_parts() -> Iterator[_Mapping]:
    """Yield the parts of mapped shared libraries that are read-only."""
    part: _Mapping | None = None
    try:
        with _SMAPS.open(errors="replace") as lines:
            for line in lines:
                words = line.split(maxsplit=5)
                if not words[0].endswith(":"):
                    if part is not None:
                        yield part
                    part = _part(words)
                elif part is not None and words[0] == "Rss:":
                    part.resident = int(words[1])
                elif part is not None and words[0] == "Anonymous:":
                    part.own = int(words[1])
    except OSError:
        return
    if part is not None:
        yield part


def _part(words: list[str]) -> _Mapping | None:
    """Return a mapping of `smaps`, if it is a private, read-only part of a shared library."""
    if len(words) < 6 or ".so" not in Path(words[5]).name:
        return None
    permissions = words[1]
    if "w" in permissions or not permissions.endswith("p"):
        return None
    start, _, end = words[0].partition("-")
    return _Mapping(int(start, 16), int(end, 16))
