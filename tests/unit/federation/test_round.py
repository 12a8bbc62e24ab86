"""A round's result, and every reason for which a validator rejects a proposal."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import MalformedObject, NoAcceptableUpdate
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.records import UpdateRecord
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.core.types import Address, ContentId
from flare_offchain.federation.report import MALFORMED, UNAVAILABLE, USED, Report
from flare_offchain.federation.round import ProbePool, RoundInputs, aggregate_round, check_proposal
from flare_offchain.federation.spec import Named, ProbeSettings, TaskSpec, TrainingSettings
from flare_offchain.federation.update import TaskIdentity, update_context
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.serialization import read_model, write_model, write_safetensors
from tests.factories.proposals import proposed

pytestmark = pytest.mark.unit

TASK = TaskIdentity(1, Address("0x" + "c" * 40), 1)
BASE = {"output.weight": np.zeros((3, 4), np.float32), "output.bias": np.zeros(3, np.float32)}
SCHEMA = ModelSchema.of(BASE)
BASE_ID = content_id(write_model(BASE))
SEED = b"s" * 32
SPEC = TaskSpec(
    Named("softmax", {"inputs": 4, "classes": 3}),
    TrainingSettings(),
    Named("none"),
    Named("fedavg"),
    None,
    censorship_share=0.3,
)


def worker(index):
    return Address("0x" + f"{index + 1:x}" * 40)


def delta(index):
    return {name: np.full(array.shape, 0.25 * (index + 1), np.float32) for name, array in BASE.items()}


def encoded(index, sender=None, round_number=5):
    context = update_context(TASK, round_number, worker(index if sender is None else sender), BASE_ID.digest)
    return codec_from_spec("none", {}).encode(delta(index), SCHEMA, context).data


def inputs(count=4, **changes):
    objects = {index: encoded(index) for index in range(count)}
    updates = tuple(
        UpdateRecord(index, worker(index), content_id(data), 10 * (index + 1), 0) for index, data in objects.items()
    )
    return replace(RoundInputs(TASK, 5, SPEC, BASE_ID, BASE, SEED, updates, 25, objects, None), **changes)


def test_the_result_is_the_capped_weighted_mean():
    found = aggregate_round(inputs())
    weights = [10, 20, 25, 25]
    expected = sum(w * 0.25 * (i + 1) for i, w in enumerate(weights)) / sum(weights)
    model = read_model(found.model, SCHEMA)
    np.testing.assert_allclose(model["output.weight"], expected, rtol=1e-6)
    assert (found.accepted, found.accepted_bitmap, found.accepted_weight) == ((0, 1, 2, 3), b"\x0f", 80)


def test_an_honest_proposal_is_approved_with_the_same_sums():
    found = aggregate_round(inputs())
    check = check_proposal(inputs(), proposed(found))
    assert check.approved
    assert check.sums_digest == found.sums_digest


def test_updates_that_cannot_be_had_or_read_are_left_out():
    given = inputs()
    objects = {**given.objects, 0: None, 1: given.objects[1] + b"\0"}
    found = aggregate_round(replace(given, objects=objects))
    assert Report.decode(found.report).statuses == (UNAVAILABLE, MALFORMED, USED, USED)
    assert found.accepted == (2, 3)


def test_a_copied_update_is_malformed():
    given = inputs()
    objects = {**given.objects, 1: encoded(0)}
    statuses, _ = replace(given, objects=objects).decode_updates()
    assert statuses == [USED, MALFORMED, USED, USED]


def test_an_update_of_another_round_is_malformed():
    given = inputs()
    statuses, _ = replace(given, objects={**given.objects, 2: encoded(2, round_number=4)}).decode_updates()
    assert statuses[2] == MALFORMED


def test_a_round_without_a_usable_update_has_no_result():
    given = inputs()
    with pytest.raises(NoAcceptableUpdate):
        aggregate_round(replace(given, objects={}))


def reject(change=None, given=None, **proposal_changes):
    found = aggregate_round(inputs())
    offered = replace(proposed(found), **proposal_changes)
    if change is not None:
        report = change(Report.decode(found.report)).encode()
        offered = replace(offered, report=report, report_id=content_id(report))
    return check_proposal(given or inputs(), offered)


def test_missing_objects_are_unavailable():
    assert reject(model=None).reason is RejectReason.Unavailable
    assert reject(report=None).reason is RejectReason.Unavailable


def test_an_update_that_only_the_proposer_has_is_unavailable():
    given = inputs()
    check = reject(given=replace(given, objects={**given.objects, 3: None}))
    assert check.reason is RejectReason.Unavailable


@pytest.mark.parametrize(
    "changes",
    [{"model": b"not a model"}, {"report": b"\xa0"}, {"model": write_model({"other": np.zeros(3, np.float32)})}],
)
def test_objects_that_are_not_canonical_are_malformed(changes):
    assert reject(**changes).reason is RejectReason.Malformed


@pytest.mark.parametrize(
    "changes",
    [
        {"task_id": 2},
        {"round": 4},
        {"base_digest": b"x" * 32},
        {"seed": b"x" * 32},
        {"statuses": (USED,) * 4 + (MALFORMED,)},
    ],
)
def test_reports_of_something_else_are_malformed(changes):
    assert reject(lambda report: replace(report, **changes)).reason is RejectReason.Malformed


def test_calling_a_good_update_malformed_is_a_wrong_selection():
    def slander(report):
        plan = replace(report.plan, verdicts=report.plan.verdicts[1:], divisor=70)
        return replace(report, statuses=(MALFORMED, USED, USED, USED), plan=plan)

    assert reject(slander).reason is RejectReason.WrongSelection


def leave_out(count):
    def censor(report):
        plan = replace(report.plan, verdicts=report.plan.verdicts[count:], divisor=80 - sum([10, 20][:count]))
        return replace(report, statuses=(UNAVAILABLE,) * count + (USED,) * (4 - count), plan=plan)

    return censor


def test_leaving_out_more_than_the_share_is_censorship():
    assert reject(leave_out(2)).reason is RejectReason.Censored
    assert reject(leave_out(1)).reason is not RejectReason.Censored


def test_other_multipliers_are_a_wrong_selection():
    def favour(report):
        first, *rest = report.plan.verdicts
        verdicts = (replace(first, multiplier=first.multiplier + 40), *rest)
        return replace(report, plan=replace(report.plan, verdicts=verdicts))

    assert reject(favour).reason is RejectReason.WrongSelection


@pytest.mark.parametrize("changes", [{"accepted_bitmap": b"\x07"}, {"accepted_weight": 79}])
def test_another_accepted_set_on_chain_is_a_wrong_bitmap(changes):
    assert reject(**changes).reason is RejectReason.WrongBitmap


def test_one_bit_of_another_model_is_a_wrong_model():
    found = aggregate_round(inputs())
    model = {name: array.copy() for name, array in read_model(found.model, SCHEMA).items()}
    model["output.bias"][0] = np.nextafter(model["output.bias"][0], np.float32(9), dtype=np.float32)
    data = write_model(model)
    assert reject(model=data, model_id=content_id(data)).reason is RejectReason.WrongModel


def pool_object(**changes):
    tensors = {"features": np.ones((6, 4), np.float32), "labels": np.arange(6, dtype=np.int64) % 3}
    return write_safetensors({**tensors, **changes})


def test_a_probe_is_drawn_from_the_pool_by_the_seed():
    pool = ProbePool.decode(pool_object(features=np.arange(24, dtype=np.float32).reshape(6, 4)))
    probe = pool.draw(SEED, 4)
    assert len(probe.labels) == 4
    assert len({int(row[0]) for row in probe.features}) == 4, "a sample is drawn at most once"
    assert probe.features.tolist() == pool.draw(SEED, 4).features.tolist()
    assert len(pool.draw(SEED, 99).labels) == 6
    spec = replace(SPEC, probe=ProbeSettings(ContentId(b"p" * 32, 1), 4))
    assert inputs(spec=spec, pool=pool).request([0], inputs().decode_updates()[1]).probe is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": np.ones(1, np.float32)},
        {"labels": np.zeros(5, np.int64)},
        {"labels": np.full(6, -1, np.int64)},
        {"labels": np.zeros((6, 1), np.int64)},
        {"labels": np.zeros(6, np.float32)},
        {"features": np.ones((0, 4), np.float32), "labels": np.zeros(0, np.int64)},
    ],
)
def test_a_pool_that_is_none_is_refused(changes):
    with pytest.raises(MalformedObject):
        ProbePool.decode(pool_object(**changes))
