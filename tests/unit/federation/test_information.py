"""Mutual information: closed forms, scikit-learn's estimators as oracle, and what the views must not see."""

import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_regression

from flare_offchain.federation.aggregation.effects import Effects
from flare_offchain.federation.aggregation.evidence import coefficient, labelled_evidence, offset_view, peer_evidence
from flare_offchain.federation.aggregation.information import (
    centred_effects,
    class_correlations,
    correlation_with,
    cross_entropies,
    gaussian_information,
    median_to_peers,
    pairwise_correlations,
    signed_information,
    skewness,
    softmax,
)

pytestmark = pytest.mark.unit


def pair(rho, count, seed):
    rng = np.random.default_rng(seed)
    x, noise = rng.standard_normal((2, count))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


@pytest.mark.parametrize("rho", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_agrees_with_scikit_learn(rho):
    x, y = pair(rho, 3000, seed=4)
    oracle = mutual_info_regression(x[:, None], y, n_neighbors=5, random_state=0)[0]
    assert abs(float(signed_information(np.corrcoef(x, y)[0, 1], 3000)) - oracle) < 0.035


@pytest.mark.parametrize("rho", [-0.9, -0.4])
def test_keeps_the_sign_that_scikit_learn_cannot_see(rho):
    x, y = pair(rho, 3000, seed=5)
    oracle = mutual_info_regression(x[:, None], y, n_neighbors=5, random_state=0)[0]
    information = float(signed_information(np.corrcoef(x, y)[0, 1], 3000))
    assert information < 0
    assert abs(-information - oracle) < 0.035


def test_bias_is_taken_off():
    estimates = [np.corrcoef(*pair(0.0, 100, seed))[0, 1] for seed in range(2000)]
    raw = gaussian_information(estimates).mean()
    assert raw > 0.004
    assert abs(raw - 0.5 / 100) < 0.0007
    assert abs(signed_information(estimates, 100).mean()) < 0.001


def test_copies_are_capped():
    assert gaussian_information(1.0) == gaussian_information(0.9999) < 3.2
    assert signed_information(-1.0, 100) == -signed_information(1.0, 100)


def test_coefficient_is_the_correlation_up_to_bias():
    rho = np.linspace(-0.95, 0.95, 39)
    assert np.abs(coefficient(rho, 10**6) - rho).max() < 0.01
    assert coefficient(0.05, 100) == 0.0


def test_centring_removes_priors_and_sample_offsets_only():
    rng = np.random.default_rng(6)
    effects = rng.standard_normal((3, 20, 5))
    moved = effects + rng.standard_normal((3, 20, 1)) + rng.standard_normal((3, 1, 5))
    assert np.allclose(centred_effects(effects), centred_effects(moved))
    assert np.abs(centred_effects(effects)).max() > 0.1


def test_correlations_against_numpy():
    rng = np.random.default_rng(7)
    effects = centred_effects(rng.standard_normal((4, 30, 5)))
    target = centred_effects(rng.standard_normal((30, 5)))
    flat = effects.reshape(4, -1)
    assert np.allclose(correlation_with(effects, target), [np.corrcoef(f, target.ravel())[0, 1] for f in flat])
    assert np.allclose(pairwise_correlations(effects), np.corrcoef(flat))
    for i in range(4):
        expected = [np.corrcoef(effects[i, :, c], target[:, c])[0, 1] for c in range(5)]
        assert np.allclose(class_correlations(effects, target)[i], expected)


def test_silence_is_no_information():
    nothing = np.zeros((2, 10, 3))
    assert correlation_with(nothing, np.ones((10, 3))).tolist() == [0, 0]
    assert pairwise_correlations(nothing).tolist() == [[0, 0], [0, 0]]
    assert skewness(np.ones((2, 5))).tolist() == [0, 0]


def test_median_to_peers_leaves_oneself_out():
    matrix = np.array([[1.0, 0.2, 0.4], [0.2, 1.0, -0.6], [0.4, -0.6, 1.0]])
    assert np.allclose(median_to_peers(matrix, np.ones(3)), [0.3, -0.2, -0.1])
    assert median_to_peers(np.ones((1, 1)), np.ones(1)).tolist() == [0.0]


def test_copies_among_peers_count_once():
    rng = np.random.default_rng(12)
    few = rng.standard_normal((5, 5))
    many = few[:, [0, 1, 2, 3, *[4] * 7]]
    many = np.concatenate([many, many[[4] * 6]])
    votes = np.array([1, 1, 1, 1, *[1 / 7] * 7])
    assert np.allclose(median_to_peers(many, votes)[:4], median_to_peers(few, np.ones(5))[:4])


def test_cross_entropies_do_not_overflow():
    logits = np.array([[1000.0, 0.0], [0.0, -1000.0]])
    assert np.allclose(cross_entropies(logits, np.array([0, 1])), [0.0, 1000.0])
    assert np.allclose(softmax(logits).sum(axis=1), 1.0)


def effects_of(full, offsets=None):
    rng = np.random.default_rng(8)
    return Effects(rng.standard_normal(full.shape[1:]), full, full, offsets, np.ones(len(full)))


def test_evidence_sees_sign_and_permutation():
    """What the mutual information of predictions cannot tell apart (LEARNING: sign and permutation blindness)."""
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 10, 100)
    right = np.eye(10)[labels] + 0.5 * rng.standard_normal((100, 10))
    full = np.stack([right, -right, np.roll(right, 1, axis=1), rng.standard_normal((100, 10))])
    scores = labelled_evidence(effects_of(full), labels)
    assert scores[0] > 0.5
    assert scores[1] < -0.3
    assert abs(scores[2]) < 0.3 and abs(scores[3]) < 0.3


