"""Raw logs to typed events: the only decoder. Workers, the auditor and the command line all read through it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flare_offchain.blockchain.artifacts import BoundContract
from flare_offchain.core.errors import MalformedObject, WrongChain
from flare_offchain.core.types import Address


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as the chain gives it."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    block_hash: bytes
    transaction_hash: bytes
    transaction_index: int
    log_index: int
    """Position within the block, counted over all its transactions."""


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """A decoded event.

    `arguments` are by parameter name, in the order of declaration (see `flare_offchain.blockchain.abi` for the
    types); structs are mappings.
    """

    name: str
    arguments: Mapping[str, object]
    block: int
    block_hash: bytes
    transaction_hash: bytes
    log_index: int
    address: Address


class EventDecoder:
    """Decodes the logs of given contracts by their ABIs, and refuses what does not fit them."""

    def __init__(self, contracts: Iterable[BoundContract]) -> None:
        self._abis = {contract.address: contract.abi for contract in contracts}

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The contracts whose events are decoded."""
        return tuple(self._abis)

    def decode(self, log: RawLog) -> ChainEvent:
        """Decode one log.

        Raises:
            WrongChain: the log is not of one of the contracts, or its ABI does not know the event: the code on
                chain is not the code that the ABI describes.
        """
        abi = self._abis.get(log.address)
        if abi is None:
            raise WrongChain(f"the endpoint returned a log of {log.address}, which was not asked for")
        event = abi.events_by_topic.get(log.topics[0]) if log.topics else None
        if event is None:
            topic = log.topics[0].hex() if log.topics else "none"
            raise WrongChain(
                f"the contract {log.address} emitted an event (topic {topic}, block {log.block}) that its ABI does "
                "not know: its code is not the expected one"
            )
        try:
            arguments = event.decode(log.topics, log.data)
        except MalformedObject as error:
            raise WrongChain(f"log {log.log_index} of block {log.block} of {log.address}: {error}") from error
        return ChainEvent(
            event.name, arguments, log.block, log.block_hash, log.transaction_hash, log.log_index, log.address
        )

    def decode_known(self, logs: Iterable[RawLog]) -> tuple[ChainEvent, ...]:
        """Decode the logs of the contracts, passing over those of others (of a receipt, say)."""
        return tuple(self.decode(log) for log in logs if log.address in self._abis)
