"""Turns at shared steps: an order that everybody computes alike, changes with every step, and loses little time."""

from dataclasses import replace
from functools import partial

import pytest

from flare_offchain.core.phases import Phase
from flare_offchain.core.records import TaskHistory
from flare_offchain.core.types import Address, ContentId
from flare_offchain.workers.keeper import KEEPING, SHARED, enrolled_workers, keep, sharers, turn
from flare_offchain.workers.plan import Step
from tests.unit.workers.test_plan import ME, OTHER, THIRD, seat
from tests.unit.workers.test_plan import view as any_view

pytestmark = pytest.mark.unit

view = partial(any_view, Phase.Training)
WORKERS = [Address(f"0x{n:040x}") for n in range(1, 101)]


def turns(seen, step=Step.CLOSE_TRAINING, workers=WORKERS):
    return {worker: turn(worker, workers, seen, step) for worker in workers}


def test_turn__of_a_hundred__one_then_twice_as_many_each_time():
    counts = {}
    for place in turns(view()).values():
        counts[place] = counts.get(place, 0) + 1
    assert counts == {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 36}


def test_turn__in_another_round_phase_or_step__is_another_order():
    seen = view()
    orders = [
        turns(seen),
        turns(replace(seen, round=replace(seen.round, round=seen.round.round + 1))),
        turns(replace(seen, round=replace(seen.round, attempt=seen.round.attempt + 1))),
        turns(replace(seen, round=replace(seen.round, seed_attempt=1))),
        turns(seen, Step.ADVANCE),
    ]
    assert len({tuple(sorted(order.items())) for order in orders}) == len(orders)
    assert turns(seen) == turns(seen, workers=list(reversed(WORKERS)))


def test_turn__of_somebody_who_is_not_enrolled__comes_after_all():
    stranger = Address("0x" + "ee" * 20)
    assert turn(stranger, WORKERS, view(), Step.ADVANCE) == 7
    assert turn(stranger, [], view(), Step.ADVANCE) == 1


def test_sharers__of_a_reveal__are_those_who_know_the_sums():
    seats = (seat(ME, 1, approved=True), seat(OTHER, 2), seat(THIRD, 3, approved=True))
    seen = view()
    proposal = replace(seen.round.proposal, proposer=seats[1].member)
    seen = replace(seen, round=replace(seen.round, seats=seats, proposal=proposal))
    assert sharers(Step.REVEAL, seen, history()) == {s.member for s in seats}
    none = replace(seen, round=replace(seen.round, seats=(seat(ME, 1), *seats[1:])))
    assert sharers(Step.REVEAL, none, history()) == {s.member for s in seats[1:]}


def history(**fields):
    return TaskHistory(1, WORKERS[0], ContentId(bytes(32), 1), ContentId(bytes(32), 1), {}, 1, **fields)


def test_enrolled__who_left_and_came_back__counts():
    task = history(
        enrolments=[(WORKERS[0], 1, 5), (WORKERS[1], 1, 6), (WORKERS[2], 1, 6), (WORKERS[1], 4, 30)],
        departures=[(WORKERS[1], 2, 20), (WORKERS[2], 3, 25)],
    )
    assert enrolled_workers(task) == {WORKERS[0], WORKERS[1]}
    assert sharers(Step.ADVANCE, view(), task) == {WORKERS[0], WORKERS[1]}


class Coordinator:
    """Notes which function is called."""

    def round_claims(self, task, current, block):
        return f"claims of round {current.round} of task {task} up to block {block}"

    def __getattr__(self, name):
        return lambda account, task, *claims: (name, account, task, *claims)


@pytest.mark.parametrize("step", sorted(KEEPING - {Step.CLOSE_SORTITION}))
def test_keep__each_step_that_anyone_may_take__calls_its_function(step):
    assert keep(Coordinator(), "account", 3, step, view()) == (step.value.replace(" ", "_"), "account", 3)


def test_keep__sortition__is_closed_with_its_claims():
    seen = any_view(Phase.Sortition)
    expected = ("close_sortition", "account", 3, "claims of round 2 of task 3 up to block 50")
    assert keep(Coordinator(), "account", 3, Step.CLOSE_SORTITION, seen) == expected


def test_keep__other_steps__are_refused():
    assert KEEPING | {Step.REVEAL} == SHARED
    for step in set(Step) - KEEPING:
        with pytest.raises(ValueError, match="not a step"):
            keep(Coordinator(), "account", 3, step, view())
