"""A real anvil on a free loopback port, started for a test module and stopped after it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from eth_account import Account

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.core.errors import ChainUnavailable
from flare_offchain.devnet.chain_daemon import free_port

ROOT = Path(__file__).parents[3]
ANVIL = ROOT / "node_modules" / ".bin" / "anvil"


class Anvil:
    """A running anvil and what only a test may do to it."""

    def __init__(self, *options: str) -> None:
        if not ANVIL.exists():
            pytest.skip("anvil is not installed: npm ci")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [str(ANVIL), "--host", "127.0.0.1", "--port", str(self.port), "--hardfork", "prague"]
        command += ["--silent", "--accounts", "1", *options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.control = EthereumConnector(self.url)
                break
            except ChainUnavailable:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.05)

    def do(self, method, *parameters):
        """Send one of anvil's own requests."""
        return self.control.rpc.request(method, *parameters)

    def account(self, balance=1000 * 10**18):
        """Return a new account with money."""
        account = Account.create()
        self.do("anvil_setBalance", account.address, hex(balance))
        return account

    def pass_time(self, seconds):
        """Let time pass, and mine a block."""
        self.do("evm_increaseTime", seconds)
        self.do("evm_mine")

    def stop(self):
        """End the process."""
        if hasattr(self, "control"):
            self.control.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def anvil():
    node = Anvil()
    yield node
    node.stop()
