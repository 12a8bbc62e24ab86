"""Sending from an account over JSON-RPC: one sender an account, EIP-1559 fees, replacement of stuck transactions."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eth_utils.crypto import keccak

from flare_offchain.blockchain.connector import Mined, TransactionRequest
from flare_offchain.blockchain.outcomes import Dropped, Pending, Receipt
from flare_offchain.blockchain.reverts import CallRefused
from flare_offchain.blockchain.rpc import RpcRefused, data_of, hex_of, quantity_of
from flare_offchain.core.errors import (
    ChainUnavailable,
    ConfigurationError,
    InsufficientFunds,
    SignerRefused,
    SignerUnavailable,
)
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from flare_offchain.blockchain.ethereum import EthereumConnector
    from flare_offchain.blockchain.signers import Signer

logger = logging.getLogger(__name__)

_RESENDS_OF_NONCE = 5
_KEPT = 32
"""How many of an account's newest transactions are kept, to be sent again after a reorganisation."""
_LAGGING_READS = 5
"""How often a nonce that is taken is read again before the transaction counts as dropped: receipts come late."""


@dataclass(frozen=True, slots=True)
class TransactionPolicy:
    """How transactions are paid and waited for.

    Attributes:
        timeout: seconds until a transaction that is not mined is given back as `Pending`.
        replace_after: seconds after which it is sent again with higher fees.
        poll_interval: seconds between looks.
        gas_margin: factor on the endpoint's gas estimate.
        max_fee_per_gas: cap in wei on what a unit of gas may cost; None for no cap.
        fee_bump: factor on both fees of a replacement; pools ask for at least 1.1.
    """

    timeout: float = 180.0
    replace_after: float = 45.0
    poll_interval: float = 0.25
    gas_margin: float = 1.25
    max_fee_per_gas: int | None = None
    fee_bump: float = 1.25

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.replace_after <= 0 or self.poll_interval <= 0:
            raise ConfigurationError("the times of a transaction policy are more than 0 seconds")
        if self.gas_margin < 1 or self.fee_bump < 1.1:
            raise ConfigurationError("the gas margin is at least 1, the fee bump at least 1.1")


@dataclass(frozen=True, slots=True)
class _Fees:
    max_fee: int
    priority: int
    cap: int | None

    def raised(self, policy: TransactionPolicy) -> _Fees | None:
        """Return higher fees, or None where the cap leaves no room for what a pool takes as a replacement."""
        up = _Fees(int(self.max_fee * policy.fee_bump) + 1, int(self.priority * policy.fee_bump) + 1, self.cap)
        if up.cap is not None and up.max_fee > up.cap:
            return None
        return up


@dataclass(slots=True)
class _Flight:
    """A transaction on its way: what is signed, under which fees, and the hashes of all its versions."""

    fields: dict[str, Any]
    fees: _Fees
    raw: bytes
    hashes: list[bytes]

    @property
    def nonce(self) -> int:
        return int(self.fields["nonce"])


