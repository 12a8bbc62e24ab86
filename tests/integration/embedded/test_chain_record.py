"""The record of an embedded chain: what a killed writer leaves, and every way of altering it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flare_offchain.blockchain.chain_record import BlockRecord
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.blockchain.record_verification import verify_chain_record
from flare_offchain.core.errors import ChainRecordAltered, ChainUnavailable, ConfigurationError, StorageUnavailable
from tests.suites.connector_suite import DIGEST, LEDGER, LIMIT, SUMS, deploy_ledger

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
ARTIFACTS = [LEDGER, SUMS]


def run_history(chain):
    """Blocks: 1 library, 2 ledger, 3–5 writes, 6 time passes, 7 deposit, 8 empty, 9 a transfer; the head is 9."""
    first, second = chain.account(0), chain.account(1)
    ledger = deploy_ledger(chain, first).contract
    for index in range(3):
        chain.submit_transaction(first, ledger, "write", (DIGEST, index), b"note %d" % index).confirmed()
    chain.advance_time(3600)
    chain.submit_transaction(second, ledger, "deposit", value=5).confirmed()
    chain.advance_blocks(1)
    chain.send_value(first, second.address, 1).confirmed()
    return ledger


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    with EthTesterConnector.open(folder, seed=5, accounts=2) as chain:
        run_history(chain)
    return (folder / "chain.jsonl").read_bytes()


@pytest.fixture
def record(tmp_path, template):
    return Record(tmp_path, template)


class Record:
    """A copy of a record to alter."""

    def __init__(self, folder, data):
        self.folder, self.path = folder, folder / "chain.jsonl"
        self.lines = data.splitlines(keepends=True)
        self.save()

    def save(self):
        self.path.write_bytes(b"".join(self.lines))

    def alter(self, block, **fields):
        """Change JSON fields of a block, written the way blocks are written."""
        value = json.loads(self.lines[block])
        for name, change in fields.items():
            value[name] = change(value[name]) if callable(change) else change
        self.lines[block] = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        self.save()

    def findings(self):
        found = verify_chain_record(self.folder, ARTIFACTS)
        before = self.path.read_bytes()
        if found:
            with pytest.raises(ChainRecordAltered) as caught:
                EthTesterConnector.open(self.folder)
            first = found[0]
            error = caught.value
            assert (error.block, error.what) == (first.block, first.what)
            assert (error.transaction_index, error.log_index) == (first.transaction_index, first.log_index)
            assert str(first.block) in str(error)
        else:
            EthTesterConnector.open(self.folder).close()
        assert self.path.read_bytes() == before, "verifying changes nothing"
        return found

    def only(self):
        [finding] = self.findings()
        return finding


def flip(text):
    """Change the last hex digit."""
    return text[:-1] + ("0" if text[-1] != "0" else "1")


# ---------------------------------------------------------------------- as it was made


def test_record__as_made__has_no_findings_and_opens_to_the_same_chain(record, template):
    assert record.findings() == []
    with EthTesterConnector.open(record.folder, seed=5) as chain, EthTesterConnector(5, 2) as fresh:
        ledger = run_history(fresh)
        assert chain.head() == fresh.head()
        assert chain.head().number == 9
        assert chain.logs([ledger], 0, 9) == fresh.logs([ledger], 0, 9)
        assert chain.read_state(ledger, "count") == 3
        chain.submit_transaction(chain.account(0), ledger, "write", (DIGEST, 9), b"more").confirmed()
        fresh.submit_transaction(fresh.account(0), ledger, "write", (DIGEST, 9), b"more").confirmed()
        assert chain.head() == fresh.head()
    assert record.path.read_bytes().startswith(template)
    assert verify_chain_record(record.folder, ARTIFACTS) == []


def test_record__through_eth_testers_own_interface__is_kept_too(tmp_path):
    from web3 import EthereumTesterProvider, Web3

    with EthTesterConnector.open(tmp_path, seed=1) as chain:
        web3 = Web3(EthereumTesterProvider(chain.tester))
        transaction = {"from": chain.account(0).address, "to": chain.account(1).address, "value": 7}
        receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction(transaction))
        assert receipt["blockNumber"] == chain.block_number == 1
        head = chain.head()
        with pytest.raises(ConfigurationError, match="cannot go back"):
            chain.tester.revert_to_snapshot(chain.tester.take_snapshot())
    assert verify_chain_record(tmp_path, ARTIFACTS) == []
    with EthTesterConnector.open(tmp_path) as again:
        assert again.head() == head


@pytest.mark.parametrize("seed", [0, 5])
def test_determinism__two_processes__make_the_same_bytes(tmp_path, seed):
    script = (
        "import sys; from pathlib import Path; from flare_offchain.blockchain.embedded import EthTesterConnector; "
        "from tests.integration.embedded.test_chain_record import run_history; "
        "chain = EthTesterConnector.open(Path(sys.argv[1]), seed=int(sys.argv[2]), accounts=2); "
        "run_history(chain); chain.close()"
    )
    made = []
    for name, hash_seed, zone in (("one", "1", "UTC"), ("two", "2", "Asia/Tokyo")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": zone}
        command = [sys.executable, "-c", script, str(tmp_path / name), str(seed)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120)
        made.append((tmp_path / name / "chain.jsonl").read_bytes())
    assert made[0] == made[1]
    assert len(made[0].splitlines()) == 10


def test_determinism__another_seed__makes_another_chain(template, tmp_path):
    with EthTesterConnector.open(tmp_path, seed=6, accounts=2) as chain:
        run_history(chain)
    ours, other = template.splitlines(), (tmp_path / "chain.jsonl").read_bytes().splitlines()
    assert all(json.loads(a)["hash"] != json.loads(b)["hash"] for a, b in zip(ours, other, strict=True))


# ------------------------------------------------------------------------- killed writers


@pytest.mark.parametrize("kept", [1, 17, -1])
def test_torn_line__of_a_killed_writer__is_dropped(record, kept):
    whole = [json.loads(line) for line in record.lines]
    torn = record.lines[-1][:kept]
    record.path.write_bytes(b"".join(record.lines[:-1]) + torn)
    assert verify_chain_record(record.folder, ARTIFACTS) == []
    with EthTesterConnector.open(record.folder) as chain:
        assert chain.head().number == 8
        chain.send_value(chain.account(0), chain.account(1).address, 1).confirmed()
        assert chain.head().hash.hex() == whole[-1]["hash"][2:], "the same transaction makes the same block"
    assert record.path.read_bytes() == b"".join(record.lines)


def test_torn_line__of_the_first_block__begins_anew(tmp_path, template):
    (tmp_path / "chain.jsonl").write_bytes(template[:40])
    with EthTesterConnector.open(tmp_path, seed=5, accounts=2) as chain:
        run_history(chain)
    assert (tmp_path / "chain.jsonl").read_bytes() == template


def test_killed_writer__in_the_middle__loses_no_confirmed_block(tmp_path):
    script = (
        "import sys; from pathlib import Path; from flare_offchain.blockchain.embedded import EthTesterConnector\n"
        "chain = EthTesterConnector.open(Path(sys.argv[1]), seed=9)\n"
        "while True:\n"
        "    chain.send_value(chain.account(0), chain.account(1).address, 1).confirmed()\n"
        "    print(chain.head().number, chain.head().hash.hex(), flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    told = [process.stdout.readline() for _ in range(20)]
    with pytest.raises(ChainUnavailable, match="in use by another process"):
        EthTesterConnector.open(tmp_path)
    assert verify_chain_record(tmp_path, ARTIFACTS) == [], "reading beside a writer is safe"
    process.send_signal(signal.SIGKILL)
    told += process.stdout.readlines()
    process.wait(10)
    number, name = told[-1].split()
    with EthTesterConnector.open(tmp_path, seed=9) as chain:
        assert chain.head().number >= int(number)
        assert chain.stamp(int(number)).hash.hex() == name.decode()
        chain.send_value(chain.account(0), chain.account(1).address, 1).confirmed()
    assert verify_chain_record(tmp_path, ARTIFACTS) == []


def test_disk__refuses_a_line__the_chain_closes_instead_of_promising(tmp_path, monkeypatch):
    chain = EthTesterConnector.open(tmp_path, seed=1)
    chain.send_value(chain.account(0), chain.account(1).address, 1).confirmed()
    head = chain.head()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flare_offchain.blockchain.chain_record.os.fsync", full)
    with pytest.raises(StorageUnavailable, match="No space left"):
        chain.send_value(chain.account(0), chain.account(1).address, 1)
    monkeypatch.undo()
    for use in (chain.head, chain.now, lambda: chain.advance_blocks(1), lambda: chain.stamp(0)):
        with pytest.raises(ChainUnavailable, match="open the chain anew"):
            use()
    chain.close()
    with EthTesterConnector.open(tmp_path) as again:
        assert again.stamp(head.number) == head


# ------------------------------------------------------------------------------ opening


def test_open__with_another_seed_or_more_accounts__is_refused(record):
    with pytest.raises(ConfigurationError, match="seed 5, not 6"):
        EthTesterConnector.open(record.folder, seed=6)
    with pytest.raises(ConfigurationError, match="2 accounts, fewer than 3"):
        EthTesterConnector.open(record.folder, accounts=3)
    EthTesterConnector.open(record.folder, seed=5, accounts=1).close()


def test_open__twice_in_one_process__is_refused(record):
    with (
        EthTesterConnector.open(record.folder),
        pytest.raises(ChainUnavailable, match="in use"),
    ):
        EthTesterConnector.open(record.folder)
    EthTesterConnector.open(record.folder).close()


def test_read__beside_a_writer__sees_the_chain_and_takes_no_transaction(tmp_path):
    with EthTesterConnector.open(tmp_path, seed=5, accounts=2) as chain:
        ledger = run_history(chain)
        with EthTesterConnector.read(tmp_path) as reader:
            assert reader.head() == chain.head()
            assert reader.logs([ledger], 0, 9) == chain.logs([ledger], 0, 9)
            for write in (
                lambda: reader.send_value(reader.account(0), reader.account(1).address, 1),
                lambda: reader.advance_time(1),
                lambda: reader.advance_blocks(1),
            ):
                with pytest.raises(ConfigurationError, match="read only"):
                    write()
            assert reader.head() == chain.head()
            assert reader.read_state(ledger, "count") == 3
            with pytest.raises(ConfigurationError, match="read only"):
                reader.tester.mine_blocks(1)
        chain.send_value(chain.account(0), chain.account(1).address, 1).confirmed()
    assert verify_chain_record(tmp_path, ARTIFACTS) == []


def test_close__in_another_thread__lets_go_of_the_folder(tmp_path):
    chain = EthTesterConnector.open(tmp_path)
    closer = threading.Thread(target=chain.close)
    closer.start()
    closer.join()
    EthTesterConnector.open(tmp_path).close()


def test_open__a_folder_that_is_a_file__is_unavailable(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageUnavailable):
        EthTesterConnector.open(tmp_path / "run")


def test_verify__without_a_record__says_so(tmp_path):
    with pytest.raises(ConfigurationError, match="no chain record"):
        verify_chain_record(tmp_path)


def test_closed__is_unavailable(tmp_path):
    chain = EthTesterConnector.open(tmp_path)
    chain.close()
    with pytest.raises(ChainUnavailable, match="close"):
        chain.head()


def test_another_releases_record__is_refused_as_such(record):
    record.alter(0, genesis=lambda genesis: genesis | {"version": 2})
    with pytest.raises((ChainRecordAltered, ConfigurationError)):
        EthTesterConnector.open(record.folder)


# ---------------------------------------------------------------------------- alterations


@pytest.mark.parametrize("block", [0, 3, 9])
@pytest.mark.parametrize(
    "field", ["hash", "parent_hash", "transactions_root", "receipts_root", "state_root", "timestamp", "number"]
)
def test_altered__one_header_field__is_named(record, block, field):
    record.alter(block, **{field: lambda value: value + 1 if isinstance(value, int) else flip(value)})
    finding = record.only()
    assert (finding.block, finding.what) == (block, field)
    assert field in finding.message


@pytest.mark.parametrize("block", [3, 9])
def test_altered__the_header_bytes__are_named(record, block):
    record.alter(block, header=lambda value: value[:200] + flip(value[200:300]) + value[300:])
    finding = record.only()
    assert (finding.block, finding.what) == (block, "header")


def test_altered__the_headers_time__is_found(record):
    made = BlockRecord.of_line(record.lines[4])
    header = made.decoded_header()
    forged = header.copy(timestamp=header.timestamp + 50)
    import rlp

    encoded = "0x" + rlp.encode(forged).hex()
    record.alter(4, header=encoded, timestamp=forged.timestamp)
    assert record.findings()[0].block == 4
    # With a hash that fits it is a block that could have been made; but the next one follows from another.
    record.alter(4, hash="0x" + forged.hash.hex())
    finding = record.only()
    assert (finding.block, finding.what) == (5, "parent_hash")
    assert "block 4: one was altered" in finding.message


def test_altered__a_transactions_argument__is_decoded(record):
    raw = bytes.fromhex(json.loads(record.lines[4])["transactions"][0][2:])
    place = raw.index(b"note 1")
    altered = raw[:place] + b"note X" + raw[place + 6 :]
    record.alter(4, transactions=["0x" + altered.hex()])
    finding = record.only()
    assert (finding.block, finding.what, finding.transaction_index) == (4, "transaction", 0)
    assert (finding.call.contract, finding.call.function) == ("Ledger", "write")
    assert finding.call.arguments == {"entry": {"digest": DIGEST, "size": 1}, "note": b"note X"}
    assert "Ledger.write" in finding.message


# From -65 to -34 lies the signature's r: half of all values are on no point of the curve.
@pytest.mark.parametrize("position", [0, 1, 5, 40, -1, -33, *range(-64, -34, 4)])
def test_altered__any_byte_of_a_transaction__is_found(record, position):
    raw = bytearray.fromhex(json.loads(record.lines[4])["transactions"][0][2:])
    raw[position] ^= 1
    record.alter(4, transactions=["0x" + raw.hex()])
    finding = record.only()
    assert (finding.block, finding.what, finding.transaction_index) == (4, "transaction", 0)


def test_altered__a_transaction_with_its_hash__is_found(record):
    other = json.loads(record.lines[7])
    record.alter(4, transactions=other["transactions"], transaction_hashes=other["transaction_hashes"])
    finding = record.only()
    assert (finding.block, finding.what, finding.transaction_index) == (4, "transaction", 0)
    assert finding.call.function == "deposit"


def test_altered__a_transaction_hash__is_found(record):
    record.alter(4, transaction_hashes=lambda hashes: [flip(hashes[0])])
    finding = record.only()
    assert (finding.block, finding.what, finding.transaction_index) == (4, "transaction_hash", 0)


def test_altered__a_transaction_removed_or_added__is_found(record):
    record.alter(4, transactions=[], transaction_hashes=[], receipts=[], logs=[])
    assert [(finding.block, finding.what) for finding in record.findings()] == [(4, "transactions")]


def test_altered__a_transaction_repeated__is_found(record):
    record.alter(4, transactions=lambda raws: raws * 2, transaction_hashes=lambda hashes: hashes * 2)
    assert [(finding.block, finding.what) for finding in record.findings()] == [(4, "transactions")]


def test_altered__a_log__names_what_and_decodes_both(record):
    for part, change in (
        ("data", lambda text: text.replace(b"note 1".hex(), b"note Y".hex())),
        ("address", flip),
        ("topics", lambda topics: [*topics[:-1], flip(topics[-1])]),
        ("transaction", lambda index: index + 1),
    ):
        fresh = record.lines[4]
        record.alter(4, logs=lambda logs, part=part, change=change: [logs[0] | {part: change(logs[0][part])}])
        finding = record.only()
        assert (finding.block, finding.what, finding.log_index) == (4, "log", 0)
        assert part in finding.detail
        if part == "data":
            assert finding.log.event == "EntryWritten"
            assert finding.log.arguments["note"] == b"note Y"
            assert b"note 1".hex() in finding.message
        record.lines[4] = fresh


def test_altered__a_log_removed_or_added__is_found(record):
    fresh = record.lines[4]
    record.alter(4, logs=[])
    finding = record.only()
    assert (finding.block, finding.what, finding.log_index) == (4, "log", 0)
    assert "removed" in finding.detail
    record.lines[4] = fresh
    record.alter(4, logs=lambda logs: logs * 2)
    finding = record.only()
    assert (finding.block, finding.what, finding.log_index) == (4, "log", 1)
    assert "added" in finding.detail


def test_altered__a_receipt__is_found(record):
    record.alter(4, receipts=lambda receipts: [[0, receipts[0][1]]])
    finding = record.only()
    assert (finding.block, finding.what, finding.transaction_index) == (4, "receipt", 0)
    record.alter(4, receipts=lambda receipts: [[1, receipts[0][1] + 1]])
    assert record.only().what == "receipt"


@pytest.mark.parametrize("block", [1, 4, 6, 8])
def test_altered__a_line_removed__is_missing(record, block):
    del record.lines[block]
    record.save()
    finding = record.only()
    assert (finding.block, finding.what) == (block, "missing")


def test_altered__the_last_lines_removed__show_against_a_known_head(record):
    head = BlockRecord.of_line(record.lines[-1]).hash
    assert verify_chain_record(record.folder, ARTIFACTS, expected_head=head) == []
    del record.lines[-1]
    record.save()
    assert verify_chain_record(record.folder, ARTIFACTS) == []
    [finding] = verify_chain_record(record.folder, ARTIFACTS, expected_head=head)
    assert (finding.block, finding.what) == (9, "missing")


def test_altered__the_first_line_removed__is_found(record):
    del record.lines[0]
    record.save()
    assert record.findings()[0].what == "genesis"


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 4), (4, 7), (8, 9)])
def test_altered__two_lines_swapped__are_out_of_order(record, one, other):
    record.lines[one], record.lines[other] = record.lines[other], record.lines[one]
    record.save()
    found = record.findings()
    assert {finding.what for finding in found} == {"order"}
    assert one in {finding.block for finding in found}


def test_altered__a_line_repeated__is_a_duplicate(record):
    record.lines.insert(5, record.lines[4])
    record.save()
    finding = record.only()
    assert (finding.block, finding.what) == (4, "duplicate")


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"null\n", b"[1]\n", b'"x"\n', b"\xff\xfe\n", b"[" * 5000 + b"\n", b'{"number":5}\n']
)
def test_altered__a_line_that_is_no_block__is_found(record, line):
    record.lines[5] = line
    record.save()
    found = record.findings()
    assert (found[0].block, found[0].what) == (5, "line")


def test_altered__the_way_a_line_is_written__is_found(record):
    value = json.loads(record.lines[5])
    for line in (
        json.dumps(value).encode() + b"\n",
        json.dumps(value | {"more": 1}, sort_keys=True, separators=(",", ":")).encode() + b"\n",
        record.lines[5].replace(b"0xa", b"0xA"),
        record.lines[5].replace(b'"number":5', b'"number":5.0'),
    ):
        if line == record.lines[5]:
            continue
        fresh, record.lines[5] = record.lines[5], line
        record.save()
        finding = record.only()
        assert (finding.block, finding.what) == (5, "line")
        record.lines[5] = fresh


@pytest.mark.parametrize(
    "change",
    [{"seed": 6}, {"accounts": 3}, {"balance": 10**24 + 1}, {"timestamp": 1767225601}, {"gas_limit": 30_000_001}],
)
def test_altered__the_genesis__is_found(record, change):
    record.alter(0, genesis=lambda genesis: genesis | change)
    found = record.findings()
    assert [(finding.block, finding.what) for finding in found] == [(0, "genesis")]


def test_altered__several_at_once__are_all_found(record):
    record.alter(3, logs=[])
    record.alter(4, timestamp=lambda value: value + 1)
    record.alter(5, transactions=lambda raws: [flip(raws[0])])
    record.alter(7, receipts_root=flip)
    record.alter(9, hash=flip)
    found = [(finding.block, finding.what) for finding in record.findings()]
    assert found == [(3, "log"), (4, "timestamp"), (5, "transaction"), (7, "receipts_root"), (9, "header")]


def test_altered__after_a_block_that_cannot_run__logs_are_still_checked(record):
    record.alter(3, transactions=lambda raws: [flip(raws[0])])
    record.alter(4, logs=lambda logs: [logs[0] | {"data": logs[0]["data"].replace("01", "02", 1)}])
    found = [(finding.block, finding.what) for finding in record.findings()]
    assert found == [(3, "transaction"), (4, "logs")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_altered__any_single_byte__is_found(template, tmp_path, data):
    """Whatever the byte, but for the newline at the very end: without it the last block was never written whole."""
    place = data.draw(st.integers(0, len(template) - 2), label="place")
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != template[place]), label="byte")
    (tmp_path / "chain.jsonl").write_bytes(template[:place] + bytes([value]) + template[place + 1 :])
    found = verify_chain_record(tmp_path, ARTIFACTS)
    assert found
    block = template[:place].count(b"\n")
    assert block in {finding.block for finding in found} or block + 1 in {finding.block for finding in found}


def test_forged__a_block_consistent_in_itself__does_not_run(record):
    """A state root, the header around it, its hash: all forged alike. The run, and the next block, say otherwise."""
    import rlp

    made = BlockRecord.of_line(record.lines[9])
    forged = made.decoded_header().copy(state_root=keccak(b"forged"))
    record.alter(
        9,
        state_root="0x" + bytes(forged.state_root).hex(),
        header="0x" + rlp.encode(forged).hex(),
        hash="0x" + forged.hash.hex(),
    )
    finding = record.only()
    assert (finding.block, finding.what) == (9, "block")


def test_forged__a_chain_made_with_another_transaction__is_another_chain(tmp_path, template):
    """Whoever runs the chain anew makes a sound record of another history: its head tells."""
    with EthTesterConnector.open(tmp_path, seed=5, accounts=2) as chain:
        run_history(chain)
        chain.send_value(chain.account(1), chain.account(0).address, 3).confirmed()
    true_head = BlockRecord.of_line(template.splitlines(keepends=True)[-1])
    assert verify_chain_record(tmp_path, ARTIFACTS, expected_head=true_head.hash) == []
    assert verify_chain_record(tmp_path, ARTIFACTS, expected_head=replace(true_head, hash=bytes(32)).hash) != []


def test_speed__with_explicit_gas__keeps_up(tmp_path):
    """80 a second on a quiet machine; a third of that is asked of a busy one."""
    with EthTesterConnector.open(tmp_path, seed=1) as chain:
        account = chain.account(0)
        ledger = deploy_ledger(chain, account, LIMIT).contract
        started = time.process_time()
        for index in range(60):
            chain.submit_transaction(account, ledger, "write", (DIGEST, index), b"", gas=200_000).confirmed()
        assert 60 / (time.process_time() - started) > 27
