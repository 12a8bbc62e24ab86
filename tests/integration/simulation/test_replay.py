"""The record of one chain, replayed for another: the same seeds and updates give the same models."""

from dataclasses import replace

import pytest

from flare_offchain.blockchain.deployments import deploy_flare
from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.keys import derive_account
from flare_offchain.core.errors import MalformedObject
from flare_offchain.devnet.chain_daemon import Anvil, fund
from flare_offchain.federation.gather import TaskObjects, round_inputs
from flare_offchain.federation.report import Report, worker_key
from flare_offchain.federation.round import aggregate_round
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.storage.cid import content_id
from flare_offchain.storage.memory import InMemoryStorageProvider
from tests.factories.replay import replay
from tests.factories.runs import KeptRun, run_scenario
from tests.integration.network.conftest import require

pytestmark = pytest.mark.integration
RUN = {"workers": 5, "rounds": 3, "attackers": 1, "aggregation": "mutual_information"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run on the embedded chain, one of its workers an attacker."""
    folder = tmp_path_factory.mktemp("recorded") / "run"
    run_scenario(folder, **RUN)
    kept = KeptRun.open(folder)
    yield kept
    kept.close()


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A task on an anvil that the contracts are deployed on."""
    require("anvil")
    owner = derive_account(99, 0)
    with Anvil(tmp_path_factory.mktemp("anvil"), block_time=0) as node, EthereumConnector(node.url) as chain:
        fund(chain, {owner.address: 10**20})
        deployment = deploy_flare(chain, owner, minimum_bond=1, unbonding_delay=3600)
        yield TaskIdentity(chain.chain_id, deployment.coordinator.address, 1)


def workers_of(recorded, seed=99):
    """Who takes each recorded worker's place."""
    names = sorted({u.worker for r in recorded.history.rounds.values() for u in r.updates})
    return {name: derive_account(seed, n + 1).address for n, name in enumerate(names)}


def replayed(recorded, there, store, seed=99):
    workers = workers_of(recorded, seed)
    objects = TaskObjects(recorded.store)
    return list(replay(recorded.identity, recorded.history, objects, there, workers, store))


def test_replay__on_another_chain__gives_the_recorded_models_and_reports(recorded, there):
    store = InMemoryStorageProvider()
    assert (there.chain_id, there.coordinator) != (recorded.identity.chain_id, recorded.identity.coordinator)
    made = replayed(recorded, there, store)
    finals = [r.final_proposal for _, r in sorted(recorded.history.rounds.items()) if r.final_proposal]
    assert len(made) == len(finals) >= 2
    assert [one.model for one in made] == [final.model for final in finals]
    for one, final in zip(made, finals, strict=True):
        report = Report.decode(recorded.store.get(final.report))
        moved = {
            worker_key(mine): report.standings[worker_key(worker)] for worker, mine in workers_of(recorded).items()
        }
        assert one.report == replace(report, standings=moved), "the reports differ in the workers' addresses alone"
        assert {standing.rounds for standing in moved.values()} == {one.round}, "each round has added to every standing"
    assert all(content_id(store.get(one.model)) == final.model for one, final in zip(made, finals, strict=True))
    # The objects are others: each names its chain, contract, sender.
    for one in made:
        originals = {u.content_id for u in recorded.history.rounds[one.round].updates}
        assert len(one.updates) == RUN["workers"] and originals.isdisjoint(one.updates)


def test_replay__with_another_seed__gives_other_reports(recorded, there):
    objects = TaskObjects(recorded.store)
    first = recorded.history.rounds[1]
    inputs = round_inputs(recorded.identity, recorded.history, first, objects)
    assert content_id(aggregate_round(inputs).report) == first.final_proposal.report
    other = aggregate_round(replace(inputs, seed=bytes(32)))
    assert content_id(other.report) != first.final_proposal.report


def test_replay__of_updates_that_are_not_the_tasks__is_refused(recorded, there):
    stranger = TaskIdentity(recorded.identity.chain_id, there.coordinator, 1)
    objects = TaskObjects(recorded.store)
    workers = {u.worker: u.worker for u in recorded.history.rounds[1].updates}
    with pytest.raises(MalformedObject):
        next(replay(stranger, recorded.history, objects, there, workers, InMemoryStorageProvider()))
