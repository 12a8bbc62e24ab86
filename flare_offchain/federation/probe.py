"""The probe of a round: the samples on which a committee compares what updates do to the model.

Which samples of the pool they are follows from the round's seed, which nobody knows while training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.tensors import Float32Array

SEED_BYTES = 32
MAX_POOL = 2**24


@dataclass(frozen=True, slots=True)
class Probe:
    """Samples: features float32 [N, ...], labels int64 [N] in 0 to classes - 1, or None where there are none."""

    features: Float32Array
    labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.features.dtype != np.float32 or self.features.ndim < 2 or len(self.features) < 1:
            raise MalformedObject("a probe's features are float32, [N, ...], with N at least 1")
        if not np.isfinite(self.features).all():
            raise MalformedObject("a probe's features are finite")
        if self.labels is None:
            return
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self.features),):
            raise MalformedObject("a probe's labels are int64, one for each sample")
        if int(self.labels.min()) < 0:
            raise MalformedObject("labels are not negative")

    def __len__(self) -> int:
        return len(self.features)

    def draw(self, seed: bytes, count: int) -> Probe:
        """Return the `count` samples (all of them, if there are fewer) that a round's seed draws from this pool."""
        chosen = draw_probe(seed, len(self), min(count, len(self)))
        return Probe(self.features[chosen], None if self.labels is None else self.labels[chosen])


def draw_probe(seed: bytes, pool_size: int, count: int) -> NDArray[np.int64]:
    """Return `count` different indices below `pool_size`, every ordered choice equally likely.

    Definition. Block b of the stream is SHA-256("flare/probe" ‖ seed ‖ b as 8 bytes, big-endian), b = 0, 1, …; each
    block gives four words, 8 bytes each, big-endian. Start from the list 0, 1, …, pool_size - 1. For
    i = 0, …, count - 1: let m = pool_size - i; take the next word w for which w < 2**64 - (2**64 mod m) (words
    at or above it are skipped, so that w mod m is uniform); swap entries i and i + (w mod m); entry i is the
    i-th index drawn.

    Args:
        seed: the round's seed, 32 bytes.
        pool_size: samples in the pool, 1 to MAX_POOL.
        count: how many to draw, 0 to pool_size.

    Returns:
        int64 [count], in the order drawn.

    Raises:
        ConfigurationError: an argument is out of range.
    """
    if len(seed) != SEED_BYTES:
        raise ConfigurationError(f"a seed is {SEED_BYTES} bytes, not {len(seed)}")
    if not 1 <= pool_size <= MAX_POOL or not 0 <= count <= pool_size:
        raise ConfigurationError(f"cannot draw {count} samples from a pool of {pool_size}")
    words = _words(seed)
    # Only moved entries are kept: the list itself may be large, the draw is small.
    moved: dict[int, int] = {}
    drawn = np.empty(count, np.int64)
    for i in range(count):
        j = i + _below(words, pool_size - i)
        drawn[i] = moved.get(j, j)
        moved[j] = moved.get(i, i)
    return drawn


def _words(seed: bytes) -> Iterator[int]:
    block = 0
    while True:
        digest = hashlib.sha256(b"flare/probe" + seed + block.to_bytes(8, "big")).digest()
        yield from (int.from_bytes(digest[start : start + 8], "big") for start in range(0, 32, 8))
        block += 1


def _below(words: Iterator[int], bound: int) -> int:
    limit = 2**64 - 2**64 % bound
    return next(word % bound for word in words if word < limit)
