"""The embedded network of a run: chain, contracts, store, task and registered workers.

Every step of the setup looks at the chain first and does only what is missing, so a run that was killed at any point
is continued by building the network again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator, TaskRules
from flare_offchain.blockchain.deployments import FlareDeployment, deploy_flare, open_deployment, write_deployment
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.blockchain.keys import derive_vrf_key
from flare_offchain.consensus.chain_proof import prove_for_chain
from flare_offchain.consensus.identities import possession_alpha
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.core.types import Address, ContentId
from flare_offchain.federation.gather import TaskObjects
from flare_offchain.federation.spec import Named, ProbeSettings, TaskSpec, TrainingSettings
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.models.architectures import initial_weights
from flare_offchain.simulation.data import PreparedData, model_parameters
from flare_offchain.simulation.record import RunRecord
from flare_offchain.simulation.scenario import NO_SERVER, Rules, Scenario
from flare_offchain.storage.local import LocalStorageProvider
from flare_offchain.storage.provider import StorageProvider
from flare_offchain.utils.serialization import write_model
from flare_offchain.workers.journal import FolderJournal
from flare_offchain.workers.surroundings import History, Surroundings

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

OWNER = 0
"""Account 0 owns the task; worker i has account i + 1."""
NO_LIMIT = 4096
Report = Callable[[str], None]


@dataclass(slots=True)
class Network:
    """One task on one embedded chain, and what is needed to work on it."""

    scenario: Scenario
    folder: Path
    chain: EthTesterConnector
    store: LocalStorageProvider
    coordinator: RoundCoordinator
    registry: ParticipantRegistry
    task_id: int
    spec: TaskSpec
    genesis: ContentId
    schema: ModelSchema
    history: History
    objects: TaskObjects

    @property
    def identity(self) -> TaskIdentity:
        """Which task on which chain."""
        return TaskIdentity(self.chain.chain_id, self.coordinator.address, self.task_id)

    def surroundings(self, worker: int) -> Surroundings:
        """Return what worker `worker` (from 0) works with."""
        return Surroundings(
            connector=self.chain,
            coordinator=self.coordinator,
            registry=self.registry,
            store=self.store,
            account=self.chain.account(worker + 1),
            vrf_key=derive_vrf_key(self.scenario.seed, worker + 1),
            identity=self.identity,
            history=self.history,
            objects=self.objects,
            journal=FolderJournal(self.folder / "workers" / str(worker)),
        )

    def close(self) -> None:
        """Release the chain's files."""
        self.chain.close()


def build_network(scenario: Scenario, data: PreparedData, folder: Path, record: RunRecord, report: Report) -> Network:
    """Open or create the run's network in a folder.

    Raises:
        FlareError: the folder is in use, altered or of another run.
    """
    report("starting the embedded chain")
    chain = EthTesterConnector.open(folder / "chain", scenario.seed, scenario.workers + 1)
    try:
        store = LocalStorageProvider(folder / "store")
        owner = chain.account(OWNER)
        spec, genesis, schema = task_objects(scenario, data, store)
        deployment = _deployment(chain, owner, scenario, folder / "deployments", report)
        coordinator, registry = deployment.coordinator, deployment.registry
        task_id = _task(coordinator, owner, scenario, store.put(spec.encode()), genesis, report)
        record.note(chain_id=chain.chain_id, coordinator=coordinator.address, task=task_id)
        network = Network(
            scenario=scenario,
            folder=folder,
            chain=chain,
            store=store,
            coordinator=coordinator,
            registry=registry,
            task_id=task_id,
            spec=spec,
            genesis=genesis,
            schema=schema,
            history=History(chain, coordinator, task_id, 0),
            objects=TaskObjects(store),
        )
        for worker in range(scenario.workers):
            report(f"registering worker {worker + 1} of {scenario.workers}")
            _join(network, worker)
    except BaseException:
        chain.close()
        raise
    return network


