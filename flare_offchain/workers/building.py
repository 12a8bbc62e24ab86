"""Building a worker: its store, data, model and codec. What a keeper does without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from flare_offchain.blockchain.deployments import FlareDeployment
from flare_offchain.core.errors import ConfigurationError, RoundAbandoned
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.gather import TaskObjects
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.models.apart import ModelProcess, build_adapter_apart, forwards_apart
from flare_offchain.models.own import offer_modules
from flare_offchain.storage import IPFSStorageProvider, LocalStorageProvider
from flare_offchain.storage.provider import StorageProvider
from flare_offchain.utils.datasets import Dataset, load_dataset
from flare_offchain.workers.committee import CommitteeRole
from flare_offchain.workers.journal import FolderJournal
from flare_offchain.workers.settings import StoreSettings, WorkerSettings
from flare_offchain.workers.surroundings import History, Surroundings
from flare_offchain.workers.trainer import TrainerRole
from flare_offchain.workers.training import ClientTrainer, client_for
from flare_offchain.workers.worker import Worker

if TYPE_CHECKING:
    from flare_offchain.blockchain.ethereum import EthereumConnector
    from flare_offchain.blockchain.signers import Signer
    from flare_offchain.consensus.keys import VrfKey

PATIENCE = 0.5
"""For which part of a phase a member waits for objects that it cannot have yet."""


def build_worker(
    settings: WorkerSettings,
    chain: EthereumConnector,
    deployment: FlareDeployment,
    history: History,
    account: Signer,
    vrf_key: VrfKey,
    process: ModelProcess,
) -> Worker:
    """Return the worker of an account, whose torch, if it needs any, is in `process`. Raises as `build_trainer`."""
    offer_modules(settings.modules)
    store = open_store(settings.store)
    surroundings = Surroundings(
        connector=chain,
        coordinator=deployment.coordinator,
        registry=deployment.registry,
        store=store,
        account=account,
        vrf_key=vrf_key,
        identity=TaskIdentity(chain.chain_id, deployment.coordinator.address, settings.task_id),
        history=history,
        objects=TaskObjects(store),
        journal=FolderJournal(settings.folder / "journal"),
    )
    trainer = build_trainer(settings, surroundings, process) if settings.data is not None else None
    return Worker(surroundings, trainer, CommitteeRole(PATIENCE, forwards_apart(process)))


def open_store(store: StoreSettings) -> StorageProvider:
    """Return the store. Raises `ConfigurationError`."""
    if store.folder is not None:
        return LocalStorageProvider(store.folder)
    return IPFSStorageProvider(store.ipfs, timeout=store.timeout)


def worker_data(settings: WorkerSettings) -> Dataset:
    """Return the worker's own data. Raises `DataError`, `ConfigurationError`."""
    if settings.data is None:
        raise ConfigurationError("this worker does not train: it needs no data")
    return load_dataset(settings.data.name, settings.data.path)


def build_trainer(settings: WorkerSettings, s: Surroundings, process: ModelProcess) -> TrainerRole:
    """Return what trains with the task's spec on the worker's data.

    Raises:
        FlareError: the task's objects or the data cannot be had, or do not fit each other.
    """
    task = s.history.refresh()
    spec, genesis = s.objects.spec(task.spec), s.objects.model(task.genesis)
    data = worker_data(settings)
    classes = int(data.labels.max(initial=0)) + 1
    expected = spec.model.parameters.get("classes")
    if isinstance(expected, int) and classes > expected:
        raise ConfigurationError(f"the data has labels up to {classes - 1}, the task's model knows {expected} classes")
    adapter = build_adapter_apart(process, spec.model.name, spec.model.parameters, device=settings.device)
    schema = ModelSchema.of(genesis)
    if schema != adapter.schema:
        raise RoundAbandoned("the task's genesis model is not of the architecture that its spec names")
    seed = settings.training_seed
    return TrainerRole(
        ClientTrainer(client_for(spec, data, adapter, own_seed(s.address) if seed is None else seed), schema)
    )


def own_seed(address: str) -> int:
    """Return the training seed of a worker that sets none: from its address, below 2**40."""
    return int.from_bytes(keccak(bytes.fromhex(address[2:]))[:5], "big")
