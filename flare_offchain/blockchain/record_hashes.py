"""The hashes that bind the parts of a recorded block to its header, and its header to its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth.db.trie import make_trie_root_and_nodes
from eth.exceptions import PyEVMError
from eth.rlp.logs import Log
from eth.rlp.receipts import Receipt
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from flare_offchain.blockchain.chain_record import BlockRecord

REFUSALS = (
    ValidationError,
    BadSignature,
    PyEVMError,
    RLPException,
    ValueError,
    TypeError,
    IndexError,
    OverflowError,
)
"""What py-evm raises where bytes are no transaction, or none that the block can hold."""
_RLP_LIST = 0xC0


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Bytes in the shape in which py-evm takes the leaves of a trie."""

    data: bytes

    def encode(self) -> bytes:
        return self.data


def merkle_root(items: Sequence[bytes]) -> bytes:
    """Return the root of the trie in which a block keeps its transactions or receipts."""
    leaves: Any = [_Encoded(item) for item in items]
    return bytes(make_trie_root_and_nodes(leaves)[0])


def receipts_match(record: BlockRecord) -> bool:
    """Whether receipts and logs hash to the recorded root."""
    if len(record.receipts) != len(record.transactions):
        return False
    logs: list[list[Any]] = [[] for _ in record.receipts]
    encoded = []
    try:
        for log in record.logs:
            topics = tuple(int.from_bytes(topic, "big") for topic in log.topics)
            logs[log.transaction].append(Log(log.address, topics, log.data))
        for raw, receipt, emitted in zip(record.transactions, record.receipts, logs, strict=True):
            # EIP-2718: a type byte goes before the receipt; a legacy transaction begins with an RLP list instead.
            kind = raw[:1] if raw and raw[0] < _RLP_LIST else b""
            status = b"\1" if receipt.status == 1 else b""
            encoded.append(kind + Receipt(status, receipt.cumulative_gas, emitted).encode())
    except REFUSALS:
        return False
    return merkle_root(encoded) == record.receipts_root


def trusted_header(record: BlockRecord) -> Any:
    """Return the header that the block's hash vouches for, or None."""
    if keccak(record.header) != record.hash:
        return None
    try:
        return record.decoded_header()
    except ValueError:
        return None


def true_number(record: BlockRecord) -> int:
    """Return the block's number: its header's where that can be trusted."""
    header = trusted_header(record)
    return record.number if header is None else int(header.block_number)


def true_parent(record: BlockRecord) -> bytes:
    """Return the hash of the block's parent: its header's where that can be trusted."""
    header = trusted_header(record)
    return record.parent_hash if header is None else bytes(header.parent_hash)