def task_rules(rules: Rules, *, workers: int, rounds: int) -> TaskRules:
    """Return the task's rules for the contract."""
    return TaskRules(
        training_duration=rules.training_duration,
        seed_duration=rules.seed_duration,
        sortition_duration=rules.sortition_duration,
        proposal_duration=rules.proposal_duration,
        validation_duration=rules.validation_duration,
        reveal_duration=rules.reveal_duration,
        expected_committee=rules.expected_committee,
        max_seats=rules.max_seats,
        threshold_basis_points=rules.threshold_basis_points,
        max_attempts=rules.max_attempts,
        min_updates=2,
        max_updates=min(workers, NO_LIMIT),
        sample_cap=rules.sample_cap,
        idle_rounds=rules.idle_rounds,
        strike_limit=rules.strike_limit,
        max_consecutive_voids=rules.max_consecutive_voids,
        max_rounds=rounds,
        invite_only=False,
        round_reward=rules.round_reward,
        fine_amount=rules.fine_amount,
        trainer_share=6000,
        proposer_share=1500,
        voter_share=2000,
        revealer_share=500,
    )


def task_objects(
    scenario: Scenario, data: PreparedData, store: StorageProvider
) -> tuple[TaskSpec, ContentId, ModelSchema]:
    """Put probe pool and genesis model into the store; return the task's spec, the model's id and its schema."""
    parameters = dict(model_parameters(scenario, data))
    weights = initial_weights(scenario.model, parameters, scenario.seed)
    spec = TaskSpec(
        model=Named(scenario.model, parameters),
        training=TrainingSettings(
            scenario.epochs,
            float(scenario.learning_rate),
            scenario.batch_size,
            float(scenario.momentum),
            proximal=float(scenario.proximal),
        ),
        codec=Named(scenario.codec, dict(scenario.codec_parameters)),
        aggregation=Named(scenario.aggregation, dict(scenario.aggregation_parameters)),
        probe=ProbeSettings(store.put(data.pool_object), scenario.probe_count),
        data=scenario.data,
        censorship_share=float(scenario.censorship_share),
        server=None if scenario.server == NO_SERVER else Named(scenario.server, dict(scenario.server_parameters)),
    )
    return spec, store.put(write_model(weights)), ModelSchema.of(weights)


def _deployment(
    chain: EthTesterConnector, owner: LocalAccount, scenario: Scenario, folder: Path, report: Report
) -> FlareDeployment:
    if (folder / str(chain.chain_id)).exists():
        return open_deployment(chain, folder)
    report("deploying the contracts")
    rules = task_rules(scenario.rules, workers=scenario.workers, rounds=scenario.rounds)
    deployment = deploy_flare(
        chain, owner, minimum_bond=scenario.rules.minimum_bond, unbonding_delay=unbonding_delay(rules)
    )
    write_deployment(folder, deployment.records)
    return deployment


def unbonding_delay(rules: TaskRules) -> int:
    """Return an unbonding delay that is longer than any round under these rules."""
    training = rules.training_duration + 3 * rules.seed_duration + 2 * rules.sortition_duration
    attempt = rules.proposal_duration + rules.validation_duration + rules.reveal_duration
    return 2 * (training + rules.max_attempts * attempt)


def _task(
    coordinator: RoundCoordinator,
    owner: LocalAccount,
    scenario: Scenario,
    spec: ContentId,
    genesis: ContentId,
    report: Report,
) -> int:
    if coordinator.task_count():
        return 1
    report("creating the task")
    rules = task_rules(scenario.rules, workers=scenario.workers, rounds=scenario.rounds)
    budget = scenario.rounds * rules.round_reward
    return coordinator.created_task(coordinator.create_task(owner, rules, spec, genesis, budget=budget))


def _join(network: Network, worker: int) -> None:
    s = network.surroundings(worker)
    if not network.registry.active_key(s.address):
        alpha = possession_alpha(network.chain.chain_id, network.registry.address, s.address)
        proof = prove_for_chain(s.vrf_key, alpha)
        bond = network.scenario.rules.minimum_bond * 2
        network.registry.register(s.account, s.vrf_key.public_x, proof, bond=bond).confirmed()
    if not network.coordinator.enrolment(network.task_id, s.address).enrolled and not _rounds_opened(network):
        network.coordinator.enrol(s.account, network.task_id).confirmed()


def _rounds_opened(network: Network) -> bool:
    return network.coordinator.task(network.task_id).round > 0


def registered_keys(network: Network) -> dict[Address, int]:
    """Return the VRF key of every worker, from the registry."""
    addresses = [Address(network.chain.account(i + 1).address) for i in range(network.scenario.workers)]
    return {address: network.registry.participant(address).vrf_key for address in addresses}
