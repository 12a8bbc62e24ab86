"""What becomes of a transaction, as types: nobody has to guess what a missing value meant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from flare_offchain.blockchain.events import ChainEvent, RawLog
from flare_offchain.blockchain.reverts import Revert
from flare_offchain.core.errors import TransactionNotMined
from flare_offchain.core.types import Address


@dataclass(frozen=True, slots=True)
class BlockStamp:
    """One block, named so that no reorganisation can make it mean another. `timestamp` is seconds since 1970."""

    number: int
    hash: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The chain's record of a mined transaction. `gas_price` is what each unit of gas cost, in wei."""

    transaction_hash: bytes
    block: BlockStamp
    transaction_index: int
    succeeded: bool
    gas_used: int
    gas_price: int
    contract_address: Address | None
    logs: tuple[RawLog, ...]

    @property
    def fee(self) -> int:
        """Wei paid for gas."""
        return self.gas_used * self.gas_price


class TransactionOutcome(ABC):
    """One of `Confirmed`, `Reverted`, `Pending`, `Dropped`."""

    __slots__ = ()

    @abstractmethod
    def confirmed(self) -> Confirmed:
        """Return this outcome if it is `Confirmed`.

        Raises:
            TransactionReverted: the contract refused; carries the custom error's name and values.
            TransactionNotMined: it is pending or was dropped; trying again later may succeed.
        """


@dataclass(frozen=True, slots=True)
class Confirmed(TransactionOutcome):
    """Mined and successful. `events` are those of the called contract, decoded; `receipt.logs` has all."""

    receipt: Receipt
    events: tuple[ChainEvent, ...]

    @property
    def block(self) -> BlockStamp:
        """The block that holds the transaction."""
        return self.receipt.block

    @property
    def gas_used(self) -> int:
        """Gas used, refunds deducted."""
        return self.receipt.gas_used

    @property
    def transaction_hash(self) -> bytes:
        """Hash of the transaction."""
        return self.receipt.transaction_hash

    def event(self, name: str) -> ChainEvent:
        """Return the one event of this name. Raises `LookupError` where there is none or several."""
        found = [event for event in self.events if event.name == name]
        if len(found) != 1:
            raise LookupError(f"the transaction emitted {len(found)} events {name}")
        return found[0]

    def confirmed(self) -> Confirmed:
        return self


@dataclass(frozen=True, slots=True)
class Reverted(TransactionOutcome):
    """The contract refused. `receipt` is None where the simulation showed it: nothing was sent, nothing paid."""

    revert: Revert
    receipt: Receipt | None = None

    @property
    def error(self) -> str | None:
        """Name of the custom error."""
        return self.revert.error

    @property
    def arguments(self) -> tuple[object, ...]:
        """Values of the custom error."""
        return self.revert.arguments

    @property
    def message(self) -> str:
        """The refusal in words."""
        return self.revert.message

    def confirmed(self) -> Confirmed:
        raise self.revert.exception()


@dataclass(frozen=True, slots=True)
class Pending(TransactionOutcome):
    """Sent, and not mined within the waiting time. `transaction_hashes` lists the replacements, the newest last."""

    account: Address
    nonce: int
    transaction_hashes: tuple[bytes, ...]

    def confirmed(self) -> Confirmed:
        raise TransactionNotMined(
            f"transaction {self.transaction_hashes[-1].hex()} of {self.account} (nonce {self.nonce}) is not mined yet: "
            "wait, or raise the fee cap"
        )


@dataclass(frozen=True, slots=True)
class Dropped(TransactionOutcome):
    """Never mined and never will be: another transaction of the account took its nonce."""

    account: Address
    nonce: int
    transaction_hashes: tuple[bytes, ...]

    def confirmed(self) -> Confirmed:
        raise TransactionNotMined(
            f"transaction {self.transaction_hashes[-1].hex()} of {self.account} was dropped: another one took nonce "
            f"{self.nonce}. Is a second process sending from this account?"
        )
