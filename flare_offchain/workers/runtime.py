"""From a worker's settings to a daemon that runs: connections, keys, data, and what must be released at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from filelock import FileLock, Timeout

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.contracts import RoundCoordinator
from flare_offchain.blockchain.deployments import FlareDeployment, open_deployment
from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.keys import find_password, read_account, read_vrf_key
from flare_offchain.blockchain.signers import RemoteSigner, Signer
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.clock import SystemClock
from flare_offchain.core.errors import ConfigurationError, Retryable
from flare_offchain.observability.health import Pulse, StatusServer
from flare_offchain.observability.logging import Redactor
from flare_offchain.observability.metrics import WorkerMetrics
from flare_offchain.workers.daemon import Actor, Daemon
from flare_offchain.workers.keeper import Keeper
from flare_offchain.workers.settings import KeySettings, SignerSettings, WorkerSettings
from flare_offchain.workers.surroundings import KEPT_ROUNDS, History

if TYPE_CHECKING:
    from flare_offchain.consensus.keys import VrfKey

logger = logging.getLogger(__name__)


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
        start = first_block(self.deployment)
        self.history = History(self.chain, self.deployment.coordinator, settings.task_id, start, kept=KEPT_ROUNDS)
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

    def _keys(self, keys: KeySettings | None) -> tuple[Signer | None, VrfKey | None]:
        if keys is None:
            return None, None
        account, vrf_key, secrets = open_keys(keys)
        for secret in secrets:
            if len(secret) >= 6:
                self._redactor.add(secret)
        if isinstance(account, RemoteSigner):
            self._open.callback(account.close)
        return account, vrf_key

    def _actor(self, account: Signer | None, vrf_key: VrfKey | None) -> Actor:
        settings, coordinator = self.settings, self.deployment.coordinator
        keeper = Keeper(self.chain, coordinator, self.history, settings.task_id)
        if account is None:
            return keeper.watch(checksum(settings.address)) if settings.address else keeper
        if settings.role == "keeper" or vrf_key is None:
            return keeper.use(account)
        # A keeper does without what a worker computes with, and without its memory.
        from flare_offchain.models.apart import ModelProcess
        from flare_offchain.workers.building import build_worker

        process = self._open.enter_context(ModelProcess(settings.training_timeout))
        return build_worker(settings, self.chain, self.deployment, self.history, account, vrf_key, process)


def open_keys(keys: KeySettings) -> tuple[Signer, VrfKey | None, list[str]]:
    """Return who signs, the VRF key, and the secrets that no log may show.

    Raises:
        KeyStoreError: a file is missing or damaged, or the password is wrong.
    """
    secrets = []
    password = find_password(file=keys.password_file) if keys.account is not None or keys.vrf is not None else ""
    if keys.account is not None:
        local = read_account(keys.account, password)
        account: Signer = local
        secrets.append(bytes(local.key).hex())
    else:
        account = remote_signer(keys.signer)
    vrf_key = read_vrf_key(keys.vrf, password) if keys.vrf is not None else None
    if vrf_key is not None:
        secrets.append(vrf_key.export_secret().hex())
    return account, vrf_key, [*secrets, password]


def remote_signer(signer: SignerSettings | None) -> RemoteSigner:
    """Return the signer elsewhere that the settings name. Raises `ConfigurationError`."""
    if signer is None:
        raise ConfigurationError("the settings name nobody who signs: set keys.account or keys.signer")
    return RemoteSigner(signer.url, signer.address, method=signer.method, timeout=signer.timeout)


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


def first_block(deployment: FlareDeployment) -> int:
    """Return the block in which the coordinator was deployed: no event of it is earlier."""
    return next(r.block for r in deployment.records if r.contract == RoundCoordinator.NAME)


class Service:
    """A worker's whole life: started, tried again while endpoints do not answer, and stopped when told.

    Args:
        settings: the worker's.
        redactor: learns the keys, so that no log shows them.
    """

    def __init__(self, settings: WorkerSettings, redactor: Redactor | None = None) -> None:
        self.settings, self._redactor = settings, redactor
        self._clock = SystemClock()
        self._stopping = False
        self._runtime: Runtime | None = None

    def stop(self) -> None:
        """Finish the step under way and let `run` return. Safe in a signal handler."""
        self._stopping = True
        self._clock.wake()
        if self._runtime is not None:
            self._runtime.daemon.stop()

    def run(self, ready: Callable[[Runtime], None] = lambda runtime: None) -> None:
        """Run until `stop`; `ready` may change the runtime before its daemon runs.

        Raises:
            Fatal, RoundAbandoned: nothing will help but a person.
        """
        pace, failures = self.settings.pace, 0
        while not self._stopping:
            try:
                runtime = Runtime(self.settings, self._redactor)
            except Retryable as error:
                failures += 1
                delay = min(pace.max_delay, pace.first_delay * 2.0 ** min(failures - 1, 16))
                logger.warning("cannot start yet: %s", error, extra={"delay": delay})
                self._clock.sleep(delay)
                continue
            with runtime:
                self._runtime = runtime
                ready(runtime)
                if not self._stopping:
                    runtime.run()
            return
