"""Proof that the record of an embedded chain is what the chain made, or where it is not.

The record holds all inputs (genesis, transactions, times) and all results (header, receipts, logs) of every block. The
inputs are run again in a new py-evm; as they decide every bit, any result that differs has been altered. Where an
input was altered the run cannot go on: the signature, the hash or the order of nonces breaks. From there each block is
checked for itself, by the hashes that bind its parts to its header and its header to the next.

What no record can show by itself is the removal of its last blocks, for a shorter chain is a chain. Whoever knows the
newest block passes its hash as `expected_head`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from flare_offchain.blockchain.artifacts import ContractArtifact, compiled_names, load_artifact
from flare_offchain.blockchain.chain_record import RECORD_NAME, BlockRecord, LogRecord, read_lines
from flare_offchain.blockchain.record_decoding import DecodedCall, DecodedLog, RecordDecoder
from flare_offchain.blockchain.record_hashes import REFUSALS, merkle_root, receipts_match, true_number, true_parent
from flare_offchain.blockchain.seeded_chain import Genesis, SealedBlock, SeededBackend
from flare_offchain.core.errors import ChainRecordAltered, ConfigurationError

_SCALARS = ("number", "timestamp", "hash", "parent_hash", "transactions_root", "receipts_root", "state_root", "header")
_IN_HEADER = ("number", "timestamp", "parent_hash", "transactions_root", "receipts_root", "state_root")


@dataclass(frozen=True, slots=True)
class RecordFinding:
    """One alteration.

    `what` is a field's name (`timestamp`, `hash`, `header`, …) or one of: `line` (it is not written as blocks are),
    `genesis`, `missing` (the block's line is gone), `order`, `duplicate`, `transaction`, `transaction_hash`,
    `transactions` (one was added, removed or moved), `receipt`, `log`, `logs`, `block`. `call` and `log` are the
    transaction or log as recorded, decoded where a known ABI fits.
    """

    block: int
    what: str
    detail: str
    transaction_index: int | None = None
    log_index: int | None = None
    call: DecodedCall | None = None
    log: DecodedLog | None = None

    @property
    def message(self) -> str:
        """The finding in one sentence."""
        place = f"block {self.block}"
        if self.transaction_index is not None:
            place += f", transaction {self.transaction_index}"
        if self.log_index is not None:
            place += f", log {self.log_index}"
        decoded = self.call or self.log
        return f"the chain record is altered at {place}: {self.detail}" + (f" (recorded: {decoded})" if decoded else "")

    def exception(self) -> ChainRecordAltered:
        """Return the finding as an error to raise."""
        return ChainRecordAltered(self.message, self.block, self.what, self.transaction_index, self.log_index)


def verify_chain_record(
    folder: Path, artifacts: Sequence[ContractArtifact] | None = None, expected_head: bytes | None = None
) -> list[RecordFinding]:
    """Return every alteration of the record in a run's folder; none for a record as the chain made it.

    It only reads, and may run while a chain is writing. A last line that was cut off is not an alteration.

    Args:
        folder: holds `chain.jsonl`.
        artifacts: contracts by whose ABIs to decode; all that the package carries if None.
        expected_head: hash of a block that the record must hold.

    Raises: ConfigurationError: there is no record; StorageUnavailable: it cannot be read.
    """
    known = [load_artifact(name) for name in compiled_names()] if artifacts is None else artifacts
    return _Verification(read_lines(folder / RECORD_NAME), RecordDecoder(known)).run(expected_head)


def restore(path: Path, check: Callable[[Genesis], None]) -> tuple[SeededBackend, list[BlockRecord]]:
    """Run a record again and return the chain at its end, with its blocks.

    `check` may refuse the genesis before anything runs. Raises `ChainRecordAltered` for the first alteration.
    """
    backend: SeededBackend | None = None
    blocks: list[BlockRecord] = []
    for line in read_lines(path):
        try:
            record = BlockRecord.of_line(line)
            if backend is None:
                if record.genesis is None:
                    raise ValueError("the first line has no genesis")
                check(record.genesis)
                backend = SeededBackend(record.genesis)
                made = BlockRecord.of_header(backend.chain.get_canonical_head(), genesis=record.genesis)
            else:
                made = _make(backend, record, record.timestamp)
        except REFUSALS as error:
            if isinstance(error, ConfigurationError) and backend is None and _parses(line):
                raise
            raise _first(path) from error
        if made.to_line() != line:
            raise _first(path)
        blocks.append(made)
    if backend is None:
        raise _first(path)
    return backend, blocks


def _parses(line: bytes) -> bool:
    try:
        return BlockRecord.of_line(line).genesis is not None
    except ValueError:
        return False


def _first(path: Path) -> ChainRecordAltered:
    findings = verify_chain_record(path.parent)
    if findings:
        return findings[0].exception()
    return ChainRecordAltered(f"the chain record {path} does not run again to the same blocks", 0, "block")


def _make(backend: SeededBackend, record: BlockRecord, timestamp: int) -> BlockRecord:
    made: list[SealedBlock] = []
    backend.observer = made.append
    backend.seal([backend.decode(raw) for raw in record.transactions], timestamp)
    return BlockRecord.of_sealed(made[0])


class _Verification:
    """One pass over a record. Findings are in the order of the blocks."""

    def __init__(self, lines: Iterable[bytes], decoder: RecordDecoder) -> None:
        self._decoder = decoder
        self._findings: list[RecordFinding] = []
        self._records: dict[int, BlockRecord] = {}
        self._broken_lines: list[int] = []
        self._read(lines)

    def run(self, expected_head: bytes | None) -> list[RecordFinding]:
        """Return the findings."""
        backend = self._begin()
        last = max(self._records, default=0)
        for number in range(1, last + 1):
            record = self._records.get(number)
            if record is None:
                backend = None
                if number not in self._broken_lines:
                    self._add(number, "missing", "its line has been removed")
                continue
            made = self._run_again(backend, record) if backend else None
            if made is None:
                self._check_alone(record, refused=backend is not None)
                backend = None
            else:
                self._compare(record, made)
        if expected_head is not None and expected_head not in {record.hash for record in self._records.values()}:
            self._add(last + 1, "missing", f"the expected block {expected_head.hex()} is not in the record")
        return sorted(self._findings, key=lambda finding: finding.block)

    def _add(self, block: int, what: str, detail: str, **place: Any) -> None:
        self._findings.append(RecordFinding(block, what, detail, **place))

    # ------------------------------------------------------------------------ reading

    def _read(self, lines: Iterable[bytes]) -> None:
        """Parse the lines and put them in order, noting what is not in it."""
        highest = -1
        for position, line in enumerate(lines):
            try:
                record = BlockRecord.of_line(line)
            except ValueError as error:
                self._add(position, "line", f"line {position + 1} is no block: {error}")
                self._broken_lines.append(position)
                continue
            number = true_number(record)
            if record.to_line() != line:
                self._add(number, "line", f"line {position + 1} is not written the way blocks are written")
            if number in self._records:
                self._add(number, "duplicate", f"line {position + 1} repeats the block")
                continue
            if number < highest:
                self._add(number, "order", f"its line comes after that of block {highest}")
            highest = max(highest, number)
            self._records[number] = record

    def _begin(self) -> SeededBackend | None:
        """Make block 0, if the record says how."""
        record = self._records.get(0)
        if record is None or record.genesis is None:
            if 0 not in self._broken_lines:
                self._add(0, "genesis", "the line of block 0 with the chain's parameters is gone")
            return None
        backend = SeededBackend(record.genesis)
        made = BlockRecord.of_header(backend.chain.get_canonical_head(), genesis=record.genesis)
        if made.hash not in self._names_of(record):
            self._add(0, "genesis", "its parameters do not make this block")
            self._check_alone(record, refused=False)
            return None
        self._compare(record, made)
        return backend

    def _names_of(self, record: BlockRecord) -> set[bytes]:
        """The hashes by which the record knows this block: its own, its header's, and the next block's parent's."""
        following = self._records.get(true_number(record) + 1)
        return {record.hash, keccak(record.header)} | ({true_parent(following)} if following else set())

    # ------------------------------------------------------------------------ running

    def _run_again(self, backend: SeededBackend, record: BlockRecord) -> BlockRecord | None:
        """Make the block again from its inputs; None where they no longer make it."""
        number = true_number(record)
        following = self._records.get(number + 1)
        header_hash = keccak(record.header)
        timestamp = record.timestamp
        if header_hash == record.hash or (following and true_parent(following) == header_hash):
            timestamp = int(record.decoded_header().timestamp)
        try:
            made = _make(backend, record, timestamp)
        except REFUSALS:
            return None
        return made if made.number == number and made.hash in self._names_of(record) else None

    def _compare(self, record: BlockRecord, made: BlockRecord) -> None:
        """Compare every field with what the chain makes."""
        number = made.number
        for name in _SCALARS:
            recorded, expected = getattr(record, name), getattr(made, name)
            if recorded != expected:
                self._add(number, name, f"{name} is recorded as {_show(recorded)} and is {_show(expected)}")
        for index, (recorded, expected) in enumerate(zip_longest(record.transaction_hashes, made.transaction_hashes)):
            if recorded != expected:
                self._add(
                    number,
                    "transaction_hash",
                    f"its hash is recorded as {_show(recorded)} and is {_show(expected)}",
                    transaction_index=index,
                )
        for index, (recorded, expected) in enumerate(zip_longest(record.receipts, made.receipts)):
            if recorded != expected:
                detail = f"its receipt is recorded as {recorded} and is {expected}"
                self._add(number, "receipt", detail, transaction_index=index, call=self._call(made, index))
        self._compare_logs(record, made)

    def _compare_logs(self, record: BlockRecord, made: BlockRecord) -> None:
        if len(record.logs) != len(made.logs):
            index = next(
                (i for i, pair in enumerate(zip_longest(record.logs, made.logs)) if pair[0] != pair[1]), len(made.logs)
            )
            verb = "removed" if len(record.logs) < len(made.logs) else "added"
            entry = (made if verb == "removed" else record).logs[index]
            self._add(made.number, "log", f"a log has been {verb}", log_index=index, **self._log(made, entry))
            return
        for index, (recorded, expected) in enumerate(zip(record.logs, made.logs, strict=True)):
            if recorded != expected:
                parts = [name for name in _LOG_PARTS if getattr(recorded, name) != getattr(expected, name)]
                right = self._decoder.log(expected)
                detail = f"its {' and '.join(parts)} {'is' if len(parts) == 1 else 'are'} not what the contract emitted"
                detail += f", {right}" if right else ""
                self._add(made.number, "log", detail, log_index=index, **self._log(made, recorded))

    def _call(self, record: BlockRecord, index: int) -> DecodedCall | None:
        return self._decoder.call(record.transactions[index]) if index < len(record.transactions) else None

    def _log(self, record: BlockRecord, log: LogRecord) -> dict[str, Any]:
        index = log.transaction if log.transaction < len(record.transactions) else None
        return {"transaction_index": index, "log": self._decoder.log(log)}

    # ------------------------------------------------------------------------- alone

    def _check_alone(self, record: BlockRecord, refused: bool) -> None:
        """Check what a block says of itself, without running it. `refused`: its inputs no longer make it."""
        number, before = true_number(record), len(self._findings)
        self._check_header(record, number)
        self._check_transactions(record, number)
        if len(self._findings) == before and not receipts_match(record):
            index = 0 if len(record.logs) == 1 else None
            self._add(number, "logs", "the logs and receipts do not hash to receipts_root", log_index=index)
        previous = self._records.get(number - 1)
        if previous is not None and true_parent(record) not in {previous.hash, keccak(previous.header)}:
            self._add(number, "parent_hash", f"it does not follow from block {number - 1}: one was altered")
        if refused and len(self._findings) == before:
            detail = "its parts agree with one another, but its transactions do not make it"
            index = 0 if len(record.transactions) == 1 else None
            self._add(
                number, "block", detail, transaction_index=index, call=self._call(record, 0) if index == 0 else None
            )

    def _check_header(self, record: BlockRecord, number: int) -> None:
        following = self._records.get(number + 1)
        if keccak(record.header) != record.hash:
            known = following is not None and true_parent(following) == keccak(record.header)
            what = "hash" if known else "header"
            self._add(number, what, f"{what} has been altered: the header does not hash to the block's hash")
            if not known:
                return
        try:
            header = BlockRecord.of_header(record.decoded_header())
        except ValueError as error:
            self._add(number, "header", str(error))
            return
        for name in _IN_HEADER:
            recorded, expected = getattr(record, name), getattr(header, name)
            if recorded != expected:
                self._add(number, name, f"{name} is recorded as {_show(recorded)} and is {_show(expected)}")

    def _check_transactions(self, record: BlockRecord, number: int) -> None:
        before = len(self._findings)
        for index, (raw, name) in enumerate(zip_longest(record.transactions, record.transaction_hashes)):
            if raw is None or name is None:
                self._add(number, "transactions", "transactions and their hashes differ in number")
                return
            if keccak(raw) != name:
                self._add(
                    number,
                    "transaction",
                    f"the signed bytes do not hash to {name.hex()}",
                    transaction_index=index,
                    call=self._decoder.call(raw),
                )
        if len(self._findings) == before and merkle_root(record.transactions) != record.transactions_root:
            if len(record.transactions) == 1:
                detail = "it is not the transaction that transactions_root names"
                self._add(number, "transaction", detail, transaction_index=0, call=self._call(record, 0))
            else:
                self._add(number, "transactions", "a transaction has been added, removed or moved")


_LOG_PARTS = ("transaction", "address", "topics", "data")


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + (value.hex() if len(value) <= 32 else value[:16].hex() + "…")
    return "nothing" if value is None else str(value)
