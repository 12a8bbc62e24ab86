"""What goes wrong with transactions on a real node: stuck, replaced, dropped, reverted after a good simulation."""

import threading
import time

import pytest

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.outcomes import Confirmed, Dropped, Pending, Reverted
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, TransactionNotMined, WrongChain
from tests.suites.connector_suite import DIGEST, deploy_ledger

pytestmark = pytest.mark.integration

QUICK = TransactionPolicy(timeout=1.0, replace_after=0.3, poll_interval=0.05)


@pytest.fixture
def quick(anvil):
    with EthereumConnector(anvil.url, policy=QUICK) as chain:
        yield chain


@pytest.fixture
def manual(anvil):
    """No block is mined but on demand."""
    yield lambda: anvil.do("evm_setAutomine", False)
    anvil.do("evm_setAutomine", True)
    anvil.do("anvil_dropAllTransactions")


class Background(threading.Thread):
    """Runs a call in a thread and keeps what it returned or raised."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.result = call, None
        self.start()

    def run(self):
        try:
            self.result = self.call()
        except Exception as error:  # noqa: BLE001
            self.result = error

    def outcome(self):
        self.join(20)
        assert not self.is_alive()
        return self.result


def wait_for(condition, what):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def in_pool(anvil):
    return int(anvil.do("txpool_status")["pending"], 16)


def test_pending__not_mined_in_time__is_given_back_and_found_later(anvil, quick, manual):
    account = anvil.account()
    ledger = deploy_ledger(anvil.control, account).contract
    manual()
    outcome = quick.submit_transaction(account, ledger, "write", (DIGEST, 1), b"")
    assert isinstance(outcome, Pending)
    assert outcome.nonce == 2
    assert len(outcome.transaction_hashes) >= 2, "it was replaced at least once"
    with pytest.raises(TransactionNotMined, match="not mined yet"):
        outcome.confirmed()
    assert isinstance(quick.await_transaction(outcome, ledger, "write"), Pending)
    anvil.do("evm_mine")
    found = quick.await_transaction(outcome, ledger, "write")
    assert isinstance(found, Confirmed)
    assert found.transaction_hash in outcome.transaction_hashes
    assert found.event("EntryWritten").arguments["index"] == 0
    assert quick.read_state(ledger, "count") == 1


def test_replacement__raises_both_fees_and_one_version_is_mined(anvil, manual):
    account = anvil.account()
    manual()
    with EthereumConnector(anvil.url, policy=TransactionPolicy(10, 0.3, 0.05)) as chain:
        sending = Background(lambda: chain.send_value(account, anvil.account().address, 5))
        wait_for(lambda: in_pool(anvil) == 1, "the transaction reaches the pool")
        first = anvil.do("txpool_content")["pending"][account.address.lower()]["0"]
        wait_for(
            lambda: anvil.do("txpool_content")["pending"][account.address.lower()]["0"]["hash"] != first["hash"],
            "the transaction is replaced",
        )
        newer = anvil.do("txpool_content")["pending"][account.address.lower()]["0"]
        for fee in ("maxFeePerGas", "maxPriorityFeePerGas"):
            assert int(newer[fee], 16) >= 1.1 * int(first[fee], 16)
        assert newer["value"] == first["value"]
        anvil.do("evm_mine")
        assert isinstance(sending.outcome(), Confirmed)
        assert chain.transaction_count(account.address) == 1


def test_cap__fees_never_pass_it(anvil, manual):
    account = anvil.account()
    base, priority = anvil.control.fee_levels()
    cap = base * 2 + priority
    manual()
    with EthereumConnector(anvil.url, policy=TransactionPolicy(1.0, 0.2, 0.05, max_fee_per_gas=cap)) as chain:
        outcome = chain.send_value(account, account.address, 1)
        assert isinstance(outcome, Pending)
        assert len(outcome.transaction_hashes) == 1, "there was no room for a replacement"
        [sent] = anvil.do("txpool_content")["pending"][account.address.lower()].values()
        assert int(sent["maxFeePerGas"], 16) <= cap
    with (
        EthereumConnector(anvil.url, policy=TransactionPolicy(max_fee_per_gas=1)) as chain,
        pytest.raises(ChainUnavailable, match="cap"),
    ):
        chain.send_value(account, account.address, 1)


def test_dropped__another_transaction_took_the_nonce(anvil, manual):
    account = anvil.account()
    manual()
    policy = TransactionPolicy(timeout=20, replace_after=30, poll_interval=0.05)
    with EthereumConnector(anvil.url, policy=policy) as chain:
        sending = Background(lambda: chain.send_value(account, account.address, 1))
        wait_for(lambda: in_pool(anvil) == 1, "the transaction reaches the pool")
        anvil.do("anvil_dropAllTransactions")
        base, priority = chain.fee_levels()
        other = {"type": 2, "chainId": 31337, "nonce": 0, "to": account.address, "value": 2, "gas": 21000}
        other |= {"maxFeePerGas": 3 * base + priority, "maxPriorityFeePerGas": priority}
        chain.web3.eth.send_raw_transaction(account.sign_transaction(other).raw_transaction)
        anvil.do("evm_mine")
        outcome = sending.outcome()
        assert isinstance(outcome, Dropped)
        with pytest.raises(TransactionNotMined, match="nonce 0"):
            outcome.confirmed()
        pending = Pending(outcome.account, outcome.nonce, outcome.transaction_hashes)
        assert isinstance(chain._settle(pending), Dropped)


def test_simulation__sees_what_waits_in_the_pool(anvil, manual):
    first, second = anvil.account(), anvil.account()
    ledger = deploy_ledger(anvil.control, first).contract
    manual()
    with EthereumConnector(anvil.url) as chain:
        waiting = Background(lambda: chain.submit_transaction(first, ledger, "once", gas=100_000))
        wait_for(lambda: in_pool(anvil) == 1, "the transaction reaches the pool")
        late = chain.submit_transaction(second, ledger, "once", gas=100_000)
        assert isinstance(late, Reverted)
        assert (late.error, late.receipt) == ("Closed", None)
        anvil.do("evm_mine")
        assert isinstance(waiting.outcome(), Confirmed)


def test_reverted__mined__is_explained(anvil, monkeypatch):
    account = anvil.account()
    ledger = deploy_ledger(anvil.control, account).contract
    with EthereumConnector(anvil.url) as chain:
        # What a chain that moves between simulation and mining does: the simulation shows nothing.
        sender = chain._sender(account.address)
        monkeypatch.setattr(sender, "estimate", lambda address, request: 200_000)
        outcome = chain.submit_transaction(account, ledger, "refuse", 1)
        assert isinstance(outcome, Reverted)
        assert outcome.error == "RuleOutOfRange"
        assert not outcome.receipt.succeeded
        assert outcome.receipt.gas_used > 21000
        starved = chain.submit_transaction(account, ledger, "burn", 100)
        assert isinstance(starved, Reverted)
        assert starved.error is None
        assert starved.receipt.gas_used == 200_000


def test_nonce__a_second_process_sends_too__both_are_mined(anvil):
    account = anvil.account()
    ledger = deploy_ledger(anvil.control, account).contract
    with EthereumConnector(anvil.url) as one, EthereumConnector(anvil.url) as two:
        for index in range(4):
            chain = (one, two)[index % 2]
            written = chain.submit_transaction(account, ledger, "write", (DIGEST, index), b"").confirmed()
            assert written.event("EntryWritten").arguments["index"] == index


def test_chain_id__another_chain__is_refused(anvil):
    with pytest.raises(WrongChain, match="serves chain 31337, not 1"):
        EthereumConnector(anvil.url, chain_id=1)


def test_finality__head_is_the_finalized_block(anvil):
    anvil.do("anvil_mine", hex(100))
    with EthereumConnector(anvil.url, finality="finalized") as chain:
        assert 0 < chain.head().number < anvil.control.head().number
    with pytest.raises(ConfigurationError, match="finality"):
        EthereumConnector(anvil.url, finality="soon")


def test_logs__in_chunks__are_the_same(anvil):
    account = anvil.account()
    ledger = deploy_ledger(anvil.control, account).contract
    start = anvil.control.block_number
    for index in range(7):
        anvil.control.submit_transaction(account, ledger, "write", (DIGEST, index), b"").confirmed()
    end = anvil.control.block_number
    whole = anvil.control.logs([ledger], start, end)
    assert len(whole) == 7
    for size in (1, 2, 3, 7, 8):
        with EthereumConnector(anvil.url, log_chunk=size) as chain:
            assert chain.logs([ledger], start, end) == whole


def test_reorganisation__a_pinned_read_of_a_block_that_is_gone__is_unavailable(anvil):
    account = anvil.account()
    ledger = deploy_ledger(anvil.control, account).contract
    anvil.do("evm_mine")
    gone = anvil.control.head()
    anvil.do("anvil_reorg", 2, [])
    assert anvil.control.stamp(gone.number).hash != gone.hash
    with pytest.raises(ChainUnavailable):
        anvil.control.read_state(ledger, "count", block=gone)


@pytest.mark.parametrize("restarted", [False, True])
def test_reorganisation__an_earlier_transaction_is_gone__its_nonce_is_used_again(anvil, manual, restarted):
    account, other = anvil.account(), "0x" + "44" * 20
    before = anvil.control.balance(other)
    policy = TransactionPolicy(timeout=60.0, replace_after=0.5, poll_interval=0.05)
    with EthereumConnector(anvil.url, policy=policy) as chain, EthereumConnector(anvil.url, policy=policy) as fresh:
        chain.send_value(account, other, 1).confirmed()
        manual()
        # A process that was started again does not know what the earlier one sent.
        later = Background(lambda: (fresh if restarted else chain).send_value(account, other, 2))
        wait_for(lambda: in_pool(anvil), "the transaction is sent")
        anvil.do("anvil_reorg", 1, [])
        assert chain.transaction_count(account.address) == 0
        anvil.do("evm_setAutomine", True)
        wait_for(lambda: not later.is_alive() or anvil.do("evm_mine") is None, "both are mined")
        assert isinstance(later.outcome(), Confirmed)
        assert chain.transaction_count(account.address) == 2
        assert chain.balance(other) - before == (2 if restarted else 3)
