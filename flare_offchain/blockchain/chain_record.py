"""The record of an embedded chain: `chain.jsonl`, one line a block, only ever added to.

A line is canonical JSON (sorted keys, no spaces) and ends with a newline:

    number, timestamp, hash, parent_hash, transactions_root, receipts_root, state_root: the block's
    header: the RLP of its whole header, whose keccak256 is `hash`
    transactions, transaction_hashes: raw signed transactions, and their hashes
    receipts: [status, cumulative gas used] of each transaction
    logs: [{transaction, address, topics, data}] in the order of the block

The first line (block 0) has `genesis` besides, all parameters that the chain follows from. Bytes are hex with 0x.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import rlp  # type: ignore[import-untyped]
from eth.vm.forks.prague.blocks import PragueBlockHeader
from filelock import FileLock, Timeout

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.events import RawLog
from flare_offchain.blockchain.seeded_chain import Genesis, SealedBlock
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, StorageUnavailable
from flare_offchain.utils.bounded_json import load_json

RECORD_NAME = "chain.jsonl"
LOCK_NAME = "chain.lock"
MAX_LINE_BYTES = 32 * 2**20
"""More than any block of 30 million gas can take: calldata and log data cost 8 gas a byte or more."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A log: the index of its transaction within the block, and what it says."""

    transaction: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    """The outcome of a transaction: 1 for success, and the gas used in the block up to and with it."""

    status: int
    cumulative_gas: int


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One block as recorded. `log_index` in findings is the index in `logs`."""

    number: int
    timestamp: int
    hash: bytes
    parent_hash: bytes
    transactions_root: bytes
    receipts_root: bytes
    state_root: bytes
    header: bytes
    transactions: tuple[bytes, ...]
    transaction_hashes: tuple[bytes, ...]
    receipts: tuple[ReceiptRecord, ...]
    logs: tuple[LogRecord, ...]
    genesis: Genesis | None = None

    @classmethod
    def of_sealed(cls, sealed: SealedBlock) -> BlockRecord:
        """Return the record of a block that the chain has just made."""
        logs = tuple(
            LogRecord(index, bytes(log.address), tuple(topic.to_bytes(32, "big") for topic in log.topics), log.data)
            for index, receipt in enumerate(sealed.receipts)
            for log in receipt.logs
        )
        return cls.of_header(
            sealed.block.header,
            transactions=tuple(transaction.encode() for transaction in sealed.block.transactions),
            transaction_hashes=tuple(bytes(transaction.hash) for transaction in sealed.block.transactions),
            receipts=tuple(
                ReceiptRecord(int.from_bytes(receipt.state_root, "big"), receipt.gas_used)
                for receipt in sealed.receipts
            ),
            logs=logs,
        )

    @classmethod
    def of_header(cls, header: Any, **content: Any) -> BlockRecord:
        """Return a record with the fields of a py-evm header."""
        empty: dict[str, Any] = {"transactions": (), "transaction_hashes": (), "receipts": (), "logs": ()}
        return cls(
            number=int(header.block_number),
            timestamp=int(header.timestamp),
            hash=bytes(header.hash),
            parent_hash=bytes(header.parent_hash),
            transactions_root=bytes(header.transaction_root),
            receipts_root=bytes(header.receipt_root),
            state_root=bytes(header.state_root),
            header=rlp.encode(header),
            **(empty | content),
        )

    def decoded_header(self) -> Any:
        """Return the header that the RLP holds. Raises `ValueError` where it is none."""
        try:
            return rlp.decode(self.header, sedes=PragueBlockHeader)
        except (rlp.exceptions.RLPException, TypeError) as error:
            raise ValueError(f"the header is not the RLP of a Prague header: {error}") from error

    def wire_logs(self) -> tuple[RawLog, ...]:
        """Return the logs in the form that every connector gives."""
        return tuple(
            RawLog(
                checksum(log.address),
                log.topics,
                log.data,
                self.number,
                self.hash,
                self.transaction_hashes[log.transaction],
                log.transaction,
                index,
            )
            for index, log in enumerate(self.logs)
        )

    def to_line(self) -> bytes:
        """Return the line of the record, newline and all."""
        value: dict[str, Any] = {
            "number": self.number,
            "timestamp": self.timestamp,
            "receipts": [[receipt.status, receipt.cumulative_gas] for receipt in self.receipts],
            "logs": [
                {
                    "transaction": log.transaction,
                    "address": _hex(log.address),
                    "topics": [_hex(topic) for topic in log.topics],
                    "data": _hex(log.data),
                }
                for log in self.logs
            ],
        }
        value.update((name, _hex(getattr(self, name))) for name in _BYTE_FIELDS)
        value.update((name, [_hex(item) for item in getattr(self, name)]) for name in _LIST_FIELDS)
        if self.genesis is not None:
            value["genesis"] = self.genesis.to_json()
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> BlockRecord:
        """Read a line. Raises `ValueError` where it does not hold a block.

        It may still be written otherwise than `to_line` writes it: compare, where that matters.
        """
        try:
            value = cast(Mapping[str, Any], load_json(line))
            blobs: dict[str, Any] = {name: _bytes(value[name]) for name in _BYTE_FIELDS}
            lists: dict[str, Any] = {name: tuple(_bytes(item) for item in value[name]) for name in _LIST_FIELDS}
            return cls(
                number=_integer(value["number"]),
                timestamp=_integer(value["timestamp"]),
                receipts=tuple(ReceiptRecord(_integer(status), _integer(gas)) for status, gas in value["receipts"]),
                logs=tuple(
                    LogRecord(
                        _integer(log["transaction"]),
                        _bytes(log["address"]),
                        tuple(_bytes(topic) for topic in log["topics"]),
                        _bytes(log["data"]),
                    )
                    for log in value["logs"]
                ),
                genesis=Genesis.of_json(value["genesis"]) if "genesis" in value else None,
                **blobs,
                **lists,
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it does not have the fields of a block: {error!r}") from error


_BYTE_FIELDS = ("hash", "parent_hash", "transactions_root", "receipts_root", "state_root", "header")
_LIST_FIELDS = ("transactions", "transaction_hashes")


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _bytes(value: object) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{str(value)[:80]!r} is not hex with 0x")
    return bytes.fromhex(value[2:])


def _integer(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**64:
        raise ValueError(f"{str(value)[:80]!r} is not an integer of 64 bits")
    return value


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the complete lines of a record. A last line without a newline is a write that was cut off: it is left out.

    A line longer than any block can be is yielded cut short (so that it is no valid line), and ends the reading.
    """
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    yield line[:80]
                    return
                if line.endswith(b"\n"):
                    yield line
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no chain record {path}: is this the folder of a run?") from error
    except OSError as error:
        raise StorageUnavailable(f"cannot read the chain record {path}: {error.strerror}") from error


