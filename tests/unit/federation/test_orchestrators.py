"""Rounds in one process: honest, attacked, void, and decided by a committee with corrupt members."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.compression import DenseCodec, PowerSGDCompressor
from flare_offchain.consensus.vrf_consensus import VRFConsensus
from flare_offchain.core.errors import ConfigurationError, RoundAbandoned
from flare_offchain.federation.adversary import behaviour
from flare_offchain.federation.aggregation.fedavg import FedAvg
from flare_offchain.federation.aggregation.mutual_information import MIAggregationStrategy
from flare_offchain.federation.client import FederatedClient, MaliciousClient
from flare_offchain.federation.orchestrator import Orchestrator
from flare_offchain.federation.probe import Probe
from flare_offchain.federation.vrf_orchestrator import VRFOrchestrator
from flare_offchain.models import MockModelAdapter, TrainingOptions, forward_function, forward_many_function
from flare_offchain.utils.datasets import load_dataset, split
from flare_offchain.utils.partition import partition

pytestmark = pytest.mark.unit

SOFTMAX = {"inputs": 64, "classes": 10}
PARTS = split(load_dataset("digits"), seed=1, probe=100)
POOL = Probe(PARTS.probe.features, PARTS.probe.labels)


def federation(
    kind=Orchestrator, strategy=None, *, clients=10, malicious=3, attack="sign_flip", codec=DenseCodec, **settings
):
    adapter = MockModelAdapter()
    training = {"epochs": 2, "learning_rate": 0.2, "options": TrainingOptions(batch_size=16)}
    corrupt = settings.pop("corrupt", False)
    shares = partition(PARTS.train, "dirichlet:1", clients, seed=3)
    members = []
    for i, share in enumerate(shares):
        data = PARTS.train.subset(share)
        if i < clients - malicious:
            members.append(FederatedClient(f"client {i}", adapter, data, codec(), **training))
        else:
            members.append(
                MaliciousClient(
                    f"client {i}",
                    adapter,
                    data,
                    codec(),
                    behaviour=behaviour(attack),
                    probe=POOL,
                    corrupt=corrupt,
                    **training,
                )
            )
    return kind(
        members,
        strategy or MIAggregationStrategy(),
        MockModelAdapter(seed=1).get_weights(),
        forward=forward_function("softmax", SOFTMAX),
        forward_many=forward_many_function("softmax", SOFTMAX),
        pool=POOL,
        **settings,
    )


def accuracy(orchestrator):
    adapter = MockModelAdapter()
    adapter.set_weights(orchestrator.weights)
    return adapter.evaluate(PARTS.test).accuracy


def test_honest_rounds_learn_and_repeat():
    first, second = federation(malicious=0), federation(malicious=0)
    summaries = [(first.run_round(), second.run_round()) for _ in range(3)]
    assert all(a == b for a, b in summaries)
    assert [a.number for a, _ in summaries] == [1, 2, 3]
    assert accuracy(first) > 0.8
    assert summaries[-1][0].model_digest == first.model_digest()


def test_updates_travel_compressed():
    dense, small = federation(malicious=0), federation(malicious=0, codec=PowerSGDCompressor)
    assert small.run_round().update_bytes * 4 < dense.run_round().update_bytes
    for _ in range(4):
        small.run_round()
    assert accuracy(small) > 0.75


@pytest.mark.parametrize(
    "attack", ["gaussian_10", "random", "sign_flip", "sign_flip_10", "ipm_2", "label_flip", "permutation", "sybil"]
)
def test_mutual_information_survives_what_breaks_the_mean(attack):
    robust, mean = federation(attack=attack), federation(strategy=FedAvg(), attack=attack)
    accepted = []
    for _ in range(6):
        accepted += robust.run_round().accepted
        mean.run_round()
    assert accuracy(robust) > 0.82
    assert accuracy(robust) > accuracy(mean) - 0.02
    if attack not in ("label_flip", "permutation"):
        assert sum(int(name.split()[1]) >= 7 for name in accepted) <= 2


def test_where_nobody_is_acceptable_the_round_is_void_and_the_model_stays():
    orchestrator = federation(strategy=MIAggregationStrategy(min_clients=11))
    before = orchestrator.model_digest()
    summary = orchestrator.run_round()
    assert summary.plan is None and summary.accepted == ()
    assert "min_clients" in summary.reason
    assert orchestrator.model_digest() == before == summary.model_digest


def test_clients_whose_training_diverges_sit_out():
    orchestrator = federation(malicious=0)

    def diverge(base, round_number):
        raise RoundAbandoned("diverged")

    orchestrator.clients[2].train = diverge
    summary = orchestrator.run_round()
    assert "client 2" not in summary.submitted and len(summary.submitted) == 9


def test_codecs_learn_what_was_accepted():
    orchestrator = federation(attack="sign_flip_10")
    heard = {}
    for client in orchestrator.clients:
        client.acknowledge = lambda accepted, name=client.name: heard.__setitem__(name, accepted)
    summary = orchestrator.run_round()
    assert heard == {name: name in summary.accepted for name in summary.submitted}


def test_a_lone_attacker_knows_only_itself():
    client = federation(attack="ipm_2").clients[-1]
    base = MockModelAdapter(seed=1).get_weights()
    honest = client.train(base, 1)
    update = client.update(base, 1, bytes(32))
    decoded = client.codec.decode(update.data, MockModelAdapter().schema, bytes(32))
    for name, array in honest.items():
        assert np.allclose(decoded.tensors[name].to_float(), -2 * array, atol=np.abs(array).max() * 0.02)
    assert update.samples == len(client.data)


def test_white_box_attackers_use_the_rule():
    calls = []

    def know(context):
        return replace(context, aggregate=lambda sent: calls.append(1) or sent.mean(axis=0), damage=np.sum)

    orchestrator = federation(attack="white_box", knowledge=know)
    orchestrator.run_round()
    assert len(calls) == 16


@pytest.mark.parametrize("settings", [{"seed": b"short"}, {"sample_cap": 0}, {"sample_cap": 4097}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ConfigurationError):
        federation(**settings)


def test_clients_have_names_of_their_own():
    members = federation().clients
    with pytest.raises(ConfigurationError):
        Orchestrator([members[0], members[0]], FedAvg(), MockModelAdapter().get_weights())
    with pytest.raises(ConfigurationError):
        Orchestrator([], FedAvg(), MockModelAdapter().get_weights())


def test_a_committee_gives_the_model_that_one_process_gives():
    alone = federation()
    together = federation(VRFOrchestrator, consensus=VRFConsensus(vrf_seed=1))
    for _ in range(2):
        assert alone.run_round() == together.run_round()
    stats = together.consensus.get_consensus_stats()
    assert stats.rounds == 2 and stats.approved == 2 and stats.rejected == 0


def test_corrupt_proposers_are_voted_down():
    """Corrupt members propose the plain mean; honest ones reject it and the turn passes on."""
    orchestrator = federation(
        VRFOrchestrator, corrupt=True, attack="sign_flip_10", consensus=VRFConsensus(committee_size=7, vrf_seed=3)
    )
    for _ in range(5):
        summary = orchestrator.run_round()
        assert summary.plan is not None
        assert not {f"client {i}" for i in (7, 8, 9)} & set(summary.accepted)
    assert orchestrator.consensus.get_consensus_stats().rejected > 0
    assert accuracy(orchestrator) > 0.8


def test_a_captured_committee_changes_the_model():
    """The protocol assumes an honest quorum; without one, this is what happens."""
    orchestrator = federation(VRFOrchestrator, malicious=9, corrupt=True, consensus=VRFConsensus(vrf_seed=4))
    summary = orchestrator.run_round()
    assert len(summary.accepted) == 10


def test_where_no_member_finds_an_acceptable_update_the_round_is_void():
    orchestrator = federation(
        VRFOrchestrator, MIAggregationStrategy(min_clients=11), consensus=VRFConsensus(vrf_seed=5)
    )
    before = orchestrator.model_digest()
    summary = orchestrator.run_round()
    assert summary.plan is None and "none of 5 proposals" in summary.reason
    assert orchestrator.model_digest() == before
    assert VRFOrchestrator(orchestrator.clients, FedAvg(), orchestrator.weights).consensus.committee_size == 5
