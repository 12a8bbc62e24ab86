"""How much an update knows: evidence from several views, each on a scale of -1 to 1.

A view is a mutual information turned into Linfoot's informational coefficient of correlation, sqrt(1 - exp(-2 I)),
with the sign of the correlation; so views of different kinds add up, and other estimators of I fit in.
Source: Linfoot, "An informational measure of correlation", Information and Control 1, 1957.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare_offchain.federation.aggregation.effects import Effects
from flare_offchain.federation.aggregation.information import (
    centred_effects,
    class_correlations,
    correlation_with,
    median_to_peers,
    pairwise_correlations,
    signed_information,
    skewness,
    softmax,
)

Floats = NDArray[np.float64]
TEMPERATURE = 2.0
"""Softens the base model's predictions in the residual, so that samples it has learnt still count a little."""
BEST_CLASSES = 3
"""A worker with few classes is judged by those it knows best."""
OFFSET_WEIGHT = 0.3
OFFSET_GAIN = 4.0
"""The offset view counts fully where offsets make up a quarter of the update's norm."""


def coefficient(correlation: Any, samples: int) -> Floats:
    """Return the signed informational coefficient of a correlation estimated from so many samples, in [-1, 1]."""
    information = signed_information(correlation, samples)
    return np.asarray(np.sign(information) * np.sqrt(-np.expm1(-2 * np.abs(information))))


def labelled_evidence(effects: Effects, labels: NDArray[np.int64]) -> Floats:
    """Return each update's evidence about the probe's labels, [n].

    The target is the residual: one-hot labels minus the base model's predictions, which is the direction in which
    logits have to move. Four views are averaged: the first-order effect on the residual; and, with priors taken out
    (`centred_effects`), the whole effect on the softened residual over all classes, over the three classes the update
    knows best, and over the classes that it raises, which are those its worker has. The offset view is added.
    """
    one_hot = np.eye(effects.classes)[labels]
    pooled = effects.samples * (effects.classes - 1)
    first = coefficient(correlation_with(_per_sample(effects.first_order), one_hot - softmax(effects.base)), pooled)
    centred = centred_effects(effects.full)
    target = centred_effects(one_hot - softmax(effects.base / TEMPERATURE))
    whole = coefficient(correlation_with(centred, target), pooled)
    by_class = coefficient(class_correlations(centred, target), effects.samples)
    best = np.sort(by_class, axis=1)[:, -BEST_CLASSES:].mean(axis=1)
    raised = np.maximum(_per_sample(effects.full).mean(axis=1), 0.0)
    total = raised.sum(axis=1)
    own = np.divide((raised * by_class).sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)
    return np.asarray((first + whole + best + own) / 4 + OFFSET_WEIGHT * offset_view(effects))


def peer_evidence(effects: Effects, cosine: Floats) -> Floats:
    """Return each update's evidence about what its peers do, [n]; needs no labels, but an honest majority.

    Two views are averaged: the median coefficient to the other updates between their effects with priors taken out,
    and the median cosine between the updates themselves. The offset view is added.
    """
    pooled = effects.samples * (effects.classes - 1)
    functional = median_to_peers(coefficient(pairwise_correlations(centred_effects(effects.full)), pooled))
    spatial = median_to_peers(cosine)
    return np.asarray((functional + spatial) / 2 + OFFSET_WEIGHT * offset_view(effects))


def offset_view(effects: Effects) -> Floats:
    """Return how far the output offsets speak for training on labels rather than against, [n], in [-1, 1].

    Descent on cross entropy raises the offset of a class by (its share of the labels - the mean prediction). The
    shares sum to 1, so a worker with few classes raises few offsets by much and lowers many by little: their
    skewness is positive. Reversing an update reverses it. Where labels are balanced, offsets hardly move and the view
    fades out: it is weighted by the offsets' share of the update's norm.
    """
    if effects.offsets is None:
        return np.zeros(len(effects.lengths))
    centred = effects.offsets - effects.offsets.mean(axis=1, keepdims=True)
    size = np.linalg.norm(centred, axis=1)
    share = np.divide(size, effects.lengths, out=np.zeros(len(size)), where=effects.lengths > 0)
    return np.asarray(np.clip(skewness(centred), -1.0, 1.0) * np.minimum(1.0, OFFSET_GAIN * share))


def _per_sample(effects: Floats) -> Floats:
    return np.asarray(effects - effects.mean(axis=-1, keepdims=True))
