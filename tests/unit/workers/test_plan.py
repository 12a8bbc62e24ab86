"""The plan: which step is due, for every phase and every reason to wait."""

from dataclasses import replace

import pytest

from flare_offchain.blockchain.contracts import (
    EnrolmentView,
    ProposalView,
    RoundView,
    SeatView,
    TaskRules,
    TaskStatus,
    TaskView,
)
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import Address, ContentId
from flare_offchain.workers.plan import Local, Step, View, Wait, next_step

pytestmark = pytest.mark.unit

ME, OTHER, THIRD = (Address("0x" + digit * 40) for digit in "123")
NOTHING = ContentId(bytes(32), 0)
SEED = b"s" * 32

RULES = TaskRules(
    training_duration=100,
    seed_duration=10,
    sortition_duration=50,
    proposal_duration=50,
    validation_duration=50,
    reveal_duration=20,
    expected_committee=3,
    max_seats=3,
    threshold_basis_points=6000,
    max_attempts=2,
    min_updates=2,
    max_updates=8,
    sample_cap=100,
    idle_rounds=4,
    strike_limit=0,
    max_consecutive_voids=3,
    max_rounds=5,
    invite_only=False,
    round_reward=0,
    fine_amount=0,
    trainer_share=10000,
    proposer_share=0,
    voter_share=0,
    revealer_share=0,
)


def seat(member, prefix, voted=False, approved=False):
    return SeatView(member, prefix, voted, approved, bytes(32))


def proposal(proposer):
    return ProposalView(proposer, NOTHING, NOTHING, bytes(32), 0, bytes(32), bytes(32))


def view(phase, *, now=1000, block=50, task=None, enrolment=None, **round_changes):
    current = RoundView(
        round=2,
        phase=phase,
        deadline=1100,
        base_model=NOTHING,
        enrolled=4,
        updates=1,
        seed_block=40,
        seed_attempt=0,
        seed=bytes(32),
        alpha=bytes(32),
        threshold=0,
        widened=False,
        claims=0,
        quorum=2,
        attempt=0,
        approvals=0,
        rejections=0,
        proposal=proposal(OTHER),
        seats=(),
    )
    found = TaskView(ME, TaskStatus.Open, RULES, NOTHING, NOTHING, 0, 2, 0, 4, bytes(32))
    mine = EnrolmentView(
        enrolled=True,
        from_round=1,
        last_active_round=1,
        update_round=1,
        update_index=0,
        update_weight=10,
        number=7,
        counting=True,
        claimed=False,
        strikes=0,
        invited=False,
        credit=0,
    )
    return View(
        now,
        block,
        replace(found, **(task or {})),
        replace(current, **round_changes),
        replace(mine, **(enrolment or {})),
    )


def due(chain, **local):
    return next_step(chain, Local(ME, **local))


def waits(chain, **local):
    step = due(chain, **local)
    assert isinstance(step, Wait), step
    return step


@pytest.mark.parametrize("phase", [Phase.None_, Phase.Finalized, Phase.Void])
def test_the_next_round_is_opened_between_rounds(phase):
    assert due(view(phase)) is Step.OPEN_ROUND


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": TaskStatus.Ended}, "ended"),
        ({"round": 5}, "all rounds"),
        ({"consecutive_voids": 3}, "void"),
        ({"enrolled": 1}, "1 workers are enrolled, 2"),
    ],
)
def test_no_round_is_opened_when_the_contract_would_refuse(change, reason):
    assert reason in waits(view(Phase.Finalized, task=change)).reason


def test_training_submits_once():
    assert due(view(Phase.Training)) is Step.SUBMIT_UPDATE
    assert waits(view(Phase.Training, enrolment={"update_round": 2})).until == 1101


@pytest.mark.parametrize(
    "chain",
    [
        view(Phase.Training, enrolment={"enrolled": False}),
        view(Phase.Training, enrolment={"from_round": 3}),
        view(Phase.Training, updates=3, enrolment={"enrolled": False}),
    ],
)
def test_training_is_for_those_enrolled(chain):
    waits(chain)


def test_training_that_was_declined_is_not_tried_again():
    waits(view(Phase.Training), declined=frozenset({Step.SUBMIT_UPDATE}))


