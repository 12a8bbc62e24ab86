"""A real geth in its development mode: loopback, a free port, a folder of its own."""

import os

import pytest

from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.devnet.chain_daemon import Geth, find_geth

POLICY = TransactionPolicy(timeout=60, poll_interval=0.02)


@pytest.fixture(scope="session")
def geth_binary():
    try:
        return find_geth()
    except ConfigurationError as error:
        if os.environ.get("FLARE_REQUIRE_NETWORK") == "1":
            pytest.fail(f"this run must have geth: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def geth(geth_binary, tmp_path_factory):
    """A node that makes a block for each transaction."""
    with Geth(tmp_path_factory.mktemp("geth"), block_time=0, binary=geth_binary) as running:
        yield running
