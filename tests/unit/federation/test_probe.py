"""The draw of a round's probe."""

import hashlib

import numpy as np
import pytest

from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.federation.probe import Probe, draw_probe

pytestmark = pytest.mark.unit

SEED = bytes(range(32))


def plain_draw(seed, size, count):
    """The definition in the docstring, word for word, on the whole list."""
    words = []
    block = 0

    def word():
        nonlocal block
        if not words:
            digest = hashlib.sha256(b"flare/probe" + seed + block.to_bytes(8, "big")).digest()
            words.extend(int.from_bytes(digest[i : i + 8], "big") for i in (0, 8, 16, 24))
            block += 1
        return words.pop(0)

    entries = list(range(size))
    for i in range(count):
        m = size - i
        w = word()
        while w >= 2**64 - 2**64 % m:
            w = word()
        j = i + w % m
        entries[i], entries[j] = entries[j], entries[i]
    return entries[:count]


@pytest.mark.parametrize(("size", "count"), [(1, 0), (1, 1), (7, 7), (100, 30), (1797, 100), (5000, 4999)])
def test_draw_follows_its_definition(size, count):
    assert draw_probe(SEED, size, count).tolist() == plain_draw(SEED, size, count)


def test_known_answer():
    assert draw_probe(bytes(32), 1000, 8).tolist() == [0, 315, 886, 869, 555, 605, 726, 67]


def test_draw_is_a_choice_without_repeats():
    drawn = draw_probe(SEED, 50, 50)
    assert sorted(drawn.tolist()) == list(range(50))


def test_draw_is_uniform():
    counts = np.zeros((5, 5))
    for i in range(4000):
        for place, index in enumerate(draw_probe(i.to_bytes(32, "big"), 5, 5)):
            counts[place, index] += 1
    # 25 cells of mean 800; chi-squared with 16 degrees of freedom is below 45 with probability 0.9999.
    assert ((counts - 800) ** 2 / 800).sum() < 45


@pytest.mark.parametrize(
    ("seed", "size", "count"), [(b"", 5, 1), (bytes(31), 5, 1), (SEED, 0, 0), (SEED, 5, 6), (SEED, 5, -1)]
)
def test_bad_draws_are_refused(seed, size, count):
    with pytest.raises(ConfigurationError):
        draw_probe(seed, size, count)


def test_probe_draws_samples_with_their_labels():
    pool = Probe(np.arange(20, dtype=np.float32)[:, None], np.arange(20, dtype=np.int64))
    probe = pool.draw(SEED, 6)
    assert len(probe) == 6
    assert probe.labels.tolist() == probe.features[:, 0].astype(int).tolist() == draw_probe(SEED, 20, 6).tolist()
    assert len(pool.draw(SEED, 100)) == 20
    assert Probe(pool.features).draw(SEED, 6).labels is None


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (np.zeros((3, 2)), None),
        (np.zeros(3, np.float32), None),
        (np.zeros((0, 2), np.float32), None),
        (np.full((3, 2), np.inf, np.float32), None),
        (np.zeros((3, 2), np.float32), np.zeros(2, np.int64)),
        (np.zeros((3, 2), np.float32), np.zeros(3)),
        (np.zeros((3, 2), np.float32), np.array([0, 1, -1])),
    ],
)
def test_bad_probes_are_refused(features, labels):
    with pytest.raises(MalformedObject):
        Probe(features, labels)