def test_training_closes_when_complete_or_late():
    assert due(view(Phase.Training, updates=4, enrolment={"update_round": 2})) is Step.CLOSE_TRAINING
    assert due(view(Phase.Training, now=1101)) is Step.CLOSE_TRAINING
    assert due(view(Phase.Training, now=1100)) is Step.SUBMIT_UPDATE
    full = view(Phase.Training, updates=8, enrolled=20)
    assert due(full) is Step.CLOSE_TRAINING


def test_an_update_is_published_before_anything_else_in_sortition():
    assert due(view(Phase.Sortition), unpublished=True) is Step.PUBLISH_UPDATE


def test_the_seed_is_fixed_after_its_block():
    waiting = waits(view(Phase.Sortition, seed_block=50, block=50))
    assert (waiting.block, waiting.until) == (51, 1101)
    assert due(view(Phase.Sortition, seed_block=49, block=50)) is Step.FIX_SEED
    assert due(view(Phase.Sortition, seed_block=60, block=50, now=1101)) is Step.FIX_SEED


SEATED = (seat(OTHER, 5), seat(THIRD, 9), seat(Address("0x" + "4" * 40), 20))


def test_a_seat_is_claimed_with_a_low_enough_output():
    drawn = view(Phase.Sortition, seed=SEED, threshold=10 << 160)
    assert due(drawn, output=10 << 160) is Step.CLAIM_SEAT
    waits(drawn, output=(10 << 160) + 1)
    waits(drawn)
    waits(replace(drawn, enrolment=replace(drawn.enrolment, claimed=True)), output=1)
    waits(replace(drawn, enrolment=replace(drawn.enrolment, counting=False)), output=1)
    waits(replace(drawn, round=replace(drawn.round, claims=511, enrolled=1000)), output=1)
    left = replace(drawn, enrolment=replace(drawn.enrolment, enrolled=False))
    assert due(left, output=1) is Step.CLAIM_SEAT, "who leaves in a round still counts in its sortition"
    waits(drawn, output=1, declined=frozenset({Step.CLAIM_SEAT}))


def test_no_claim_is_made_that_cannot_win_a_seat_any_more():
    full = view(Phase.Sortition, seed=SEED, threshold=100 << 160, claims=3)
    assert due(full, output=19 << 160, lower_claims=2) is Step.CLAIM_SEAT
    waits(full, output=19 << 160, lower_claims=3)


def test_sortition_closes_late_or_when_everyone_has_claimed():
    assert due(view(Phase.Sortition, seed=SEED, now=1101)) is Step.CLOSE_SORTITION
    everyone = view(Phase.Sortition, seed=SEED, enrolled=3, claims=3, enrolment={"claimed": True})
    assert due(everyone) is Step.CLOSE_SORTITION


MINE = (seat(ME, 1), *SEATED[:2])
VOTING = {"seats": MINE, "attempt": 1}


def test_only_the_seat_whose_turn_it_is_proposes():
    assert due(view(Phase.Aggregation, seats=MINE)) is Step.PROPOSE
    waits(view(Phase.Aggregation, seats=MINE, attempt=1))
    waits(view(Phase.Aggregation, seats=MINE), declined=frozenset({Step.PROPOSE}))
    assert due(view(Phase.Aggregation, seats=MINE, now=1101)) is Step.ADVANCE


def test_seats_vote_once_and_never_on_their_own_proposal():
    voting = view(Phase.Validation, **VOTING, approvals=1)
    assert due(voting) is Step.VOTE
    waits(view(Phase.Validation, seats=MINE, approvals=1, proposal=proposal(ME)))
    waits(view(Phase.Validation, seats=SEATED, approvals=1))
    voted = (replace(MINE[0], voted=True), *MINE[1:])
    waits(view(Phase.Validation, seats=voted, approvals=2))


def test_validation_closes_when_decided_or_late():
    voted = (replace(MINE[0], voted=True), *MINE[1:])
    assert due(view(Phase.Validation, seats=voted, approvals=2, rejections=1)) is Step.CLOSE_VALIDATION
    assert due(view(Phase.Validation, seats=voted, approvals=1, rejections=2)) is Step.CLOSE_VALIDATION
    assert due(view(Phase.Validation, seats=SEATED, now=1101)) is Step.CLOSE_VALIDATION


def test_those_who_know_the_inner_reveal():
    assert due(view(Phase.Reveal), knows_inner=True) is Step.REVEAL
    waits(view(Phase.Reveal))
    waits(view(Phase.Reveal), knows_inner=True, declined=frozenset({Step.REVEAL}))
    assert due(view(Phase.Reveal, now=1101), knows_inner=True) is Step.ADVANCE
