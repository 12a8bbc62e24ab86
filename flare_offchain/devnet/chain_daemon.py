"""A local Ethereum node of one's own: anvil, or geth in its development mode."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.rpc import RpcRefused
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError
from flare_offchain.utils.programs import find_program, start_detached, stop_process

GETH_VERSION = "1.17.10"
"""What `scripts/install_geth.sh` builds."""
ANVIL_CHAIN_ID, GETH_CHAIN_ID = 31337, 1337
GAS_LIMIT = 30_000_000
_PORTS = range(20_000, 32_768)
_PORT_TRIES = 200
ChainKind = Literal["anvil", "geth"]


def find_anvil() -> Path:
    """Return the `anvil` program: the one on the PATH, or the one that npm installed beside the checkout.

    Raises:
        ConfigurationError: if there is neither.
    """
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    for folder in (Path.cwd(), *Path(__file__).resolve().parents):
        installed = folder / "node_modules" / ".bin" / "anvil"
        if os.access(installed, os.X_OK):
            return installed
    raise ConfigurationError("there is no anvil on the PATH: install Foundry, or run `npm ci` in the checkout")


def find_geth() -> Path:
    """Return the `geth` program: the one on the PATH, or the one that `scripts/install_geth.sh` built.

    Raises:
        ConfigurationError: if there is neither.
    """
    return find_program("geth", project="geth", version=GETH_VERSION)


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on.

    It is below those that systems give to outgoing connections (32768 and up; RFC 6335 has them from 49152), so that
    none of these takes it before it is listened on.

    Raises:
        ConfigurationError: if none is found.
    """
    for port in random.SystemRandom().sample(_PORTS, _PORT_TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ConfigurationError(f"no free port found from {_PORTS.start} to {_PORTS.stop - 1}: close programs that listen")


class ChainDaemon(ABC):
    """A node that listens on loopback only, knows no other node, and makes a block every `block_time` seconds.

    It has one account with money, whose key it holds itself (`fund`).

    Args:
        folder: its data and log.
        block_time: whole seconds between blocks; 0 makes a block for each transaction.
        binary: its program.
        port: where its RPC listens; one that is free by default.
        start_timeout: seconds to wait for it to answer.
    """

    name: ChainKind
    chain_id: int

    def __init__(
        self,
        folder: Path,
        *,
        block_time: int = 1,
        binary: Path | None = None,
        port: int | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self.folder, self.block_time = folder.absolute(), block_time
        self.binary = binary or self.find()
        self.port = free_port() if port is None else port
        self._start_timeout = start_timeout
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its RPC endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The file that holds what it prints."""
        return self.folder / f"{self.name}.log"

    @abstractmethod
    def find(self) -> Path:
        """Return its program. Raises `ConfigurationError`."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that starts it."""

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ChainUnavailable: if it does not start; the message ends with what it printed last.
        """
        if self.process is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = start_detached(self.command(), self.log, append=True)
        deadline = time.monotonic() + self._start_timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                EthereumConnector(self.url, chain_id=self.chain_id).close()
            except ChainUnavailable:
                time.sleep(0.05)
            else:
                return
        self.stop()
        printed = self.log.read_bytes()[-1000:].decode(errors="replace").strip()
        raise ChainUnavailable(f"{self.name} did not start; it printed last: {printed}")

    def stop(self) -> None:
        """Stop it and wait until it has gone; safe to call twice."""
        process, self.process = self.process, None
        if process is None:
            return
        stop_process(process)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class Anvil(ChainDaemon):
    """anvil, with the rules that the contracts are compiled for."""

    name: ChainKind = "anvil"
    chain_id = ANVIL_CHAIN_ID

    def find(self) -> Path:
        return find_anvil()

    def command(self) -> list[str]:
        command = [str(self.binary), "--host", "127.0.0.1", "--port", str(self.port), "--hardfork", "prague"]
        command += ["--accounts", "1", "--balance", "1000000", "--gas-limit", str(GAS_LIMIT)]
        return [*command, *(["--block-time", str(self.block_time)] if self.block_time else [])]


class Geth(ChainDaemon):
    """geth in its development mode: a real client, alone, with real mining intervals."""

    name: ChainKind = "geth"
    chain_id = GETH_CHAIN_ID

    def find(self) -> Path:
        return find_geth()

    def command(self) -> list[str]:
        command = [str(self.binary), "--dev", "--dev.period", str(self.block_time), "--dev.gaslimit", str(GAS_LIMIT)]
        command += ["--datadir", str(self.folder / "geth"), "--ipcdisable", "--nodiscover", "--maxpeers", "0"]
        command += ["--nat", "none", "--port", "0", "--authrpc.addr", "127.0.0.1", "--authrpc.port", str(free_port())]
        command += ["--http", "--http.addr", "127.0.0.1", "--http.port", str(self.port)]
        # Calls that are pinned to a block need its state, however old it is.
        return [*command, "--http.api", "eth,net,web3,dev,debug", "--gcmode", "archive", "--verbosity", "2"]


CHAINS: dict[ChainKind, type[ChainDaemon]] = {"anvil": Anvil, "geth": Geth}


def fund(chain: EthereumConnector, addresses: Mapping[Any, int], timeout: float = 60.0) -> None:
    """Give accounts money (wei, by address) from the account whose key the node itself holds, and wait for it.

    Raises:
        ChainUnavailable: the node has no such account, or the money does not arrive.
    """
    held = _ask(chain, "eth_accounts")
    if not held:
        raise ChainUnavailable("the node holds no account with money: it is no development node")
    due = {address: amount - chain.balance(address) for address, amount in addresses.items()}
    due = {address: amount for address, amount in due.items() if amount > 0}
    first = chain.next_nonce(held[0])
    for nonce, (address, amount) in enumerate(due.items(), first):
        transfer = {"from": held[0], "to": address, "value": hex(amount), "nonce": hex(nonce)}
        _ask(chain, "eth_sendTransaction", transfer)
    deadline = time.monotonic() + timeout
    while any(chain.balance(address) < addresses[address] for address in due):
        if time.monotonic() > deadline:
            raise ChainUnavailable("the development node does not mine the transfers that fund the accounts")
        time.sleep(0.1)


def _ask(chain: EthereumConnector, method: str, *parameters: object) -> Any:
    try:
        return chain.rpc.request(method, *parameters)
    except RpcRefused as refused:
        raise chain.rpc.unavailable(refused, method) from None
