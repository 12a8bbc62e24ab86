"""Alterations of an embedded chain's record, in the words of an audit: which round, which record, which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flare_offchain.audit.ledger import Finding
from flare_offchain.cli.evidence import Evidence

if TYPE_CHECKING:
    from flare_offchain.blockchain.record_verification import RecordFinding

WHOLE_RECORD = "the chain record is what the chain made"
RULES = {
    "transaction": "a transaction is the one that its sender signed",
    "transaction_hash": "a transaction is named by its hash",
    "transactions": "no transaction is added, removed or moved",
    "receipt": "a receipt says what its transaction did",
    "log": "a log is what the contract emitted",
    "logs": "a log is what the contract emitted",
    "missing": "no block is removed",
    "order": "blocks are recorded in order",
    "duplicate": "a block is recorded once",
    "line": "a block is recorded in one way",
    "genesis": "the chain begins with its own genesis",
    "block": "a block is what its transactions make",
}
HEADER_RULE = "a block's header is what its transactions make"


def record_findings(found: Sequence[RecordFinding], evidence: Evidence) -> list[Finding]:
    """Return the alterations as findings. `evidence` is what the record still tells."""
    return [
        Finding(round_of(item, evidence), _object(item), RULES.get(item.what, HEADER_RULE), _detail(item))
        for item in found
    ]


def round_of(found: RecordFinding, evidence: Evidence) -> int | None:
    """Return the round that an alteration belongs to; None for what belongs to none (deployment, registrations).

    A transaction or log names its round, or at least its task, unless just that was altered; a header only has its
    place among the blocks.
    """
    arguments = _arguments(found)
    number, task = arguments.get("round"), arguments.get("taskId")
    if isinstance(number, int) and isinstance(task, int) and (task, number) in evidence.spans:
        return number
    known = task if isinstance(task, int) and any(of == task for of, _ in evidence.spans) else None
    return evidence.round_at(found.block, known)


def _detail(found: RecordFinding) -> str:
    recorded = found.log or found.call
    return found.detail if recorded is None else f"{found.detail} (recorded: {recorded})"


def _arguments(found: RecordFinding) -> Mapping[str, object]:
    for decoded in (found.log, found.call):
        if decoded is not None and decoded.arguments:
            return decoded.arguments
    return {}


def _object(found: RecordFinding) -> str:
    block = f"block {found.block}"
    task = _arguments(found).get("taskId")
    of = f" of task {task}" if isinstance(task, int) else ""
    if found.log is not None:
        return f"log {found.log_index} of {block}: {found.log.event}{of}"
    if found.call is not None:
        name = found.call.function or "an unknown call"
        return f"transaction {found.transaction_index} of {block}: {name}{of} from {found.call.sender}"
    if found.log_index is not None:
        return f"log {found.log_index} of {block}"
    return block if found.transaction_index is None else f"transaction {found.transaction_index} of {block}"
