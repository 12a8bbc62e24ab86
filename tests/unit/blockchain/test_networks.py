"""networks.toml: read strictly, URLs with tokens kept out of sight."""

from pathlib import Path

import pytest

from flare_offchain.blockchain.networks import Network, network_names, read_network
from flare_offchain.core.errors import ConfigurationError

pytestmark = pytest.mark.unit

COMMITTED = Path(__file__).parents[3] / "deployments" / "networks.toml"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "networks.toml"
        path.write_text(text)
        return path

    return write


def test_committed_file__every_network_is_well_formed():
    assert {"embedded", "anvil", "geth-dev", "sepolia"} <= set(network_names(COMMITTED))
    for name in network_names(COMMITTED):
        network = read_network(COMMITTED, name, {"FLARE_RPC_URL": "https://rpc.example/token"})
        assert network.name == name
        assert (network.kind == "embedded") == (network.url is None)
    assert read_network(COMMITTED, "anvil") == Network("anvil", "rpc", "http://127.0.0.1:8545", 31337)


def test_url__from_the_environment__is_not_shown():
    with pytest.raises(ConfigurationError, match="FLARE_RPC_URL, which is not set"):
        read_network(COMMITTED, "sepolia", {})
    network = read_network(COMMITTED, "sepolia", {"FLARE_RPC_URL": "https://rpc.example/v2/secret-token"})
    assert network.url == "https://rpc.example/v2/secret-token"
    assert "secret-token" not in repr(network)


@pytest.mark.parametrize(
    "text",
    [
        "[a]\nurl = 5\nchain_id = 1",
        "[a]\nchain_id = 1",
        "[a]\nurl = 'http://x'",
        "[a]\nurl = 'http://x'\nchain_id = '1'",
        "[a]\nurl = 'http://x'\nchain_id = true",
        "[a]\nurl = 'http://x'\nchain_id = 0",
        "[a]\nurl = 'http://x'\nchain_id = 1\nfinality = 'soon'",
        "[a]\nurl = 'http://x'\nchain_id = 1\nlog_chunk = 0",
        "[a]\nurl = 'http://x'\nchain_id = 1\ntimeout = 0",
        "[a]\nurl = 'http://x'\nchain_id = 1\nunknown = 1",
        "[a]\nkind = 'embedded'\nurl = 'http://x'",
        "[a]\nkind = 'ipc'\nurl = 'http://x'\nchain_id = 1",
        "a = 5",
        "[b]\nkind = 'embedded'",
        "not toml",
    ],
)
def test_malformed__is_refused(write, text):
    with pytest.raises(ConfigurationError):
        read_network(write(text), "a", {})


def test_missing_or_huge_file__is_refused(tmp_path, write):
    with pytest.raises(ConfigurationError, match="cannot read"):
        network_names(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="too large"):
        network_names(write("#" * 2**20 + "#"))


def test_connect__embedded__is_refused(write):
    with pytest.raises(ConfigurationError, match="EthTesterConnector"):
        read_network(write("[a]\nkind = 'embedded'"), "a").connect()
