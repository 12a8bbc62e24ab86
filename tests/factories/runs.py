"""Small real runs on the embedded chain, and their audit."""

from dataclasses import dataclass
from pathlib import Path

from flare_offchain.audit.auditor import Auditor, AuditReport
from flare_offchain.blockchain.deployments import open_deployment
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.blockchain.facts import ConnectorFacts
from flare_offchain.core.history import HistoryFold
from flare_offchain.core.participants import Participants
from flare_offchain.core.records import TaskHistory
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.simulation.results import RoundResult
from flare_offchain.simulation.run import SimulationRun
from flare_offchain.simulation.scenario import Scenario
from flare_offchain.storage.local import LocalStorageProvider
from flare_offchain.storage.provider import StorageProvider

SMALL = {"workers": 4, "rounds": 2, "attackers": 0, "model": "softmax", "aggregation": "fedavg", "epochs": 1}


def run_scenario(folder: Path, **changes) -> list[RoundResult]:
    """Run a scenario (a small one, unless changed) to its end and return the rounds."""
    with SimulationRun.open(Scenario(**{**SMALL, **changes}), folder) as run:
        return list(run.rounds(lambda _: None)) or run.results


@dataclass
class KeptRun:
    """A kept run, opened for auditing. `history` may be altered before `audit`."""

    chain: EthTesterConnector
    identity: TaskIdentity
    history: TaskHistory
    participants: Participants
    store: StorageProvider

    @classmethod
    def open(cls, folder: Path) -> "KeptRun":
        chain = EthTesterConnector.open(folder / "chain")
        deployment = open_deployment(chain, folder / "deployments")
        events = chain.logs([deployment.coordinator.contract, deployment.registry.contract], 0, chain.block_number)
        participants = Participants(deployment.registry.minimum_bond()).extend(events)
        history = HistoryFold().extend(events).tasks[1]
        identity = TaskIdentity(chain.chain_id, deployment.coordinator.address, 1)
        return cls(chain, identity, history, participants, LocalStorageProvider(folder / "store"))

    def audit(self, history: TaskHistory | None = None) -> AuditReport:
        facts = ConnectorFacts(self.chain)
        return Auditor(self.identity, history or self.history, self.participants, facts, self.store).run()

    def close(self) -> None:
        self.chain.close()
