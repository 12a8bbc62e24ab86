"""Neighbourhoods, and which published ones stand."""

import numpy as np
import pytest

from flare_offchain.federation.aggregation.neighbours import nearest, strange_neighbour

pytestmark = pytest.mark.unit

PLACES = np.array([0.0, 1.0, 3.0, 3.001, 10.0])
SQUARES = (PLACES[:, None] - PLACES[None, :]) ** 2


def test_an_update_is_its_own_nearest_neighbour():
    vectors = np.random.default_rng(1).standard_normal((6, 40))
    distances = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    for i, row in enumerate(nearest(distances, 3)):
        assert i in row
        assert set(row) == set(np.argsort(distances[i])[:3].tolist())
    # Also where others lie in the very same place.
    assert all(i in row for i, row in enumerate(nearest(np.zeros((4, 4)), 1)))


def test_one_s_own_neighbourhoods_stand():
    rows = nearest(SQUARES, 3)
    assert strange_neighbour(SQUARES, rows, rows, 0.0) == ""


@pytest.mark.parametrize(
    ("published", "margin", "problem"),
    [
        ((0, 1, 3), 1e-2, ""),
        ((0, 1, 3), 1e-6, "members"),
        ((0, 1, 4), 1e-2, "members"),
        ((0, 2, 3), 1e-2, "leaves out"),
        ((0, 1), 1e-2, "size"),
    ],
)
def test_a_neighbour_may_be_exchanged_for_one_as_far(published, margin, problem):
    rows = nearest(SQUARES, 3)
    assert rows[0] == (0, 1, 2)
    found = strange_neighbour(SQUARES, rows, (published, *rows[1:]), margin)
    assert problem in found
    assert bool(found) == bool(problem)


def test_as_many_neighbourhoods_as_updates():
    rows = nearest(SQUARES, 3)
    assert strange_neighbour(SQUARES, rows, rows[1:], 1.0)
