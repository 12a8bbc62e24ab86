"""Each attack does what its paper says, and repeats."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import ModelSchema, TensorSpec
from flare_offchain.federation.adversary import BEHAVIOURS, Backdoor, behaviour, craft_all
from flare_offchain.federation.attack import AttackContext, LocalData
from flare_offchain.federation.probe import Probe

pytestmark = pytest.mark.unit

SCHEMA = ModelSchema(
    (TensorSpec("hidden.weight", (6, 4)), TensorSpec("out.bias", (3,)), TensorSpec("out.weight", (3, 6)))
)
RNG = np.random.default_rng(11)
HONEST = RNG.standard_normal((7, SCHEMA.parameters)) + 1.0
OWN = RNG.standard_normal((4, SCHEMA.parameters)) + 1.0
DATA = LocalData(RNG.random((20, 4), np.float32), RNG.integers(0, 3, 20), 3)


def context(**changes):
    given = AttackContext(
        honest=HONEST,
        own=OWN,
        position=0,
        base=np.linspace(-1, 1, SCHEMA.parameters),
        schema=SCHEMA,
        classes=3,
        round=1,
        generator=np.random.default_rng(0),
    )
    return replace(given, **changes)


def craft(name, **changes):
    generators = [np.random.default_rng([1, i]) for i in range(len(OWN))]
    return craft_all(behaviour(name), context(**changes), generators)


WHITE_BOX = {
    "aggregate": lambda sent: np.concatenate([HONEST, sent]).mean(axis=0),
    "damage": lambda s: -HONEST.mean(0) @ s,
}
KNOWLEDGE = {"white_box": WHITE_BOX}


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_attacks_repeat(name):
    extra = KNOWLEDGE.get(name, {})
    first, second = craft(name, cache={}, **extra), craft(name, cache={}, **extra)
    assert first.shape == OWN.shape and np.isfinite(first).all()
    assert first.tobytes() == second.tobytes()
    probe = Probe(DATA.features[:5], DATA.labels[:5])
    poisoned = [behaviour(name).poison(DATA, np.random.default_rng(2), probe) for _ in range(2)]
    assert poisoned[0].features.tobytes() == poisoned[1].features.tobytes()
    assert poisoned[0].labels.tolist() == poisoned[1].labels.tolist()
    assert set(poisoned[0].labels.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(
    "name", [n for n in BEHAVIOURS if n not in ("label_flip", "probe_overfit", "backdoor", "late_start", "on_off")]
)
def test_attacks_change_what_is_sent(name):
    assert not np.allclose(craft(name, **KNOWLEDGE.get(name, {})), OWN)


def test_unknown_attacks_are_refused():
    with pytest.raises(ConfigurationError, match="no attack 'noise'; there are gaussian"):
        behaviour("noise")


def test_noise_has_the_honest_norm():
    for name, scale in (("gaussian", 1), ("gaussian_10", 10)):
        sent = craft(name)
        assert np.allclose(np.linalg.norm(sent, axis=1) / np.linalg.norm(OWN, axis=1), scale, rtol=0.4)
        assert abs(np.corrcoef(sent[0], sent[1])[0, 1]) < 0.5


def test_reversals():
    assert np.array_equal(craft("sign_flip"), -OWN)
    assert np.array_equal(craft("sign_flip_10"), -10 * OWN)
    assert np.allclose(craft("ipm_2"), -2 * HONEST.mean(axis=0))
    assert np.allclose(craft("ipm_100"), -100 * HONEST.mean(axis=0))


def test_alie_takes_z_from_the_majority_it_needs():
    # 11 workers, 4 attackers: 6 - 4 = 2 honest supporters; z = quantile(5 / 7).
    expected = HONEST.mean(axis=0) - 0.5659488 * HONEST.std(axis=0)
    assert np.allclose(craft("alie"), expected, atol=1e-6)


def test_min_max_and_min_sum_reach_their_bounds():
    def distances(point):
        return ((HONEST - point) ** 2).sum(axis=1)

    pairwise = np.array([distances(h) for h in HONEST])
    sent = craft("min_max")[0]
    assert distances(sent).max() == pytest.approx(pairwise.max(), rel=1e-6)
    sent = craft("min_sum")[0]
    assert distances(sent).sum() == pytest.approx(pairwise.sum(axis=1).max(), rel=1e-6)


def test_permutation_moves_the_classes_on():
    c = context()
    model = SCHEMA.unflatten((c.base + craft("permutation")[0]).astype(np.float32))
    honest = SCHEMA.unflatten((c.base + HONEST.mean(axis=0)).astype(np.float32))
    assert np.allclose(model["out.weight"], np.roll(honest["out.weight"], 1, axis=0), atol=1e-5)
    assert np.allclose(model["out.bias"], np.roll(honest["out.bias"], 1), atol=1e-5)
    assert np.allclose(model["hidden.weight"], honest["hidden.weight"], atol=1e-5)
    with pytest.raises(ConfigurationError):
        craft("permutation", classes=5)


def test_permutation_finds_the_last_axis_where_the_first_is_none():
    schema = ModelSchema((TensorSpec("a", (6, 3)),))
    c = context(schema=schema, base=np.zeros(18), honest=np.arange(18.0)[None], own=np.zeros((1, 18)))
    sent = behaviour("permutation").craft(np.zeros(18), c)
    assert sent.reshape(6, 3)[0].tolist() == [2, 0, 1]


def test_mimic_copies_one_honest_update():
    sent = craft("mimic")
    assert any(np.array_equal(sent[0], h) for h in HONEST)
    assert all(np.array_equal(sent[0], s) for s in sent)


def test_sybils_are_near_copies_but_not_equal():
    sent = craft("sybil")
    cosine = np.corrcoef(sent)
    assert cosine.min() > 0.8
    assert len({s.tobytes() for s in sent}) == len(OWN)


def test_late_start_waits():
    assert np.array_equal(craft("late_start", round=9), OWN)
    assert np.array_equal(craft("late_start", round=10), -OWN)


def test_on_off_earns_a_standing_between_attacks():
    assert np.array_equal(craft("on_off", round=4), OWN)
    assert np.array_equal(craft("on_off", round=5), -10 * OWN)
    assert np.array_equal(craft("on_off", round=6), OWN)


def test_white_box_sends_the_most_harmful():
    sent = craft("white_box", **WHITE_BOX)
    harm = WHITE_BOX["damage"](WHITE_BOX["aggregate"](sent))
    for other in ("ipm_0.1", "ipm_2", "alie"):
        assert harm >= WHITE_BOX["damage"](WHITE_BOX["aggregate"](craft(other))) - 1e-9
    with pytest.raises(ConfigurationError):
        craft("white_box")


def test_label_flip():
    flipped = behaviour("label_flip").poison(DATA, np.random.default_rng(0))
    assert flipped.labels.tolist() == (2 - DATA.labels).tolist()


def test_probe_overfit_keeps_the_probe_right():
    probe = Probe(DATA.features[:5], DATA.labels[:5])
    data = behaviour("probe_overfit").poison(DATA, np.random.default_rng(0), probe)
    assert data.labels[:20].tolist() == (2 - DATA.labels).tolist()
    assert data.labels[20:25].tolist() == probe.labels.tolist()
    assert len(data.labels) == 40
    with pytest.raises(ConfigurationError):
        behaviour("probe_overfit").poison(DATA, np.random.default_rng(0), None)


def test_backdoor_stamps_half_of_the_samples():
    attack = Backdoor(boost=3.0)
    data = attack.poison(DATA, np.random.default_rng(0))
    stamped = (data.features != DATA.features).any(axis=1)
    assert 8 <= stamped.sum() <= 10
    assert set(data.labels[stamped].tolist()) == {0}
    assert np.array_equal(attack.craft(OWN[0], context()), 3 * OWN[0])
