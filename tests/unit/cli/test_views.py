"""What happened, as records; and why an update was rejected."""

import pytest

from flare_offchain.cli.views import (
    REASON_TEXT,
    STATUS_TEXT,
    explanation,
    proposal_records,
    round_record,
    seat_records,
    task_record,
    update_record,
    vote_records,
    worker_records,
)
from flare_offchain.core.claims import SeatClaim
from flare_offchain.core.phases import Fault, Phase, RejectReason, VoidReason
from flare_offchain.core.records import (
    ClaimRecord,
    ClosingRecord,
    CreditRecord,
    FineRecord,
    OpeningRecord,
    ProposalRecord,
    RoundHistory,
    TaskHistory,
    UpdateRecord,
    VoteRecord,
)
from flare_offchain.core.types import Address, ContentId
from flare_offchain.federation.aggregation.plan import REASONS, Plan, UpdateVerdict
from flare_offchain.federation.report import STATUSES, Report
from flare_offchain.storage.cid import cid_string

pytestmark = pytest.mark.unit

WORKERS = [Address(f"0x{n:040x}") for n in range(1, 6)]
OBJECTS = [ContentId(bytes([n] * 32), 100 + n) for n in range(10)]
RULES = {"sampleCap": 50}


def history(phase=Phase.Finalized):
    """A round of five updates: two accepted, one each rejected, unavailable and malformed; the first attempt failed."""
    shown = RoundHistory(1, 5, OBJECTS[0].digest, 10, 99, phase)
    shown.updates = [UpdateRecord(i, w, OBJECTS[i], 40 + 10 * i, 11 + i) for i, w in enumerate(WORKERS)]
    shown.claims = [
        ClaimRecord(w, SeatClaim((5 - i) << 40, i + 1), 20, bytes(32), i) for i, w in enumerate(WORKERS[:4])
    ]
    shown.quorum, shown.seats_at_close = 2, 3
    shown.proposers = {0: WORKERS[3], 1: WORKERS[2]}
    shown.proposals = {
        attempt: ProposalRecord(member, attempt, OBJECTS[6], OBJECTS[7], b"\x03", 90, bytes(32), 30 + attempt)
        for attempt, member in shown.proposers.items()
    }
    shown.votes = [
        VoteRecord(WORKERS[2], 0, False, bytes(32), RejectReason.WrongModel, 31),
        VoteRecord(WORKERS[1], 0, False, bytes(32), RejectReason.WrongModel, 31),
        VoteRecord(WORKERS[1], 1, True, b"c" * 32, RejectReason.None_, 33),
    ]
    shown.closings = {0: ClosingRecord(0, 1, 2, 32), 1: ClosingRecord(1, 2, 0, 34)}
    shown.openings = {1: OpeningRecord(WORKERS[1], 1, bytes(32), 2, 35)}
    shown.failed_attempts = [0]
    shown.fines = [FineRecord(WORKERS[3], 0, Fault.ProposalRejected, 7, 32)]
    shown.credits = [CreditRecord(WORKERS[1], 5, 35)]
    if phase is Phase.Finalized:
        shown.final_model, shown.final_attempt, shown.reward, shown.ended_block = OBJECTS[6], 1, 10, 35
    else:
        shown.void_reason, shown.ended_block = VoidReason.AttemptsExhausted, 35
    return shown


def task_of(shown):
    task = TaskHistory(4, WORKERS[0], OBJECTS[8], OBJECTS[9], RULES, 5)
    task.rounds[1] = shown
    return task


VERDICTS = (
    UpdateVerdict("accepted", 0.5, 0.3, 9),
    UpdateVerdict("accepted", 0.4, 0.2, 8),
    UpdateVerdict("low_information", 0.1, -0.1, 0),
)
REPORT = Report(
    4, 1, bytes(32), bytes(32), ("used", "used", "used", "unavailable", "malformed"), Plan(VERDICTS, "sum", 17)
)


