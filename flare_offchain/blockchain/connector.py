"""The one interface to a chain. Everything above it runs unchanged in process (`EthTesterConnector`) or against any
JSON-RPC endpoint (`EthereumConnector`); `tests/suites/connector_suite.py` holds both to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.artifacts import BoundContract, ContractArtifact
from flare_offchain.blockchain.events import ChainEvent, EventDecoder, RawLog
from flare_offchain.blockchain.outcomes import (
    BlockStamp,
    Confirmed,
    Dropped,
    Pending,
    Receipt,
    Reverted,
    TransactionOutcome,
)
from flare_offchain.blockchain.reverts import CallRefused, decode_revert
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, WrongChain
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from flare_offchain.blockchain.signers import Signer


@dataclass(frozen=True, slots=True)
class TransactionRequest:
    """What to send: `to` is None for a deployment, `value` is wei, `gas` None to have it estimated.

    `max_fee` caps the wei that a unit of gas may cost, besides the connector's policy; on an embedded chain nobody has
    to.
    """

    to: Address | None
    data: bytes
    value: int = 0
    gas: int | None = None
    max_fee: int | None = None


@dataclass(frozen=True, slots=True)
class Mined:
    """A mined transaction, and what it returned if it reverted (empty where the node cannot tell)."""

    receipt: Receipt
    revert_data: bytes = b""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A contract that this account has just deployed."""

    contract: BoundContract
    receipt: Receipt


