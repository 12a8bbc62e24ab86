"""Whole local networks: real chain, real Kubo, each worker a process of its own."""

import os

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.devnet.chain_daemon import find_anvil, find_geth
from flare_offchain.storage.kubo_daemon import find_kubo

FIND = {"anvil": find_anvil, "geth": find_geth}


def require(chain):
    """Skip, or fail where the run must have them, unless Kubo and the chain's program are there."""
    try:
        find_kubo()
        FIND[chain]()
    except ConfigurationError as error:
        if os.environ.get("FLARE_REQUIRE_NETWORK") == "1":
            pytest.fail(f"this run must have a network: {error}")
        pytest.skip(str(error))
