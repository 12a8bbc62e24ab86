"""Which round a block lies in, and what is left out of an altered record."""

from dataclasses import dataclass, field

import pytest

from flare_offchain.blockchain.record_decoding import DecodedCall, DecodedLog
from flare_offchain.blockchain.record_verification import RecordFinding
from flare_offchain.cli.altered import HEADER_RULE, RULES, record_findings, round_of
from flare_offchain.cli.evidence import Evidence
from flare_offchain.core.errors import InconsistentHistory
from flare_offchain.core.participants import Registration
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import RoundHistory, TaskHistory
from flare_offchain.core.types import Address

pytestmark = pytest.mark.unit

ALICE, BOB = Address("0x" + "0a" * 20), Address("0x" + "0b" * 20)


@dataclass
class Event:
    name: str
    block: int
    arguments: dict = field(default_factory=dict)
    transaction_hash: bytes = bytes(32)


def evidence(phase=Phase.Finalized):
    """Task 1: rounds in blocks 10 to 20 and 22 to 30."""
    found = Evidence(1, ALICE, None, (40, bytes(32)))
    task = TaskHistory(1, ALICE, None, None, {}, 5)
    for number, (first, last) in {1: (10, 20), 2: (22, 30)}.items():
        task.rounds[number] = RoundHistory(number, 2, bytes(32), first, 99, phase, ended_block=last)
        found.spans[1, number] = (first, last)
    found.tasks = {1: task}
    return found


@pytest.mark.parametrize(
    ("block", "number"), [(0, None), (9, None), (10, 1), (20, 1), (21, 2), (22, 2), (30, 2), (31, None), (99, None)]
)
def test_round_at__between_rounds_it_is_the_next__afterwards_none(block, number):
    assert evidence().round_at(block) == number
    assert evidence().round_at(block, 1) == number


def test_round_at__while_the_last_round_goes_on__it_is_that():
    assert evidence(Phase.Training).round_at(35) == 2
    assert evidence().round_at(15, 7) is None


def decoded(**arguments):
    return DecodedLog("RoundCoordinator", "VoteCast", arguments, ALICE)


def test_alteration__names_its_round__unless_just_that_was_altered():
    found = evidence()
    assert round_of(RecordFinding(25, "log", "", 0, 0, log=decoded(taskId=1, round=1)), found) == 1
    assert round_of(RecordFinding(25, "log", "", 0, 0, log=decoded(taskId=1, round=77)), found) == 2
    assert round_of(RecordFinding(25, "log", "", 0, 0, log=decoded(taskId=9, round=1)), found) == 2
    call = DecodedCall(BOB, ALICE, 0, 0, "RoundCoordinator", "closeTraining", {"taskId": 1})
    assert round_of(RecordFinding(12, "transaction", "", 0, call=call), found) == 1
    assert round_of(RecordFinding(2, "timestamp", ""), found) is None


def test_alteration__says_object_rule_and_what_was_recorded():
    items = [
        RecordFinding(25, "log", "changed", 0, 3, log=decoded(taskId=1, round=2)),
        RecordFinding(25, "log", "removed", log_index=1),
        RecordFinding(12, "transaction", "changed", 0, call=DecodedCall(BOB, ALICE, 0, 0, "", "", {})),
        RecordFinding(12, "transaction_hash", "changed", 0),
        RecordFinding(2, "timestamp", "moved"),
    ]
    found = record_findings(items, evidence())
    assert [f.object for f in found] == [
        "log 3 of block 25: VoteCast of task 1",
        "log 1 of block 25",
        f"transaction 0 of block 12: an unknown call from {BOB}",
        "transaction 0 of block 12",
        "block 2",
    ]
    assert [f.rule for f in found] == [*(RULES[i.what] for i in items[:4]), HEADER_RULE]
    assert found[0].detail == "changed (recorded: RoundCoordinator.VoteCast(taskId 1, round 2))"


def test_events_that_do_not_follow__are_left_out_only_where_that_is_asked_for():
    stray = Event("SeedFixed", 7, {"taskId": 1, "round": 1})
    with pytest.raises(InconsistentHistory):
        Evidence(1, ALICE, None, (9, b"")).add([stray], [])
    tolerant = Evidence(1, ALICE, None, (9, b""))
    registered = Event("ParticipantRegistered", 2, {"account": ALICE, "vrfKey": 5, "number": 1})
    tolerant.add([stray], [registered, Event("BondIncreased", 3)], tolerant=True)
    assert "SeedFixed in block 7 is left out" in tolerant.notes[0]
    assert tolerant.spans == {(1, 1): (7, 7)}
    assert "BondIncreased in block 3 is left out" in tolerant.notes[1]
    assert tolerant.participants.registrations == [Registration(2, ALICE, 5, 1)]
    late = Evidence(1, ALICE, None, (9, b""))
    late.add([Event("RewardCredited", 8, {"taskId": 1, "round": 1})], [], tolerant=True)
    assert late.spans == {}
