"""Validating contributions: what one update must satisfy, and what a committee agrees on.

Pure rules on vectors. They reject what no honest worker sends; which of the remaining updates to aggregate is the
aggregation strategy's decision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import fsum, isfinite, sqrt
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare_offchain.consensus.mechanism import DecisionStatus
from flare_offchain.consensus.sortition import BASIS_POINTS, quorum
from flare_offchain.core.errors import ConfigurationError

FloatArray = NDArray[np.floating[Any]]


class Objection(StrEnum):
    """Why a contribution is refused: the first of these that applies."""

    WRONG_SIZE = "wrong size"
    NO_SAMPLES = "no samples"
    NOT_FINITE = "not finite"
    ELEMENT_TOO_LARGE = "element too large"
    NORM_TOO_LARGE = "norm too large"


@dataclass(frozen=True, slots=True)
class ContributionRules:
    """Bounds of an acceptable update.

    max_magnitude: largest absolute element, > 0. max_norm_ratio: largest norm as a multiple of the median norm of the
    round's updates, >= 1; the median holds while attackers are fewer than half. Raises `ConfigurationError`.
    """

    max_magnitude: float = 1e3
    max_norm_ratio: float = 4.0

    def __post_init__(self) -> None:
        if not (isfinite(self.max_magnitude) and self.max_magnitude > 0):
            raise ConfigurationError(f"max_magnitude is a positive number, not {self.max_magnitude}")
        if not (isfinite(self.max_norm_ratio) and self.max_norm_ratio >= 1):
            raise ConfigurationError(f"max_norm_ratio is a number from 1, not {self.max_norm_ratio}")


@dataclass(frozen=True, slots=True)
class Validation:
    """The verdict on one contribution. norm: its Euclidean norm, `None` where it has none."""

    objection: Objection | None
    norm: float | None

    @property
    def is_valid(self) -> bool:
        """Whether nothing was objected to."""
        return self.objection is None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Where a set of votes stands. needed: the approvals that decide."""

    status: DecisionStatus
    approvals: int
    rejections: int
    needed: int


def euclidean_norm(vector: FloatArray) -> float:
    """Return the norm of a finite vector. The squares' sum is rounded once, so every machine gets the same bits."""
    return sqrt(fsum(np.square(vector.astype(np.float64).reshape(-1))))


def validate_contribution(
    update: FloatArray,
    sample_count: int,
    parameters: int,
    rules: ContributionRules | None = None,
    median_norm: float | None = None,
) -> Validation:
    """Return the verdict on one update.

    update: ΔW as a vector of `parameters` floats. sample_count: training samples stated, at least 1. median_norm:
    the median norm of the round's updates; without one (or with 0, which says nothing) the ratio is not tested.
    """
    rules = rules or ContributionRules()
    if update.shape != (parameters,):
        return Validation(Objection.WRONG_SIZE, None)
    if sample_count < 1:
        return Validation(Objection.NO_SAMPLES, None)
    if not np.isfinite(update).all():
        return Validation(Objection.NOT_FINITE, None)
    if parameters and float(np.abs(update).max()) > rules.max_magnitude:
        return Validation(Objection.ELEMENT_TOO_LARGE, None)
    norm = euclidean_norm(update)
    is_too_large = bool(median_norm) and norm > rules.max_norm_ratio * (median_norm or 0.0)
    return Validation(Objection.NORM_TOO_LARGE if is_too_large else None, norm)


def validate_contributions(
    updates: Sequence[FloatArray],
    sample_counts: Sequence[int],
    parameters: int,
    rules: ContributionRules | None = None,
) -> list[Validation]:
    """Return the verdicts on a round's updates, in order.

    The median is taken over the norms of those that pass every other rule. Raises `ValueError` if the two sequences
    differ in length.
    """
    pairs = list(zip(updates, sample_counts, strict=True))
    alone = [validate_contribution(update, count, parameters, rules) for update, count in pairs]
    norms = [verdict.norm for verdict in alone if verdict.norm is not None]
    middle = median(norms) if norms else None
    return [
        validate_contribution(update, count, parameters, rules, middle) if verdict.is_valid else verdict
        for (update, count), verdict in zip(pairs, alone, strict=True)
    ]


def reach_agreement(votes: Mapping[str, bool], members: Collection[str], threshold: float = 0.6) -> Agreement:
    """Return what a committee's votes decide, as early as no outstanding vote can change it.

    votes: member to approval; members who have not voted are left out. threshold: the approving share of all members
    that decides, above 0.5 and at most 1 (rounded to basis points), at least 2 approvals. Raises `ValueError` for a
    vote of someone who is no member, or another threshold.
    """
    strangers = votes.keys() - set(members)
    if strangers:
        raise ValueError(f"not a member of the committee: {', '.join(sorted(strangers))}")
    size = len(set(members))
    needed = quorum(round(threshold * BASIS_POINTS), size, size, size)
    approvals = sum(votes.values())
    rejections = len(votes) - approvals
    status = DecisionStatus.UNDECIDED
    if approvals >= needed:
        status = DecisionStatus.APPROVED
    elif size - rejections < needed:
        status = DecisionStatus.REJECTED
    return Agreement(status, approvals, rejections, needed)
