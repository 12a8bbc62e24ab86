"""The embedded chain: Ethereum's Prague rules in process (py-evm under eth-tester), with nothing to start.

Deterministic: the seed and the sequence of transactions decide every block hash, in any process. Time begins at a fixed
moment and passes by one second a block, or by `advance_time`. With `open` the chain is also kept on disk, as a record
that anybody can replay and that shows any alteration (`flare_offchain.blockchain.record_verification`).

The accounts follow from the seed, which is no secret: simulation only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from eth.exceptions import Revert
from eth.vm.spoof import SpoofTransaction
from eth_tester import EthereumTester
from eth_utils.exceptions import ValidationError

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.chain_record import (
    RECORD_NAME,
    BlockRecord,
    ChainRecordWriter,
    check_genesis,
    drop_torn_line,
    lock_folder,
)
from flare_offchain.blockchain.connector import BlockchainConnector, Mined, TransactionRequest
from flare_offchain.blockchain.events import RawLog
from flare_offchain.blockchain.keys import derive_account
from flare_offchain.blockchain.outcomes import BlockStamp, Dropped, Pending, Receipt
from flare_offchain.blockchain.record_verification import restore
from flare_offchain.blockchain.reverts import CallRefused
from flare_offchain.blockchain.seeded_chain import Genesis, SealedBlock, SeededBackend, TransactionRefused
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, InsufficientFunds, StorageUnavailable
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from filelock import FileLock

    from flare_offchain.blockchain.signers import Signer

logger = logging.getLogger(__name__)

GAS_MARGIN = 1.25
"""Of the gas that the simulation used: a call inside a call is given 63/64 of what is left, refunds come afterwards."""
_ZERO_ADDRESS = bytes(20)


class EthTesterConnector(BlockchainConnector):
    """A chain of this process's own. Each transaction is mined at once, in a block of its own."""

    def __init__(self, seed: int = 0, accounts: int = 10, *, genesis: Genesis | None = None) -> None:
        """Start a new chain in memory, with `accounts` funded accounts (see `account`)."""
        backend = SeededBackend(genesis or Genesis(seed, accounts))
        first = BlockRecord.of_header(backend.chain.get_canonical_head(), genesis=backend.genesis)
        self._attach(backend, [first], None, None)

    @classmethod
    def open(cls, folder: Path, seed: int | None = None, accounts: int | None = None) -> Self:
        """Open the chain kept in a folder, or start one there.

        Everything recorded is run again and compared. A last line that was cut off as its writer was killed is
        dropped: nobody was told of that block.

        Args:
            folder: the run's folder; `chain.jsonl` and a lock file are in it.
            seed, accounts: of a new chain (0 and 10 if None). A chain that is there must be of this seed, and have
                at least so many accounts.

        Raises:
            ChainRecordAltered: the record is not what its transactions make.
            ChainUnavailable: another process has the folder open.
            ConfigurationError: the chain there is another one.
            StorageUnavailable: the folder cannot be read or written.
        """
        path = folder / RECORD_NAME
        lock = lock_folder(folder)
        try:
            dropped = drop_torn_line(path)
            if dropped:
                logger.warning("dropped a block that was cut off as it was written: %d bytes of %s", dropped, path)
            fresh = not path.exists() or path.stat().st_size == 0
            if fresh:
                backend = SeededBackend(Genesis(seed or 0, 10 if accounts is None else accounts))
                blocks = [BlockRecord.of_header(backend.chain.get_canonical_head(), genesis=backend.genesis)]
            else:
                backend, blocks = restore(path, lambda genesis: check_genesis(genesis, folder, seed, accounts))
            writer = ChainRecordWriter(path)
            if fresh:
                writer.write(blocks[0].to_line())
            connector = cls.__new__(cls)
            connector._attach(backend, blocks, writer, lock)
        except BaseException:
            lock.release()
            raise
        return connector

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open the chain kept in a folder as it stands, to read it: nothing is locked and nothing written.

        Raises: ChainRecordAltered; ConfigurationError: there is no chain; StorageUnavailable. A transaction is refused
        with `ConfigurationError`.
        """
        backend, blocks = restore(folder / RECORD_NAME, lambda _: None)
        connector = cls.__new__(cls)
        connector._attach(backend, blocks, None, None)
        connector._read_only = True
        return connector

    def _attach(
        self,
        backend: SeededBackend,
        blocks: list[BlockRecord],
        writer: ChainRecordWriter | None,
        lock: FileLock | None,
    ) -> None:
        self._backend = backend
        self._blocks: list[BlockRecord] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        for block in blocks:
            self._append(block)
        self._writer = writer
        self._file_lock = lock
        self._mutex = threading.RLock()
        self._closed: str | None = None
        self._read_only = False
        backend.observer = self._observe
        self.tester = EthereumTester(backend)
        """eth-tester's own interface to the same chain, for web3's `EthereumTesterProvider`."""

    def _observe(self, sealed: SealedBlock) -> None:
        if self._read_only:
            self._closed = "it was opened to read only"
            raise ConfigurationError(f"the embedded chain takes no transaction: {self._closed}")
        record = BlockRecord.of_sealed(sealed)
        if self._writer is not None:
            try:
                self._writer.write(record.to_line())
            except StorageUnavailable as error:
                # The chain in memory is now ahead of the record: to go on would be to promise what is not kept.
                self._closed = f"its record could not be written ({error}): open the chain anew"
                raise
        self._append(record)

    def _append(self, record: BlockRecord) -> None:
        self._blocks.append(record)
        self._places.update((name, (record.number, index)) for index, name in enumerate(record.transaction_hashes))

    def _use(self, up_to: int = 0, *, writing: bool = False) -> Any:
        """Return the chain, if it is open, has block `up_to`, and may be written where that is wanted."""
        if self._closed is not None:
            raise ChainUnavailable(f"the embedded chain is closed: {self._closed}")
        if writing and self._read_only:
            raise ConfigurationError("the embedded chain takes no transaction: it was opened to read only")
        if not 0 <= up_to < len(self._blocks):
            raise ChainUnavailable(f"the embedded chain has no block {up_to} yet: its head is {len(self._blocks) - 1}")
        return self._backend.chain

    # ------------------------------------------------------------------- accounts and clock

    @property
    def genesis(self) -> Genesis:
        """The parameters that the chain follows from."""
        return self._backend.genesis

    def account(self, index: int) -> LocalAccount:
        """Return funded account `index`, 0 to `genesis.accounts - 1`. Raises `ConfigurationError` outside that."""
        if not 0 <= index < self.genesis.accounts:
            raise ConfigurationError(
                f"the embedded chain has {self.genesis.accounts} accounts: there is no account {index}"
            )
        return _account(self.genesis.seed, index)

    @property
    def accounts(self) -> tuple[LocalAccount, ...]:
        """All funded accounts."""
        return tuple(self.account(index) for index in range(self.genesis.accounts))

    def advance_time(self, seconds: int) -> BlockStamp:
        """Let time pass: mine an empty block `seconds` (at least 1) after the newest one, and return its stamp."""
        if seconds < 1:
            raise ConfigurationError(f"time passes by at least one second, not {seconds}")
        with self._mutex:
            self._use(writing=True)
            self._backend.seal([], self._blocks[-1].timestamp + seconds)
            return self.head()

    def advance_blocks(self, count: int) -> BlockStamp:
        """Mine `count` empty blocks, one second apart, and return the stamp of the last."""
        if count < 1:
            raise ConfigurationError(f"at least one block can be mined, not {count}")
        with self._mutex:
            self._use(writing=True)
            for _ in range(count):
                self._backend.seal([])
            return self.head()

    # ------------------------------------------------------------------------------ reading

    @property
    def chain_id(self) -> int:
        return self.genesis.chain_id

    def head(self) -> BlockStamp:
        with self._mutex:
            self._use()
            return _stamp(self._blocks[-1])

    def stamp(self, number: int) -> BlockStamp:
        with self._mutex:
            self._use(number)
            return _stamp(self._blocks[number])

    def now(self) -> int:
        with self._mutex:
            return int(self._use().header.timestamp)

    def balance(self, address: str, block: BlockStamp | None = None) -> int:
        with self._mutex:
            return int(self._state(block).get_balance(_canonical(address)))

    def code(self, address: str, block: BlockStamp | None = None) -> bytes:
        with self._mutex:
            return bytes(self._state(block).get_code(_canonical(address)))

    def transaction_count(self, address: str) -> int:
        with self._mutex:
            return int(self._state(None).get_nonce(_canonical(address)))

    def transaction_input(self, transaction_hash: bytes) -> bytes:
        with self._mutex:
            self._use()
            place = self._places.get(transaction_hash)
            if place is None:
                raise ChainUnavailable(f"the embedded chain has no transaction {transaction_hash.hex()}")
            block, index = place
            return bytes(self._backend.decode(self._blocks[block].transactions[index]).data)

    def raw_logs(self, addresses: Sequence[Address], from_block: int, to_block: int) -> list[RawLog]:
        wanted = {_canonical(address) for address in addresses}
        with self._mutex:
            self._use(to_block)
            return [
                log
                for record in self._blocks[from_block : to_block + 1]
                if any(logged.address in wanted for logged in record.logs)
                for log, logged in zip(record.wire_logs(), record.logs, strict=True)
                if logged.address in wanted
            ]

    def _state(self, block: BlockStamp | None) -> Any:
        """Return the state after a block, in the environment of that block, where gas costs nothing."""
        chain = self._use()
        if block is None:
            header = chain.get_canonical_head()
        elif 0 <= block.number < len(self._blocks) and self._blocks[block.number].hash == block.hash:
            header = chain.get_canonical_block_header_by_number(block.number)
        else:
            raise ChainUnavailable(f"block {block.number} ({block.hash.hex()}) is not on this embedded chain")
        return chain.get_vm(header.copy(base_fee_per_gas=0)).state

    def _call(self, to: Address, data: bytes, sender: Address | None, block: BlockStamp | None) -> bytes:
        with self._mutex:
            state = self._state(block)
            gas = self.genesis.gas_limit
            origin = _canonical(sender) if sender else _ZERO_ADDRESS
            computation = self._run(state, origin, TransactionRequest(to, data, 0, gas))
            return bytes(computation.output)

    def _run(self, state: Any, sender: bytes, request: TransactionRequest) -> Any:
        """Run a request on a state that nobody keeps. Raises `CallRefused`, `InsufficientFunds`."""
        builder: Any = self._backend.chain.get_vm().get_transaction_builder()
        unsigned = builder.new_unsigned_dynamic_fee_transaction(
            chain_id=self.chain_id,
            nonce=state.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=request.gas,
            to=_canonical(request.to) if request.to else b"",
            value=request.value,
            data=request.data,
            access_list=(),
        )
        try:
            computation = state.apply_transaction(SpoofTransaction(unsigned, from_=sender))
        except ValidationError as error:
            raise CallRefused(b"", f"({error})") from error
        if computation.is_error:
            raise _refusal(computation)
        return computation

    # ------------------------------------------------------------------------------ writing

    def _send(self, account: Signer, request: TransactionRequest) -> Mined | Pending | Dropped:
        with self._mutex:
            chain = self._use(writing=True)
            sender = _canonical(account.address)
            pending = chain.header
            state = chain.get_vm(pending.copy(base_fee_per_gas=0)).state
            nonce, funds = state.get_nonce(sender), state.get_balance(sender)
            if funds < request.value:
                raise _no_funds(account.address, funds, request.value)
            max_fee = 2 * pending.base_fee_per_gas
            gas = request.gas
            if gas is None:
                # A block is the transaction's own, so all its gas can be: nothing to estimate, unless it is too dear.
                gas = self.genesis.gas_limit
                if funds < request.value + gas * max_fee:
                    gas = self._estimate(state, sender, request)
            if funds < request.value + gas * max_fee:
                raise _no_funds(account.address, funds, request.value + gas * max_fee)
            fields: dict[str, Any] = {
                "type": 2,
                "chainId": self.chain_id,
                "nonce": nonce,
                "value": request.value,
                "gas": gas,
                "maxFeePerGas": max_fee,
                "maxPriorityFeePerGas": 0,
                "data": request.data,
            }
            if request.to is not None:
                fields["to"] = request.to
            transaction = self._backend.decode(bytes(account.sign_transaction(fields).raw_transaction))
            try:
                sealed = self._backend.seal([transaction], refuse=True)
            except TransactionRefused as refused:
                # In this process nothing can come between simulation and transaction: they are one run.
                raise _refusal(refused.computation) from None
            except ValidationError as error:
                raise CallRefused(b"", f"({error})") from error
            return self._mined(sealed, pending.base_fee_per_gas)

    def _estimate(self, state: Any, sender: bytes, request: TransactionRequest) -> int:
        limit = self.genesis.gas_limit
        computation = self._run(state, sender, TransactionRequest(request.to, request.data, request.value, limit))
        used = limit - computation.get_gas_remaining() + computation.data_floor_gas
        return min(limit, int(used * GAS_MARGIN))

    def _mined(self, sealed: SealedBlock, gas_price: int) -> Mined:
        record = self._blocks[-1]
        computation = sealed.computations[0]
        created = computation.msg.storage_address if computation.msg.is_create else None
        receipt = Receipt(
            transaction_hash=record.transaction_hashes[0],
            block=_stamp(record),
            transaction_index=0,
            succeeded=record.receipts[0].status == 1,
            gas_used=record.receipts[0].cumulative_gas,
            gas_price=gas_price,
            contract_address=checksum(created) if created else None,
            logs=record.wire_logs(),
        )
        return Mined(receipt, bytes(computation.output) if computation.is_error else b"")

    def _settle(self, pending: Pending) -> Mined | Pending | Dropped:
        return Dropped(pending.account, pending.nonce, pending.transaction_hashes)

    # ----------------------------------------------------------------------------- lifetime

    def close(self) -> None:
        with self._mutex:
            self._closed = self._closed or "close() was called"
            if self._writer is not None:
                self._writer.close()
            if self._file_lock is not None:
                self._file_lock.release()


@lru_cache(maxsize=8192)
def _account(seed: int, index: int) -> LocalAccount:
    return derive_account(seed, index)


@lru_cache(maxsize=65536)
def _canonical(address: str) -> bytes:
    return bytes.fromhex(checksum(address)[2:])


def _stamp(record: BlockRecord) -> BlockStamp:
    return BlockStamp(record.number, record.hash, record.timestamp)


def _refusal(computation: Any) -> CallRefused:
    error = computation.error
    if isinstance(error, Revert):
        return CallRefused(bytes(computation.output))
    return CallRefused(b"", f"({type(error).__name__}: {error})")


def _no_funds(address: str, funds: int, needed: int) -> InsufficientFunds:
    return InsufficientFunds(f"{address} has {funds} wei and the transaction may need {needed}: fund the account")
