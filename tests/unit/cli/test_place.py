"""Which network a command works on."""

from pathlib import Path

import pytest
import typer

from flare_offchain.cli.network import Place, open_network, start_network
from flare_offchain.core.errors import ConfigurationError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "place",
    [
        Place(),
        Place(run=Path("x"), rpc="http://127.0.0.1:1"),
        Place(rpc="http://127.0.0.1:1", network="anvil"),
        Place(run=Path("x"), store=Path("y")),
        Place(run=Path("x"), ipfs="http://127.0.0.1:2"),
        Place(network="anvil", store=Path("y"), ipfs="http://127.0.0.1:2"),
    ],
)
def test_place__that_is_not_one_network__is_wrong_use(place):
    with pytest.raises(typer.BadParameter):
        open_network(place)


def test_run_folder__without_a_chain__is_not_made(tmp_path):
    with pytest.raises(ConfigurationError, match="flare deploy --run"):
        open_network(Place(run=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_embedded_network__is_named_by_its_folder(tmp_path):
    (tmp_path / "networks.toml").write_text('[here]\nkind = "embedded"\n')
    with pytest.raises(ConfigurationError, match="--run DIR"):
        open_network(Place(network="here", deployments=tmp_path))
    with pytest.raises(ConfigurationError, match="no network 'there'"):
        open_network(Place(network="there", deployments=tmp_path))


def test_start__in_a_folder_with_other_things__is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        start_network(Place(run=tmp_path), None, None)
    with pytest.raises(ConfigurationError, match="not empty"):
        start_network(Place(run=tmp_path / "thesis.txt"), None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_start__a_seed_for_an_endpoint__is_wrong_use():
    with pytest.raises(typer.BadParameter, match="--run"):
        start_network(Place(rpc="http://127.0.0.1:1"), 3, None)


def test_start__again__is_the_same_chain(tmp_path):
    with start_network(Place(run=tmp_path), 5, 3) as network:
        assert network.address == network.chain.account(0).address
        head = network.chain.head()
    with open_network(Place(run=tmp_path)) as network:
        assert network.chain.head() == head
        assert network.embedded
        assert network.has_store
    with pytest.raises(ConfigurationError, match="has seed 5"):
        start_network(Place(run=tmp_path), 6, None)


def test_store__not_named__says_how(tmp_path):
    with start_network(Place(run=tmp_path), None, 1) as network:
        network.place = Place(rpc="http://127.0.0.1:1")
        assert not network.has_store
        with pytest.raises(ConfigurationError, match="--store DIR or --ipfs URL"):
            _ = network.store
