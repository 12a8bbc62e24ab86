"""One thread for linear algebra: BLAS splits sums by thread, so the number of threads would show in the bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    # Looking for the loaded libraries takes longer than a small update does, so it is done once.
    import numpy.linalg  # noqa: F401 - its BLAS must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold numpy's BLAS to one thread inside the `with` block."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
