"""Setting a local network up: money, contracts, a task, registered workers and their settings.

Keys derive from the scenario's seed, as in the embedded network: the same workers with the same data train the same
models wherever the scenario runs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator
from flare_offchain.blockchain.deployments import FlareDeployment, write_deployment
from flare_offchain.blockchain.deterministic import carry_out, plan_flare
from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.keys import derive_account, derive_vrf_key, write_account, write_vrf_key
from flare_offchain.consensus.chain_proof import prove_for_chain
from flare_offchain.consensus.identities import possession_alpha
from flare_offchain.core.types import Address
from flare_offchain.devnet.chain_daemon import fund
from flare_offchain.devnet.settings import DevnetSettings
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.simulation.data import PreparedData
from flare_offchain.simulation.network import task_objects, task_rules, unbonding_delay
from flare_offchain.storage.provider import StorageProvider
from flare_offchain.utils.datasets import Dataset

ETHER = 10**18
OWNER_MONEY, WORKER_MONEY = 1000 * ETHER, 100 * ETHER
KEY_WORK = 2**12
"""scrypt's work for keys that anyone who knows the seed can derive: hiding them longer would only take time."""
SEED_STRIDE = 8192
"""Separates the training seeds of scenarios, as in the embedded network."""
_AT_ONCE = 8
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LocalTask:
    """The task of a local network, and the contracts that run it."""

    deployment: FlareDeployment
    task_id: int
    spec: TaskSpec

    @property
    def coordinator(self) -> RoundCoordinator:
        """The coordinator."""
        return self.deployment.coordinator

    @property
    def registry(self) -> ParticipantRegistry:
        """The registry."""
        return self.deployment.registry


def set_up(
    settings: DevnetSettings, chain: EthereumConnector, store: StorageProvider, data: PreparedData, report: Report
) -> LocalTask:
    """Fund, deploy, create the task, register and enrol all workers.

    Raises:
        FlareError: the chain or the store refuses something.
    """
    scenario = settings.scenario
    owner = derive_account(scenario.seed, 0)
    workers = [derive_account(scenario.seed, index + 1) for index in range(scenario.workers)]
    report("funding the accounts")
    fund(chain, {owner.address: OWNER_MONEY} | {worker.address: WORKER_MONEY for worker in workers})
    report("deploying the contracts")
    rules = task_rules(scenario.rules, workers=scenario.workers, rounds=scenario.rounds)
    bond, delay = scenario.rules.minimum_bond, unbonding_delay(rules)
    plan = plan_flare(chain, owner.address, minimum_bond=bond, unbonding_delay=delay)
    deployment = carry_out(chain, owner, plan, settings.deployments)
    write_deployment(settings.deployments, deployment.records)
    report("creating the task")
    spec, genesis, _ = task_objects(scenario, data, store)
    budget = scenario.rounds * rules.round_reward
    outcome = deployment.coordinator.create_task(owner, rules, store.put(spec.encode()), genesis, budget=budget)
    task = LocalTask(deployment, deployment.coordinator.created_task(outcome), spec)
    report(f"registering {scenario.workers} workers")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda index: _join(settings, chain, task, index), range(scenario.workers)))
    return task


def _join(settings: DevnetSettings, chain: EthereumConnector, task: LocalTask, worker: int) -> None:
    seed = settings.scenario.seed
    account, vrf_key = derive_account(seed, worker + 1), derive_vrf_key(seed, worker + 1)
    proof = prove_for_chain(vrf_key, possession_alpha(chain.chain_id, task.registry.address, account.address))
    bond = settings.scenario.rules.minimum_bond * 2
    task.registry.register(account, vrf_key.public_x, proof, bond=bond).confirmed()
    task.coordinator.enrol(account, task.task_id).confirmed()


@dataclass(frozen=True, slots=True)
class WorkerFiles:
    """Where one worker's settings and log are, and its address."""

    address: Address
    config: Path
    log: Path

    @property
    def status(self) -> str:
        """Where its newest start serves health and metrics, as its log says; empty before."""
        found = ""
        for line in self.log.read_bytes().splitlines():
            if b'"message": "started"' in line:
                found = str(json.loads(line)["status"])
        return found


def write_worker(
    settings: DevnetSettings, worker: int, part: Dataset, task: LocalTask, url: str, ipfs: tuple[str, ...]
) -> WorkerFiles:
    """Write a worker's keys, data and `worker.toml`, for its process to read."""
    folder, seed = settings.worker_folder(worker), settings.scenario.seed
    folder.mkdir(parents=True)
    password = read_password(settings)
    account = derive_account(seed, worker + 1)
    write_account(folder / "account.json", account, password, work=KEY_WORK)
    write_vrf_key(folder / "vrf.json", derive_vrf_key(seed, worker + 1), password, work=KEY_WORK)
    np.savez(folder / "data.npz", features=part.features, labels=part.labels)
    (folder / "worker.toml").write_text(_toml(settings, worker, task.task_id, url, ipfs))
    address = Address(account.address)
    return WorkerFiles(address, folder / "worker.toml", folder / "worker.log")


def _toml(settings: DevnetSettings, worker: int, task_id: int, url: str, ipfs: tuple[str, ...]) -> str:
    scenario = settings.scenario
    pace = "\n".join(f"{name} = {value!r}" for name, value in settings.pace.items())
    return f"""# Worker {worker + 1} of a local network.
folder = "state"

[chain]
rpc = {json.dumps(url)}
deployments = {json.dumps(str(settings.deployments))}

[store]
ipfs = {json.dumps(list(ipfs))}

[task]
id = {task_id}

[keys]
account = "account.json"
vrf = "vrf.json"
password_file = {json.dumps(str(settings.password_file))}

[data]
name = "npz"
path = "data.npz"

[fees]
replace_after = {8 * settings.block_time}

[training]
seed = {scenario.seed * SEED_STRIDE + worker}
device = {json.dumps(scenario.device)}

[pace]
{pace}

# A free one at every start: one chosen before may be another program's by then.
[status]
port = 0

[log]
level = {json.dumps(settings.log_level)}
"""


def read_password(settings: DevnetSettings) -> str:
    """Return the password of the network's keys, making one first where there is none."""
    path = settings.password_file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
    return path.read_text()
