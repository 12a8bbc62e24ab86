"""Validation of contributions and agreement on votes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare_offchain.consensus.mechanism import DecisionStatus
from flare_offchain.consensus.validation import (
    ContributionRules,
    Objection,
    euclidean_norm,
    reach_agreement,
    validate_contribution,
    validate_contributions,
)
from flare_offchain.core.errors import ConfigurationError

pytestmark = pytest.mark.unit

GOOD = np.array([3.0, -4.0, 0.0], np.float32)


def test_a_good_contribution():
    verdict = validate_contribution(GOOD, 10, 3, median_norm=5.0)
    assert verdict.is_valid
    assert (verdict.objection, verdict.norm) == (None, 5.0)
    assert validate_contribution(np.zeros(3), 1, 3, median_norm=5.0).is_valid
    assert validate_contribution(np.zeros(0), 1, 0).is_valid


@pytest.mark.parametrize(
    ("update", "samples", "objection"),
    [
        (GOOD[:2], 10, Objection.WRONG_SIZE),
        (GOOD.reshape(1, 3), 10, Objection.WRONG_SIZE),
        (GOOD, 0, Objection.NO_SAMPLES),
        (GOOD, -1, Objection.NO_SAMPLES),
        (np.array([1, np.nan, 0]), 10, Objection.NOT_FINITE),
        (np.array([1, np.inf, 0], np.float32), 10, Objection.NOT_FINITE),
        (np.array([1, -np.inf, np.nan]), 10, Objection.NOT_FINITE),
        (np.array([0, -7.1, 0]), 10, Objection.ELEMENT_TOO_LARGE),
        (np.array([1e308, 0, 0]), 10, Objection.ELEMENT_TOO_LARGE),
        (np.array([6.9, 6.9, 6.9]), 10, Objection.NORM_TOO_LARGE),
    ],
)
def test_objections(update, samples, objection):
    verdict = validate_contribution(update, samples, 3, ContributionRules(max_magnitude=7, max_norm_ratio=2), 5.0)
    assert verdict.objection is objection
    assert not verdict.is_valid


def test_bounds_are_inclusive():
    rules = ContributionRules(max_magnitude=4, max_norm_ratio=2)
    assert validate_contribution(GOOD, 1, 3, rules, 2.5).is_valid
    assert validate_contribution(GOOD, 1, 3, rules, 2.4999).objection is Objection.NORM_TOO_LARGE
    assert validate_contribution(GOOD, 1, 3, ContributionRules(max_magnitude=3.99)).objection is not None


def test_a_median_of_nothing_says_nothing():
    assert validate_contribution(GOOD, 1, 3, median_norm=None).is_valid
    assert validate_contribution(GOOD, 1, 3, median_norm=0.0).is_valid


def test_a_round_is_measured_by_its_median():
    rng = np.random.default_rng(1)
    honest = [rng.normal(size=50) for _ in range(6)]
    boosted = [100 * update for update in honest[:4]]
    broken = [np.full(50, np.nan), np.full(50, 1e9), np.zeros(3)]
    verdicts = validate_contributions([*honest, *boosted, *broken], [1] * 13, 50, ContributionRules(max_norm_ratio=3))
    assert [verdict.is_valid for verdict in verdicts] == [True] * 6 + [False] * 7
    assert {verdict.objection for verdict in verdicts[6:10]} == {Objection.NORM_TOO_LARGE}
    assert [verdict.objection for verdict in verdicts[10:]] == [
        Objection.NOT_FINITE,
        Objection.ELEMENT_TOO_LARGE,
        Objection.WRONG_SIZE,
    ]
    assert validate_contributions([], [], 50) == []
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        validate_contributions(honest, [1], 50)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.randoms())
def test_the_norm_does_not_depend_on_the_order(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    norm = euclidean_norm(np.array(values))
    assert norm == euclidean_norm(np.array(shuffled))
    assert norm == pytest.approx(float(np.linalg.norm(values)), rel=1e-12, abs=1e-150)


@pytest.mark.parametrize(
    "settings",
    [{"max_magnitude": 0}, {"max_magnitude": float("inf")}, {"max_norm_ratio": 0.9}, {"max_norm_ratio": float("nan")}],
)
def test_rules_out_of_range(settings):
    with pytest.raises(ConfigurationError):
        ContributionRules(**settings)


MEMBERS = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("approving", "rejecting", "status"),
    [
        ("", "", DecisionStatus.UNDECIDED),
        ("ab", "cd", DecisionStatus.UNDECIDED),
        ("abc", "", DecisionStatus.APPROVED),
        ("abc", "de", DecisionStatus.APPROVED),
        ("", "abc", DecisionStatus.REJECTED),
        ("ab", "cde", DecisionStatus.REJECTED),
    ],
)
def test_agreement(approving, rejecting, status):
    votes = dict.fromkeys(approving, True) | dict.fromkeys(rejecting, False)
    agreement = reach_agreement(votes, MEMBERS)
    assert agreement.status is status
    assert (agreement.approvals, agreement.rejections, agreement.needed) == (len(approving), len(rejecting), 3)


def test_agreement_thresholds():
    assert reach_agreement({}, MEMBERS, 1.0).needed == 5
    assert reach_agreement({}, MEMBERS, 0.81).needed == 5
    assert reach_agreement({"a": True}, ["a"]).status is DecisionStatus.REJECTED, "one approval is no agreement"
    for threshold in (0.5, 1.01):
        with pytest.raises(ValueError, match="threshold"):
            reach_agreement({}, MEMBERS, threshold)


def test_strangers_do_not_vote():
    with pytest.raises(ValueError, match="not a member of the committee: x, y"):
        reach_agreement({"a": True, "y": True, "x": False}, MEMBERS)


@given(
    votes=st.dictionaries(st.sampled_from(MEMBERS), st.booleans()),
    more=st.dictionaries(st.sampled_from(MEMBERS), st.booleans()),
)
def test_an_agreement_outlives_later_votes(votes, more):
    early = reach_agreement(votes, MEMBERS).status
    late = reach_agreement(more | votes, MEMBERS).status
    assert early in (DecisionStatus.UNDECIDED, late)
