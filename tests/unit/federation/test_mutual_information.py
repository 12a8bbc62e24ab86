"""The steps of the mutual-information strategy, one by one."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.core.errors import ConfigurationError, NoAcceptableUpdate
from flare_offchain.federation.adversary import behaviour, craft_all
from flare_offchain.federation.aggregation.mutual_information import CLIP, MIAggregationStrategy
from flare_offchain.federation.aggregation.strategy import quantise
from flare_offchain.federation.attack import AttackContext
from flare_offchain.federation.probe import Probe
from tests.suites.aggregation_suite import CLIENTS, honest_round, model_of, same, scaled

pytestmark = pytest.mark.unit

MALICIOUS = 4


def attacked(name):
    """The honest round with its last updates replaced by an attack's."""
    request = honest_round()
    vectors = request.vectors()
    context = AttackContext(
        honest=vectors[:-MALICIOUS],
        own=vectors[-MALICIOUS:],
        position=0,
        base=request.schema.flatten(request.base).astype(float),
        schema=request.schema,
        classes=10,
        round=1,
        generator=np.random.default_rng(0),
    )
    sent = craft_all(behaviour(name), context, [np.random.default_rng([3, i]) for i in range(MALICIOUS)])
    crafted = [quantise(request.schema.unflatten(v.astype(np.float32)), request.schema) for v in sent]
    return replace(request, updates=[*request.updates[:-MALICIOUS], *crafted])


ATTACKS = ["gaussian", "gaussian_10", "random", "sign_flip", "sign_flip_10", "ipm_0.1", "ipm_2", "ipm_100", "sybil"]


@pytest.mark.parametrize("name", [*ATTACKS, "permutation"])
@pytest.mark.parametrize("use_labels", [True, False])
def test_rejects_what_is_malicious_and_keeps_what_is_honest(name, use_labels):
    if name == "permutation" and not use_labels:
        pytest.skip("from a base model that knows nothing a permuted model is hardly worse than an honest one's")
    plan = MIAggregationStrategy(use_labels=use_labels).select(attacked(name))
    honest, malicious = plan.verdicts[:-MALICIOUS], plan.verdicts[-MALICIOUS:]
    assert all(entry.accepted for entry in honest)
    # This early a random model may by chance know as much as the base model does.
    assert sum(entry.accepted for entry in malicious) <= (name == "random")


def test_reasons_say_why():
    assert {v.reason for v in MIAggregationStrategy().select(attacked("gaussian")).verdicts} == {"accepted", "noise"}
    flipped = MIAggregationStrategy().select(attacked("sign_flip"))
    assert {v.reason for v in flipped.verdicts} == {"accepted", "low_information"}
    request = honest_round()
    huge = replace(request, updates=[scaled(request.updates[0], 2**20), *request.updates[1:]])
    assert MIAggregationStrategy().select(huge).verdicts[0].reason == "outlier_norm"


def test_scores_and_margins_are_on_the_right_sides_of_the_cut():
    for entry in MIAggregationStrategy().select(attacked("sign_flip")).verdicts:
        assert (entry.margin >= 0) == entry.accepted
        assert -1.3 <= entry.score <= 1.3


EVEN = MIAggregationStrategy(weigh_samples=False)


def test_long_updates_are_clipped_to_the_median_norm_of_the_accepted():
    request = honest_round()
    longer = replace(request, updates=[scaled(request.updates[0], 100), *request.updates[1:]])
    plan = EVEN.select(longer)
    norms = np.linalg.norm(longer.vectors(), axis=1)
    shares = np.array(plan.multipliers) / 4096
    assert plan.accepted == tuple(range(CLIENTS))
    assert np.allclose(shares, np.minimum(1, CLIP * np.median(norms) / norms), atol=2e-4)
    assert shares[0] < 0.05
    assert plan.divisor == 4096 * len(plan.accepted)


def test_short_malicious_updates_do_not_shorten_the_honest():
    request = honest_round()
    tiny = [scaled(update, -1 / 64) for update in request.updates[-MALICIOUS:]]
    plan = EVEN.select(replace(request, updates=[*request.updates[:-MALICIOUS], *tiny]))
    honest = EVEN.select(
        replace(request, updates=request.updates[:-MALICIOUS], sample_weights=request.sample_weights[:-MALICIOUS])
    )
    assert plan.multipliers[:-MALICIOUS] == honest.multipliers
    assert plan.divisor == honest.divisor


def test_copies_share_one_vote():
    request = honest_round()
    copied = replace(request, updates=[request.updates[0]] * 4 + list(request.updates[4:]))
    plan = EVEN.select(copied)
    norms = np.linalg.norm(copied.vectors(), axis=1)
    shares = np.minimum(1, CLIP * np.median(norms) / norms) * np.where(np.arange(CLIENTS) < 4, 0.25, 1)
    assert plan.accepted == tuple(range(CLIENTS))
    assert np.allclose(plan.multipliers, 4096 * shares, atol=1)


def test_a_majority_of_copies_is_no_clique():
    request = honest_round()
    copied = replace(request, updates=[request.updates[0]] * 7 + list(request.updates[7:]))
    plan = EVEN.select(copied)
    assert plan.multipliers[0] == max(plan.multipliers)


