"""The connector on `geth --dev`: a real client, with real mining and its own error texts.

Runs where geth is on the PATH or was built by `scripts/install_geth.sh`.
"""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from eth_account import Account

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.core.errors import ChainUnavailable
from tests.suites.connector_suite import ConnectorSuite
from tests.suites.deployment_suite import DeploymentSuite

pytestmark = pytest.mark.integration


def find_geth():
    """Return geth's path, or None."""
    found = shutil.which("geth")
    cache = Path(os.environ.get("FLARE_CACHE", Path.home() / ".cache" / "flare")) / "geth"
    built = sorted(cache.glob("*/geth"))
    return found or (str(built[-1]) if built else None)


@pytest.fixture(scope="module")
def geth(tmp_path_factory):
    program = find_geth()
    if program is None:
        pytest.skip("geth is not installed: scripts/install_geth.sh builds it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("geth")
    command = [program, "--dev", "--datadir", str(folder), "--http", "--http.addr", "127.0.0.1"]
    command += ["--http.port", str(port), "--http.api", "eth,web3,net,dev", "--ipcdisable", "--nodiscover"]
    command += ["--maxpeers", "0", "--authrpc.port", "0", "--port", "0", "--verbosity", "1", "--miner.gasprice", "1"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        try:
            EthereumConnector(url).close()
            break
        except ChainUnavailable:
            if time.monotonic() > deadline or process.poll() is not None:
                process.kill()
                raise
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(30)


class GethFixtures:
    """A connector, accounts with money from geth's own developer account, and its time."""

    @pytest.fixture
    def chain(self, geth):
        with EthereumConnector(geth, chain_id=1337) as chain:
            yield chain

    @pytest.fixture
    def funded(self, chain):
        [developer, *_] = chain.rpc.request("eth_accounts")
        accounts = [Account.create() for _ in range(3)]
        for account in accounts:
            sent = {"from": developer, "to": account.address, "value": hex(100 * 10**18)}
            name = chain.rpc.request("eth_sendTransaction", sent)
            deadline = time.monotonic() + 20
            while chain.receipt(bytes.fromhex(name[2:])) is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        return accounts

    @pytest.fixture
    def pass_time(self, chain, funded):
        def pass_time(seconds):
            # geth's time is the wall clock's: only blocks can be asked for.
            chain.send_value(funded[2], funded[2].address, 1).confirmed()

        return pass_time


class TestEthereumConnectorOnGeth(GethFixtures, ConnectorSuite):
    pass


class TestDeploymentOnGeth(GethFixtures, DeploymentSuite):
    pass