def test_texts__there_is_one_for_every_reason_and_status():
    assert set(REASON_TEXT) == set(REASONS)
    assert set(STATUS_TEXT) == set(STATUSES)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (0, "accepted: it is in the aggregate (score 0.5, 0.3 above the cut)"),
        (2, "rejected: what it does to the probe says too little"),
        (2, "(score 0.1, 0.1 below the cut)"),
        (3, "not in the aggregate: the committee could not fetch its object"),
        (4, "not in the aggregate: its object is no canonical update"),
    ],
)
def test_explanation__comes_from_the_report(index, words):
    shown = history()
    record = update_record(task_of(shown), shown, shown.updates[index], REPORT)
    assert words in explanation(record)
    assert record["accepted"] is (index < 2)
    assert record["weight"] == min(40 + 10 * index, 50)


def test_explanation__without_a_report__says_so():
    shown = history()
    record = update_record(task_of(shown), shown, shown.updates[0], None)
    assert "no report" in explanation(record)


def test_round_record__finalized_and_void():
    shown = history()
    record = round_record(task_of(shown), shown)
    assert (record["phase"], record["accepted"], record["seats"], record["attempts"]) == ("FINALIZED", 2, 3, 2)
    assert record["model_cid"] == cid_string(OBJECTS[6])
    shown = history(Phase.Void)
    record = round_record(task_of(shown), shown)
    assert (record["phase"], record["reason"], record["accepted"]) == ("VOID", "AttemptsExhausted", None)
    assert record["model_cid"] == cid_string(OBJECTS[9])


def test_seats__are_the_lowest_claims__then_those_without_a_seat():
    seats = list(seat_records(history()))
    assert [seat["member"] for seat in seats] == [WORKERS[3], WORKERS[2], WORKERS[1], WORKERS[0]]
    assert [seat["seat"] for seat in seats] == [0, 1, 2, None]
    assert [seat["number"] for seat in seats] == [4, 3, 2, 1]
    assert seats[0]["output_prefix"] == f"0x{2 << 40:024x}"


def test_proposals__say_how_each_attempt_ended():
    outcomes = [record["outcome"] for record in proposal_records(history())]
    assert outcomes == ["rejected", "finalized"]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda shown: shown.proposals.clear(), "no proposal"),
        (lambda shown: shown.closings.clear(), "in voting"),
        (lambda shown: shown.closings.update({0: ClosingRecord(0, 2, 0, 32)}), "not opened"),
        (
            lambda shown: (
                shown.closings.update({0: ClosingRecord(0, 2, 0, 32)}),
                shown.openings.update({0: OpeningRecord(WORKERS[1], 0, bytes(32), 1, 35)}),
            ),
            "no quorum",
        ),
    ],
)
def test_proposals__that_failed__say_why(change, outcome):
    shown = history(Phase.Void)
    change(shown)
    assert next(proposal_records(shown))["outcome"] == outcome


def test_proposals__while_the_round_goes_on():
    shown = history(Phase.Reveal)
    shown.failed_attempts, shown.closings = [], {0: ClosingRecord(0, 2, 0, 32)}
    shown.openings = {}
    assert next(proposal_records(shown))["outcome"] == "to be revealed"
    shown.proposals, shown.phase = {}, Phase.Aggregation
    assert next(proposal_records(shown))["outcome"] == "awaited"


def test_votes__have_their_reasons():
    votes = list(vote_records(history()))
    assert [(v["approved"], v["reason"]) for v in votes] == [(False, "WrongModel")] * 2 + [(True, "")]


def test_worker__what_it_did_and_got():
    task = task_of(history())
    (record,) = worker_records(task, WORKERS[3])
    assert (record["update"], record["accepted"], record["seat"], record["proposed"]) == (3, False, 0, [0])
    assert (record["fines"], record["fined_wei"]) == (["ProposalRejected"], "7")
    (record,) = worker_records(task, WORKERS[1])
    assert (record["votes"], record["reward_wei"]) == (["WrongModel", "approve"], "5")
    assert list(worker_records(task, Address("0x" + "99" * 20))) == []


def test_task_record():
    record = task_record(task_of(history()))
    assert (record["status"], record["rounds"], record["rewards_wei"]) == ("OPEN", 1, "10")
