"""Alterations of an embedded chain's record, in the words of an audit: which round, which record, which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flare_offchain.audit.ledger import Finding
from flare_offchain.blockchain.record_verification import RecordFinding
from flare_offchain.core.records import RoundHistory, TaskHistory

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


def record_findings(found: Sequence[RecordFinding], tasks: Mapping[int, TaskHistory]) -> list[Finding]:
    """Return the alterations as findings. `tasks` are the histories as far as the record still tells them."""
    return [
        Finding(round_of(item, tasks), _object(item), RULES.get(item.what, HEADER_RULE), item.message) for item in found
    ]


def round_of(found: RecordFinding, tasks: Mapping[int, TaskHistory]) -> int | None:
    """Return the round that an alteration belongs to; None for what belongs to none (deployment, registrations).

    A transaction or log names its round, or at least its task; a header only has its place among the blocks.
    """
    arguments = _arguments(found)
    number, task_id = arguments.get("round"), arguments.get("taskId")
    if isinstance(number, int):
        return number
    chosen = [tasks[task_id]] if isinstance(task_id, int) and task_id in tasks else list(tasks.values())
    by_block = [_round_at(task, found.block) for task in chosen]
    return next((number for number in by_block if number is not None), None)


def _round_at(task: TaskHistory, block: int) -> int | None:
    """Return the round in which a block lies: the newest that was opened at it or before it."""
    opened = [history for history in task.rounds.values() if history.opened_block <= block]
    if not opened:
        return None
    newest: RoundHistory = max(opened, key=lambda history: history.number)
    if newest.ended_block is not None and block > newest.ended_block:
        # Between two rounds: it opened the next one, or should have.
        return newest.number + 1
    return newest.number


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
