"""Clef itself as the signer of an account: its keystore, its rules, its JSON-RPC. Only where `clef` is installed."""

import hashlib
import subprocess
import time
from contextlib import contextmanager

import pytest
import requests
from eth_account import Account

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.keys import write_account
from flare_offchain.blockchain.signers import RemoteSigner
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.errors import ConfigurationError, SignerRefused
from flare_offchain.devnet.chain_daemon import CHAINS, free_port, fund
from flare_offchain.utils.programs import find_program, stop_process
from flare_offchain.workers.preflight import preflight
from flare_offchain.workers.settings import WorkerSettings
from tests.integration.network.conftest import require
from tests.suites.signer_suite import SignerSuite

pytestmark = pytest.mark.integration

CLEF_VERSION = "1.17.0"
"""What `scripts/install_clef.sh` builds: the last release of go-ethereum that has it."""
PASSWORD = "a password for tests"
MOST_WEI = 10**18
RULES = f"""
function OnSignerStartup(info) {{}}
function ApproveListing() {{ return "Approve" }}
function ApproveTx(request) {{
    var value = new BigNumber(request.transaction.value.slice(2), 16);
    return value.gt("{MOST_WEI}") ? "Reject" : "Approve"
}}
"""


@contextmanager
def clef(folder, account, chain_id, *more):
    """Run Clef for one account with its rules attested, with `more` options; yield where it answers."""
    try:
        program = find_program("clef", project="clef", version=CLEF_VERSION)
    except ConfigurationError as error:
        pytest.skip(str(error))
    keystore, config, rules = folder / "keystore", folder / "clef", folder / "rules.js"
    keystore.mkdir()
    write_account(keystore / "account.json", account, PASSWORD, work=2**12)
    rules.write_text(RULES)
    port = free_port()
    common = [str(program), "--suppress-bootwarn", "--lightkdf", "--configdir", str(config)]

    def tell(*arguments, answers):
        done = subprocess.run([*common, *arguments], input=answers, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    twice = f"{PASSWORD}\n{PASSWORD}\n"
    tell("init", answers=twice)
    tell("setpw", account.address, answers=twice + f"{PASSWORD}\n")
    tell("attest", hashlib.sha256(RULES.encode()).hexdigest(), answers=f"{PASSWORD}\n")
    options = ["--keystore", str(keystore), "--chainid", str(chain_id), "--rules", str(rules), "--nousb", *more]
    with (folder / "clef.log").open("wb") as log:
        process = subprocess.Popen(
            [*common, *options, "--ipcdisable", "--http", "--http.port", str(port)],
            cwd=folder,  # it writes audit.log where it runs
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        process.stdin.write(f"{PASSWORD}\n".encode())
        process.stdin.flush()
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, folder / "clef.log")
        yield url
    finally:
        stop_process(process)
        process.stdin.close()


def _wait(url, process, log):
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")
        try:
            request = {"jsonrpc": "2.0", "id": 1, "method": "account_version", "params": []}
            assert "result" in requests.post(url, json=request, timeout=5).json()
            return
        except requests.exceptions.ConnectionError:
            time.sleep(0.1)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    require("anvil")
    with CHAINS["anvil"](tmp_path_factory.mktemp("anvil"), block_time=0) as running:
        yield running


@pytest.fixture(scope="module")
def chain(node):
    with EthereumConnector(node.url, policy=TransactionPolicy(timeout=30, poll_interval=0.02)) as chain:
        yield chain


@pytest.fixture(scope="module")
def account():
    return Account.from_key(b"\x29" * 32)


@pytest.fixture(scope="module")
def url(tmp_path_factory, account, chain):
    # Without --advanced it refuses every call whose signature it does not know: those of all contracts but a few.
    with clef(tmp_path_factory.mktemp("clef"), account, chain.chain_id, "--advanced") as url:
        yield url


@pytest.fixture(scope="module")
def signer(url, account):
    signer = RemoteSigner(url, account.address, method="account_signTransaction")
    yield signer
    signer.close()


class TestClef(SignerSuite):
    @pytest.fixture
    def chain_id(self, chain):
        return chain.chain_id


def test_send__what_clef_has_signed__is_mined(chain, signer):
    fund(chain, {signer.address: 10**18})
    to = Account.create().address
    for value in (1, 2):
        assert chain.send_value(signer, to, value).confirmed().receipt.succeeded
    assert chain.balance(to) == 3


@pytest.fixture
def fields(chain, signer):
    return {
        "type": 2,
        "chainId": chain.chain_id,
        "nonce": 3,
        "gas": 90_000,
        "maxFeePerGas": 7 * 10**9,
        "maxPriorityFeePerGas": 10**9,
        "value": 1,
        "data": b"",
        "to": signer.address,
    }


def test_sign__what_its_rules_refuse__is_refused(signer, fields):
    signer.sign_transaction(fields | {"value": MOST_WEI})
    with pytest.raises(SignerRefused, match="request denied"):
        signer.sign_transaction(fields | {"value": MOST_WEI + 1})


def test_sign__for_another_chain__is_refused(signer, fields):
    with pytest.raises(SignerRefused):
        signer.sign_transaction(fields | {"chainId": fields["chainId"] + 1})


def test_sign__a_call_that_it_does_not_know__needs_advanced(account, chain, fields, tmp_path):
    with clef(tmp_path, account, chain.chain_id) as url:
        signer = RemoteSigner(url, account.address, method="account_signTransaction")
        signer.sign_transaction(fields)
        with pytest.raises(SignerRefused, match="could not be found"):
            signer.sign_transaction(fields | {"data": bytes.fromhex("0bad0bad") + bytes(32)})
        signer.close()


def test_check__of_a_worker_with_clef__has_it_sign_once(node, url, account, tmp_path):
    file = tmp_path / "worker.toml"
    file.write_text(f"""
role = "keeper"
[chain]
rpc = "{node.url}"
deployments = "records"
[keys]
signer = "{url}"
address = "{account.address}"
method = "account_signTransaction"
[task]
id = 1
""")
    found = {result.name: result for result in preflight(WorkerSettings.read(file))}
    assert found["signer"].verdict == "passed", found["signer"].detail
