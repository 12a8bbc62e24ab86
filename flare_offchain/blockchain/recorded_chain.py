"""The record of an embedded chain read as it is written, without running it: what an altered record still says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from flare_offchain.blockchain.artifacts import BoundContract, ContractArtifact
from flare_offchain.blockchain.chain_record import RECORD_NAME, BlockRecord, read_lines
from flare_offchain.blockchain.events import ChainEvent, EventDecoder, RawLog
from flare_offchain.blockchain.record_decoding import RecordDecoder, call_data
from flare_offchain.blockchain.seeded_chain import Genesis
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, WrongChain
from flare_offchain.core.types import Address


class RecordedChain:
    """The record of an embedded chain, read line by line and not run: what an altered record still says."""

    def __init__(self, folder: Path) -> None:
        """Read `chain.jsonl` in a folder. Raises: ConfigurationError: there is none; StorageUnavailable."""
        self.blocks: dict[int, BlockRecord] = {}
        for line in read_lines(folder / RECORD_NAME):
            try:
                record = BlockRecord.of_line(line)
            except ValueError:
                continue
            self.blocks.setdefault(record.number, record)

    @property
    def genesis(self) -> Genesis | None:
        """The parameters in the line of block 0; None where that is gone."""
        first = self.blocks.get(0)
        return None if first is None else first.genesis

    @property
    def chain_id(self) -> int:
        """The chain id of the genesis parameters, 0 where they are gone."""
        return 0 if self.genesis is None else self.genesis.chain_id

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the newest block."""
        number = max(self.blocks, default=0)
        return number, self.blocks[number].hash if number in self.blocks else b""

    def emitter(self, artifact: ContractArtifact) -> Address | None:
        """Return the address that emitted the most events of a contract's; None where there are none."""
        decoder = RecordDecoder([artifact])
        decoded = (decoder.log(log) for record in self.blocks.values() for log in record.logs)
        counted = Counter(log.address for log in decoded if log is not None)
        return counted.most_common(1)[0][0] if counted else None

    def events(self, artifact: ContractArtifact, address: Address) -> list[ChainEvent]:
        """Return the events of a contract in order; logs that are none of its events are left out."""
        decoder = EventDecoder([BoundContract(artifact, address)])
        found = []
        for number in sorted(self.blocks):
            for log in self._logs(self.blocks[number]):
                if log.address == address:
                    try:
                        found.append(decoder.decode(log))
                    except WrongChain:
                        continue
        return found

    @staticmethod
    def _logs(record: BlockRecord) -> tuple[RawLog, ...]:
        try:
            return record.wire_logs()
        except (IndexError, ConfigurationError):
            return ()

    # ---------------------------------------------------------------- ChainFacts

    def block_hash(self, number: int) -> bytes | None:
        """Return a block's recorded hash, or None."""
        record = self.blocks.get(number)
        return None if record is None else record.hash

    def timestamp(self, number: int) -> int:
        """Return a block's recorded time. Raises `ChainUnavailable`."""
        if number not in self.blocks:
            raise ChainUnavailable(f"the chain record has no block {number}")
        return self.blocks[number].timestamp

    def transaction_input(self, transaction_hash: bytes) -> bytes:
        """Return the call data of a recorded transaction. Raises `ChainUnavailable`."""
        for record in self.blocks.values():
            if transaction_hash in record.transaction_hashes:
                index = record.transaction_hashes.index(transaction_hash)
                data = call_data(record.transactions[index]) if index < len(record.transactions) else None
                if data is not None:
                    return data
        raise ChainUnavailable(f"the chain record has no whole transaction {transaction_hash.hex()}")
