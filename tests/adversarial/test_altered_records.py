"""An endpoint that lies about one recorded fact is found out, whatever the fact.

The events of a real run are altered one at a time, each as a lying endpoint could, and audited: the finding names the
round, the object or record, and the rule broken.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import pytest

from flare_offchain.core.participants import Participants
from flare_offchain.core.phases import Fault, Phase, RejectReason
from flare_offchain.core.records import CreditRecord, FineRecord
from flare_offchain.core.types import ContentId
from tests.factories.runs import KeptRun, run_scenario

pytestmark = pytest.mark.integration


CARRIED = "the claims listed are those that their transaction carried"
CLOSED = "SORTITION is closed with all claims in their order"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_scenario(folder)
    run = KeptRun.open(folder)
    run.chain.advance_time(100_000)
    yield run
    run.close()


def flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def other(content_id: ContentId) -> ContentId:
    return ContentId(flip(content_id.digest), content_id.size)


def update(record, index=0, **changes):
    record.updates[index] = replace(record.updates[index], **changes)


def claim(record, index=0, **changes):
    record.claims[index] = replace(record.claims[index], **changes)


def listed(record, index=0, **changes):
    """Alter what the chain lists of a claim."""
    claim(record, index, claim=replace(record.claims[index].claim, **changes))


def swap(items, first=0, second=1):
    items[first], items[second] = items[second], items[first]


def vote(record, **changes):
    record.votes[0] = replace(record.votes[0], **changes)


def proposal(record, **changes):
    record.proposals[0] = replace(record.proposals[0], **changes)


def opening(record, **changes):
    record.openings[0] = replace(record.openings[0], **changes)


def late(run, record):
    """A block that is after every deadline of the run."""
    return run.chain.head().number


ALTERATIONS = {
    "an update's digest": (
        lambda run, r: update(r, content_id=other(r.updates[0].content_id)),
        "a used update can be had",
        "update 0",
    ),
    "an update's sample count": (
        lambda run, r: update(r, sample_count=r.updates[0].sample_count + 1),
        "the accepted weight is the sum of weights",
        "proposal of attempt 0",
    ),
    "an update's sender": (
        lambda run, r: update(r, worker=r.updates[1].worker),
        "one update a worker and round",
        "update 1",
    ),
    "a stranger's update": (
        lambda run, r: update(r, worker=run.identity.coordinator),
        "only enrolled workers submit",
        "update 0",
    ),
    "an update's time": (
        lambda run, r: update(r, block=late(run, r)),
        "updates arrive before the deadline",
        "update 0",
    ),
    "the base model": (
        lambda run, r: setattr(r, "base_digest", flip(r.base_digest)),
        "a round starts from the newest finalized model",
        "base model",
    ),
    "the number of the enrolled": (
        lambda run, r: setattr(r, "enrolled", r.enrolled + 1),
        "the enrolled are counted when the round opens",
        "enrolment",
    ),
    "the seed": (
        lambda run, r: setattr(r, "seed", replace(r.seed, seed=flip(r.seed.seed))),
        "a seed is recomputed",
        "seed",
    ),
    "the seed block's hash": (
        lambda run, r: setattr(r, "seed", replace(r.seed, block_hash=flip(r.seed.block_hash))),
        "a seed is made of its block's hash",
        "block",
    ),
    "the seed before": (
        lambda run, r: setattr(r, "seed", replace(r.seed, previous=flip(r.seed.previous))),
        "a seed follows from the seed before",
        "seed",
    ),
    "the threshold": (
        lambda run, r: setattr(r, "seed", replace(r.seed, threshold=r.seed.threshold - 1)),
        "the threshold follows from enrolment",
        "threshold",
    ),
    "the end of a seed": (
        lambda run, r: setattr(r, "seed", replace(r.seed, seed=r.seed.seed[:-1] + b"\x01")),
        "a seed is recomputed",
        "seed",
    ),
    "a claim's output": (
        lambda run, r: listed(r, output_prefix=r.claims[0].claim.output_prefix ^ 1),
        CARRIED,
        "claims of",
    ),
    "a claim's output, out of all bounds": (
        lambda run, r: setattr(r, "enrolled", 10**9) or listed(r, output_prefix=2**96 - 1),
        "an output is below the threshold",
        "claim of",
    ),
    "a claim's number": (
        lambda run, r: listed(r, number=r.claims[1].number),
        "a claim has its member's number",
        "claim of",
    ),
    "a claim's member": (
        lambda run, r: claim(r, member=r.claims[1].member),
        "one claim a member",
        "claim of",
    ),
    "another member's claim": (
        lambda run, r: claim(r, member=r.claims[1].member, claim=r.claims[1].claim),
        CARRIED,
        "claims of",
    ),
    "a claim of a stranger": (
        lambda run, r: claim(r, member=run.identity.coordinator),
        "only enrolled workers claim",
        "claim of",
    ),
    "a claim of one who never registered": (
        lambda run, r: claim(r, member=run.identity.coordinator),
        "a member has a registered key",
        "claim of",
    ),
    "a claim's transaction": (
        lambda run, r: claim(r, transaction=r.claims[1].transaction),
        CARRIED,
        "claims of",
    ),
    "a claim of another round": (
        lambda run, r: claim(r, transaction=run.history.rounds[3 - r.number].claims[0].transaction),
        "claims are on their round",
        "claims of",
    ),
    "the last claim left out": (lambda run, r: r.claims.pop(), CLOSED, "list of claims"),
    "a claim left out": (lambda run, r: r.claims.pop(0), "the seats are counted", "committee"),
    "a claim listed twice": (lambda run, r: r.claims.append(r.claims[0]), CLOSED, "list of claims"),
    "the order of claims": (lambda run, r: swap(r.claims), CLOSED, "list of claims"),
    "the list that SORTITION was closed with": (
        lambda run, r: setattr(r, "closing_transaction", run.history.rounds[3 - r.number].closing_transaction),
        CLOSED,
        "list of claims",
    ),
    "the number of seats": (
        lambda run, r: setattr(r, "seats_at_close", r.seats_at_close - 1),
        "the seats are counted",
        "committee",
    ),
    "the quorum": (lambda run, r: setattr(r, "quorum", r.quorum - 1), "the quorum follows from the seats", "quorum"),
    "the order of proposers": (
        lambda run, r: r.proposers.update({0: r.committee[1].member}),
        "seats propose in order of their outputs",
        "attempt 0",
    ),
    "the proposer": (
        lambda run, r: proposal(r, proposer=r.committee[1].member),
        "only the seat whose turn it is proposes",
        "proposal of attempt 0",
    ),
    "the proposed model": (
        lambda run, r: proposal(r, model=other(r.proposals[0].model)),
        "the final model is the proposed one",
        "outcome",
    ),
    "the proposed report": (
        lambda run, r: proposal(r, report=other(r.proposals[0].report)),
        "an object can be had",
        "report of attempt 0",
    ),
    "the accepted bitmap": (
        lambda run, r: proposal(r, accepted_bitmap=flip(r.proposals[0].accepted_bitmap)),
        "the accepted weight is the sum of weights",
        "proposal of attempt 0",
    ),
    "the accepted weight": (
        lambda run, r: proposal(r, accepted_weight=r.proposals[0].accepted_weight + 1),
        "the accepted weight is the sum of weights",
        "proposal of attempt 0",
    ),
    "the proposer's commitment": (
        lambda run, r: proposal(r, commitment=flip(r.proposals[0].commitment)),
        "the reveal opens the proposer's commitment",
        "opening of attempt 0",
    ),
    "the proposal's time": (
        lambda run, r: proposal(r, block=late(run, r)),
        "a proposal comes within its window",
        "proposal of attempt 0",
    ),
    "a vote's commitment": (
        lambda run, r: vote(r, commitment=flip(r.votes[0].commitment)),
        "matching approvals are counted",
        "opening of attempt 0",
    ),
    "a vote's direction": (
        lambda run, r: vote(r, approved=False, commitment=bytes(32), reason=RejectReason.WrongModel),
        "the tally counts the votes",
        "tally of attempt 0",
    ),
    "a vote's reason": (
        lambda run, r: vote(r, reason=RejectReason.Censored),
        "a vote approves or gives a reason",
        "vote of",
    ),
    "a vote's time": (lambda run, r: vote(r, block=late(run, r)), "votes come before the deadline", "vote of"),
    "a vote cast twice": (lambda run, r: r.votes.append(r.votes[0]), "nobody votes twice", "vote of"),
    "a vote left out": (lambda run, r: r.votes.pop(), "the tally counts the votes", "tally of attempt 0"),
    "a stranger's vote": (lambda run, r: vote(r, member=run.identity.coordinator), "only seats vote", "vote of"),
    "the proposer's vote": (
        lambda run, r: vote(r, member=r.proposals[0].proposer),
        "a proposer does not vote",
        "vote of",
    ),
    "a vote on nothing": (lambda run, r: vote(r, attempt=1), "votes are on proposals", "votes"),
    "the revealed inner": (
        lambda run, r: opening(r, inner=flip(r.openings[0].inner)),
        "the revealed inner is that of the exact sums",
        "opening of attempt 0",
    ),
    "the matching count": (
        lambda run, r: opening(r, matching=r.openings[0].matching - 1),
        "matching approvals are counted",
        "opening of attempt 0",
    ),
    "the final model": (
        lambda run, r: setattr(r, "final_model", other(r.final_model)),
        "the final model is the proposed one",
        "outcome",
    ),
    "the outcome": (lambda run, r: setattr(r, "phase", Phase.Void), "a void round had no quorum", "outcome"),
    "a fine made up": (
        lambda run, r: r.fines.append(FineRecord(r.committee[0].member, 0, Fault.VoteMissing, 1, r.ended_block)),
        "fines follow the rules",
        "fine of",
    ),
    "a reward made up": (
        lambda run, r: r.credits.append(CreditRecord(r.updates[0].worker, 1, r.ended_block)),
        "rewards follow the rules",
        "reward of",
    ),
    "a reward left out": (lambda run, r: r.credits.clear(), "rewards follow the rules", "reward of"),
    "a round's reward": (
        lambda run, r: setattr(r, "reward", r.reward + 1),
        "a round pays what its parts add up to",
        "rewards",
    ),
}


def test_the_run_is_clean_before_anything_is_altered(kept):
    assert kept.audit().clean


@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize("number", [1, 2])
def test_an_altered_record_is_found(kept, name, number):
    alter, rule, subject = ALTERATIONS[name]
    history = deepcopy(kept.history)
    alter(kept, history.rounds[number])
    findings = kept.audit(history).findings
    named = [f for f in findings if f.rule == rule and f.round == number and subject in f.object]
    assert named, f"no finding names round {number}, {subject!r} and {rule!r}; found {[str(f) for f in findings]}"


def test_a_round_that_is_left_out_is_found(kept):
    history = deepcopy(kept.history)
    del history.rounds[1]
    assert any(f.rule == "a round starts from the newest finalized model" for f in kept.audit(history).findings)


def test_more_withdrawn_than_credited_is_found(kept):
    history = deepcopy(kept.history)
    history.withdrawals.append((history.rounds[1].updates[0].worker, 10**18))
    assert any(f.rule == "only credited rewards are withdrawn" for f in kept.audit(history).findings)


def numbered(task):
    """Give the first worker the number of the second, and the other way round."""
    task.numbers[1], task.numbers[2] = task.numbers[2], task.numbers[1]


def test_the_numbers_of_workers_that_are_altered_are_found(kept):
    history = deepcopy(kept.history)
    numbered(history)
    rules = [f.rule for f in kept.audit(history).findings]
    assert rules.count("a worker enrols under its own number") == 2


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"number": 9}, "participants are numbered as they register"),
        ({"number": 2}, "participants are numbered as they register"),
        ({"vrf_key": 5}, CARRIED),
        ({"account": 1}, "an account registers once"),
    ],
)
def test_a_registration_that_is_altered_is_found(kept, changes, rule):
    participants = kept.participants
    altered = Participants(participants.minimum_bond)
    if "account" in changes:
        changes = {"account": participants.registrations[1].account}
    for index, item in enumerate(participants.registrations):
        told = replace(item, **changes) if index == 0 else item
        arguments = {"account": told.account, "vrfKey": told.vrf_key, "number": told.number, "bond": 1}
        altered.extend([Registered("ParticipantRegistered", arguments, told.block, bytes(32))])
    findings = replace(kept, participants=altered).audit().findings
    assert any(f.rule == rule for f in findings), [str(f) for f in findings]


@dataclass(frozen=True)
class Registered:
    name: str
    arguments: dict
    block: int
    transaction_hash: bytes
