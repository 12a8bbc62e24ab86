"""A daemon's history holds its newest rounds and what these rest on, and answers of them as the whole one does."""

import pytest

from flare_offchain.blockchain.deployments import open_deployment
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.core.errors import ChainUnavailable, RoundAbandoned
from flare_offchain.core.history import HistoryFold
from flare_offchain.workers import surroundings
from flare_offchain.workers.surroundings import History
from tests.factories.runs import run_scenario

pytestmark = pytest.mark.integration

ROUNDS, KEPT = 5, 2


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The chain of a task of five rounds, and its coordinator."""
    folder = tmp_path_factory.mktemp("run")
    run_scenario(folder, rounds=ROUNDS, attackers=1)
    with EthTesterConnector.open(folder / "chain") as chain:
        yield chain, open_deployment(chain, folder / "deployments").coordinator


@pytest.fixture(scope="module")
def whole(ran):
    chain, coordinator = ran
    return History(chain, coordinator, 1, 0).refresh()


def workers_of(task):
    return {worker for worker, _, _ in task.enrolments}


def assert_same_where_held(task, whole):
    assert (task.opened, task.forgotten) == (ROUNDS, ROUNDS - KEPT)
    assert sorted(task.rounds) == [4, 5]
    assert all(task.rounds[number] == whole.rounds[number] for number in task.rounds)
    for number in (4, 5, 6):
        assert task.base_model(number) == whole.base_model(number)
        assert task.newest_report(number) == whole.newest_report(number)
    for number in range(1, ROUNDS + 2):
        answers = {worker: task.was_accepted(worker, number) for worker in workers_of(whole)}
        known = {worker: whole.was_accepted(worker, number) for worker in answers}
        # All of them submitted in every round: of rounds before the newest that was forgotten nothing is known.
        assert answers == known if number >= ROUNDS - KEPT else set(answers.values()) == {None}
    left = {name: getattr(whole, name) for name in ("enrolments", "numbers", "fundings", "genesis", "spec")}
    assert all(getattr(task, name) == value for name, value in left.items())


def test_what_is_held_is_as_in_the_whole(ran, whole):
    chain, coordinator = ran
    assert_same_where_held(History(chain, coordinator, 1, 0, kept=KEPT).refresh(), whole)


def test_never_more_rounds_are_held_than_asked_for(ran):
    chain, coordinator = ran
    fold = HistoryFold(only=1, kept=KEPT)
    most = 0
    for event in chain.logs([coordinator.contract], 0, chain.block_number):
        fold.extend([event])
        most = max(most, len(fold.tasks[1].rounds))
    assert most == KEPT


def test_a_forgotten_round_is_refused(ran):
    chain, coordinator = ran
    task = History(chain, coordinator, 1, 0, kept=KEPT).refresh()
    for ask in (task.base_model, task.newest_report):
        with pytest.raises(RoundAbandoned, match="round 3 of task 1 is no longer held"):
            ask(3)
    with pytest.raises(RoundAbandoned, match="no longer held"):
        task.budget_before(5)


def test_the_history_of_another_task_is_not_folded(ran):
    chain, coordinator = ran
    assert not HistoryFold(only=2).extend(chain.logs([coordinator.contract], 0, chain.block_number)).tasks
    with pytest.raises(RoundAbandoned, match="task 2 is not on this chain"):
        History(chain, coordinator, 2, 0).refresh()


@pytest.mark.parametrize("blocks", [1, 7])
def test_read_in_parts__it_is_the_same(ran, whole, monkeypatch, blocks):
    chain, coordinator = ran
    monkeypatch.setattr(surroundings, "_BLOCKS_AT_ONCE", blocks)
    assert History(chain, coordinator, 1, 0).refresh() == whole
    assert_same_where_held(History(chain, coordinator, 1, 0, kept=KEPT).refresh(), whole)


def test_cut_short_between_parts__it_goes_on_from_there(ran, whole, monkeypatch):
    chain, coordinator = ran
    monkeypatch.setattr(surroundings, "_BLOCKS_AT_ONCE", 7)
    read, asked = chain.logs, []

    def failing(contracts, first, last):
        asked.append((first, last))
        if len(asked) == 3:
            raise ChainUnavailable("no answer")
        return read(contracts, first, last)

    monkeypatch.setattr(chain, "logs", failing)
    history = History(chain, coordinator, 1, 0)
    with pytest.raises(ChainUnavailable):
        history.refresh()
    assert history.refresh() == whole
    assert [first for first, _ in asked[:4]] == [0, 7, 14, 14]
