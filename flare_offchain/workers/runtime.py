"""From a worker's settings to a daemon that runs: connections, keys, data, and what must be released at the end."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from eth_utils.crypto import keccak
from filelock import FileLock, Timeout

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.contracts import RoundCoordinator
from flare_offchain.blockchain.deployments import FlareDeployment, open_deployment
from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.keys import find_password, read_account, read_vrf_key
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.errors import ConfigurationError, RoundAbandoned
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.gather import TaskObjects
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.observability.health import Pulse, StatusServer
from flare_offchain.observability.logging import Redactor
from flare_offchain.observability.metrics import WorkerMetrics
from flare_offchain.storage import IPFSStorageProvider, LocalStorageProvider
from flare_offchain.storage.provider import StorageProvider
from flare_offchain.utils.datasets import Dataset, load_dataset
from flare_offchain.workers.committee import CommitteeRole
from flare_offchain.workers.daemon import Actor, Daemon
from flare_offchain.workers.journal import FolderJournal
from flare_offchain.workers.keeper import Keeper
from flare_offchain.workers.settings import KeySettings, StoreSettings, WorkerSettings
from flare_offchain.workers.surroundings import History, Surroundings
from flare_offchain.workers.trainer import TrainerRole
from flare_offchain.workers.training import ClientTrainer, client_for
from flare_offchain.workers.worker import Worker

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from flare_offchain.consensus.keys import VrfKey

logger = logging.getLogger(__name__)

PATIENCE = 0.5
"""For which part of a phase a member waits for objects that it cannot have yet."""


class Runtime:
    """All that one daemon works with. A context manager: what it opened is closed at the end.

    Args:
        settings: the worker's.
        redactor: learns the keys, so that no log shows them.

    Raises:
        FlareError: something is missing, wrong, or does not answer.
    """

    def __init__(self, settings: WorkerSettings, redactor: Redactor | None = None) -> None:
        self.settings = settings
        self._redactor = redactor or Redactor()
        self._open = ExitStack()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        settings = self.settings
        if settings.keys is not None:
            self._lock(settings.folder)
        account, vrf_key = self._keys(settings.keys)
        self.chain = self._open.enter_context(connect(settings))
        self.deployment = open_deployment(self.chain, settings.chain.deployments)
        self.history = History(self.chain, self.deployment.coordinator, settings.task_id, first_block(self.deployment))
        self.actor = self._actor(account, vrf_key)
        self.metrics, self.pulse = WorkerMetrics(), Pulse(settings.status.limit)
        self.server: StatusServer | None = None
        if settings.status.enabled:
            self.server = StatusServer(self.pulse, self.metrics.render, settings.status.host, settings.status.port)
            self._open.callback(self.server.close)
        self.daemon = Daemon(
            self.actor,
            self.chain,
            self.history,
            dry=settings.dry,
            pace=settings.pace,
            metrics=self.metrics,
            pulse=self.pulse,
        )

    def run(self) -> None:
        """Run the daemon until it is stopped. Raises as `Daemon.run`."""
        fields = {"address": self.actor.address, "task": self.settings.task_id, "role": self.settings.role}
        where = {"chain": self.chain.chain_id, "status": self.server.url if self.server else None}
        logger.info("started%s", " (dry: nothing is sent)" if self.settings.dry else "", extra=fields | where)
        self.daemon.run()
        logger.info("stopped", extra={"address": self.actor.address})

    def close(self) -> None:
        """Release everything; safe to call twice."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self, folder: Path) -> None:
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open.enter_context(lock)
        except Timeout:
            raise ConfigurationError(f"another worker runs in {folder}: stop it, or set another folder") from None
        except OSError as error:
            raise ConfigurationError(f"cannot use the folder {folder}: {error.strerror}") from error

    def _keys(self, keys: KeySettings | None) -> tuple[LocalAccount | None, VrfKey | None]:
        if keys is None:
            return None, None
        password = find_password(file=keys.password_file)
        account = read_account(keys.account, password)
        vrf_key = read_vrf_key(keys.vrf, password) if keys.vrf is not None else None
        secrets = [password, bytes(account.key).hex()] + ([vrf_key.export_secret().hex()] if vrf_key else [])
        for secret in secrets:
            if len(secret) >= 6:
                self._redactor.add(secret)
        return account, vrf_key

    def _actor(self, account: LocalAccount | None, vrf_key: VrfKey | None) -> Actor:
        settings, coordinator = self.settings, self.deployment.coordinator
        keeper = Keeper(self.chain, coordinator, self.history, settings.task_id)
        if account is None:
            return keeper.watch(checksum(settings.address)) if settings.address else keeper
        if settings.role == "keeper" or vrf_key is None:
            return keeper.use(account)
        store = open_store(settings.store)
        surroundings = Surroundings(
            connector=self.chain,
            coordinator=coordinator,
            registry=self.deployment.registry,
            store=store,
            account=account,
            vrf_key=vrf_key,
            identity=TaskIdentity(self.chain.chain_id, coordinator.address, settings.task_id),
            history=self.history,
            objects=TaskObjects(store),
            journal=FolderJournal(settings.folder / "journal"),
        )
        trainer = build_trainer(settings, surroundings) if settings.data is not None else None
        return Worker(surroundings, trainer, CommitteeRole(PATIENCE))


def connect(settings: WorkerSettings) -> EthereumConnector:
    """Return the connector. Raises as `EthereumConnector`."""
    fees = settings.fees
    return EthereumConnector(
        settings.chain.urls,
        chain_id=settings.chain.chain_id,
        finality=settings.chain.finality,  # type: ignore[arg-type]
        timeout=settings.chain.timeout,
        log_chunk=settings.chain.log_chunk,
        policy=TransactionPolicy(
            timeout=fees.timeout, replace_after=fees.replace_after, max_fee_per_gas=fees.max_fee_per_gas
        ),
    )


def open_store(store: StoreSettings) -> StorageProvider:
    """Return the store. Raises `ConfigurationError`."""
    if store.folder is not None:
        return LocalStorageProvider(store.folder)
    return IPFSStorageProvider(store.ipfs, timeout=store.timeout)


def first_block(deployment: FlareDeployment) -> int:
    """Return the block in which the coordinator was deployed: no event of it is earlier."""
    return next(r.block for r in deployment.records if r.contract == RoundCoordinator.NAME)


def worker_data(settings: WorkerSettings) -> Dataset:
    """Return the worker's own data. Raises `DataError`, `ConfigurationError`."""
    if settings.data is None:
        raise ConfigurationError("this worker does not train: it needs no data")
    return load_dataset(settings.data.name, settings.data.path)


def build_trainer(settings: WorkerSettings, s: Surroundings) -> TrainerRole:
    """Return what trains with the task's spec on the worker's data.

    Raises:
        FlareError: the task's objects or the data cannot be had, or do not fit each other.
    """
    from flare_offchain.models.builder import build_adapter

    task = s.history.refresh()
    spec, genesis = s.objects.spec(task.spec), s.objects.model(task.genesis)
    data = worker_data(settings)
    classes = int(data.labels.max(initial=0)) + 1
    expected = spec.model.parameters.get("classes")
    if isinstance(expected, int) and classes > expected:
        raise ConfigurationError(f"the data has labels up to {classes - 1}, the task's model knows {expected} classes")
    adapter = build_adapter(spec.model.name, spec.model.parameters, device=settings.device)
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
