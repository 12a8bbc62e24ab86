"""Real Kubo daemons, isolated: loopback, own repositories, no peers but each other."""

import os

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.storage.kubo_daemon import KuboDaemon, find_kubo


@pytest.fixture(scope="session")
def kubo_binary():
    try:
        return find_kubo()
    except ConfigurationError as error:
        if os.environ.get("CI") and os.environ.get("FLARE_REQUIRE_NETWORK") == "1":
            pytest.fail(f"this run must have Kubo: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def daemon(kubo_binary, tmp_path_factory):
    """One node that knows nothing but itself."""
    with KuboDaemon(tmp_path_factory.mktemp("kubo") / "repository", binary=kubo_binary) as running:
        yield running


@pytest.fixture(scope="module")
def pair(kubo_binary, tmp_path_factory):
    """Two nodes connected to each other and to nothing else."""
    folder = tmp_path_factory.mktemp("kubo-pair")
    with (
        KuboDaemon(folder / "first", binary=kubo_binary, offline=False) as first,
        KuboDaemon(folder / "second", binary=kubo_binary, offline=False) as second,
    ):
        first.connect(second)
        yield first, second
