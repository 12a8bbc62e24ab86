"""A signer behind an endpoint, against real ones: anvil and geth hold a development account and sign for it."""

import json
from dataclasses import replace

import pytest
from eth_account import Account

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.signers import RemoteSigner
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.cli.accounts import account_key
from flare_offchain.core.errors import ConfigurationError, SignerRefused, SignerUnavailable
from flare_offchain.devnet.chain_daemon import CHAINS, free_port
from flare_offchain.devnet.proxy import Fault, Proxy
from flare_offchain.workers.preflight import preflight
from flare_offchain.workers.settings import WorkerSettings
from tests.integration.network.conftest import require
from tests.suites.signer_suite import OTHER, SignerSuite

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["anvil", "geth"])
def node(request, tmp_path_factory):
    require(request.param)
    with CHAINS[request.param](tmp_path_factory.mktemp(request.param), block_time=0) as running:
        yield running


@pytest.fixture(scope="module")
def chain(node):
    with EthereumConnector(node.url, policy=TransactionPolicy(timeout=30, poll_interval=0.02)) as chain:
        yield chain


@pytest.fixture(scope="module")
def held(chain):
    """The account whose key the node holds."""
    return chain.rpc.request("eth_accounts")[0]


@pytest.fixture(scope="module")
def signer(node, held):
    signer = RemoteSigner(node.url, held)
    yield signer
    signer.close()


class TestRemoteSigner(SignerSuite):
    @pytest.fixture
    def chain_id(self, chain):
        return chain.chain_id


def test_send__by_an_account_whose_key_is_elsewhere__is_mined(chain, signer):
    for value in (1, 2):
        receipt = chain.send_value(signer, Account.create().address, value).confirmed().receipt
        assert receipt.succeeded


FIELDS = {
    "type": 2,
    "chainId": 31337,
    "nonce": 3,
    "gas": 90_000,
    "maxFeePerGas": 7 * 10**9,
    "maxPriorityFeePerGas": 10**9,
    "value": 5,
    "data": b"\x01",
    "to": OTHER,
}
KEY = Account.from_key(b"\x07" * 32)


@pytest.fixture
def fields(chain):
    return FIELDS | {"chainId": chain.chain_id}


def test_sign__for_an_account_that_is_not_there__is_refused(node, fields):
    stranger = RemoteSigner(node.url, KEY.address)
    with pytest.raises(SignerRefused, match="does not sign for"):
        stranger.sign_transaction(fields)


def test_sign__where_nobody_answers__may_be_tried_again(fields):
    absent = RemoteSigner(f"http://127.0.0.1:{free_port()}/secret-token", KEY.address)
    with pytest.raises(SignerUnavailable) as caught:
        absent.sign_transaction(fields)
    assert "secret-token" not in str(caught.value)


def answers_with(result):
    return lambda path, request, answer: json.dumps({"jsonrpc": "2.0", "id": 0, "result": result}).encode()


def signed(**changes):
    fields = FIELDS | changes
    return "0x" + bytes(KEY.sign_transaction({n: v for n, v in fields.items() if v is not None}).raw_transaction).hex()


@pytest.fixture(scope="module")
def wire(node):
    """A signer that lies as it is told."""
    proxy = Proxy(lambda: node.url)
    url = proxy.start()
    yield proxy, RemoteSigner(url, KEY.address)
    proxy.stop()


def test_sign__an_answer_in_either_form__is_taken(wire):
    proxy, remote = wire
    for result in (signed(), {"raw": signed(), "tx": {}}):
        proxy.fault = Fault(alter=answers_with(result))
        assert remote.sign_transaction(FIELDS).raw_transaction == bytes.fromhex(signed()[2:])


@pytest.mark.parametrize(
    "result",
    [
        *(signed(**changes) for changes in (
            {"value": 6},
            {"to": KEY.address},
            {"to": None},
            {"data": b"\x02"},
            {"nonce": 4},
            {"chainId": 1},
            {"gas": 90_001},
            {"maxFeePerGas": 8 * 10**9},
            {"maxPriorityFeePerGas": 1},
            {"accessList": [{"address": OTHER, "storageKeys": []}]},
        )),
        "0x" + bytes(Account.from_key(b"\x08" * 32).sign_transaction(FIELDS).raw_transaction).hex(),
        signed() + "00",
        signed()[:-2],
        signed()[:-8] + "00000000",
        "0x",
        "0x02c0",
        "0xc0",
        "zz",
        None,
        {},
        {"raw": 5},
        [],
        7,
    ],
)  # fmt: skip
def test_sign__anything_else_than_what_was_asked__is_refused(wire, result):
    proxy, remote = wire
    proxy.fault = Fault(alter=answers_with(result))
    with pytest.raises((SignerRefused, SignerUnavailable)):
        remote.sign_transaction(FIELDS)


def test_sign__of_another_type__is_not_asked_for(signer, fields):
    with pytest.raises(ConfigurationError, match="type 2"):
        signer.sign_transaction(fields | {"type": 1})


@pytest.fixture
def settings(node, held, tmp_path):
    file = tmp_path / "worker.toml"
    file.write_text(f"""
role = "keeper"
[chain]
rpc = "{node.url}"
deployments = "records"
[keys]
signer = "${{SIGNER}}"
address = "{held}"
[task]
id = 1
""")
    return WorkerSettings.read(file, {"SIGNER": node.url})


def test_check__of_a_worker_with_a_remote_signer__says_so(settings, node):
    found = {result.name: result for result in preflight(settings)}
    assert found["keys"].verdict == "passed"
    assert found["signer"].verdict == "passed" and node.url in found["signer"].detail
    strange = replace(settings.keys.signer, address=KEY.address)
    found = {
        result.name: result for result in preflight(replace(settings, keys=replace(settings.keys, signer=strange)))
    }
    assert found["signer"].verdict == "failed" and "Unlock or add the account" in found["signer"].detail


def test_key__of_a_command__may_be_a_workers_settings(settings, node, held, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNER", node.url)
    key = account_key(str(tmp_path / "worker.toml"), None, None)
    assert key.address.lower() == held.lower() and isinstance(key.account, RemoteSigner)
    with pytest.raises(ConfigurationError, match=r"keys\.vrf"):
        _ = key.vrf_key
