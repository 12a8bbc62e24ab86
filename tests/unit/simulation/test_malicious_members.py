"""What each malicious proposer puts forward, and what honest validators find about it."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import ConfigurationError, RoundAbandoned
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.records import UpdateRecord
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.core.types import Address
from flare_offchain.federation.report import UNAVAILABLE, Report
from flare_offchain.federation.round import RoundInputs, aggregate_round, check_proposal
from flare_offchain.federation.spec import Named, TaskSpec, TrainingSettings
from flare_offchain.federation.update import TaskIdentity, update_context
from flare_offchain.simulation.malicious_members import COMMITTEE_ATTACKS, MEMBERS, Ring, Rotating, malicious_member
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.serialization import write_model
from flare_offchain.workers.committee import CommitteeRole
from tests.factories.proposals import proposed

pytestmark = pytest.mark.unit

TASK = TaskIdentity(1, Address("0x" + "c" * 40), 1)
BASE = {"output.weight": np.zeros((3, 4), np.float32), "output.bias": np.zeros(3, np.float32)}
SCHEMA = ModelSchema.of(BASE)
BASE_ID = content_id(write_model(BASE))
SPEC = TaskSpec(Named("softmax", {"inputs": 4, "classes": 3}), TrainingSettings(), Named("none"), Named("median"), None)
WORKERS = [Address("0x" + f"{index + 1:x}" * 40) for index in range(6)]
RING = Ring(frozenset(WORKERS[4:]))


def inputs(share=0.2):
    objects = {}
    for index, worker in enumerate(WORKERS):
        context = update_context(TASK, 5, worker, BASE_ID.digest)
        delta = {name: np.full(array.shape, 0.25 * (index + 1), np.float32) for name, array in BASE.items()}
        objects[index] = codec_from_spec("none", {}).encode(delta, SCHEMA, context).data
    updates = tuple(UpdateRecord(i, WORKERS[i], content_id(data), 10, 0) for i, data in objects.items())
    spec = replace(SPEC, censorship_share=share)
    return RoundInputs(TASK, 5, spec, BASE_ID, BASE, b"s" * 32, updates, 25, objects, None)


def judged(name, share=0.2):
    given = inputs(share)
    forged = MEMBERS[name](RING).forge(given)
    return forged, check_proposal(given, proposed(forged))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("negated", RejectReason.WrongModel),
        ("altered", RejectReason.WrongModel),
        ("garbage", RejectReason.Malformed),
        ("biased", RejectReason.WrongSelection),
        ("approving", RejectReason.WrongSelection),
    ],
)
def test_a_wrong_proposal_is_rejected_with_its_reason(name, reason):
    assert judged(name)[1].reason is reason


def test_a_mismatched_commitment_does_not_open_by_the_right_sums():
    forged, found = judged("mismatched")
    assert found.approved, "the model is right, so validators approve it"
    assert forged.model == aggregate_round(inputs()).model
    assert found.sums_digest != forged.sums_digest


@pytest.mark.parametrize(("share", "left_out"), [(0.2, 1), (0.5, 3), (0.0, 0)])
def test_a_censor_leaves_out_what_the_spec_lets_it_and_no_more(share, left_out):
    forged, found = judged("censoring", share)
    assert found.approved
    assert found.sums_digest == forged.sums_digest
    statuses = Report.decode(forged.report).statuses
    assert [i for i, status in enumerate(statuses) if status == UNAVAILABLE] == list(range(left_out))


def test_one_update_more_would_be_censorship():
    given = inputs(0.2)
    forged = MEMBERS["censoring"](RING).forge(replace(given, spec=replace(given.spec, censorship_share=0.4)))
    assert check_proposal(given, proposed(forged)).reason is RejectReason.Censored


@pytest.mark.parametrize("name", ["rejecting", "absent"])
def test_some_let_their_turn_pass(name):
    with pytest.raises(RoundAbandoned):
        MEMBERS[name](RING).forge(inputs())


def test_every_attack_has_a_member_and_an_unknown_one_is_refused_with_the_names():
    made = {name: malicious_member(name, RING) for name in COMMITTEE_ATTACKS}
    assert type(made["honest"]) is CommitteeRole
    assert type(made["rotating"]) is Rotating
    assert {type(made[name]) for name in MEMBERS} == set(MEMBERS.values())
    with pytest.raises(ConfigurationError, match="no committee attack 'bribe'; there are honest, negated"):
        malicious_member("bribe", RING)
