"""What a task's history still tells of rounds that it let go of."""

import pytest

from flare_offchain.core.phases import Phase
from flare_offchain.core.records import ProposalRecord, RoundHistory, TaskHistory, UpdateRecord
from flare_offchain.core.types import Address, ContentId

pytestmark = pytest.mark.unit

ALICE, BOB = Address("0x" + "a" * 40), Address("0x" + "b" * 40)


def content(number):
    return ContentId(bytes([number]) * 32, 1)


def ended(number, *workers, accepts=0, final=True):
    """Return an ended round with the updates of some workers; `accepts` is the bitmap of those that were used."""
    found = RoundHistory(number, 2, bytes(32), 0, 0, phase=Phase.Finalized if final else Phase.Void)
    found.updates = [UpdateRecord(i, worker, content(100 + i), 1, 0) for i, worker in enumerate(workers)]
    found.proposals[0] = ProposalRecord(
        ALICE, 0, content(number), content(50 + number), bytes([accepts]), 1, bytes(32), 0
    )
    if final:
        found.final_attempt, found.final_model = 0, content(number)
    return found


def history(*rounds):
    return TaskHistory(7, ALICE, content(98), content(99), {}, 0, rounds={found.number: found for found in rounds})


def test_rounds_that_have_not_ended_are_never_forgotten():
    task = history(ended(1), RoundHistory(2, 2, bytes(32), 0, 0), RoundHistory(3, 2, bytes(32), 0, 0))
    task.forget(0)
    assert (task.forgotten, sorted(task.rounds), task.opened) == (1, [2, 3], 3)


def test_models_and_reports_skip_void_rounds_among_the_forgotten():
    task = history(ended(1), ended(2, final=False), ended(3, final=False), ended(4))
    task.forget(2)
    assert task.base_model(3) == task.base_model(4) == content(1)
    assert task.newest_report(4) == content(51)
    assert task.base_model(5) == content(4)


def test_without_a_finalized_round_the_genesis_model_stays():
    task = history(ended(1, final=False), ended(2, final=False))
    task.forget(1)
    assert task.base_model(2) == content(99)
    assert task.newest_report(2) is None


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_what_became_of_a_workers_newest_update_stays_known(kept):
    task = history(ended(1, ALICE, BOB, accepts=0b10), ended(2, BOB, accepts=0), ended(3))
    task.forget(kept)
    assert task.was_accepted(ALICE, 1) is False
    assert task.was_accepted(BOB, 2) is False
    assert task.was_accepted(ALICE, 2) is False
    assert task.was_accepted(ALICE, 4) is None
    assert task.was_accepted(BOB, 1) is (None if kept == 1 else True)


def test_an_update_of_a_void_round_was_not_accepted():
    task = history(ended(1, ALICE, accepts=0b1, final=False), ended(2, ALICE, accepts=0b1))
    assert task.was_accepted(ALICE, 1) is False
    task.forget(0)
    assert task.was_accepted(ALICE, 2) is True
