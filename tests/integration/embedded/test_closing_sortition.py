"""A keeper closes SORTITION with the claims that it reads, and tries again where they were not these."""

import pytest

from flare_offchain.blockchain.outcomes import Confirmed
from flare_offchain.core.errors import ChainUnavailable
from flare_offchain.core.phases import Phase
from flare_offchain.workers.keeper import Keeper
from flare_offchain.workers.plan import Step
from flare_offchain.workers.surroundings import History
from tests.factories.sortition import HOUR, SortitionTask

pytestmark = pytest.mark.integration


@pytest.fixture
def due():
    """A task whose SORTITION is overdue, with three claims."""
    game = SortitionTask(3, expected=5, max_seats=3, basis_points=6000)
    number, _, proofs = game.open()
    for claim in proofs.items():
        game.coordinator.claim_seat(game.workers[0], game.task, number, *claim).confirmed()
    game.chain.advance_time(HOUR + 1)
    return game


def keeper_of(game):
    history = History(game.chain, game.coordinator, game.task, 0)
    return Keeper(game.chain, game.coordinator, history, game.task).use(game.workers[1])


def test_the_right_list_closes(due):
    keeper = keeper_of(due)
    view, step = keeper.next_step()
    assert (step, view.round.claims) == (Step.CLOSE_SORTITION, 3)
    assert isinstance(keeper.take(step, view).outcome, Confirmed)
    assert due.view().phase is Phase.Aggregation
    assert len(due.view().seats) == 3


def test_another_list_is_refused_and_the_next_try_reads_again(due, monkeypatch):
    keeper = keeper_of(due)
    view, step = keeper.next_step()
    right = due.coordinator.round_claims(due.task, view.round, view.block)
    with monkeypatch.context() as patch:
        # The endpoint gives the right number of claims of another fork.
        patch.setattr(due.coordinator, "round_claims", lambda *_: right[15:] + right[:15])
        done = keeper.take(step, view)
        assert done.outcome.error == "ClaimsNotThese"
    view, step = keeper.next_step()
    assert step is Step.CLOSE_SORTITION
    assert isinstance(keeper.take(step, view).outcome, Confirmed)


def test_events_that_lack_a_claim_are_a_reason_to_wait(due, monkeypatch):
    keeper = keeper_of(due)
    view, step = keeper.next_step()
    events = type(due.coordinator).events

    def without_the_last(coordinator, first, last):
        found = events(coordinator, first, last)
        found.remove([event for event in found if event.name == "SeatsClaimed"][-1])
        return found

    with monkeypatch.context() as patch:
        patch.setattr(type(due.coordinator), "events", without_the_last)
        with pytest.raises(ChainUnavailable, match="do not give as many"):
            keeper.take(step, view)
    assert isinstance(keeper.take(step, view).outcome, Confirmed)


def test_it_is_closed_early_once_everybody_has_claimed():
    game = SortitionTask(3, expected=5, max_seats=3, basis_points=6000)
    number, _, proofs = game.open()
    keeper = keeper_of(game)
    for claim in proofs.items():
        assert keeper.next_step()[1] is not Step.CLOSE_SORTITION
        game.coordinator.claim_seat(game.workers[0], game.task, number, *claim).confirmed()
    view, step = keeper.next_step()
    assert step is Step.CLOSE_SORTITION
    assert isinstance(keeper.take(step, view).outcome, Confirmed)
