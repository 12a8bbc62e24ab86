"""worker.toml: what an operator writes is read whole, or refused with the name of what is wrong."""

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.workers.settings import WorkerSettings

pytestmark = pytest.mark.unit

WHOLE = """
folder = "state"
[chain]
rpc = "${RPC}"
chain_id = 5
deployments = "records"
[store]
ipfs = ["http://127.0.0.1:5001"]
[task]
id = 3
[keys]
account = "account.json"
vrf = "vrf.json"
[data]
path = "data.npz"
[fees]
max_gwei = 1.5
[pace]
poll = 2
"""


def read(tmp_path, text, environment=None):
    file = tmp_path / "worker.toml"
    file.write_text(text)
    return WorkerSettings.read(file, {"RPC": "http://user:token@host"} if environment is None else environment)


def test_read__whole_file__has_everything_with_paths_beside_the_file(tmp_path):
    settings = read(tmp_path, WHOLE)
    assert settings.chain.urls == ("http://user:token@host",) and settings.chain.chain_id == 5
    assert settings.folder == tmp_path / "state" and settings.chain.deployments == tmp_path / "records"
    assert settings.keys.vrf == tmp_path / "vrf.json" and settings.keys.password_file is None
    assert settings.data.name == "npz" and settings.data.path == tmp_path / "data.npz"
    assert settings.fees.max_fee_per_gas == 1_500_000_000
    assert settings.pace.poll == 2 and settings.task_id == 3 and settings.role == "worker" and not settings.dry
    assert "token" not in repr(settings)


def test_read__keeper__needs_neither_vrf_key_nor_store_nor_data(tmp_path):
    text = 'role = "keeper"\n' + WHOLE.replace('vrf = "vrf.json"\n', "").replace(
        '[store]\nipfs = ["http://127.0.0.1:5001"]\n', ""
    )
    settings = read(tmp_path, text)
    assert settings.role == "keeper" and settings.data is None and settings.keys.vrf is None


def test_read__dry__needs_no_keys(tmp_path):
    text = 'dry = true\naddress = "0x0000000000000000000000000000000000000001"\n' + WHOLE.replace(
        '[keys]\naccount = "account.json"\nvrf = "vrf.json"\n', ""
    )
    settings = read(tmp_path, text)
    assert settings.keys is None and settings.dry and settings.data is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("id = 3", "id = 3\nmodel = 5"), "task.model"),
        (("[task]", "[tasks]"), "unknown setting tasks"),
        (('folder = "state"', "folder = 5"), "folder must be str"),
        (("id = 3", 'id = "3"'), "task.id must be int"),
        (("id = 3", "id = -3"), "task.id is 0"),
        (("id = 3", ""), "task.id is missing"),
        (('folder = "state"', 'role = "boss"'), "worker or keeper"),
        (('vrf = "vrf.json"', ""), "keys.vrf"),
        (('[keys]\naccount = "account.json"\nvrf = "vrf.json"\n', ""), "names no keys"),
        (("poll = 2", 'poll = "2"'), "are numbers"),
        (("poll = 2", "poll = 0"), "more than 0"),
        (("max_gwei = 1.5", "max_gwei = 0.0"), "fees.max_gwei is more"),
        (('ipfs = ["http://127.0.0.1:5001"]', ""), "name one store"),
        (('ipfs = ["http://127.0.0.1:5001"]', 'ipfs = [5]'), "text or a list"),
        (('ipfs = ["http://127.0.0.1:5001"]', 'ipfs = "a"\nfolder = "b"'), "name one store"),
        (("chain_id = 5", "[chain_id]"), "unknown"),
        (('rpc = "${RPC}"', ""), "chain.rpc is missing"),
        (('rpc = "${RPC}"', "rpc = []"), "chain.rpc is missing"),
    ],
)  # fmt: skip
def test_read__something_wrong__names_it(tmp_path, change, words):
    with pytest.raises(ConfigurationError, match=words):
        read(tmp_path, WHOLE.replace(*change))


def test_read__variable_that_is_not_set__names_it(tmp_path):
    with pytest.raises(ConfigurationError, match="variable RPC, which is not set"):
        read(tmp_path, WHOLE, {})
