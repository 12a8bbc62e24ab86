"""Who signs an account's transactions: a key in this process, or a signer elsewhere that never gives the key away.

`Signer` is what everything that sends takes. eth-account's `LocalAccount` is one; `RemoteSigner` asks another process
over JSON-RPC: Web3Signer, an Ethereum node that holds the account, or Clef.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.rpc import Rpc, RpcRefused, data_of, hex_of
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, SignerRefused, SignerUnavailable
from flare_offchain.core.types import Address

SigningMethod = Literal["eth_signTransaction", "account_signTransaction"]
METHODS: tuple[SigningMethod, ...] = ("eth_signTransaction", "account_signTransaction")
"""The first is Web3Signer's and every node's, the second Clef's."""
DYNAMIC_FEES = 2
_QUANTITIES = ("chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "value")


class Signed(Protocol):
    """A signed transaction."""

    @property
    def raw_transaction(self) -> bytes:
        """Its bytes, as they are sent."""


class Signer(Protocol):
    """An account that signs transactions. Every implementation passes `tests/suites/signer_suite.py`."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The account's address, with its checksum."""

    @abstractmethod
    def sign_transaction(self, transaction_dict: dict[str, Any], /) -> Signed:
        """Sign a transaction with dynamic fees (type 2, EIP-1559).

        Args:
            transaction_dict: `type`, `chainId`, `nonce`, `gas`, `maxFeePerGas`, `maxPriorityFeePerGas`, `value`
                (integers), `data` (bytes), and `to` unless it creates a contract.

        Raises:
            SignerUnavailable: a signer elsewhere does not answer.
            SignerRefused: it refuses, or has signed something else than what it was asked to.
        """


@dataclass(frozen=True, slots=True)
class RemotelySigned:
    """A transaction that a signer elsewhere has signed."""

    raw_transaction: HexBytes


class RemoteSigner(Signer):
    """A signer behind an HTTP endpoint.

    It is trusted with the key and with nothing else: what comes back must be the very transaction that was asked for,
    signed by the very account, or it is refused and never sent.

    Args:
        url: its endpoint. It may hold an access token, which is never shown.
        address: the account.
        method: the JSON-RPC method to ask with.
        timeout: seconds for an answer; more where a person has to agree to each transaction.
    """

    def __init__(
        self, url: str, address: str, *, method: SigningMethod = "eth_signTransaction", timeout: float = 20.0
    ) -> None:
        if method not in METHODS:
            raise ConfigurationError(f"a remote signer is asked by {' or '.join(METHODS)}, not {method!r}")
        self._rpc = Rpc(url, timeout)
        self._address, self.method = checksum(address), method

    @property
    def address(self) -> Address:
        return self._address

    @property
    def label(self) -> str:
        """Scheme, host and port of the endpoint."""
        return self._rpc.label

    def sign_transaction(self, transaction_dict: dict[str, Any], /) -> RemotelySigned:
        if transaction_dict.get("type") != DYNAMIC_FEES:
            raise ConfigurationError(f"only transactions of type {DYNAMIC_FEES} are signed elsewhere")
        asked: dict[str, str] = {name: hex_of(int(transaction_dict[name])) for name in _QUANTITIES}
        asked |= {"from": self.address, "data": hex_of(bytes(transaction_dict.get("data", b"")))}
        if "to" in transaction_dict:
            transaction_dict = transaction_dict | {"to": checksum(transaction_dict["to"])}
            asked["to"] = transaction_dict["to"]
        try:
            answer = self._rpc.request(self.method, asked)
        except ChainUnavailable as error:
            raise SignerUnavailable(f"the remote signer does not answer: {error}") from None
        except RpcRefused as refused:
            raise SignerRefused(
                f"the signer at {self.label} does not sign for {self.address}: {refused.message} "
                f"(code {refused.code}). Unlock or add the account there, or allow the transaction"
            ) from None
        # Nodes and Clef answer with the bytes and a description, Web3Signer with the bytes alone.
        written = answer.get("raw") if isinstance(answer, Mapping) else answer
        try:
            raw = data_of(written)
            self._check(transaction_dict, raw)
        except ValueError as error:
            raise SignerRefused(f"the signer at {self.label} did not sign what it was asked to: {error}") from None
        return RemotelySigned(HexBytes(raw))

    def close(self) -> None:
        """Close the connection."""
        self._rpc.close()

    def _check(self, asked: Mapping[str, Any], raw: bytes) -> None:
        """Raise `ValueError` unless the bytes are the transaction that was asked for, signed by the account."""
        try:
            signed = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
            # The same fields with this signature must be these bytes: then nothing else was signed.
            expected = {**asked, "accessList": [], **{name: signed[name] for name in ("v", "r", "s")}}
            if TypedTransaction.from_dict(expected).encode() != raw:
                raise ValueError("it is another transaction")
            sender = Account.recover_transaction(HexBytes(raw))
        except (RLPException, BadSignature, ValidationError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"the answer is no signed transaction ({type(error).__name__})") from None
        if checksum(sender) != self.address:
            raise ValueError(f"it is signed by {sender}")