class Sender:
    """The only sender of one account in this process: holds its nonce from the simulation to the outcome."""

    def __init__(self, chain: EthereumConnector, policy: TransactionPolicy) -> None:
        self._chain = chain
        self._policy = policy
        self._lock = threading.Lock()
        self._sent: dict[int, bytes] = {}

    def send(self, account: Signer, request: TransactionRequest) -> Mined | Pending | Dropped:
        """Simulate, sign, send, wait. Raises as `BlockchainConnector._send`."""
        with self._lock:
            gas = self.estimate(account.address, request)
            fields: dict[str, Any] = {"type": 2, "chainId": self._chain.chain_id, "gas": gas}
            fields |= {"value": request.value, "data": request.data}
            if request.to is not None:
                fields["to"] = request.to
            return self._wait(account, self._launch(account, fields, request.max_fee))

    def estimate(self, sender: str, request: TransactionRequest) -> int:
        """Simulate, and return the gas limit. Raises as `BlockchainConnector._send`."""
        call: dict[str, str] = {"from": sender, "value": hex_of(request.value), "data": hex_of(request.data)}
        if request.to is not None:
            call["to"] = request.to
        if request.gas is not None:
            call["gas"] = hex_of(request.gas)
        rpc, what = self._chain.rpc, "the simulation"
        try:
            rpc.request("eth_call", call, "pending")
            if request.gas is not None:
                return request.gas
            what = "the gas estimate"
            estimate = quantity_of(rpc.request("eth_estimateGas", call, "pending"))
        except RpcRefused as refused:
            raise rpc.call_error(refused, what, sender) from None
        except ValueError as error:
            raise ChainUnavailable(f"RPC {rpc.label} answered {what} with {error}") from error
        return min(int(estimate * self._policy.gas_margin), self._chain.gas_limit())

    def _fees(self, asked_cap: int | None = None) -> _Fees:
        base, priority = self._chain.fee_levels()
        caps = [one for one in (self._policy.max_fee_per_gas, asked_cap) if one is not None]
        cap = min(caps, default=None)
        max_fee = 2 * base + priority
        if cap is not None and max_fee > cap:
            if cap < base:
                raise ChainUnavailable(f"gas costs {base} wei now, above the cap of {cap}: wait, or raise the cap")
            max_fee, priority = cap, min(priority, cap - base)
        return _Fees(max_fee, priority, cap)

    def _launch(self, account: Signer, fields: dict[str, Any], cap: int | None) -> _Flight:
        """Sign with the account's next nonce and send."""
        for attempt in range(_RESENDS_OF_NONCE):
            nonce = self._chain.next_nonce(account.address)
            flight = self._sign(account, fields | {"nonce": nonce}, self._fees(cap))
            try:
                self._broadcast(flight, account.address)
            except RpcRefused as refused:
                # An endpoint behind a balancer may not have seen this account's last transaction yet.
                if not refused.says("nonce too low", "nonce is too low") or attempt + 1 == _RESENDS_OF_NONCE:
                    raise self._chain.rpc.unavailable(refused, "the transaction") from None
                time.sleep(self._policy.poll_interval)
            else:
                return flight
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _sign(self, account: Signer, fields: dict[str, Any], fees: _Fees) -> _Flight:
        complete = fields | {"maxFeePerGas": fees.max_fee, "maxPriorityFeePerGas": fees.priority}
        raw = bytes(account.sign_transaction(complete).raw_transaction)
        self._sent[int(complete["nonce"])] = raw
        for old in sorted(self._sent)[:-_KEPT]:
            del self._sent[old]
        return _Flight(complete, fees, raw, [keccak(raw)])

    def _broadcast(self, flight: _Flight, address: str) -> None:
        """Send, or send again. An endpoint that does not answer may have taken it all the same: waiting will tell."""
        rpc = self._chain.rpc
        try:
            answered = data_of(rpc.request("eth_sendRawTransaction", hex_of(flight.raw)))
        except RpcRefused as refused:
            if refused.says("already known", "known transaction", "already imported"):
                return
            if refused.says("insufficient funds", "insufficient balance"):
                cost = flight.fields["value"] + flight.fields["gas"] * flight.fees.max_fee
                message = f"{address} cannot pay up to {cost} wei for value and gas: fund the account"
                raise InsufficientFunds(message) from None
            raise
        except (ChainUnavailable, ValueError) as error:
            logger.warning("sending a transaction of %s: %s", address, error)
            return
        if answered != keccak(flight.raw):
            raise ChainUnavailable(f"RPC {rpc.label} names the transaction other than it is: use another endpoint")

    # ------------------------------------------------------------------------------ waiting

    def settle(self, pending: Pending) -> Mined | Pending | Dropped:
        """Wait once more for a transaction that this or an earlier process sent."""
        with self._lock:
            deadline = time.monotonic() + self._policy.timeout
            taken = 0
            while time.monotonic() < deadline:
                found = self._look(pending.account, pending.nonce, list(pending.transaction_hashes))
                if isinstance(found, Mined):
                    return found
                taken = taken + 1 if found else 0
                if taken >= _LAGGING_READS:
                    return Dropped(pending.account, pending.nonce, pending.transaction_hashes)
                if self._chain.pause(self._policy.poll_interval):
                    break
            return pending

    def _wait(self, account: Signer, flight: _Flight) -> Mined | Pending | Dropped:
        started = sent = time.monotonic()
        taken = 0
        while time.monotonic() - started < self._policy.timeout:
            found = self._look(account.address, flight.nonce, flight.hashes)
            if isinstance(found, Mined):
                return found if found.receipt.succeeded else self._explain(account.address, flight, found.receipt)
            taken = taken + 1 if found else 0
            if taken >= _LAGGING_READS:
                return Dropped(Address(account.address), flight.nonce, tuple(flight.hashes))
            if not found and time.monotonic() - sent >= self._policy.replace_after:
                self._fill_gap(account, flight.nonce)
                flight = self._replace(account, flight)
                sent = time.monotonic()
            if self._chain.pause(self._policy.poll_interval):
                break
        return Pending(Address(account.address), flight.nonce, tuple(flight.hashes))

    def _look(self, address: str, nonce: int, hashes: list[bytes]) -> Mined | bool:
        """Return the mined transaction; else whether another one has taken its nonce. Faults of the endpoint pass."""
        try:
            taken = self._chain.transaction_count(address) > nonce
            for name in reversed(hashes):
                receipt = self._chain.receipt(name)
                if receipt is not None:
                    return Mined(receipt)
        except ChainUnavailable as error:
            logger.warning("waiting for a transaction of %s: %s", address, error)
            return False
        return taken

    def _fill_gap(self, account: Signer, nonce: int) -> None:
        """Send again what came before a transaction that is not mined for long.

        A reorganisation may have taken an earlier transaction out of the chain and the pool; what comes after it
        cannot be mined until its nonce is used. One that this process did not send is made up for by an empty one.
        """
        try:
            first = self._chain.transaction_count(account.address)
            for missing in range(first, min(nonce, first + _KEPT)):
                raw = self._sent.get(missing)
                if raw is None:
                    fields = {"type": 2, "chainId": self._chain.chain_id, "gas": 21000, "nonce": missing}
                    raw = self._sign(account, fields | {"to": account.address, "value": 0}, self._fees()).raw
                logger.info("sending the transaction of %s with nonce %s again", account.address, missing)
                self._chain.rpc.request("eth_sendRawTransaction", hex_of(raw))
        except RpcRefused as refused:
            # It is in the pool already, or was mined meanwhile.
            logger.info("a transaction of %s was not taken again: %s", account.address, refused)
        except (ChainUnavailable, SignerUnavailable, SignerRefused) as error:
            logger.warning("waiting for a transaction of %s: %s", account.address, error)

    def _replace(self, account: Signer, flight: _Flight) -> _Flight:
        """Send again, with higher fees where the cap allows it."""
        raised = flight.fees.raised(self._policy)
        try:
            newer = flight if raised is None else self._sign(account, flight.fields, raised)
        except (SignerUnavailable, SignerRefused) as error:
            # What was sent still stands, and is waited for.
            logger.warning("a replacement of a transaction of %s was not signed: %s", account.address, error)
            newer = flight
        if newer is not flight:
            newer.hashes = [*flight.hashes, *newer.hashes]
        try:
            self._broadcast(newer, account.address)
        except (RpcRefused, InsufficientFunds) as refused:
            # Mined meanwhile, or the pool asks for more, or there is no money for more: the earlier version stands.
            logger.info("a replacement of a transaction of %s was not taken: %s", account.address, refused)
            return flight if newer is flight else replace(flight, fees=newer.fees)
        return newer

    def _explain(self, address: str, flight: _Flight, receipt: Receipt) -> Mined:
        """Find out why a mined transaction reverted: call it again on the state before its block."""
        call = {name: hex_of(flight.fields[name]) for name in ("value", "data", "gas")} | {"from": address}
        if "to" in flight.fields:
            call["to"] = flight.fields["to"]
        rpc = self._chain.rpc
        try:
            rpc.request("eth_call", call, hex_of(receipt.block.number - 1))
        except RpcRefused as refused:
            meaning = rpc.call_error(refused, "the transaction", address)
            if isinstance(meaning, CallRefused):
                return Mined(receipt, meaning.data)
        except ChainUnavailable as error:
            logger.warning("asking why a transaction of %s reverted: %s", address, error)
        return Mined(receipt)
