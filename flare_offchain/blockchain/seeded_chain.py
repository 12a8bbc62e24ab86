"""A py-evm chain under eth-tester whose every block follows from a seed and the transactions.

eth-tester draws each block's prevrandao at random, takes the genesis time from the wall clock, and lets transactions
see another prevrandao than the block's header says. Here the header of the coming block is complete before any
transaction runs: its prevrandao comes from the seed and the block number, its time is one second after its parent's
unless it is moved, its coinbase and gas limit are fixed. The history of block hashes (EIP-2935) is kept as on a real
Prague chain, which py-evm does only for imported blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from eth.abc import BlockAPI, BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.consensus.applier import ConsensusApplier
from eth.consensus.noproof import NoProofConsensus
from eth.constants import ZERO_HASH32
from eth.db.atomic import AtomicDB
from eth.vm.forks.cancun.state import get_total_blob_gas
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.constants import HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CONTRACT_CODE
from eth.vm.forks.prague.state import PragueState
from eth_tester.backends.pyevm.main import PyEVMBackend
from eth_typing import BlockNumber
from eth_utils.exceptions import ValidationError

from flare_offchain.blockchain.keys import derive_account
from flare_offchain.core.errors import ConfigurationError

CHAIN_ID = 131277322940537
"""eth-tester's own chain id."""
RECORD_VERSION = 1
MAX_SEED = 2**64 - 1
MAX_ACCOUNTS = 65536
COINBASE = hashlib.sha256(b"flare/embedded/coinbase").digest()[-20:]


@dataclass(frozen=True, slots=True)
class Genesis:
    """All that decides the first block. Balances in wei, time in seconds since 1970."""

    seed: int = 0
    accounts: int = 10
    balance: int = 10**24
    timestamp: int = 1_767_225_600
    gas_limit: int = 30_000_000
    chain_id: int = CHAIN_ID
    version: int = RECORD_VERSION

    def __post_init__(self) -> None:
        if any(type(getattr(self, field.name)) is not int for field in fields(self)):
            raise ConfigurationError("the parameters of an embedded chain are integers")
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigurationError(f"a seed is 0 to {MAX_SEED}, not {self.seed}")
        if not 1 <= self.accounts <= MAX_ACCOUNTS:
            raise ConfigurationError(f"an embedded chain has 1 to {MAX_ACCOUNTS} funded accounts, not {self.accounts}")
        if self.version != RECORD_VERSION or self.chain_id != CHAIN_ID:
            raise ConfigurationError(
                f"the embedded chain is of version {self.version}, chain {self.chain_id}; this release makes version "
                f"{RECORD_VERSION}, chain {CHAIN_ID}: use the release that made it"
            )
        if not (0 < self.timestamp < 2**40 and 10**6 <= self.gas_limit < 2**40 and 0 <= self.balance < 2**160):
            raise ConfigurationError("the genesis time, gas limit or balance of the embedded chain is out of range")

    def to_json(self) -> dict[str, int]:
        """Return the parameters as a JSON object."""
        return asdict(self)

    @classmethod
    def of_json(cls, value: object) -> Genesis:
        """Read what `to_json` wrote. Raises `ConfigurationError`."""
        if not isinstance(value, dict) or set(value) != {field.name for field in fields(cls)}:
            raise ConfigurationError("the first line does not hold the parameters of an embedded chain")
        return cls(**value)


def prevrandao(seed: int, number: int) -> bytes:
    """Return the prevrandao of a block: SHA-256 over a domain, the seed and the number, 8 bytes each."""
    return hashlib.sha256(b"flare/embedded/prevrandao" + seed.to_bytes(8, "big") + number.to_bytes(8, "big")).digest()


class _State(PragueState):
    def set_system_contracts(self) -> None:
        # The genesis state holds them. py-evm's own check, at each reading of a state, costs more than a small call.
        pass


class _Vm(PragueVM):
    _state_class = _State
    pending = False

    @property
    def state(self) -> Any:
        if self._state is None:
            state: Any = super().state
            self._state = state
            if self.pending:
                self.block_preprocessing(self.get_block())
        return self._state


