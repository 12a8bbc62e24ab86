"""An update's context: what binds the object to one sender, task, round and base model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flare_offchain.core.types import Address
from flare_offchain.utils.serialization import encode_record


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Which task on which chain: chain id, the coordinator's address, the task's id."""

    chain_id: int
    coordinator: Address
    task_id: int


def update_context(task: TaskIdentity, round_number: int, worker: Address, base_digest: bytes) -> bytes:
    """Return the 32-byte context of an update (docs/protocol.md §5).

    It stands in the update's header, so the same content under another name, in another round or on another base
    model is another object: an update cannot be copied.
    """
    fields = [
        task.chain_id,
        bytes.fromhex(task.coordinator[2:]),
        task.task_id,
        round_number,
        bytes.fromhex(worker[2:]),
        base_digest,
    ]
    return hashlib.sha256(encode_record(fields)).digest()