class ChainRecordWriter:
    """Adds lines to a record; each is on disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        """Open a record for adding, creating it where there is none. Raises `StorageUnavailable`."""
        self._path = path
        self._broken = False
        try:
            self._file: BinaryIO = path.open("ab", buffering=0)
            _sync_folder(path.parent)
        except OSError as error:
            raise StorageUnavailable(f"cannot write the chain record {path}: {error.strerror}") from error

    def write(self, line: bytes) -> None:
        """Add one line.

        Raises: StorageUnavailable: the disk refused. The record may then end in a cut-off line, so that this writer
        refuses from now on: open the chain anew.
        """
        if self._broken:
            raise StorageUnavailable(f"an earlier write of {self._path} failed: open the chain anew")
        try:
            self._broken = True
            if self._file.write(line) != len(line):
                raise OSError(0, "the disk took only a part of the line")
            os.fsync(self._file.fileno())
            self._broken = False
        except (OSError, ValueError) as error:
            raise StorageUnavailable(f"cannot write the chain record {self._path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def lock_folder(folder: Path) -> FileLock:
    """Return the held lock of a run's folder, made if need be.

    Raises: ChainUnavailable: another process holds it; StorageUnavailable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not of one thread: whoever closes the chain lets go of it.
        lock = FileLock(folder / LOCK_NAME, thread_local=False)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ChainUnavailable(
            f"the run in {folder} is in use by another process: wait until it ends, or use another folder"
        ) from error
    except OSError as error:
        raise StorageUnavailable(f"cannot use the folder {folder}: {error.strerror}") from error
    return lock


def check_genesis(genesis: Genesis, folder: Path, seed: int | None, accounts: int | None) -> None:
    """Raise `ConfigurationError` unless a recorded chain has this seed, and at least so many accounts (None: any)."""
    if seed is not None and genesis.seed != seed:
        raise ConfigurationError(
            f"the chain in {folder} has seed {genesis.seed}, not {seed}: use that, or another folder"
        )
    if accounts is not None and genesis.accounts < accounts:
        raise ConfigurationError(
            f"the chain in {folder} has {genesis.accounts} accounts, fewer than {accounts}: use another folder"
        )


def drop_torn_line(path: Path) -> int:
    """Cut a record back to its last complete line; return how many bytes that took. Raises `StorageUnavailable`."""
    try:
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end > 0:
                start = max(0, end - 65536)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
            if end < size:
                file.truncate(end)
                os.fsync(file.fileno())
            return size - end
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StorageUnavailable(f"cannot repair the chain record {path}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
