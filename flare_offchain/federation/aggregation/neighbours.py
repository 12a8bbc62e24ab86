"""Neighbourhoods: which updates are nearest to which, and whether a published choice of them stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = tuple[tuple[int, ...], ...]


def nearest(distances: Floats, count: int) -> Rows:
    """Return for each update itself and its nearest others, `count` indices in all, ascending.

    Args:
        distances: between each two updates, squared or not, [n, n].
        count: 1 to n.
    """
    order = np.argsort(distances + np.diag(np.full(len(distances), -1.0)), axis=1, kind="stable")[:, :count]
    return tuple(tuple(sorted(row)) for row in order.tolist())


def strange_neighbour(squares: Floats, mine: Rows, theirs: Sequence[Sequence[int]], margin: float) -> str:
    """Return what speaks against published neighbourhoods; empty: they stand.

    A neighbour may differ from one's own where its distance is within the margin, for floats differ between machines.

    Args:
        squares: squared distances between each two updates, [n, n].
        mine: one's own neighbourhoods, one an update.
        theirs: the published ones.
        margin: as a share of the farthest neighbour's distance.
    """
    if [len(row) for row in mine] != [len(row) for row in theirs]:
        return "the plan's neighbourhoods have the wrong size"
    for index, (own, published) in enumerate(zip(mine, theirs, strict=True)):
        added, missed = sorted(set(published) - set(own)), sorted(set(own) - set(published))
        if not added:
            continue
        distance = np.sqrt(squares[index])
        farthest = float(distance[list(own)].max())
        slack = margin * farthest
        if distance[added].max() > farthest + slack:
            return f"neighbourhood {index} has members that are not the nearest"
        if distance[missed].min() < farthest - slack:
            return f"neighbourhood {index} leaves out near ones"
    return ""
