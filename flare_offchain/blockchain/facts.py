"""What an auditor asks a chain for besides events: blocks by number, and the call data of transactions."""

from __future__ import annotations

from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.outcomes import BlockStamp
from flare_offchain.core.errors import ChainUnavailable


class ConnectorFacts:
    """The facts of one chain (`flare_offchain.audit.facts.ChainFacts`), each read once."""

    def __init__(self, chain: BlockchainConnector) -> None:
        self._chain = chain
        self._stamps: dict[int, BlockStamp] = {}

    def block_hash(self, number: int) -> bytes | None:
        """Return a block's hash, or None where the chain has no such block, or no longer. Raises `ChainUnavailable`."""
        try:
            return self._stamp(number).hash
        except ChainUnavailable:
            # An endpoint that answers this does not have the block; one that does not answer says nothing about it.
            self._chain.head()
            return None

    def timestamp(self, number: int) -> int:
        """Return a block's timestamp in seconds. Raises `ChainUnavailable`."""
        return self._stamp(number).timestamp

    def transaction_input(self, transaction_hash: bytes) -> bytes:
        """Return the call data of a transaction. Raises `ChainUnavailable`."""
        return self._chain.transaction_input(transaction_hash)

    def _stamp(self, number: int) -> BlockStamp:
        if number not in self._stamps:
            self._stamps[number] = self._chain.stamp(number)
        return self._stamps[number]
