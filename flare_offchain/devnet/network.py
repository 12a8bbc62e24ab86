"""A whole local network: chain, IPFS node, contracts, task and worker processes; started, watched and stopped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.errors import ConfigurationError, Fatal
from flare_offchain.devnet.chain_daemon import CHAINS, ChainDaemon
from flare_offchain.devnet.processes import WORKER, ProcessRecord, record, start_worker, stop_all
from flare_offchain.devnet.settings import DevnetSettings
from flare_offchain.devnet.setup import LocalTask, WorkerFiles, set_up, write_worker
from flare_offchain.simulation.data import PreparedData, check_names, prepare
from flare_offchain.storage import IPFSStorageProvider
from flare_offchain.storage.kubo_daemon import KuboDaemon
from flare_offchain.workers.runtime import first_block
from flare_offchain.workers.surroundings import History

MAX_STATE_BYTES = 2**20
Report = Callable[[str], None]
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class DevnetState:
    """What runs, as `devnet.json` keeps it: where chain and store answer, the task, and all processes."""

    rpc: str
    ipfs: str
    chain: str
    task: int
    processes: tuple[ProcessRecord, ...]

    def write(self, path: Path) -> None:
        """Write the file."""
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> DevnetState:
        """Read the file. Raises `ConfigurationError`: there is none, or it is not of a local network."""
        try:
            with path.open("rb") as file:
                value: Any = json.loads(file.read(MAX_STATE_BYTES))
            processes = tuple(
                ProcessRecord(str(one["name"]), int(one["pid"]), str(one["started"])) for one in value["processes"]
            )
            return cls(str(value["rpc"]), str(value["ipfs"]), str(value["chain"]), int(value["task"]), processes)
        except FileNotFoundError:
            raise ConfigurationError(f"no local network was started in {path.parent}: `flare devnet up`") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} does not describe a local network: {error}") from error


class Devnet:
    """A local network. As a context manager it is stopped at the end, whatever happens."""

    def __init__(self, settings: DevnetSettings, program: tuple[str, ...] = WORKER) -> None:
        """`program` is what a worker's process runs (see `flare_offchain.devnet.processes.start_worker`)."""
        self.settings, self.program = settings, program
        self.rpc_for: Callable[[int], str] = lambda worker: self.chain_daemon.url
        self.ipfs_for: Callable[[int], str] = lambda worker: self.kubo.endpoint
        self.chain_daemon: ChainDaemon = CHAINS[settings.chain](
            settings.folder / "chain", block_time=settings.block_time
        )
        self.kubo = KuboDaemon(settings.folder / "ipfs")
        self.workers: list[WorkerFiles] = []
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._kept = False
        self._connector: EthereumConnector | None = None
        self._store: IPFSStorageProvider | None = None
        self._task: LocalTask | None = None
        self.data: PreparedData | None = None

    def start(self, report: Report = lambda text: None) -> None:
        """Start everything.

        Raises:
            FlareError: a part cannot be started; what was started is stopped again.
        """
        settings = self.settings
        if settings.folder.exists() and any(settings.folder.iterdir()):
            raise ConfigurationError(
                f"{settings.folder} is not empty: stop what runs there (`flare devnet down`) and remove it, or choose "
                "another --folder"
            )
        settings.folder.mkdir(parents=True, exist_ok=True)
        try:
            report("loading data")
            check_names(settings.scenario)
            self.data = prepare(settings.scenario)
            report(f"starting {settings.chain} and Kubo")
            self.chain_daemon.start()
            self.kubo.start()
            self._write_state()
            self._connector = EthereumConnector(
                self.chain_daemon.url, policy=TransactionPolicy(poll_interval=0.1, timeout=120)
            )
            self._store = IPFSStorageProvider(self.kubo.endpoint)
            self._task = set_up(settings, self._connector, self._store, self.data, report)
            report(f"starting {settings.scenario.workers} workers")
            for worker, part in enumerate(self.data.parts):
                places = self.rpc_for(worker), (self.ipfs_for(worker),)
                self.workers.append(write_worker(settings, worker, part, self._task, *places))
                self.start_worker(worker)
            self._write_state()
        except BaseException:
            self.stop()
            raise

    def start_worker(self, worker: int) -> None:
        """Start worker `worker` (from 0), or start it again."""
        files = self.workers[worker]
        self.processes[worker] = start_worker(files.config, files.log, self.program)

    @property
    def connector(self) -> EthereumConnector:
        """The network's own connection to its chain."""
        return _started(self._connector)

    @property
    def store(self) -> IPFSStorageProvider:
        """The network's own connection to its store."""
        return _started(self._store)

    @property
    def task(self) -> LocalTask:
        """The task."""
        return _started(self._task)

    @property
    def test_data(self) -> PreparedData:
        """The data that the scenario prepared."""
        return _started(self.data)

    def history(self) -> History:
        """Return a reader of the task's history."""
        return History(self.connector, self.task.coordinator, self.task.task_id, first_block(self.task.deployment))

    def ended_workers(self) -> dict[int, int]:
        """Return the exit codes of the workers that have ended by themselves, by worker."""
        polled = {worker: process.poll() for worker, process in self.processes.items()}
        return {worker: code for worker, code in polled.items() if code is not None}

    def keep(self) -> DevnetState:
        """Let everything run on when this object goes; `flare devnet down` stops it."""
        self._kept = True
        self._close()
        return self._write_state()

    def stop(self) -> list[ProcessRecord]:
        """Stop everything and wait for it; safe to call twice. Return the processes that had to be killed."""
        self._close()
        workers = [record(f"worker {n + 1}", p.pid) for n, p in self.processes.items() if p.poll() is None]
        stubborn = stop_all(workers)
        for process in self.processes.values():
            process.wait()
        self.kubo.stop()
        self.chain_daemon.stop()
        self.settings.state_file.unlink(missing_ok=True)
        return stubborn

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            self.stop()

    def _close(self) -> None:
        if self._connector is not None:
            self._connector.close()
        if self._store is not None:
            self._store.close()

    def _write_state(self) -> DevnetState:
        processes = [record(f"worker {n + 1}", p.pid) for n, p in self.processes.items() if p.poll() is None]
        daemons = ((self.kubo.process, "Kubo"), (self.chain_daemon.process, self.settings.chain))
        processes += [record(name, process.pid) for process, name in daemons if process is not None]
        state = DevnetState(
            self.chain_daemon.url,
            self.kubo.endpoint,
            self.settings.chain,
            self._task.task_id if self._task else 0,
            tuple(processes),
        )
        state.write(self.settings.state_file)
        return state


def stop_kept(folder: Path) -> tuple[list[ProcessRecord], list[ProcessRecord]]:
    """Stop the network of a folder. Return all of its processes that ran, and those that had to be killed.

    Raises:
        ConfigurationError: none was started there.
    """
    settings_file = folder.absolute() / "devnet.json"
    state = DevnetState.read(settings_file)
    running = [one for one in state.processes if one.alive]
    workers = [one for one in running if one.name.startswith("worker")]
    # Workers first: they may be in the middle of a transaction.
    stubborn = stop_all(workers) + stop_all([one for one in running if one not in workers])
    settings_file.unlink(missing_ok=True)
    return running, stubborn


def _started(part: Part | None) -> Part:
    if part is None:
        raise Fatal("the local network is not started")
    return part