class BlockchainConnector(ABC):
    """Reads and writes one chain.

    A subclass supplies the primitive calls; coding, decoding of reverts and events and the outcome types are here.
    Instances may be used by several threads. Accounts sign locally: no key ever leaves the process or is logged.
    """

    # ------------------------------------------------------------------ primitives

    @property
    @abstractmethod
    def chain_id(self) -> int:
        """EIP-155 chain id."""

    @abstractmethod
    def head(self) -> BlockStamp:
        """Return the newest block that this connector treats as settled.

        Raises: ChainUnavailable.
        """

    @abstractmethod
    def stamp(self, number: int) -> BlockStamp:
        """Return the stamp of a canonical block. Raises `ChainUnavailable` where the chain has no such block (yet)."""

    @abstractmethod
    def now(self) -> int:
        """Return the timestamp, in seconds, that a transaction sent now would see at the earliest."""

    @abstractmethod
    def balance(self, address: str, block: BlockStamp | None = None) -> int:
        """Return an account's balance in wei, at a block or at the newest one."""

    @abstractmethod
    def code(self, address: str, block: BlockStamp | None = None) -> bytes:
        """Return the code at an address; empty where there is no contract."""

    @abstractmethod
    def transaction_count(self, address: str) -> int:
        """Return how many transactions of the account the chain has mined: its next nonce."""

    @abstractmethod
    def transaction_input(self, transaction_hash: bytes) -> bytes:
        """Return the call data of a mined transaction, checked against its hash.

        Raises: ChainUnavailable: the chain does not have it (yet); WrongChain: the endpoint answered with another.
        """

    @abstractmethod
    def raw_logs(self, addresses: Sequence[Address], from_block: int, to_block: int) -> list[RawLog]:
        """Return the logs of the addresses in the closed range of blocks, in chain order.

        Raises: ChainUnavailable: the range is not all there, or the chain was reorganised meanwhile; WrongChain: the
        endpoint answered with logs that were not asked for.
        """

    @abstractmethod
    def _call(self, to: Address, data: bytes, sender: Address | None, block: BlockStamp | None) -> bytes:
        """Run a call without a transaction. Raises `CallRefused`, `ChainUnavailable`."""

    @abstractmethod
    def _send(self, account: Signer, request: TransactionRequest) -> Mined | Pending | Dropped:
        """Simulate, sign and send. Raises `CallRefused` where the simulation reverts: then nothing was sent."""

    @abstractmethod
    def _settle(self, pending: Pending) -> Mined | Pending | Dropped:
        """Look again at a transaction that was pending."""

    # --------------------------------------------------------------------- reading

    @property
    def block_number(self) -> int:
        """Number of `head()`."""
        return self.head().number

    def read_state(
        self,
        contract: BoundContract,
        function: str,
        *arguments: object,
        block: BlockStamp | None = None,
        sender: str | None = None,
    ) -> object:
        """Call a view function.

        Args:
            contract: the contract.
            function: its function's name, or signature where the name is overloaded.
            arguments: see `flare_offchain.blockchain.abi` for the forms taken and returned.
            block: read the state after exactly this block (by hash); the newest block if None.
            sender: `msg.sender` of the call; the zero address if None.

        Returns: the one return value, or a tuple of several.

        Raises:
            TransactionReverted: the contract refused.
            WrongChain: there is no contract at the address, or it answers in another ABI.
            ChainUnavailable: the endpoint does not answer, or no longer has the block.
        """
        called = contract.abi.function(function)
        data = called.encode(arguments)
        try:
            returned = self._call(contract.address, data, checksum(sender) if sender else None, block)
        except CallRefused as refused:
            raise decode_revert(refused.data, contract.abi, function, refused.hint).exception() from None
        if not returned and called.outputs.items:
            raise WrongChain(
                f"there is no {contract.name} at {contract.address} on chain {self.chain_id}: check the deployment"
            )
        return called.decode_output(returned)

    def logs(self, contracts: Sequence[BoundContract], from_block: int, to_block: int) -> list[ChainEvent]:
        """Return the decoded events of the contracts in the closed range of blocks, in chain order.

        Raises: as `raw_logs`; WrongChain where a log does not fit the contract's ABI.
        """
        if from_block < 0 or not contracts:
            raise ConfigurationError("logs needs at least one contract and a range that starts at block 0 or later")
        if to_block < from_block:
            return []
        decoder = EventDecoder(contracts)
        return [decoder.decode(log) for log in self.raw_logs(decoder.addresses, from_block, to_block)]

    # --------------------------------------------------------------------- writing

    def submit_transaction(
        self,
        account: Signer,
        contract: BoundContract,
        function: str,
        *arguments: object,
        value: int = 0,
        gas: int | None = None,
    ) -> TransactionOutcome:
        """Simulate, sign locally, send and wait.

        Args:
            account: pays and signs.
            contract, function, arguments: as in `read_state`.
            value: wei sent along.
            gas: gas limit; estimated with a margin if None.

        Returns: `Confirmed`, `Reverted` (with no receipt if the simulation showed it), `Pending` or `Dropped`.

        Raises:
            InsufficientFunds: the account cannot pay value plus gas.
            ChainUnavailable: the endpoint does not answer.
            ConfigurationError: arguments that do not fit the ABI.
        """
        called = contract.abi.function(function)
        request = TransactionRequest(contract.address, called.encode(arguments), value, gas)
        try:
            return self._outcome(self._send(account, request), contract, function)
        except CallRefused as refused:
            return Reverted(decode_revert(refused.data, contract.abi, function, refused.hint))

    def await_transaction(self, pending: Pending, contract: BoundContract, function: str) -> TransactionOutcome:
        """Look again at a `Pending` transaction that called `function`, waiting once more."""
        return self._outcome(self._settle(pending), contract, function)

    def send_value(self, account: Signer, to: str, value: int) -> TransactionOutcome:
        """Send wei. Same outcomes and errors as `submit_transaction`."""
        return self.send_data(account, to, b"", value=value, doing="the transfer")

    def send_data(
        self, account: Signer, to: str, data: bytes, *, doing: str, value: int = 0, max_fee: int | None = None
    ) -> TransactionOutcome:
        """Send call data to an address that has no ABI; `doing` names it in messages, `max_fee` caps what gas costs.

        Same outcomes and errors as `submit_transaction`.
        """
        try:
            result = self._send(account, TransactionRequest(checksum(to), data, value, None, max_fee))
        except CallRefused as refused:
            return Reverted(decode_revert(refused.data, None, doing, refused.hint))
        return self._outcome(result, None, doing)

    def deploy(
        self,
        account: Signer,
        artifact: ContractArtifact,
        *arguments: object,
        value: int = 0,
        libraries: Mapping[str, Address] | None = None,
        gas: int | None = None,
    ) -> Deployed:
        """Deploy a contract and wait for it.

        Raises: as `submit_transaction`, and TransactionReverted where the constructor refused, TransactionNotMined.
        """
        code = artifact.creation.linked(libraries or {})
        data = code + artifact.abi.constructor.encode(arguments)
        doing = f"the deployment of {artifact.name}"
        try:
            result = self._send(account, TransactionRequest(None, data, value, gas))
        except CallRefused as refused:
            raise decode_revert(refused.data, artifact.abi, doing, refused.hint).exception() from None
        if isinstance(result, Mined) and not result.receipt.succeeded:
            raise decode_revert(result.revert_data, artifact.abi, doing).exception()
        receipt = self._outcome(result, None, doing).confirmed().receipt
        if receipt.contract_address is None:
            raise ChainUnavailable(f"the endpoint's receipt of {doing} names no address")
        return Deployed(artifact.at(receipt.contract_address), receipt)

    def _outcome(
        self, result: Mined | Pending | Dropped, contract: BoundContract | None, doing: str
    ) -> TransactionOutcome:
        if not isinstance(result, Mined):
            return result
        if not result.receipt.succeeded:
            return Reverted(
                decode_revert(result.revert_data, contract.abi if contract else None, doing), result.receipt
            )
        events = EventDecoder([contract]).decode_known(result.receipt.logs) if contract else ()
        return Confirmed(result.receipt, events)

    def unmined(self, address: str) -> int:
        """Return how many transactions of the account wait to be mined, as far as the endpoint knows.

        Raises: ChainUnavailable.
        """
        return 0

    # -------------------------------------------------------------------- lifetime

    def interrupt(self) -> None:
        """Stop waiting for transactions, now and later: their outcome is `Pending`. Safe in a signal handler."""
        return

    @abstractmethod
    def close(self) -> None:
        """Release files and connections. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
