"""Updates in the space of weights, through their Gram matrix.

Norms, angles, distances and every linear combination of updates follow from the n x n matrix of inner products, so
the vectors themselves are read once, in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.core.tensors import ModelSchema, Weights

Floats = NDArray[np.float64]
BLOCK_BYTES = 2**25
"""Bytes of updates held as float64 at a time."""
TRIANGLE = 32
"""Half the side from which on a triangular matrix is inverted in parts."""


def gram_matrix(updates: Sequence[DecodedUpdate], schema: ModelSchema) -> Floats:
    """Return the inner products of the updates, float64 [n, n], symmetric."""
    return gram_and_products(updates, schema, None)[0]


def gram_and_products(
    updates: Sequence[DecodedUpdate], schema: ModelSchema, weights: Weights | None
) -> tuple[Floats, Floats]:
    """Return the Gram matrix and the inner product of each update with a model's weights, [n]; 0 without weights."""
    count = len(updates)
    gram, products = np.zeros((count, count)), np.zeros(count)
    block = max(1, BLOCK_BYTES // (8 * count))
    buffer = np.empty(count * min(block, max((tensor.size for tensor in schema.tensors), default=0)))
    for tensor in schema.tensors:
        parts = [update.tensors[tensor.name] for update in updates]
        flat = [part.integers.reshape(-1) for part in parts]
        scales = np.ldexp(1.0, [part.exponent for part in parts])
        for start in range(0, tensor.size, block):
            width = min(block, tensor.size - start)
            values = buffer[: count * width].reshape(count, width)
            for row, array, scale in zip(values, flat, scales, strict=True):
                np.copyto(row, array[start : start + width])
                row *= scale
            gram += values @ values.T
            if weights is not None:
                products += values @ weights[tensor.name].reshape(-1)[start : start + width].astype(np.float64)
    return (gram + gram.T) / 2, products


def cosines_with(weights: Weights, products: Floats, lengths: Floats) -> Floats:
    """Return the cosine of each update with a model's weights, [n]; 0 where either is 0.

    Args:
        weights: the model.
        products: inner product of each update with it, [n].
        lengths: norm of each update, [n].
    """
    square = math.fsum(float(np.square(array, dtype=np.float64).sum()) for array in weights.values())
    scale = lengths * math.sqrt(square)
    return np.divide(products, scale, out=np.zeros(len(products)), where=scale > 0)


def norms(gram: Floats) -> Floats:
    """Return the Euclidean norm of each update, [n]."""
    return np.sqrt(np.maximum(np.diagonal(gram), 0.0))


def clip_factors(lengths: Floats) -> Floats:
    """Return min(1, median norm / norm) for each update, [n]; 0 where the norm is 0."""
    median = float(np.median(lengths))
    return np.minimum(1.0, np.divide(median, lengths, out=np.zeros_like(lengths), where=lengths > 0))


def cosines(gram: Floats) -> Floats:
    """Return the cosine between each two updates, [n, n]; 0 where a norm is 0."""
    lengths = norms(gram)
    product = np.outer(lengths, lengths)
    return np.divide(gram, product, out=np.zeros_like(gram), where=product > 0)


def squared_distances(gram: Floats) -> Floats:
    """Return the squared distance between each two updates, [n, n], 0 on the diagonal."""
    squares = np.diagonal(gram)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * gram, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def distances_to(gram: Floats, weights: Floats) -> Floats:
    """Return the distance of each update to Σ weights * update, [n]."""
    products = gram @ weights
    return np.sqrt(np.maximum(np.diagonal(gram) - 2 * products + weights @ products, 0.0))


def explained_shares(gram: Floats) -> Floats:
    """Return for each update which share of its squared norm lies in the span of the others, [n], in [0, 1].

    A ridge of 0.1 % of the norm keeps the inverse defined where updates are copies of one another. Noise is explained
    by chance alone, n - 1 dimensions out of all; what was learnt is explained by what others learnt.
    """
    correlation = cosines(gram)
    np.fill_diagonal(correlation, 1 + 1e-3)
    # With correlation = L Lᵀ the inverse's diagonal is the sum of squares of each column of the inverse of L.
    inverse = _lower_inverse(np.asarray(np.linalg.cholesky(correlation), np.float64))
    return np.asarray(np.clip(1.0 - 1.0 / np.square(inverse).sum(axis=0), 0.0, 1.0))


def _lower_inverse(lower: Floats) -> Floats:
    """Return the inverse of a lower triangular matrix: halves apart, what lies below the diagonal by two products.

    numpy has none for triangles, and scipy is not among what validators and auditors install.
    """
    half = len(lower) // 2
    if half < TRIANGLE:
        return np.tril(np.linalg.inv(lower))
    inverse = np.zeros_like(lower)
    inverse[:half, :half] = upper = _lower_inverse(lower[:half, :half])
    inverse[half:, half:] = right = _lower_inverse(lower[half:, half:])
    inverse[half:, :half] = -(right @ lower[half:, :half]) @ upper
    return inverse


def chance_share(count: int, parameters: int) -> float:
    """Return the share beyond which noise is explained with a probability below 1e-9.

    For isotropic noise the share follows a beta distribution with mean p = (count - 1) / parameters and variance at
    most 2 p (1 - p) / parameters; the cut is the mean plus six standard deviations.
    """
    share = min(1.0, (count - 1) / max(1, parameters))
    return float(share + 6 * np.sqrt(2 * share * (1 - share) / max(1, parameters)))


def cliques(cosine: Floats, least: float) -> list[list[int]]:
    """Return the groups of updates connected by cosines of at least `least`; each update is in one group."""
    unseen = np.ones(len(cosine), bool)
    groups = []
    for start in range(len(cosine)):
        if not unseen[start]:
            continue
        unseen[start] = False
        group, frontier = [start], [start]
        while frontier:
            linked = np.flatnonzero(unseen & (cosine[frontier.pop()] >= least)).tolist()
            unseen[linked] = False
            group += linked
            frontier += linked
        groups.append(sorted(group))
    return groups
