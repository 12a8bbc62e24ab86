"""Any chain with a JSON-RPC endpoint: anvil, geth, a public network. Deployment to a real network is configuration.

The endpoint is not trusted with more than availability: its chain id is checked, answers are parsed strictly, reads
are pinned to a block by its hash (EIP-1898), log scans are checked against the range that was asked for. What one
endpoint withholds cannot be seen from one endpoint; asking several and comparing fits behind `Rpc`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.connector import BlockchainConnector, Mined, TransactionRequest
from flare_offchain.blockchain.events import RawLog
from flare_offchain.blockchain.outcomes import BlockStamp, Dropped, Pending, Receipt
from flare_offchain.blockchain.reverts import CallRefused, decode_revert
from flare_offchain.blockchain.rpc import Rpc, RpcRefused, data_of, hex_of, quantity_of
from flare_offchain.blockchain.transactions import Sender, TransactionPolicy
from flare_offchain.blockchain.wire_transactions import checked_input
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, WrongChain
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from web3 import Web3

    from flare_offchain.blockchain.signers import Signer

Finality = Literal["latest", "safe", "finalized"]
LOG_CHUNK = 2000
_HASH_BYTES = 32


class EthereumConnector(BlockchainConnector):
    """A chain behind one HTTP endpoint, or several.

    Pins are by block hash; `head()` is the newest block of the chosen finality, so that "finalized" sees no
    reorganisation and "latest" sees everything at once (test networks).
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        chain_id: int | None = None,
        finality: Finality = "latest",
        timeout: float = 20.0,
        policy: TransactionPolicy | None = None,
        log_chunk: int = LOG_CHUNK,
    ) -> None:
        """Connect.

        Args:
            url: the endpoint, http or https; several are used one after the other, as each fails.
            chain_id: the chain that it must be; any if None.
            finality: which block `head()` is.
            timeout: seconds for one request.
            policy: how transactions are paid and waited for.
            log_chunk: blocks asked for at once in a scan of logs; fewer where the endpoint takes no more.

        Raises: ChainUnavailable: it cannot be reached; WrongChain: it serves another chain; ConfigurationError.
        """
        if finality not in ("latest", "safe", "finalized"):
            raise ConfigurationError(f"finality is latest, safe or finalized, not {finality!r}")
        if log_chunk < 1 or timeout <= 0:
            raise ConfigurationError("a scan takes at least one block at once, a request more than 0 seconds")
        self.rpc = Rpc(url, timeout)
        self._finality = finality
        self._policy = policy or TransactionPolicy()
        self._log_chunk = log_chunk
        self._senders: dict[str, Sender] = {}
        self._senders_lock = threading.Lock()
        self._interrupted = threading.Event()
        try:
            self._chain_id = self._quantity("eth_chainId")
        except ChainUnavailable:
            self.rpc.close()
            raise
        if chain_id is not None and self._chain_id != chain_id:
            self.rpc.close()
            raise WrongChain(f"{self.rpc.label} serves chain {self._chain_id}, not {chain_id}: set --rpc or --chain-id")
        self.rpc.chain_id = self._chain_id

    @property
    def web3(self) -> Web3:
        """web3.py over the same endpoint, for what this interface does not cover."""
        return self.rpc.web3

    # ------------------------------------------------------------------------------ reading

    @property
    def chain_id(self) -> int:
        return self._chain_id

    def head(self) -> BlockStamp:
        block = self._block(self._finality)
        if block is None:
            raise ChainUnavailable(
                f"{self.rpc.label} has no {self._finality} block yet: wait, or choose another finality"
            )
        return block

    def stamp(self, number: int) -> BlockStamp:
        block = self._block(hex_of(number)) if number >= 0 else None
        if block is None:
            raise ChainUnavailable(f"{self.rpc.label} has no block {number} (yet)")
        if block.number != number:
            raise ChainUnavailable(f"{self.rpc.label} answered with block {block.number} instead of {number}")
        return block

    def now(self) -> int:
        latest = self._block("latest")
        newest = latest.timestamp if latest else 0
        try:
            pending = self._ask("eth_getBlockByNumber", "pending", False)
            coming = quantity_of(pending["timestamp"]) if isinstance(pending, Mapping) else 0
        except (ChainUnavailable, KeyError, ValueError):
            coming = 0
        # Not every endpoint builds the pending block. This machine's clock is never asked: it may be wrong.
        return max(newest, coming)

    def balance(self, address: str, block: BlockStamp | None = None) -> int:
        return self._quantity("eth_getBalance", checksum(address), _pin(block))

    def code(self, address: str, block: BlockStamp | None = None) -> bytes:
        return bytes(self._parsed(data_of, "eth_getCode", checksum(address), _pin(block)))

    def transaction_count(self, address: str) -> int:
        return self._quantity("eth_getTransactionCount", checksum(address), "latest")

    def transaction_input(self, transaction_hash: bytes) -> bytes:
        found = self._ask("eth_getTransactionByHash", hex_of(transaction_hash))
        if not isinstance(found, Mapping) or found.get("blockHash") is None:
            raise ChainUnavailable(f"{self.rpc.label} has no transaction {transaction_hash.hex()} (yet)")
        try:
            return checked_input(found, transaction_hash)
        except ValueError as error:
            raise WrongChain(f"{self.rpc.label}, transaction {transaction_hash.hex()}: {error}") from error

    def newest(self) -> BlockStamp:
        """Return the newest block, settled or not."""
        block = self._block("latest")
        if block is None:
            raise ChainUnavailable(f"{self.rpc.label} has no newest block")
        return block

    def calls_in(self, block: BlockStamp, to: str) -> list[tuple[bytes, bytes]]:
        """Return hash and call data of each of a block's transactions to an address, as the endpoint tells them."""
        found = self._ask("eth_getBlockByHash", hex_of(block.hash), True)
        try:
            return [
                (data_of(sent["hash"], _HASH_BYTES), data_of(sent["input"]))
                for sent in found["transactions"]
                if sent["to"] is not None and data_of(sent["to"], 20) == data_of(to)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ChainUnavailable(f"{self.rpc.label} answered with a malformed block: {error!r}") from error

    def estimate(self, sender: str, request: TransactionRequest) -> int:
        """Return the gas limit that a transaction would be sent with.

        Raises: TransactionReverted: it would be refused; InsufficientFunds; ChainUnavailable.
        """
        try:
            return self._sender(sender).estimate(sender, request)
        except CallRefused as refused:
            raise decode_revert(refused.data, None, "the estimate of gas", refused.hint).exception() from None

    def next_nonce(self, address: str) -> int:
        """Return the nonce after all transactions of the account that the endpoint knows, mined or not."""
        return self._quantity("eth_getTransactionCount", checksum(address), "pending")

    def unmined(self, address: str) -> int:
        return max(0, self.next_nonce(address) - self.transaction_count(address))

    def gas_limit(self) -> int:
        """Return the gas that a block may use."""
        block = self._ask("eth_getBlockByNumber", "latest", False)
        return self._field(block, "gasLimit")

    def fee_levels(self) -> tuple[int, int]:
        """Return what a unit of gas costs at least in the newest block, and the priority fee that is usual, in wei."""
        block = self._ask("eth_getBlockByNumber", "latest", False)
        return self._field(block, "baseFeePerGas"), self._quantity("eth_maxPriorityFeePerGas")

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Return the receipt of a transaction, or None while it is not mined."""
        try:
            found = self.rpc.request("eth_getTransactionReceipt", hex_of(transaction_hash))
        except RpcRefused as refused:
            if refused.says("indexing"):
                return None
            raise self.rpc.unavailable(refused, "a receipt") from None
        if found is None:
            return None
        try:
            block = self._block(found["blockHash"])
            if block is None:
                return None
            if data_of(found["transactionHash"]) != transaction_hash or block.hash != data_of(found["blockHash"]):
                raise ValueError("the receipt is of another transaction or block")
            created = found.get("contractAddress")
            return Receipt(
                transaction_hash,
                block,
                quantity_of(found["transactionIndex"]),
                quantity_of(found["status"]) == 1,
                quantity_of(found["gasUsed"]),
                quantity_of(found["effectiveGasPrice"]),
                checksum(data_of(created, 20)) if created else None,
                tuple(_log(log) for log in found["logs"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChainUnavailable(f"{self.rpc.label} answered with a malformed receipt: {error!r}") from error

    def _call(self, to: Address, data: bytes, sender: Address | None, block: BlockStamp | None) -> bytes:
        call = {"to": to, "data": hex_of(data)} | ({"from": sender} if sender else {})
        try:
            return data_of(self.rpc.request("eth_call", call, _pin(block)))
        except RpcRefused as refused:
            raise self.rpc.call_error(refused, "the call", sender or "the caller") from None
        except ValueError as error:
            raise ChainUnavailable(f"{self.rpc.label} answered a call with {error}") from error

    # --------------------------------------------------------------------------------- logs

    def raw_logs(self, addresses: Sequence[Address], from_block: int, to_block: int) -> list[RawLog]:
        wanted = {checksum(address) for address in addresses}
        last = self.stamp(to_block)
        found: list[RawLog] = []
        start, size = from_block, self._log_chunk
        while start <= to_block:
            end = min(start + size - 1, to_block)
            try:
                found += self._log_range(sorted(wanted), start, end)
            except RpcRefused as refused:
                if size == 1 or not refused.says(
                    "range", "limit", "too many", "too large", "exceed", "size", "more than"
                ):
                    raise self.rpc.unavailable(refused, f"the logs of blocks {start} to {end}") from None
                size = max(1, size // 2)
                continue
            start = end + 1
        if self.stamp(to_block).hash != last.hash:
            raise ChainUnavailable(f"{self.rpc.label} reorganised its chain during a scan of logs: read again")
        return found

    def _log_range(self, addresses: list[Address], start: int, end: int) -> list[RawLog]:
        asked = {"address": addresses, "fromBlock": hex_of(start), "toBlock": hex_of(end)}
        answer = self.rpc.request("eth_getLogs", asked)
        try:
            logs = sorted((_log(log) for log in answer), key=lambda log: (log.block, log.log_index))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChainUnavailable(f"{self.rpc.label} answered with malformed logs: {error!r}") from error
        hashes: dict[int, bytes] = {}
        for index, log in enumerate(logs):
            if log.address not in addresses or not start <= log.block <= end:
                raise WrongChain(f"{self.rpc.label} returned a log of {log.address}, block {log.block}: not asked for")
            if hashes.setdefault(log.block, log.block_hash) != log.block_hash:
                raise ChainUnavailable(
                    f"{self.rpc.label} returned logs of two different blocks {log.block}: read again"
                )
            if index and (logs[index - 1].block, logs[index - 1].log_index) == (log.block, log.log_index):
                raise WrongChain(f"{self.rpc.label} returned log {log.log_index} of block {log.block} twice")
        return logs

    # ------------------------------------------------------------------------------ writing

    def _send(self, account: Signer, request: TransactionRequest) -> Mined | Pending | Dropped:
        return self._sender(account.address).send(account, request)

    def _settle(self, pending: Pending) -> Mined | Pending | Dropped:
        return self._sender(pending.account).settle(pending)

    def _sender(self, address: str) -> Sender:
        with self._senders_lock:
            return self._senders.setdefault(address, Sender(self, self._policy))

    def interrupt(self) -> None:
        self._interrupted.set()

    def pause(self, seconds: float) -> bool:
        """Wait, and return whether it was an `interrupt` that ended the waiting."""
        return self._interrupted.wait(seconds)

    def close(self) -> None:
        self.rpc.close()

    # ------------------------------------------------------------------------------ answers

    def _ask(self, method: str, *parameters: object) -> Any:
        try:
            return self.rpc.request(method, *parameters)
        except RpcRefused as refused:
            raise self.rpc.unavailable(refused, method) from None

    def _parsed(self, parse: Any, method: str, *parameters: object) -> Any:
        try:
            return parse(self._ask(method, *parameters))
        except ValueError as error:
            raise ChainUnavailable(f"{self.rpc.label} answered {method} with {error}") from error

    def _quantity(self, method: str, *parameters: object) -> int:
        return int(self._parsed(quantity_of, method, *parameters))

    def _field(self, block: Any, name: str) -> int:
        try:
            return quantity_of(block[name])
        except (KeyError, TypeError, ValueError) as error:
            raise ChainUnavailable(f"{self.rpc.label} answered with a block without a proper {name}") from error

    def _block(self, name: str) -> BlockStamp | None:
        """Return the stamp of a block by tag, number or hash."""
        by_hash = len(name) == 2 + 2 * _HASH_BYTES
        try:
            found = self.rpc.request("eth_getBlockByHash" if by_hash else "eth_getBlockByNumber", name, False)
        except RpcRefused as refused:
            if refused.says("not found", "unknown block", "no finalized", "finalized block"):
                return None
            raise self.rpc.unavailable(refused, f"block {name}") from None
        if found is None:
            return None
        try:
            stamp = (quantity_of(found["number"]), data_of(found["hash"], _HASH_BYTES), quantity_of(found["timestamp"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ChainUnavailable(f"{self.rpc.label} answered with a malformed block: {error!r}") from error
        return BlockStamp(*stamp)


def _pin(block: BlockStamp | None) -> object:
    return "latest" if block is None else {"blockHash": hex_of(block.hash), "requireCanonical": True}


def _log(value: Mapping[str, Any]) -> RawLog:
    if value.get("removed"):
        raise ValueError("a log is marked as removed")
    return RawLog(
        checksum(data_of(value["address"], 20)),
        tuple(data_of(topic, _HASH_BYTES) for topic in value["topics"]),
        data_of(value["data"]),
        quantity_of(value["blockNumber"]),
        data_of(value["blockHash"], _HASH_BYTES),
        data_of(value["transactionHash"], _HASH_BYTES),
        quantity_of(value["transactionIndex"]),
        quantity_of(value["logIndex"]),
    )
