"""What every `BlockchainConnector` must do, whichever chain is behind it.

Subclass `ConnectorSuite` and give the fixtures `chain` (a fresh connector), `funded` (accounts with at least 100 ether)
and `pass_time` (a function that lets seconds pass on the chain).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_account import Account

from flare_offchain.blockchain.artifacts import load_artifact
from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.outcomes import BlockStamp, Confirmed, Reverted
from flare_offchain.core.errors import (
    ChainUnavailable,
    ConfigurationError,
    InsufficientFunds,
    TransactionReverted,
    WrongChain,
)
from flare_offchain.core.types import ContentId

FOLDER = Path(__file__).parent / "solidity"
LEDGER = load_artifact("Ledger", FOLDER)
SUMS = load_artifact("Sums", FOLDER)
LIMIT = 10**18
DIGEST = bytes(range(32))


def deploy_ledger(chain, account, limit=LIMIT, value=0):
    """Deploy the test contract with its library."""
    library = chain.deploy(account, SUMS).contract
    return chain.deploy(account, LEDGER, limit, libraries={"Sums": library.address}, value=value)


class ConnectorSuite:
    """The shared tests."""

    @pytest.fixture
    def ledger(self, chain, funded):
        return deploy_ledger(chain, funded[0]).contract

    # ------------------------------------------------------------------ blocks

    def test_is_a_connector(self, chain):
        assert isinstance(chain, BlockchainConnector)
        assert chain.chain_id > 0

    def test_head__after_transactions__moves_on_with_rising_times(self, chain, funded):
        before = chain.head()
        sent = chain.send_value(funded[0], funded[1].address, 1).confirmed()
        after = chain.head()
        # A node may seal further blocks of its own accord.
        assert before.number < sent.block.number <= after.number <= chain.block_number
        assert after.timestamp >= before.timestamp
        assert chain.stamp(before.number) == before
        assert chain.stamp(after.number) == after
        assert len(after.hash) == 32

    def test_stamp__of_a_block_to_come__is_unavailable(self, chain):
        with pytest.raises(ChainUnavailable, match="no block"):
            chain.stamp(chain.block_number + 1)
        with pytest.raises(ChainUnavailable, match="no block"):
            chain.stamp(-1)

    def test_now__is_what_the_next_transaction_sees(self, chain, funded, ledger, pass_time):
        pass_time(5000)
        now = chain.now()
        assert now >= chain.head().timestamp
        seen = chain.submit_transaction(funded[0], ledger, "recordEnvironment").confirmed().event("EntryWritten")
        assert now <= seen.arguments["entry"]["size"] <= now + 5

    # ------------------------------------------------------------------ deployment

    def test_deploy__with_library_and_immutables__has_the_artifacts_code(self, chain, funded):
        deployed = deploy_ledger(chain, funded[0], limit=77, value=5)
        assert deployed.receipt.succeeded
        assert chain.read_state(deployed.contract, "limit") == 77
        assert chain.read_state(deployed.contract, "owner") == funded[0].address
        assert chain.balance(deployed.contract.address) == 5
        assert len(chain.code(deployed.contract.address)) == len(LEDGER.runtime.template)
        assert chain.read_state(deployed.contract, "sum", [1, 2, 3]) == 6

    def test_deploy__refused_by_the_constructor__names_the_error(self, chain, funded):
        library = chain.deploy(funded[0], SUMS).contract.address
        with pytest.raises(TransactionReverted, match="Closed") as caught:
            chain.deploy(funded[0], LEDGER, 0, libraries={"Sums": library})
        assert caught.value.error == "Closed"

    def test_deploy__without_its_library__says_which(self, chain, funded):
        with pytest.raises(ConfigurationError, match="Sums"):
            chain.deploy(funded[0], LEDGER, 1)

    # ------------------------------------------------------------------ state

    def test_state__structs_lists_and_tuples__come_back_as_they_went(self, chain, funded, ledger):
        for given in ({"digest": DIGEST, "size": 9}, (DIGEST, 9), ContentId(DIGEST, 9)):
            chain.submit_transaction(funded[0], ledger, "write", given, b"").confirmed()
        assert chain.read_state(ledger, "entry", 2) == {"digest": DIGEST, "size": 9}
        page, length = chain.read_state(ledger, "page", sender=funded[1].address)
        assert length == 3
        assert page["writer"] == funded[1].address
        assert page["entries"] == ({"digest": DIGEST, "size": 9},) * 3

    def test_state__pinned_to_a_block__is_that_blocks(self, chain, funded, ledger):
        stamps = [chain.head()]
        for _ in range(3):
            chain.submit_transaction(funded[0], ledger, "write", (DIGEST, 1), b"").confirmed()
            stamps.append(chain.head())
        assert [chain.read_state(ledger, "count", block=stamp) for stamp in stamps] == [0, 1, 2, 3]
        assert chain.read_state(ledger, "environment", block=stamps[1])[:2] == (stamps[1].number, stamps[1].timestamp)
        chain.send_value(funded[0], funded[1].address, 7).confirmed()
        assert chain.balance(funded[1].address) - chain.balance(funded[1].address, stamps[3]) == 7
        assert chain.code(ledger.address, stamps[0]) == chain.code(ledger.address)
        assert chain.code(ledger.address, chain.stamp(0)) == b""

    def test_state__pinned_to_an_unknown_block__is_unavailable(self, chain, ledger):
        head = chain.head()
        with pytest.raises(ChainUnavailable):
            chain.read_state(ledger, "count", block=BlockStamp(head.number, bytes(32), head.timestamp))

    def test_state__where_no_contract_is__is_the_wrong_chain(self, chain):
        with pytest.raises(WrongChain, match="no Ledger at"):
            chain.read_state(LEDGER.at("0x" + "77" * 20), "count")

    def test_state__overloaded__needs_the_signature(self, chain, funded, ledger):
        assert chain.read_state(ledger, "pick(uint256)", 5) == 5
        assert chain.read_state(ledger, "pick(address)", funded[0].address) == funded[0].address
        with pytest.raises(ConfigurationError, match="pick"):
            chain.read_state(ledger, "pick", 5)

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            ("entry", ()),
            ("entry", (-1,)),
            ("entry", (2**256,)),
            ("entry", ("1",)),
            ("sum", (5,)),
            ("sum", ([True, "x"],)),
            ("nothing", ()),
            ("pick(address)", ("0x12",)),
        ],
    )
    def test_state__arguments_that_do_not_fit__are_refused(self, chain, ledger, function, arguments):
        with pytest.raises(ConfigurationError):
            chain.read_state(ledger, function, *arguments)

    def test_write__struct_that_does_not_fit__is_refused(self, chain, funded, ledger):
        for struct in ({"digest": DIGEST}, (DIGEST,), (DIGEST[:31], 1), {"digest": DIGEST, "size": 2**64}, 5, b"ab"):
            with pytest.raises(ConfigurationError):
                chain.submit_transaction(funded[0], ledger, "write", struct, b"")

    # ------------------------------------------------------------------ transactions

    def test_submit__confirmed__has_receipt_gas_events_and_block(self, chain, funded, ledger):
        before = chain.balance(funded[1].address)
        outcome = chain.submit_transaction(funded[1], ledger, "deposit", value=LIMIT)
        assert isinstance(outcome, Confirmed)
        assert outcome.confirmed() is outcome
        assert outcome.block == chain.head()
        assert outcome.gas_used > 21000
        assert outcome.event("Deposited").arguments == {"from": funded[1].address, "amount": LIMIT}
        assert before - chain.balance(funded[1].address) == LIMIT + outcome.receipt.fee
        assert chain.transaction_count(funded[1].address) == 1
        with pytest.raises(LookupError):
            outcome.event("EntryWritten")

    @pytest.mark.parametrize(
        ("kind", "error", "arguments", "words"),
        [
            (0, "Closed", (), "Closed()"),
            (1, "RuleOutOfRange", (b"maxSeats".ljust(32, b"\0"), 65), "RuleOutOfRange(rule maxSeats, value 65)"),
            (2, "Error", ("plain words",), "plain words"),
            (3, "Panic", (1,), "an assertion is false"),
            (4, None, (), "without a reason"),
            (5, None, (), "0xdeadbeef"),
        ],
    )
    def test_submit__refused__is_decoded_and_nothing_is_paid(
        self, chain, funded, ledger, kind, error, arguments, words
    ):
        before = chain.balance(funded[0].address), chain.transaction_count(funded[0].address)
        outcome = chain.submit_transaction(funded[0], ledger, "refuse", kind)
        assert isinstance(outcome, Reverted)
        assert (outcome.error, outcome.arguments, outcome.receipt) == (error, arguments, None)
        assert words in outcome.message
        assert (chain.balance(funded[0].address), chain.transaction_count(funded[0].address)) == before
        with pytest.raises(TransactionReverted) as caught:
            outcome.confirmed()
        assert (caught.value.error, caught.value.arguments) == (error, arguments)

    def test_read__refused__is_decoded(self, chain, ledger):
        with pytest.raises(TransactionReverted, match="RuleOutOfRange") as caught:
            chain.read_state(ledger, "refuse", 1)
        assert caught.value.error == "RuleOutOfRange"

    def test_submit__refused_with_values__has_them(self, chain, funded, ledger):
        outcome = chain.submit_transaction(funded[0], ledger, "deposit", value=LIMIT + 1)
        assert (outcome.error, outcome.arguments) == ("AmountTooLarge", (LIMIT + 1, LIMIT))

    def test_submit__with_a_gas_limit__uses_it(self, chain, funded, ledger):
        # What storage costs differs by a factor between the rules of Prague and of later forks.
        enough = chain.submit_transaction(funded[0], ledger, "burn", 3, gas=1_500_000).confirmed()
        assert enough.gas_used < 1_500_000
        outcome = chain.submit_transaction(funded[0], ledger, "burn", 500, gas=1_500_000)
        assert isinstance(outcome, Reverted)

    def test_submit__expensive__is_estimated_with_enough_gas(self, chain, funded, ledger):
        assert chain.submit_transaction(funded[0], ledger, "burn", 100).confirmed().gas_used > 2_000_000

    def test_submit__without_funds__says_so(self, chain, funded, ledger):
        poor = Account.create()
        with pytest.raises(InsufficientFunds, match=poor.address):
            chain.submit_transaction(poor, ledger, "deposit", value=1)
        with pytest.raises(InsufficientFunds, match=poor.address):
            chain.submit_transaction(poor, ledger, "write", (DIGEST, 1), b"")
        chain.send_value(funded[0], poor.address, 1000).confirmed()
        with pytest.raises(InsufficientFunds, match=poor.address):
            chain.submit_transaction(poor, ledger, "deposit", value=1000)

    def test_submit__with_little_money__is_paid_from_it(self, chain, funded, ledger):
        thrifty = Account.create()
        chain.send_value(funded[0], thrifty.address, 10**15).confirmed()
        chain.submit_transaction(thrifty, ledger, "write", (DIGEST, 1), b"").confirmed()
        assert 0 < chain.balance(thrifty.address) < 10**15

    def test_submit__many_from_one_account__each_has_its_nonce(self, chain, funded, ledger):
        indexes = [
            chain.submit_transaction(funded[0], ledger, "write", (DIGEST, i), b"").confirmed().event("EntryWritten")
            for i in range(5)
        ]
        assert [event.arguments["index"] for event in indexes] == [0, 1, 2, 3, 4]

    def test_submit__from_threads__none_is_lost(self, chain, funded, ledger):
        from concurrent.futures import ThreadPoolExecutor

        def write(index):
            account = funded[index % 2]
            return chain.submit_transaction(account, ledger, "write", (DIGEST, index), b"").confirmed()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(12)))
        assert chain.read_state(ledger, "count") == 12

    def test_send_value__to_a_contract_that_takes_none__is_refused(self, chain, funded, ledger):
        outcome = chain.send_value(funded[0], ledger.address, 1)
        assert isinstance(outcome, Reverted)
        with pytest.raises(ConfigurationError, match="address"):
            chain.send_value(funded[0], "0x1234", 1)

    def test_transaction_input__is_the_call_data(self, chain, funded, ledger):
        sent = chain.submit_transaction(funded[0], ledger, "write", (DIGEST, 9), b"abc").confirmed()
        expected = ledger.abi.function("write").encode(((DIGEST, 9), b"abc"))
        assert chain.transaction_input(sent.transaction_hash) == expected
        with pytest.raises(ChainUnavailable, match="no transaction"):
            chain.transaction_input(bytes(32))

    def test_transaction_input__is_the_call_data_of_any_kind_of_transaction(self, chain, funded, ledger):
        outcome = chain.submit_transaction(funded[0], ledger, "write", (DIGEST, 1), b"note").confirmed()
        data = chain.transaction_input(outcome.transaction_hash)
        assert LEDGER.abi.function("write").decode_input(data)["note"] == b"note"
        transfer = chain.send_value(funded[0], funded[1].address, 1).confirmed()
        assert chain.transaction_input(transfer.transaction_hash) == b""
        deployed = chain.deploy(funded[0], SUMS)
        assert chain.transaction_input(deployed.receipt.transaction_hash) == SUMS.creation.template
        with pytest.raises(ChainUnavailable, match="no transaction"):
            chain.transaction_input(bytes(32))

    # ------------------------------------------------------------------ events

    def test_logs__of_two_contracts__are_decoded_in_chain_order(self, chain, funded, ledger):
        other = deploy_ledger(chain, funded[0]).contract
        start = chain.block_number + 1
        chain.submit_transaction(funded[0], ledger, "write", (DIGEST, 1), b"first").confirmed()
        chain.submit_transaction(funded[1], other, "write", (DIGEST, 2), b"second").confirmed()
        chain.submit_transaction(funded[0], ledger, "deposit", value=3).confirmed()
        events = chain.logs([ledger, other], start, chain.block_number)
        assert [event.name for event in events] == ["EntryWritten", "EntryWritten", "Deposited"]
        assert [event.block for event in events] == [start, start + 1, start + 2]
        assert [event.address for event in events] == [ledger.address, other.address, ledger.address]
        assert dict(events[1].arguments) == {
            "index": 0,
            "writer": funded[1].address,
            "entry": {"digest": DIGEST, "size": 2},
            "note": b"second",
        }
        assert all(event.block_hash == chain.stamp(event.block).hash for event in events)
        assert chain.logs([other], start, chain.block_number) == [events[1]]
        assert chain.logs([ledger, other], start + 2, start + 2) == [events[2]]

    def test_logs__equal_the_receipts(self, chain, funded, ledger):
        outcome = chain.submit_transaction(funded[0], ledger, "write", (DIGEST, 1), b"x").confirmed()
        [event] = chain.logs([ledger], outcome.block.number, outcome.block.number)
        assert event == outcome.event("EntryWritten")
        assert event.transaction_hash == outcome.transaction_hash

    def test_logs__of_an_indexed_string__keep_its_hash(self, chain, funded, ledger):
        from eth_utils.crypto import keccak

        outcome = chain.submit_transaction(funded[0], ledger, "rename", "a new name", True).confirmed()
        assert dict(outcome.event("Named").arguments) == {"name": keccak(text="a new name"), "flag": True}

    def test_logs__ranges__are_closed_and_checked(self, chain, ledger):
        head = chain.block_number
        assert chain.logs([ledger], head, head - 1) == []
        assert chain.logs([ledger], 0, head) == []
        with pytest.raises(ChainUnavailable):
            chain.logs([ledger], 0, head + 1)
        with pytest.raises(ConfigurationError):
            chain.logs([], 0, head)
        with pytest.raises(ConfigurationError):
            chain.logs([ledger], -1, head)

    def test_logs__of_other_code_than_the_abi__are_the_wrong_chain(self, chain, funded, ledger):
        chain.submit_transaction(funded[0], ledger, "write", (DIGEST, 1), b"").confirmed()
        with pytest.raises(WrongChain, match="does not know"):
            chain.logs([SUMS.at(ledger.address)], 0, chain.block_number)

    # ------------------------------------------------------------------ Prague

    def test_environment__parent_hash_and_history__are_the_chains(self, chain, funded, ledger, pass_time):
        pass_time(10)
        outcome = chain.submit_transaction(funded[0], ledger, "recordEnvironment").confirmed()
        arguments = outcome.event("EntryWritten").arguments
        number = outcome.block.number
        assert arguments["index"] == number
        assert arguments["entry"]["size"] == outcome.block.timestamp
        assert arguments["note"] == chain.stamp(number - 1).hash
        chain.send_value(funded[0], funded[1].address, 1).confirmed()
        assert chain.read_state(ledger, "history", number - 1) == chain.stamp(number - 1).hash

    # ------------------------------------------------------------------ lifetime

    def test_close__twice__is_safe(self, chain):
        chain.close()
        chain.close()
