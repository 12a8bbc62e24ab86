"""How the updates that a rule has accepted combine where their mean is not trusted.

Some of the accepted may be malicious all the same. Mixing replaces each by the mean of its nearest among the accepted,
a trimmed mean leaves the lowest and the highest values of each coordinate out, and both may follow one upon the other.
Updates that share a vote (copies) stand together as one *group*: their mean is one value, one neighbour. What comes
out is a plan of integers, so the combination is exact and goes through coordinates in blocks (`exact_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.federation.aggregation.geometry import squared_distances
from flare_offchain.federation.aggregation.neighbours import Rows, nearest, strange_neighbour
from flare_offchain.federation.aggregation.plan import TRIMMED, Plan, UpdateVerdict
from flare_offchain.federation.aggregation.strategy import set_multipliers, tolerated
from flare_offchain.federation.exact_sum import MAX_MULTIPLIER

Floats = NDArray[np.float64]

MEAN, TRIMMED_MEAN, MIXING, MIXED_TRIMMED_MEAN = "mean", "trimmed_mean", "mixing", "mixed_trimmed_mean"
COMBINATIONS = (MEAN, TRIMMED_MEAN, MIXING, MIXED_TRIMMED_MEAN)


@dataclass(frozen=True, slots=True)
class Combination:
    """What is done with the accepted updates, and the share of them that may be malicious all the same.

    `mean` is the weighted mean, which is no matter of this module. Of G groups, f = ⌊share * G⌋ count as malicious:
    mixing takes the mean of a group's G - f nearest (itself among them), trimming leaves f values out at either end.
    Samples do not weigh: among values that are sorted each counts once.

    Sources: Allouah et al., "Fixing by Mixing", AISTATS 2023, algorithm 2; Yin et al., ICML 2018, definition 2.

    Raises:
        ConfigurationError: there is no such combination, or the share is not 0 to less than 0.5.
    """

    kind: str = MEAN
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in COMBINATIONS:
            raise ConfigurationError(f"no combination {self.kind!r}; there are {', '.join(COMBINATIONS)}")
        tolerated(self.share)

    def neighbours(self, groups: int) -> int:
        """Return how many groups, itself among them, the mean that replaces a group is of."""
        return groups if self.kind == MEAN else 1 if self.kind == TRIMMED_MEAN else groups - int(self.share * groups)

    def trim(self, groups: int) -> int:
        """Return how many values are left out at either end."""
        return 0 if self.kind in (MEAN, MIXING) else min(int(self.share * groups), (groups - 1) // 2)


@dataclass(frozen=True, slots=True)
class Survivors:
    """The accepted updates of a round.

    Attributes:
        groups: indices of accepted updates, ascending in each group; each update is in one.
        clips: the factor, 0 to 1, by which each update of the round is shortened, [n].
        gram: inner products of all updates of the round, [n, n].
    """

    groups: Rows
    clips: Floats
    gram: Floats

    @classmethod
    def of(cls, cliques: Iterable[Sequence[int]], accepted: Sequence[int], clips: Floats, gram: Floats) -> Survivors:
        """Return the accepted of each clique as one group, in the order of their first updates."""
        chosen = set(accepted)
        kept = (tuple(sorted(chosen.intersection(clique))) for clique in cliques)
        return cls(tuple(sorted(group for group in kept if group)), clips, gram)

    def plan(self, verdicts: Sequence[UpdateVerdict], combination: Combination) -> Plan:
        """Return the plan of a combination other than the mean; `verdicts` are the round's."""
        near, trim = combination.neighbours(len(self.groups)), combination.trim(len(self.groups))
        rows = self.groups if near == 1 else self._members(nearest(self._squares(), near))
        multipliers = np.rint(MAX_MULTIPLIER * self._weights().sum(axis=0)).astype(int).tolist()
        divisor = MAX_MULTIPLIER * near * (len(rows) - 2 * trim)
        return Plan(set_multipliers(verdicts, multipliers), TRIMMED, divisor, rows, trim)

    def strange_rows(self, combination: Combination, published: Plan, margin: float) -> str:
        """Return what speaks against a published plan's rows; empty: they stand. Margin: see `strange_neighbour`."""
        number = {index: place for place, group in enumerate(self.groups) for index in group}
        theirs = [sorted({number[index] for index in row if index in number}) for row in published.rows]
        if self._members(theirs) != published.rows:
            return "a row of the plan parts updates that share a vote"
        near = combination.neighbours(len(self.groups))
        if near == 1:
            return "" if published.rows == self.groups else "the plan's rows are not the accepted, one by one"
        squares = self._squares()
        return strange_neighbour(squares, nearest(squares, near), theirs, margin)

    def _weights(self) -> Floats:
        """Return what each update weighs in its group's value, [groups, n]."""
        weights = np.zeros((len(self.groups), len(self.clips)))
        for number, group in enumerate(self.groups):
            members = list(group)
            weights[number, members] = self.clips[members] / len(members)
        return weights

    def _squares(self) -> Floats:
        """Return the squared distances between the groups' values, [groups, groups]."""
        weights = self._weights()
        return squared_distances(weights @ self.gram @ weights.T)

    def _members(self, rows: Iterable[Iterable[int]]) -> Rows:
        """Return the updates of rows of groups."""
        return tuple(tuple(sorted(index for group in row for index in self.groups[group])) for row in rows)