def test_samples_weigh_up_to_twice_the_median():
    request = honest_round()
    samples = np.array(request.sample_weights)
    samples[3] = 4096
    plan = MIAggregationStrategy().select(replace(request, sample_weights=samples.tolist()))
    counted = np.minimum(samples, 2 * np.median(samples))
    expected = np.array(EVEN.select(request).multipliers) * counted / counted.max()
    assert np.allclose(plan.multipliers, expected, atol=1)


def test_accept_test_halves_the_step():
    """From a model that fits the probe already, a whole step of a coarse update is too much."""
    request = honest_round()
    updates = [scaled(u, 300) for u in request.updates]
    plan = MIAggregationStrategy().select(replace(request, updates=updates))
    assert plan.step_shift > 0
    assert plan.divisor % 2**plan.step_shift == 0
    strategy = MIAggregationStrategy()
    assert strategy.check(replace(request, updates=updates), plan) == []
    whole = replace(plan, step_shift=0, divisor=plan.divisor >> plan.step_shift)
    assert strategy.check(replace(request, updates=updates), whole)
    shorter = replace(plan, step_shift=plan.step_shift + 1, divisor=plan.divisor * 2)
    assert strategy.check(replace(request, updates=updates), shorter)


def test_fails_closed_where_nobody_knows_anything():
    request = honest_round()
    flipped = replace(request, updates=[scaled(u, -1) for u in request.updates])
    with pytest.raises(NoAcceptableUpdate, match="no information"):
        MIAggregationStrategy().select(flipped)
    silent = replace(request, updates=[scaled(u, 0) for u in request.updates])
    with pytest.raises(NoAcceptableUpdate):
        MIAggregationStrategy().select(silent)
    rng = np.random.default_rng(0)
    noise = [
        quantise({n: rng.standard_normal(a.shape).astype(np.float32) for n, a in request.base.items()}, request.schema)
        for _ in range(CLIENTS)
    ]
    with pytest.raises(NoAcceptableUpdate):
        MIAggregationStrategy(min_clients=CLIENTS).select(replace(request, updates=noise))


def test_fails_closed_below_min_clients():
    request = honest_round()
    with pytest.raises(NoAcceptableUpdate, match="min_clients"):
        MIAggregationStrategy(min_clients=13).select(request)
    flipped = [scaled(u, -1) if i < 3 else u for i, u in enumerate(request.updates)]
    with pytest.raises(NoAcceptableUpdate, match="fewer than 10"):
        MIAggregationStrategy(min_clients=10).select(replace(request, updates=flipped))


def test_min_clients_lowers_the_cut_but_not_below_zero():
    request = honest_round()
    strict = MIAggregationStrategy(mi_threshold=1.0).select(request)
    assert len(strict.accepted) < CLIENTS
    lowered = MIAggregationStrategy(mi_threshold=1.0, min_clients=CLIENTS).select(request)
    assert len(lowered.accepted) == CLIENTS


def test_one_and_two_updates():
    request = honest_round()
    two = replace(request, updates=request.updates[:2], sample_weights=request.sample_weights[:2])
    assert len(MIAggregationStrategy().select(two).accepted) == 2
    one = replace(request, updates=request.updates[:1], sample_weights=request.sample_weights[:1])
    assert len(MIAggregationStrategy(min_clients=1).select(one).accepted) == 1


def test_needs_a_model_and_a_probe():
    request = honest_round()
    for missing in ({"forward": None}, {"probe": None}):
        with pytest.raises(ConfigurationError, match="model and a probe"):
            MIAggregationStrategy().select(replace(request, **missing))


def test_models_of_the_wrong_shape_are_refused():
    request = honest_round()
    with pytest.raises(ConfigurationError):
        MIAggregationStrategy().select(replace(request, forward=lambda w, x: np.zeros(len(x))))
    with pytest.raises(ConfigurationError):
        MIAggregationStrategy().select(replace(request, forward_many=lambda w, x: np.zeros((1, len(x), 10))))


def test_one_model_at_a_time_gives_the_same_plan():
    request = honest_round()
    together, one_by_one = MIAggregationStrategy().select(request), None
    one_by_one = MIAggregationStrategy().select(replace(request, forward_many=None))
    assert together.accepted == one_by_one.accepted
    assert together.multipliers == one_by_one.multipliers


def test_only_test_data_size_samples_are_used():
    request = honest_round()
    short = Probe(request.probe.features[:40], request.probe.labels[:40])
    strategy = MIAggregationStrategy(test_data_size=40)
    assert strategy.select(request) == strategy.select(replace(request, probe=short))


def test_a_published_choice_inside_the_margin_stands():
    request = honest_round()
    exact = EVEN
    plan = exact.select(request)
    closest = min(plan.accepted, key=lambda i: plan.verdicts[i].margin)
    out = replace(plan.verdicts[closest], reason="low_information", multiplier=0)
    published = replace(
        plan,
        verdicts=(*plan.verdicts[:closest], out, *plan.verdicts[closest + 1 :]),
        divisor=plan.divisor - 4096,
    )
    assert exact.check(request, published)
    tolerant = MIAggregationStrategy(weigh_samples=False, score_margin=plan.verdicts[closest].margin + 0.01)
    assert tolerant.check(request, published) == []


def test_model_follows_from_the_report_alone():
    request = honest_round()
    plan = MIAggregationStrategy().select(request)
    again = type(plan).from_record(plan.to_record())
    model, digest = model_of(MIAggregationStrategy(), request, plan)
    model_again, digest_again = model_of(MIAggregationStrategy(), request, again)
    assert same(model, model_again) and digest == digest_again
