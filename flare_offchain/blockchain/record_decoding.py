"""Recorded transactions and logs in the words of the contracts, by selector and topic over all known ABIs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eth.vm.forks.prague.transactions import PragueTransactionBuilder

from flare_offchain.blockchain.abi import SELECTOR_BYTES, checksum
from flare_offchain.blockchain.artifacts import ContractArtifact
from flare_offchain.blockchain.chain_record import LogRecord
from flare_offchain.blockchain.record_hashes import REFUSALS
from flare_offchain.blockchain.reverts import show_value
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.types import Address


@dataclass(frozen=True, slots=True)
class DecodedCall:
    """A transaction. `contract`, `function` and `arguments` are empty where no known ABI fits."""

    sender: Address | None
    to: Address | None
    value: int
    nonce: int
    contract: str
    function: str
    arguments: Mapping[str, object]

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {show_value(value)}" for name, value in self.arguments.items())
        name = f"{self.contract}.{self.function}({shown})" if self.function else "an unknown call"
        return f"{name} from {self.sender or 'an invalid signature'}"


@dataclass(frozen=True, slots=True)
class DecodedLog:
    """An event. `arguments` are by name."""

    contract: str
    event: str
    arguments: Mapping[str, object]
    address: Address

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {show_value(value)}" for name, value in self.arguments.items())
        return f"{self.contract}.{self.event}({shown})"


class RecordDecoder:
    """Decodes what it can, and never raises on what it cannot: the bytes may have been altered."""

    def __init__(self, artifacts: Iterable[ContractArtifact]) -> None:
        self._artifacts = tuple(artifacts)

    def call(self, raw: bytes) -> DecodedCall | None:
        """Decode a raw signed transaction; None where it is none."""
        transaction = _transaction(raw)
        if transaction is None:
            return None
        try:
            sender: Address | None = checksum(bytes(transaction.sender))
        except REFUSALS:
            sender = None
        to = checksum(bytes(transaction.to)) if transaction.to else None
        contract, function, arguments = self._function(bytes(transaction.data)) if to else ("", "", {})
        return DecodedCall(sender, to, int(transaction.value), int(transaction.nonce), contract, function, arguments)

    def _function(self, data: bytes) -> tuple[str, str, Mapping[str, object]]:
        for artifact in self._artifacts:
            function = artifact.abi.functions_by_selector.get(data[:SELECTOR_BYTES])
            if function is not None:
                try:
                    return artifact.name, function.name, function.decode_input(data)
                except MalformedObject:
                    continue
        return "", "", {}

    def log(self, log: LogRecord) -> DecodedLog | None:
        """Decode a log; None where no known ABI fits."""
        for artifact in self._artifacts:
            event = artifact.abi.events_by_topic.get(log.topics[0]) if log.topics else None
            if event is not None and len(log.address) == 20:
                try:
                    arguments = event.decode(log.topics, log.data)
                except MalformedObject:
                    continue
                return DecodedLog(artifact.name, event.name, arguments, checksum(log.address))
        return None


def call_data(raw: bytes) -> bytes | None:
    """Return the call data of a raw signed transaction; None where it is none."""
    transaction = _transaction(raw)
    return None if transaction is None else bytes(transaction.data)


def _transaction(raw: bytes) -> Any:
    try:
        return PragueTransactionBuilder.decode(raw)
    except REFUSALS:
        return None
