"""Transactions as endpoints describe them, checked by writing them out again: the bytes must hash to the name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.rpc import data_of, quantity_of
from flare_offchain.core.errors import ConfigurationError

_QUANTITIES = {"nonce", "gas", "value", "r", "s"}
_FEES = {0: {"gasPrice"}, 1: {"gasPrice"}, 2: {"maxFeePerGas", "maxPriorityFeePerGas"}}


def checked_input(transaction: Mapping[str, Any], transaction_hash: bytes) -> bytes:
    """Return the call data of a transaction of type 0, 1 or 2, as JSON-RPC describes it.

    Raises: ValueError: the description is malformed, of another type, or of another transaction.
    """
    try:
        raw = _encoded(transaction)
        data = data_of(transaction["input"])
    except (KeyError, TypeError, AttributeError, ConfigurationError) as error:
        raise ValueError(f"the transaction is malformed: {error!r}") from error
    if keccak(raw) != transaction_hash:
        raise ValueError("the transaction does not hash to the name that it was asked for by")
    return data


def _encoded(transaction: Mapping[str, Any]) -> bytes:
    kind = quantity_of(transaction.get("type", "0x0"))
    if kind not in _FEES:
        raise ValueError(f"transactions of type {kind} are not read")
    fields: dict[str, Any] = {name: quantity_of(transaction[name]) for name in _QUANTITIES | _FEES[kind]}
    to = transaction["to"]
    recipient = data_of(to, 20) if to is not None else b""
    data = data_of(transaction["input"])
    if kind == 0:
        fees = (fields["nonce"], fields["gasPrice"], fields["gas"])
        signature = (quantity_of(transaction["v"]), fields["r"], fields["s"])
        return bytes(rlp.encode([*fees, recipient, fields["value"], data, *signature]))
    fields |= {
        "type": kind,
        "chainId": quantity_of(transaction["chainId"]),
        "v": quantity_of(transaction["v"]),
        "data": data,
        "accessList": [
            {"address": item["address"], "storageKeys": list(item["storageKeys"])} for item in transaction["accessList"]
        ],
    }
    if recipient:
        fields["to"] = checksum(recipient)
    return bytes(TypedTransaction.from_dict(fields).encode())
