"""The Gram matrix's view of updates against the vectors themselves."""

import numpy as np
import pytest

from flare_offchain.federation.aggregation.geometry import (
    chance_share,
    clip_factors,
    cliques,
    cosines,
    cosines_with,
    distances_to,
    explained_shares,
    gram_and_products,
    gram_matrix,
    norms,
    squared_distances,
)
from tests.suites.aggregation_suite import honest_round

pytestmark = pytest.mark.unit


def test_gram_matrix_is_that_of_the_vectors(monkeypatch):
    request = honest_round()
    vectors = request.vectors()
    expected = vectors @ vectors.T
    assert np.allclose(gram_matrix(request.updates, request.schema), expected)
    monkeypatch.setattr("flare_offchain.federation.aggregation.geometry.BLOCK_BYTES", 2000)
    assert np.allclose(gram_matrix(request.updates, request.schema), expected)


def test_products_with_a_model_come_in_the_same_blocks(monkeypatch):
    request = honest_round()
    vectors = request.vectors()
    base = request.schema.flatten(request.base).astype(float)
    monkeypatch.setattr("flare_offchain.federation.aggregation.geometry.BLOCK_BYTES", 2000)
    gram, products = gram_and_products(request.updates, request.schema, request.base)
    assert np.allclose(gram, vectors @ vectors.T)
    assert np.allclose(products, vectors @ base)
    expected = vectors @ base / np.linalg.norm(vectors, axis=1) / np.linalg.norm(base)
    assert np.allclose(cosines_with(request.base, products, norms(gram)), expected)
    nothing = {name: np.zeros_like(array) for name, array in request.base.items()}
    assert not cosines_with(nothing, products, norms(gram)).any()


def test_what_follows_from_it():
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((6, 40))
    vectors[5] = 0
    gram = vectors @ vectors.T
    assert np.allclose(norms(gram), np.linalg.norm(vectors, axis=1))
    assert np.allclose(cosines(gram)[:5, :5], np.corrcoef(vectors[:5]), atol=0.2)
    assert cosines(gram)[5].tolist() == [0] * 6
    distances = squared_distances(gram)
    assert np.allclose(distances, [[((a - b) ** 2).sum() for b in vectors] for a in vectors])
    weights = rng.random(6)
    assert np.allclose(distances_to(gram, weights), np.linalg.norm(vectors - weights @ vectors, axis=1))


def test_clipping_brings_norms_to_the_median():
    lengths = np.array([0.0, 1.0, 2.0, 4.0, 100.0])
    assert clip_factors(lengths).tolist() == [0.0, 1.0, 1.0, 0.5, 0.02]


def test_noise_is_explained_by_chance_alone():
    rng = np.random.default_rng(2)
    shared = rng.standard_normal((5, 2000))
    learnt = rng.standard_normal((10, 5)) @ shared + rng.standard_normal((10, 2000))
    vectors = np.concatenate([learnt, rng.standard_normal((5, 2000))])
    shares = explained_shares(vectors @ vectors.T)
    cut = chance_share(15, 2000)
    assert shares[:10].min() > cut > shares[10:].max()


def test_copies_do_not_break_the_inverse():
    vectors = np.ones((4, 50))
    shares = explained_shares(vectors @ vectors.T)
    assert np.isfinite(shares).all() and shares.min() > 0.9
    assert explained_shares(np.zeros((3, 3))).tolist() == pytest.approx([0, 0, 0])


def test_cliques_are_connected_groups():
    cosine = np.eye(6)
    for a, b in ((0, 3), (3, 5), (1, 2)):
        cosine[a, b] = cosine[b, a] = 0.98
    assert cliques(cosine, 0.97) == [[0, 3, 5], [1, 2], [4]]
    assert len(cliques(cosine, 0.99)) == 6


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 130])
def test_explained_shares_are_those_of_the_inverse(count):
    rng = np.random.default_rng(count)
    vectors = rng.standard_normal((count, 7)) @ rng.standard_normal((7, 40)) + 0.1 * rng.standard_normal((count, 40))
    vectors[count // 2] = 0
    gram = vectors @ vectors.T
    correlation = cosines(gram)
    np.fill_diagonal(correlation, 1 + 1e-3)
    expected = np.clip(1 - 1 / np.diagonal(np.linalg.inv(correlation)), 0, 1)
    np.testing.assert_allclose(explained_shares(gram), expected, atol=1e-9)
