"""Endpoints that lie, stall, answer nonsense or are not there. A small loopback server plays each of them."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from eth_account import Account

from flare_offchain.blockchain import rpc as rpc_module
from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.networks import Network
from flare_offchain.blockchain.outcomes import Pending
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.errors import (
    ChainUnavailable,
    ConfigurationError,
    InsufficientFunds,
    Retryable,
    WrongChain,
)
from tests.suites.connector_suite import LEDGER

pytestmark = pytest.mark.integration

TOKEN = "s3cret-access-token"
ADDRESS = checksum("0x" + "11" * 20)
HASH = "0x" + "ab" * 32
BLOCK = {"number": "0x5", "hash": HASH, "timestamp": "0x64", "gasLimit": "0x1c9c380", "baseFeePerGas": "0x7"}


class Endpoint:
    """Answers each method with what the test sets: a value, a fault to act out, or a function of the parameters."""

    def __init__(self):
        self.answers = {"eth_chainId": "0x1", "eth_getBlockByNumber": dict(BLOCK), "eth_getBlockByHash": dict(BLOCK)}
        self.asked = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append(request["method"])
                answer = endpoint.answers.get(request["method"])
                if callable(answer):
                    answer = answer(*request["params"])
                if isinstance(answer, Raw):
                    body, status = answer.body, answer.status
                elif isinstance(answer, Fault):
                    body, status = (
                        json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": answer.error}).encode(),
                        200,
                    )
                else:
                    body, status = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer}).encode(), 200
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v2/{TOKEN}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Raw:
    """A body and an HTTP status as they are."""

    def __init__(self, body, status=200):
        self.body, self.status = body, status


class Fault:
    """A JSON-RPC error."""

    def __init__(self, message, code=-32000, data=None):
        self.error = {"code": code, "message": message} | ({"data": data} if data is not None else {})


@pytest.fixture
def endpoint():
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def chain(endpoint):
    policy = TransactionPolicy(timeout=0.6, replace_after=0.2, poll_interval=0.05)
    with EthereumConnector(endpoint.url, timeout=2, policy=policy) as chain:
        yield chain


# ------------------------------------------------------------------------- connecting


def test_unreachable__says_what_to_do_and_hides_the_token():
    with pytest.raises(ChainUnavailable, match="is the node running") as caught:
        EthereumConnector(f"http://127.0.0.1:9/{TOKEN}")
    assert "http://127.0.0.1:9" in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None, "requests' own message holds the whole URL"
    assert isinstance(caught.value, Retryable)


@pytest.mark.parametrize("url", ["", "ws://127.0.0.1:1", "127.0.0.1:8545", "http://", "http://x:99999"])
def test_url__that_is_none__is_a_configuration_error(url):
    with pytest.raises(ConfigurationError, match="--rpc"):
        EthereumConnector(url)


def test_network__connects_by_its_settings(endpoint):
    with Network("x", "rpc", endpoint.url, 1, "finalized", 7, 3.0).connect() as chain:
        assert chain.chain_id == 1
    with pytest.raises(WrongChain):
        Network("x", "rpc", endpoint.url, 2).connect()


def test_logs__at_debug_level__hold_no_token(endpoint, caplog):
    caplog.set_level(logging.DEBUG)
    with EthereumConnector(endpoint.url) as chain:
        chain.head()
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Raw(b"not json"), "does not answer in JSON-RPC"),
        (Raw(b"[]"), "does not answer in JSON-RPC"),
        (Raw(b'{"jsonrpc":"2.0","id":1}'), "neither a result nor an error"),
        (Raw(b"", 401), "HTTP 401"),
        (Raw(b"", 429), "HTTP 429"),
        (Raw(b"", 503), "HTTP 503"),
        (Raw(b"\xff\xff"), "does not answer in JSON-RPC"),
        (Fault("method not found", -32601), "method not found"),
        ("1", "not a quantity"),
        (1, "not a quantity"),
        (None, "not a quantity"),
        ("0x" + "f" * 90, "not a quantity"),
        ("0xzz", "invalid literal"),
    ],
)
def test_nonsense__is_unavailable(endpoint, answer, words):
    endpoint.answers["eth_chainId"] = answer
    with pytest.raises(ChainUnavailable, match=words) as caught:
        EthereumConnector(endpoint.url)
    assert TOKEN not in str(caught.value)


def test_slow__is_unavailable_in_time(endpoint):
    stop = threading.Event()

    def stall():
        stop.wait(10)
        return "0x1"

    endpoint.answers["eth_chainId"] = stall
    with pytest.raises(ChainUnavailable, match="did not answer in time"):
        EthereumConnector(endpoint.url, timeout=0.3)
    stop.set()


def test_huge__is_cut_off(endpoint, monkeypatch):
    monkeypatch.setattr(rpc_module, "MAX_RESPONSE_BYTES", 1000)
    endpoint.answers["eth_chainId"] = "0x" + "0" * 2000
    with pytest.raises(ChainUnavailable):
        EthereumConnector(endpoint.url)


def test_settings__out_of_range__are_refused(endpoint):
    for wrong in ({"log_chunk": 0}, {"timeout": 0}):
        with pytest.raises(ConfigurationError):
            EthereumConnector(endpoint.url, **wrong)
    for wrong in ({"timeout": 0}, {"replace_after": -1}, {"poll_interval": 0}, {"gas_margin": 0.5}, {"fee_bump": 1.0}):
        with pytest.raises(ConfigurationError):
            TransactionPolicy(**wrong)


# ----------------------------------------------------------------------------- blocks


@pytest.mark.parametrize(
    "block", [{}, [], "x", BLOCK | {"hash": "0x12"}, BLOCK | {"number": 5}, {**BLOCK, "timestamp": None}]
)
def test_blocks__malformed__are_unavailable(chain, endpoint, block):
    endpoint.answers["eth_getBlockByNumber"] = block
    with pytest.raises(ChainUnavailable):
        chain.head()


def test_blocks__another_than_asked_for__is_unavailable(chain):
    assert chain.stamp(5).number == 5
    with pytest.raises(ChainUnavailable, match="block 5 instead of 6"):
        chain.stamp(6)


def test_head__while_nothing_is_final__is_unavailable(endpoint):
    for answer in (None, Fault("finalized block not found")):
        endpoint.answers["eth_getBlockByNumber"] = answer
        with (
            EthereumConnector(endpoint.url, finality="finalized") as chain,
            pytest.raises(ChainUnavailable, match="no finalized block yet"),
        ):
            chain.head()
    endpoint.answers["eth_getBlockByNumber"] = Fault("boom")
    with EthereumConnector(endpoint.url) as chain, pytest.raises(ChainUnavailable, match="boom"):
        chain.head()


def test_now__where_the_endpoint_builds_no_pending_block__is_the_newest_blocks(chain, endpoint):
    endpoint.answers["eth_getBlockByNumber"] = lambda tag, full: None if tag == "pending" else BLOCK
    assert chain.now() == int(BLOCK["timestamp"], 16)
    endpoint.answers["eth_getBlockByNumber"] = lambda tag, full: (
        BLOCK | {"timestamp": "0x70"} if tag == "pending" else BLOCK
    )
    assert chain.now() == 0x70


def test_fees__of_a_chain_before_london__are_unavailable(chain, endpoint):
    endpoint.answers["eth_getBlockByNumber"] = {k: v for k, v in BLOCK.items() if k != "baseFeePerGas"}
    with pytest.raises(ChainUnavailable, match="baseFeePerGas"):
        chain.fee_levels()


# ------------------------------------------------------------------------------- calls


def test_call__answers_that_are_no_data__are_unavailable(chain, endpoint):
    for answer in (None, 5, "12", "0x1", "0xzz"):
        endpoint.answers["eth_call"] = answer
        with pytest.raises(ChainUnavailable):
            chain.read_state(LEDGER.at(ADDRESS), "count")
    endpoint.answers["eth_call"] = Fault("rate limited", -32005)
    with pytest.raises(ChainUnavailable, match="rate limited"):
        chain.read_state(LEDGER.at(ADDRESS), "count")


def test_call__revert_data_in_another_place__is_found(chain, endpoint):
    selector = next(each.selector for each in LEDGER.abi.errors_by_selector.values() if each.name == "Closed")
    for data in ("0x" + selector.hex(), {"data": "0x" + selector.hex()}):
        endpoint.answers["eth_call"] = Fault("execution reverted", 3, data)
        with pytest.raises(Exception, match="Closed"):
            chain.read_state(LEDGER.at(ADDRESS), "count")
    endpoint.answers["eth_call"] = Fault("execution reverted", 3, "no hex")
    with pytest.raises(Exception, match="without a reason"):
        chain.read_state(LEDGER.at(ADDRESS), "count")


def test_call__other_values_than_the_abi__are_refused(chain, endpoint):
    endpoint.answers["eth_call"] = "0x1234"
    with pytest.raises(Exception, match="does not decode"):
        chain.read_state(LEDGER.at(ADDRESS), "count")


# -------------------------------------------------------------------------------- logs


def wire_log(**changes):
    return {
        "address": ADDRESS,
        "topics": [HASH],
        "data": "0x",
        "blockNumber": "0x5",
        "blockHash": HASH,
        "transactionHash": HASH,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
    } | changes


@pytest.mark.parametrize(
    ("logs", "error"),
    [
        ([wire_log(address="0x" + "22" * 20)], WrongChain),
        ([wire_log(blockNumber="0x6")], WrongChain),
        ([wire_log(blockNumber="0x3")], WrongChain),
        ([wire_log(), wire_log()], WrongChain),
        ([wire_log(), wire_log(logIndex="0x1", blockHash="0x" + "cd" * 32)], ChainUnavailable),
        ([wire_log(removed=True)], ChainUnavailable),
        ([wire_log(data=None)], ChainUnavailable),
        ([wire_log(topics=["0x12"])], ChainUnavailable),
        ([{}], ChainUnavailable),
        (["x"], ChainUnavailable),
        (None, ChainUnavailable),
        (5, ChainUnavailable),
        (Fault("boom"), ChainUnavailable),
    ],
)
def test_logs__not_asked_for_or_malformed__are_refused(chain, endpoint, logs, error):
    endpoint.answers["eth_getLogs"] = logs
    endpoint.answers["eth_getBlockByNumber"] = lambda number, full: BLOCK | {"number": number}
    with pytest.raises(error):
        chain.raw_logs([ADDRESS], 4, 5)


def test_logs__where_the_endpoint_takes_no_more__are_asked_for_in_smaller_ranges(chain, endpoint):
    ranges = []

    def answer(query):
        start, end = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if end - start >= 100:
            return Fault("query exceeds max block range 100", -32005)
        ranges.append((start, end))
        return [wire_log(blockNumber=hex(start), logIndex="0x1"), wire_log(blockNumber=hex(start))]

    endpoint.answers["eth_getLogs"] = answer
    endpoint.answers["eth_getBlockByNumber"] = lambda number, full: BLOCK | {"number": number}
    logs = chain.raw_logs([ADDRESS], 0, 999)
    assert [start for start, _ in ranges] == [0] + [end + 1 for _, end in ranges[:-1]]
    assert ranges[-1][1] == 999
    assert [(log.block, log.log_index) for log in logs] == [(s, i) for s, _ in ranges for i in (0, 1)]
    endpoint.answers["eth_getLogs"] = Fault("range too large")
    with pytest.raises(ChainUnavailable, match="range too large"):
        chain.raw_logs([ADDRESS], 0, 999)


def test_logs__while_the_chain_is_reorganised__are_read_again(chain, endpoint):
    answers = iter([BLOCK, BLOCK | {"hash": "0x" + "cd" * 32}])
    endpoint.answers["eth_getBlockByNumber"] = lambda number, full: next(answers)
    endpoint.answers["eth_getLogs"] = []
    with pytest.raises(ChainUnavailable, match="reorganised"):
        chain.raw_logs([ADDRESS], 5, 5)


# ----------------------------------------------------------------------- transactions


@pytest.fixture
def ready(endpoint):
    endpoint.answers |= {
        "eth_call": "0x",
        "eth_estimateGas": "0x5208",
        "eth_maxPriorityFeePerGas": "0x1",
        "eth_getTransactionCount": "0x0",
        "eth_getTransactionReceipt": None,
    }
    return endpoint


def test_send__an_endpoint_that_stops_answering__leaves_it_pending(chain, ready):
    ready.answers["eth_sendRawTransaction"] = Raw(b"", 502)
    account = Account.create()
    outcome = chain.send_value(account, ADDRESS, 1)
    assert isinstance(outcome, Pending)
    assert outcome.account == account.address
    ready.answers["eth_getTransactionCount"] = Raw(b"", 502)
    assert chain._settle(outcome) == outcome


def test_send__an_endpoint_that_names_another_hash__is_refused(chain, ready):
    ready.answers["eth_sendRawTransaction"] = HASH
    with pytest.raises(ChainUnavailable, match="other than it is"):
        chain.send_value(Account.create(), ADDRESS, 1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("insufficient funds for gas * price + value"), InsufficientFunds),
        (Fault("transaction type not supported"), ChainUnavailable),
        (Fault("nonce too low"), ChainUnavailable),
    ],
)
def test_send__refused__is_told_apart(chain, ready, fault, error):
    ready.answers["eth_sendRawTransaction"] = fault
    with pytest.raises(error):
        chain.send_value(Account.create(), ADDRESS, 1)


def test_send__already_known__is_waited_for(chain, ready):
    ready.answers["eth_sendRawTransaction"] = Fault("already known")
    assert isinstance(chain.send_value(Account.create(), ADDRESS, 1), Pending)


def test_send__a_malformed_estimate__is_unavailable(chain, ready):
    ready.answers["eth_estimateGas"] = "many"
    with pytest.raises(ChainUnavailable, match="gas estimate"):
        chain.send_value(Account.create(), ADDRESS, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"transactionHash": HASH},
        {"blockHash": "0x" + "cd" * 32},
        {"status": "x"},
        {"gasUsed": None},
        {"logs": [1]},
        {"contractAddress": "0x12"},
    ],
)
def test_receipt__malformed_or_of_another__is_unavailable(chain, endpoint, changes):
    name = b"\5" * 32
    receipt = {
        "transactionHash": "0x" + name.hex(),
        "blockHash": HASH,
        "transactionIndex": "0x0",
        "status": "0x1",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x8",
        "contractAddress": None,
        "logs": [],
    }
    endpoint.answers["eth_getTransactionReceipt"] = receipt
    assert chain.receipt(name).fee == 0x5208 * 8
    endpoint.answers["eth_getTransactionReceipt"] = receipt | changes
    with pytest.raises(ChainUnavailable, match="malformed receipt"):
        chain.receipt(name)
    endpoint.answers["eth_getTransactionReceipt"] = receipt
    endpoint.answers["eth_getBlockByHash"] = None
    assert chain.receipt(name) is None
