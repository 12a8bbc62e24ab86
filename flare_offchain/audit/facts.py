"""What the auditor reads from the chain besides events."""

from __future__ import annotations

from typing import Protocol


class ChainFacts(Protocol):
    """Blocks and transaction inputs, by number and hash."""

    def block_hash(self, number: int) -> bytes | None:
        """Hash of a block (32 bytes), or None where the chain has no such block."""
        ...

    def timestamp(self, number: int) -> int:
        """Timestamp of a block in seconds."""
        ...

    def transaction_input(self, transaction_hash: bytes) -> bytes:
        """The call data of a transaction."""
        ...
