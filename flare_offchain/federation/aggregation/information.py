"""Mutual information between what updates do to a model and what they should do.

For jointly normal variables of correlation rho the mutual information is -1/2 ln(1 - rho²). Two things are added to
the textbook: the sign of rho is kept (information about the opposite is worth less than none), and the bias that a
finite sample has under independence, 1/(2N), is taken off. Values are capped, so that copies of one update do not
outweigh all else. Source of the closed form: Cover, Thomas, "Elements of Information Theory", equation 8.56.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MAX_CORRELATION = 0.999
"""Correlations are capped here: 3.1 nats at most."""


def gaussian_information(correlation: Any) -> Floats:
    """Return -1/2 ln(1 - rho²) in nats, elementwise, rho capped at MAX_CORRELATION."""
    rho = np.clip(np.asarray(correlation, np.float64), -MAX_CORRELATION, MAX_CORRELATION)
    return np.asarray(-0.5 * np.log1p(-rho * rho))


def signed_information(correlation: Any, samples: int) -> Floats:
    """Return the mutual information in nats with the sign of the correlation, corrected for bias.

    Args:
        correlation: correlations, any shape.
        samples: how many samples they were estimated from. Below the bias 1/(2 * samples) the result is 0.
    """
    corrected = np.maximum(gaussian_information(correlation) - 0.5 / samples, 0.0)
    return np.asarray(np.sign(correlation) * corrected)


def centred_effects(effects: Floats) -> Floats:
    """Return changes of logits [..., N, classes] without what is common to a sample's classes or to a class.

    What is common to all classes of a sample does not change a prediction; what is common to all samples of a class
    is a change of prior, which honest workers with few classes make too.
    """
    centred = effects - effects.mean(axis=-1, keepdims=True)
    return np.asarray(centred - centred.mean(axis=-2, keepdims=True))


def correlation_with(effects: Floats, target: Floats) -> Floats:
    """Return the cosine of each effect [n, N, classes] with a target [N, classes], [n]; 0 where either is 0."""
    flat = effects.reshape(len(effects), -1)
    return _ratio(flat @ target.reshape(-1), np.linalg.norm(flat, axis=1) * np.linalg.norm(target))


def class_correlations(effects: Floats, target: Floats) -> Floats:
    """Return for each class the cosine over samples, [n, classes]; 0 where either is 0."""
    products = np.einsum("ijk,jk->ik", effects, target)
    return _ratio(products, np.sqrt(np.einsum("ijk,ijk->ik", effects, effects)) * np.linalg.norm(target, axis=0))


def pairwise_correlations(effects: Floats) -> Floats:
    """Return the cosine between each two effects, [n, n]; one matrix product."""
    flat = effects.reshape(len(effects), -1)
    lengths = np.linalg.norm(flat, axis=1)
    return _ratio(flat @ flat.T, np.outer(lengths, lengths))


def median_to_peers(matrix: Floats, votes: Floats) -> Floats:
    """Return the weighted median of each row without its diagonal entry, [n]; 0 for a single row.

    Args:
        matrix: [n, n].
        votes: weight of each column, [n], above 0. The median is the first entry, in ascending order, at which half
            of the row's weight is reached; where it is reached exactly, the mean of that entry and the next.
    """
    count = len(matrix)
    if count < 2:
        return np.zeros(count)
    others = ~np.eye(count, dtype=bool)
    values = matrix[others].reshape(count, count - 1)
    weights = np.broadcast_to(votes, matrix.shape)[others].reshape(count, count - 1)
    order = np.argsort(values, axis=1, kind="stable")
    values, weights = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    below = np.cumsum(weights, axis=1) - weights.sum(axis=1, keepdims=True) / 2
    # Votes are shares like 1/7: their sums are compared with room for rounding.
    first, after = (below >= -1e-9).argmax(axis=1), (below > 1e-9).argmax(axis=1)
    rows = np.arange(count)
    return np.asarray((values[rows, first] + values[rows, after]) / 2)


def skewness(values: Floats) -> Floats:
    """Return the third standardised moment along the last axis; 0 where there is no variance."""
    centred = values - values.mean(axis=-1, keepdims=True)
    return _ratio((centred**3).mean(axis=-1), (centred**2).mean(axis=-1) ** 1.5)


def softmax(logits: Floats) -> Floats:
    """Return probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def cross_entropies(logits: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return the cross entropy of each sample in nats, [N]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(labels)), labels])


def _ratio(numerator: Any, denominator: Any) -> Floats:
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    result = np.zeros(numerator.shape)
    np.divide(numerator, denominator, out=result, where=denominator > 1e-300)
    return result