class SeededChain(MiningChain):
    """A Prague chain whose headers are fixed beforehand. Use `create`.

    `header` is that of the coming block, complete but for what its transactions make.
    """

    chain_id = CHAIN_ID
    vm_configuration = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((BlockNumber(0), _Vm),))
    seed: int = 0

    @classmethod
    def create(cls, genesis: Genesis, addresses: Sequence[bytes]) -> SeededChain:
        """Return a new chain in memory, with `addresses` funded."""
        empty: dict[str, Any] = {"balance": genesis.balance, "nonce": 0, "code": b"", "storage": {}}
        state: Any = dict.fromkeys(addresses, empty)
        state[HISTORY_STORAGE_ADDRESS] = empty | {"balance": 0, "nonce": 1, "code": HISTORY_STORAGE_CONTRACT_CODE}
        header: Any = {
            "coinbase": COINBASE,
            "difficulty": 0,
            "extra_data": b"flare",
            "gas_limit": genesis.gas_limit,
            "mix_hash": prevrandao(genesis.seed, 0),
            "timestamp": genesis.timestamp,
            "parent_beacon_block_root": ZERO_HASH32,
        }
        chain_class = cls.configure(__name__=cls.__name__, seed=genesis.seed)
        return cast(SeededChain, chain_class.from_genesis(AtomicDB(), header, state))

    def create_header_from_parent(self, parent_header: BlockHeaderAPI, **given: Any) -> BlockHeaderAPI:
        settled: dict[str, Any] = {
            "coinbase": COINBASE,
            "gas_limit": parent_header.gas_limit,
            "mix_hash": prevrandao(self.seed, parent_header.block_number + 1),
            "timestamp": parent_header.timestamp + 1,
            "parent_beacon_block_root": ZERO_HASH32,
        }
        return super().create_header_from_parent(parent_header, **(settled | given))

    def get_vm(self, at_header: BlockHeaderAPI | None = None) -> Any:
        """Return the machine of a block; that of the coming block has its parent's hash in the history already."""
        vm: Any = super().get_vm(cast(Any, at_header))
        vm.pending = vm.get_header().block_number == self.header.block_number
        return vm

    def get_transaction_builder(self) -> Any:
        """Return py-evm's builder of transactions; eth-tester asks the chain for it."""
        return self.get_vm().get_transaction_builder()

    def make_block(self, transactions: Sequence[SignedTransactionAPI], refuse: bool) -> SealedBlock:
        """Make the coming block of exactly these transactions.

        Raises: ValidationError: one cannot be in it; TransactionRefused: with `refuse`, one reverts. Nothing has
        changed then.
        """
        vm = self.get_vm()
        header, receipts, computations = vm.apply_all_transactions(transactions, self.header)
        if refuse and any(computation.is_error for computation in computations):
            raise TransactionRefused(next(each for each in computations if each.is_error))
        filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, transactions, receipts)
        block = vm.mine_block(filled).block
        self.chaindb.persist_block(block)
        self.header = self.create_header_from_parent(block.header)
        return SealedBlock(block, receipts, computations)


class TransactionRefused(Exception):
    """A transaction that was to succeed would revert; `computation` tells how. Never leaves the package."""

    def __init__(self, computation: ComputationAPI) -> None:
        super().__init__(str(computation.error))
        self.computation = computation


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A new block with what its transactions left behind. `computations` is empty for blocks that eth-tester mined."""

    block: BlockAPI
    receipts: tuple[ReceiptAPI, ...]
    computations: tuple[ComputationAPI, ...] = ()


class SeededBackend(PyEVMBackend):  # type: ignore[misc]
    """eth-tester's py-evm backend over a `SeededChain`. `observer` is told of each block that is made, in order."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.observer: Callable[[SealedBlock], None] = lambda sealed: None
        super().__init__()

    def reset_to_genesis(self, *args: object, **kwargs: object) -> None:
        accounts = [derive_account(self.genesis.seed, index) for index in range(self.genesis.accounts)]
        self.account_keys = tuple(account._key_obj for account in accounts)
        self.chain = SeededChain.create(self.genesis, [bytes.fromhex(account.address[2:]) for account in accounts])

    def decode(self, raw: bytes) -> SignedTransactionAPI:
        """Decode a signed transaction. Raises `ValidationError` where it is none that this chain takes."""
        transaction: SignedTransactionAPI = self.chain.get_vm().get_transaction_builder().decode(raw)
        return transaction

    def seal(
        self, transactions: Sequence[SignedTransactionAPI], timestamp: int | None = None, refuse: bool = False
    ) -> SealedBlock:
        """Make the next block of exactly these transactions, at a given time or one second after its parent.

        Raises: ValidationError: a transaction cannot be in it; TransactionRefused: with `refuse`, one would revert.
        Nothing has changed then.
        """
        chain: SeededChain = self.chain
        header = chain.header
        if timestamp is not None:
            if timestamp <= chain.get_canonical_head().timestamp:
                raise ValidationError("a block's time must be after its parent's")
            chain.set_header_timestamp(timestamp)
        try:
            sealed = chain.make_block(transactions, refuse)
        except BaseException:
            chain.header = header
            raise
        self.observer(sealed)
        return sealed

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = COINBASE) -> tuple[bytes, ...]:
        """Make blocks, the first of them of whatever eth-tester has sent. `coinbase` is fixed, whatever is given."""
        return tuple(self._mine(num_blocks))

    def _mine(self, count: int) -> Iterator[bytes]:
        for _ in range(count):
            blob_gas = sum(get_total_blob_gas(transaction) for transaction in self.chain.get_block().transactions)
            block = self.chain.mine_block(blob_gas_used=blob_gas)
            self.observer(SealedBlock(block, tuple(block.get_receipts(self.chain.chaindb))))
            yield block.hash

    def revert_to_snapshot(self, snapshot: object) -> None:
        raise ConfigurationError("the embedded chain keeps a record that is only ever added to: it cannot go back")
