import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare_offchain.core.errors import DataError
from flare_offchain.utils.datasets import Dataset
from flare_offchain.utils.partition import MIN_SAMPLES, partition

pytestmark = pytest.mark.unit


def data(count=500, classes=10, subjects=7):
    generator = np.random.Generator(np.random.PCG64(count))
    return Dataset(
        "d",
        np.zeros((count, 1), np.float32),
        generator.integers(0, classes, count),
        classes,
        generator.integers(0, subjects, count) * 3,
    )


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        ["iid", "shards", "shards:3", "dirichlet:0.0001", "dirichlet:0.1", "dirichlet:1", "dirichlet:1e6", "subject"]
    ),
    st.integers(1, 7),
    st.integers(0, 2**32),
    st.integers(60, 300),
)
def test_every_sample_goes_to_exactly_one_client(scheme, clients, seed, count):
    dataset = data(count)
    parts = partition(dataset, scheme, clients, seed)
    assert len(parts) == clients
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(count))
    assert min(map(len, parts)) >= MIN_SAMPLES
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    again = partition(dataset, scheme, clients, seed)
    assert all(np.array_equal(left, right) for left, right in zip(parts, again, strict=True))


def skew(dataset, parts):
    """Mean over clients of the share of their most frequent class."""
    return np.mean([np.bincount(dataset.labels[part]).max() / len(part) for part in parts])


def test_smaller_alpha_is_more_skewed():
    dataset = data(5000)
    values = [skew(dataset, partition(dataset, f"dirichlet:{alpha}", 10, 0)) for alpha in (0.05, 0.5, 5, 1000)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.6
    assert values[-1] < 0.15


def test_iid_is_even():
    parts = partition(data(501), "iid", 10, 0)
    assert {len(part) for part in parts} == {50, 51}


def test_shards_hold_few_classes():
    dataset = data(2000)
    for part in partition(dataset, "shards:2", 10, 3):
        assert len(np.unique(dataset.labels[part])) <= 4


def test_subjects_stay_together():
    dataset = data(700, subjects=7)
    for clients in (7, 3):
        owners = {}
        for client, part in enumerate(partition(dataset, "subject", clients, 0)):
            for subject in np.unique(dataset.subjects[part]):
                assert owners.setdefault(subject, client) == client
        assert len(owners) == 7


def test_seed_decides():
    dataset = data()
    assert not np.array_equal(partition(dataset, "iid", 3, 0)[0], partition(dataset, "iid", 3, 1)[0])


def test_minimum_is_reached_by_moving_samples():
    parts = partition(data(400), "dirichlet:0.001", 20, 0, minimum=15)
    assert min(map(len, parts)) >= 15


@pytest.mark.parametrize(
    ("scheme", "clients"),
    [
        ("random", 3),
        ("", 3),
        ("iid:2", 3),
        ("subject:2", 3),
        ("dirichlet", 3),
        ("dirichlet:0", 3),
        ("dirichlet:-1", 3),
        ("dirichlet:nan", 3),
        ("dirichlet:inf", 3),
        ("dirichlet:x", 3),
        ("shards:1.5", 3),
        ("shards:400", 3),
        ("subject", 8),
        ("iid", 0),
        ("iid", 200),
    ],
)
def test_what_cannot_be_done_is_refused(scheme, clients):
    with pytest.raises(DataError):
        partition(data(), scheme, clients, 0)


def test_subjects_must_be_known():
    dataset = Dataset("d", np.zeros((50, 1), np.float32), np.zeros(50, np.int64), 1)
    with pytest.raises(DataError, match="does not say who"):
        partition(dataset, "subject", 3, 0)
