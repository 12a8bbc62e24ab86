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
OFFSET_BONUS = 0.1
"""The offset view may speak against an update, but hardly for it: a worker with flipped labels has honest offsets."""

GROWTH_WEIGHT = 2.0
GROWTH_BONUS = 0.1
"""The growth view may speak against an update fully, but for it only as much as a worker cannot help."""


def coefficient(correlation: Any, samples: int) -> Floats:
    """Return the signed informational coefficient of a correlation estimated from so many samples, in [-1, 1]."""
    information = signed_information(correlation, samples)
    return np.asarray(np.sign(information) * np.sqrt(-np.expm1(-2 * np.abs(information))))


def labelled_evidence(effects: Effects, labels: NDArray[np.int64]) -> Floats:
    """Return each update's evidence about the probe's labels, [n].

    Half of it is the contrast view, which sees in what class a change speaks for; half is the residual view, which
    sees whether the probe's errors shrink; the offset view is added. Long training on few classes turns the contrast
    of honest updates round, flipped labels pass by the residual: neither is enough.
    """
    one_hot = np.eye(effects.classes)[labels]
    views = (contrast_view(effects, one_hot) + residual_view(effects, one_hot)) / 2
    offset = OFFSET_WEIGHT * offset_view(effects)
    # Beside the contrast the bonus is capped; the residual, which measures less of what offsets tell, keeps it whole.
    return np.asarray(views + (np.minimum(offset, OFFSET_BONUS) + offset) / 2)


def residual_view(effects: Effects, one_hot: Floats) -> Floats:
    """Return how well changes of logits match what is missing of the labels, [n], in [-1, 1].

    The target is the residual: one-hot labels minus the base model's predictions, which is the direction in which
    logits have to move. The mean of four coefficients: the first-order effect and the residual; and, with priors taken
    out (`centred_effects`), the whole effect and the softened residual over all classes, over the three classes the
    update knows best, and over the classes that it raises, which are those its worker has.
    """
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
    return np.asarray((first + whole + best + own) / 4)


def peer_evidence(effects: Effects, cosine: Floats, votes: Floats) -> Floats:
    """Return each update's evidence without labels, [n].

    What the base model believes of a sample stands in for its label, as far as the model is sure of anything; as far
    as it is not, an update is judged by its peers: the median coefficient between what the updates do to the probe,
    and the median cosine between the updates themselves. Peers count by their votes, so copies count once. Needs an
    honest majority while the model knows little. The offset view is added.

    Args:
        effects: of the updates.
        cosine: between each two updates, [n, n].
        votes: of the updates, [n].
    """
    beliefs, sure = softmax(effects.base), certainty(effects.base)
    pooled = effects.samples * (effects.classes - 1)
    functional = median_to_peers(
        coefficient(pairwise_correlations(centred_effects(effects.first_order)), pooled), votes
    )
    peers = (functional + median_to_peers(cosine, votes)) / 2
    return np.asarray(
        sure * contrast_view(effects, beliefs)
        + (1 - sure) * peers
        + np.minimum(OFFSET_WEIGHT * offset_view(effects), OFFSET_BONUS)
    )


def growth_view(along: Floats) -> Floats:
    """Return how far updates go on in the direction in which the model has grown, [n], at most GROWTH_BONUS.

    Training adds to what a model has learnt: the inner product of an honest update with the base model's weights is
    positive, round after round, and stays so when the probe shows nothing any more because the training samples are
    fitted. Reversed updates, and those that bring in other labels, take off it. This is agreement in the space of
    weights, with all that was accepted before; it needs neither labels nor a majority. Where weights do not grow (a
    first model drawn at random, strong weight decay, a model trained before) the view is near 0 for everybody.

    Args:
        along: cosine between each update and the base model's weights, [n].
    """
    return np.asarray(np.minimum(GROWTH_WEIGHT * along, GROWTH_BONUS))


def certainty(logits: Floats) -> float:
    """Return how sure a model is of what it says of the probe, 0 (as sure as chance) to 1; logits [N, classes]."""
    chance = 1 / logits.shape[1]
    return float((softmax(logits).max(axis=1).mean() - chance) / (1 - chance))


def contrast_view(effects: Effects, classes: Floats) -> Floats:
    """Return the coefficient between logits' changes and classes, class by class, [n], in [-1, 1].

    Row k of the contrast is the mean change over the probe's samples of class k, without what is common to its
    classes (that changes no prediction); then what is common to the rows is taken off each column (that is a change
    of prior, which honest workers with few classes make too). Training on true labels raises a class's logit most, or
    lowers it least, on that class's own samples, whichever classes a worker has: the diagonal stands out. Flipped or
    permuted labels make other cells stand out, reversal turns the diagonal around. The coefficient is between the
    contrast and that of the identity. Averaging over samples first keeps what an update learnt of single samples out.

    Args:
        effects: of the updates.
        classes: which class each sample is of, as shares that sum to 1, [N, classes].
    """
    totals = classes.sum(axis=0)
    shares = np.divide(classes, totals, out=np.zeros_like(classes), where=totals > 0)
    flat = effects.first_order.transpose(1, 0, 2).reshape(effects.samples, -1)
    means = (shares.T @ flat).reshape(effects.classes, -1, effects.classes).transpose(1, 0, 2)
    means -= means.mean(axis=2, keepdims=True)
    present = totals > 0
    means[:, present] -= means[:, present].mean(axis=1, keepdims=True)
    target = np.diag(present.astype(float))
    target[present] -= target[present].mean(axis=0)
    return coefficient(correlation_with(means, target), effects.samples * (effects.classes - 1))


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
