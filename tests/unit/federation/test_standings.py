"""Standings: what they are, how a report carries them, and that nobody can publish others."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.records import UpdateRecord
from flare_offchain.core.types import Address, ContentId
from flare_offchain.federation.aggregation.evidence import growth_view
from flare_offchain.federation.aggregation.mutual_information import MIAggregationStrategy
from flare_offchain.federation.aggregation.standing import MEMORY, Standing
from flare_offchain.federation.aggregation.strategy import quantise
from flare_offchain.federation.report import Report, worker_key
from flare_offchain.federation.round import ProbePool, RoundInputs, aggregate_round, check_proposal
from flare_offchain.federation.spec import Named, ProbeSettings, TaskSpec, TrainingSettings
from flare_offchain.federation.update import TaskIdentity, update_context
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.serialization import decode_record, encode_record, write_model
from tests.factories.proposals import proposed
from tests.suites.aggregation_suite import CLIENTS, SOFTMAX, honest_round, scaled

pytestmark = pytest.mark.unit

TASK = TaskIdentity(1, Address("0x" + "c" * 40), 1)
SPEC = TaskSpec(
    Named("softmax", SOFTMAX),
    TrainingSettings(),
    Named("none"),
    Named("mutual_information"),
    ProbeSettings(ContentId(b"p" * 32, 1), 100),
)


def worker(index):
    return Address("0x" + f"{index + 1:040x}")


def inputs(standings=None, number=2):
    """A round of real training whose last worker reverses its update."""
    request = honest_round()
    base_id = content_id(write_model(request.base))
    codec = codec_from_spec("none", {})
    objects, records = {}, []
    for index, update in enumerate(request.updates):
        sign = -1 if index == CLIENTS - 1 else 1
        delta = request.schema.unflatten((sign * update.to_vector()).astype(np.float32))
        context = update_context(TASK, number, worker(index), base_id.digest)
        objects[index] = codec.encode(delta, request.schema, context).data
        records.append(UpdateRecord(index, worker(index), content_id(objects[index]), 100, 0))
    pool = ProbePool(request.probe.features, request.probe.labels)
    found = RoundInputs(TASK, number, SPEC, base_id, request.base, b"s" * 32, tuple(records), 4096, objects, pool)
    return replace(found, standings=standings or {})


def check(given, found, change=None):
    if change is not None:
        found = replace(found, report=change(Report.decode(found.report)).encode())
    return check_proposal(given, proposed(found))


def test_a_first_standing_is_the_evidence_and_later_ones_are_means():
    standing = Standing().after(0.5)
    assert standing == Standing(0.5, 1)
    assert standing.after(-0.5) == Standing(0.0, 2)
    for _ in range(3 * MEMORY):
        standing = standing.after(1.0)
    assert standing.rounds == MEMORY
    assert standing.value == pytest.approx(1.0, abs=0.05)
    assert standing.after(-1.0).value == pytest.approx(standing.value - 0.2, abs=0.01), "one round weighs a tenth"


@pytest.mark.parametrize(("value", "rounds"), [(1.1, 1), (float("nan"), 1), (0.0, -1), (0.0, MEMORY + 1)])
def test_standings_out_of_range_are_refused(value, rounds):
    with pytest.raises(MalformedObject):
        Standing(value, rounds)


def test_a_bad_standing_outweighs_one_good_update():
    request = honest_round()
    standings = [Standing(-1.0, MEMORY)] + [Standing(1.0, MEMORY)] * (CLIENTS - 1)
    first, *others = MIAggregationStrategy().select(replace(request, standings=standings)).verdicts
    assert first.reason == "low_information"
    assert first.score > 0.4, "by itself it would be accepted"
    assert all(entry.accepted for entry in others)


def test_a_good_standing_does_not_save_a_reversed_update():
    request = honest_round()
    reversed_one = replace(request, updates=[scaled(request.updates[0], -1), *request.updates[1:]])
    standings = [Standing(1.0, MEMORY)] * CLIENTS
    first, *others = MIAggregationStrategy().select(replace(reversed_one, standings=standings)).verdicts
    assert first.reason == "low_information"
    assert standings[0].after(first.score).value > 0.4, "its standing alone would carry it"
    assert all(entry.accepted for entry in others)


def test_without_labels_lost_trust_is_won_back_slowly():
    request = honest_round()

    def score(before, use_labels=False, update=None):
        standings = [before] + [Standing(1.0, MEMORY)] * (CLIENTS - 1)
        updates = [request.updates[0] if update is None else update, *request.updates[1:]]
        strategy = MIAggregationStrategy(use_labels=use_labels)
        return strategy.select(replace(request, updates=updates, standings=standings)).verdicts[0].score

    fresh, trusted, distrusted = (
        score(before) for before in (Standing(), Standing(1.0, MEMORY), Standing(-1.0, MEMORY))
    )
    assert fresh == trusted > 0.4
    assert -1.0 < distrusted < score(Standing(0.0, 1)) < fresh
    reversed_one = scaled(request.updates[0], -1)
    assert score(Standing(0.3, MEMORY), update=reversed_one) == score(Standing(), update=reversed_one), (
        "falls as before"
    )
    labelled = (score(before, use_labels=True) for before in (Standing(), Standing(-1.0, MEMORY)))
    assert len(set(labelled)) == 1, "labels do not depend on whom the model believes"


def test_an_update_that_pulls_the_model_back_gives_less_evidence():
    request = honest_round()
    probe_blind = {"mi_threshold": -1.0, "min_clients": 1}
    base = request.schema.flatten(request.base).astype(float)
    shrinking = quantise(request.schema.unflatten((-0.1 * base).astype(np.float32)), request.schema)
    growing = quantise(request.schema.unflatten((0.1 * base).astype(np.float32)), request.schema)
    scores = {}
    for name, update in (("back", shrinking), ("on", growing)):
        plan = MIAggregationStrategy(**probe_blind).select(replace(request, updates=[update, *request.updates[1:]]))
        scores[name] = plan.verdicts[0].score
    assert scores["back"] == -1.0
    assert scores["on"] > scores["back"] + 1
    assert growth_view(np.array([-1.0, 0.0, 1.0])).tolist() == [-2.0, 0.0, 0.1], "little for, fully against"


def test_each_update_needs_a_standing():
    with pytest.raises(ConfigurationError, match="standing"):
        replace(honest_round(), standings=[Standing()])


def test_a_report_carries_the_standings_after_its_round():
    before = {worker_key(worker(0)): Standing(0.5, 3), b"\xff" * 20: Standing(-0.25, 2)}
    given = inputs(before)
    report = Report.decode(aggregate_round(given).report)
    assert report.standings[b"\xff" * 20] == Standing(-0.25, 2), "who sent nothing keeps its standing"
    for index, entry in enumerate(report.plan.verdicts):
        key = worker_key(worker(index))
        assert report.standings[key] == before.get(key, Standing()).after(entry.score)
    assert report.standings[worker_key(worker(CLIENTS - 1))].value < 0


def test_validators_recompute_standings_and_scores():
    given = inputs({worker_key(worker(0)): Standing(0.5, 3)})
    found = aggregate_round(given)
    assert check(given, found).approved

    def favour(report):
        return replace(report, standings={**report.standings, worker_key(worker(CLIENTS - 1)): Standing(1.0, 10)})

    def invent(report):
        *others, last = report.plan.verdicts
        plan = replace(report.plan, verdicts=(*others, replace(last, score=1.0)))
        standings = given.standings_after(given.strategy(), plan, report.used)
        return replace(report, plan=plan, standings=standings)

    for change in (favour, invent):
        refused = check(given, found, change)
        assert refused.reason is RejectReason.WrongSelection, change.__name__
    other = check(inputs(), found)
    assert other.reason is RejectReason.WrongSelection, "standings of another report before"


def test_rules_without_memory_publish_no_standings():
    spec = replace(SPEC, aggregation=Named("median"), probe=None)
    assert Report.decode(aggregate_round(replace(inputs(), spec=spec, pool=None)).report).standings == {}


KEY = b"\x01" * 20


@pytest.mark.parametrize(
    "standings",
    [
        5,
        [[KEY, 0.5]],
        [[KEY, 0.5, 0]],
        [[KEY, 1.5, 1]],
        [[KEY, 1, 1]],
        [["a" * 20, 0.5, 1]],
        [[KEY[:19], 0.5, 1]],
        [[KEY, 0.5, 1], [KEY, 0.5, 1]],
        [[b"\x02" * 20, 0.5, 1], [KEY, 0.5, 1]],
    ],
)
def test_a_report_with_standings_that_are_none_is_refused(standings):
    record = decode_record(aggregate_round(inputs()).report, max_bytes=100_000)
    with pytest.raises(MalformedObject):
        Report.decode(encode_record({**record, "standings": standings}))