def test_flipped_labels_are_seen_in_whatever_classes_a_worker_has():
    rng = np.random.default_rng(13)
    labels = np.arange(200) % 10
    one_hot = np.eye(10)[labels]
    for own in ([3], [0, 4], [1, 2, 8]):
        learnt = np.where(np.isin(np.arange(10), own), one_hot + 1.0, 0.3 * one_hot)
        flipped = learnt[:, ::-1]
        noise = 0.3 * rng.standard_normal((2, 200, 10))
        scores = labelled_evidence(effects_of(np.stack([learnt, flipped]) + noise), labels)
        assert scores[0] > 0.15 and scores[1] < 0


def test_classes_missing_from_the_probe_say_nothing():
    labels = np.arange(60) % 6
    full = np.eye(10)[labels][None]
    assert labelled_evidence(effects_of(full), labels)[0] > 0.7
    assert labelled_evidence(effects_of(-full), labels)[0] < -0.7


def test_beliefs_of_a_sure_model_stand_in_for_labels():
    labels = np.arange(100) % 10
    right = np.eye(10)[labels] + 0.3 * np.random.default_rng(14).standard_normal((100, 10))
    full = np.stack([right, -right, np.roll(right, 1, axis=1)])
    effects = Effects(12 * np.eye(10)[labels], full, full, None, np.ones(3))
    # The majority is malicious here; a model that knows the samples does not need one that is honest.
    scores = peer_evidence(effects, np.corrcoef(full.reshape(3, -1)), np.ones(3))
    assert scores[0] > 0.8 and scores[1] < -0.8 and abs(scores[2]) < 0.3


def test_peers_outvote_a_colluding_minority():
    rng = np.random.default_rng(10)
    common = rng.standard_normal((100, 10))
    honest = [common + rng.standard_normal((100, 10)) for _ in range(6)]
    colluding = [-common] * 4
    full = np.stack(honest + colluding)
    flat = full.reshape(10, -1)
    scores = peer_evidence(effects_of(full), np.corrcoef(flat), np.array([*[1.0] * 6, *[0.25] * 4]))
    assert scores[:6].min() > scores[6:].max()
    assert scores[6:].max() < 0


def test_offset_view_tells_labels_from_their_reverse():
    prior = np.full(10, 0.1)
    shares = np.array([[0.7, 0.3, *[0] * 8], [0.2] * 5 + [0.0] * 5])
    offsets = np.concatenate([shares - prior, prior - shares])
    view = offset_view(effects_of(np.zeros((4, 20, 10)), offsets))
    assert view[0] > 0.5 and view[2] < -0.5
    assert view[1] == pytest.approx(0) and view[3] == pytest.approx(0)
    assert offset_view(effects_of(np.zeros((4, 20, 10)))).tolist() == [0, 0, 0, 0]
