"""What a worker works with, and the history that it reads. A keeper needs the history only, and nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator, RoundView, TaskView
from flare_offchain.blockchain.outcomes import BlockStamp
from flare_offchain.core.errors import ChainUnavailable, InconsistentHistory, RoundAbandoned
from flare_offchain.core.history import HistoryFold
from flare_offchain.core.records import RoundHistory, TaskHistory
from flare_offchain.core.types import Address
from flare_offchain.workers.journal import Journal
from flare_offchain.workers.plan import View

_NOTHING = BlockStamp(-1, b"", 0)
_BLOCKS_AT_ONCE = 10_000
"""So that reading a long history holds no more than a part of its events."""
KEPT_ROUNDS = 16
"""How many rounds a daemon holds: enough to follow the model by its updates after a pause, little to keep for years."""

if TYPE_CHECKING:
    from flare_offchain.blockchain.connector import BlockchainConnector
    from flare_offchain.blockchain.signers import Signer
    from flare_offchain.consensus.keys import VrfKey
    from flare_offchain.federation.gather import TaskObjects
    from flare_offchain.federation.update import TaskIdentity
    from flare_offchain.storage.provider import StorageProvider


class History:
    """The folded history of one task, read once and extended block by block.

    Several workers in one process may share one. Where the chain was reorganised below what was read, it is read anew.

    Args:
        connector: the chain.
        coordinator: whose events are read.
        task_id: the task.
        start: the first block that can have an event of the task.
        kept: how many rounds are held; all of them if None.
    """

    def __init__(
        self,
        connector: BlockchainConnector,
        coordinator: RoundCoordinator,
        task_id: int,
        start: int,
        *,
        kept: int | None = None,
    ) -> None:
        self._connector, self._coordinator, self._task_id, self._start = connector, coordinator, task_id, start
        self._kept = kept
        self._fold, self._read_to = self._empty()
        self._views: tuple[BlockStamp, TaskView, RoundView] | None = None

    @property
    def coordinator(self) -> Address:
        """The coordinator whose events are read."""
        return self._coordinator.address

    def views(self, stamp: BlockStamp) -> tuple[TaskView, RoundView]:
        """Return the task and its current round at a block; read once for all workers that share this history."""
        if self._views is None or self._views[0] != stamp:
            task = self._coordinator.task(self._task_id, block=stamp)
            self._views = stamp, task, self._coordinator.current_round(self._task_id, block=stamp)
        return self._views[1], self._views[2]

    def refresh(self) -> TaskHistory:
        """Read the events of the blocks since the last call, and return the history.

        Raises:
            RoundAbandoned: the chain knows no such task.
            ChainUnavailable: the endpoint does not answer, or its chain was reorganised meanwhile.
        """
        head = self._connector.head()
        # An endpoint behind another one may be a few blocks late: what was read stays until it has caught up.
        if head != self._read_to and head.number >= self._read_to.number:
            self._extend(head)
        task = self._fold.tasks.get(self._task_id)
        if task is None:
            raise RoundAbandoned(f"task {self._task_id} is not on this chain")
        return task

    def _extend(self, head: BlockStamp) -> None:
        if self._reorganised():
            self._fold, self._read_to = self._empty()
        first = max(self._start, self._read_to.number + 1)
        while first <= head.number:
            last = min(first + _BLOCKS_AT_ONCE - 1, head.number)
            self._extend_to(first, head if last == head.number else self._connector.stamp(last))
            first = last + 1

    def _extend_to(self, first: int, last: BlockStamp) -> None:
        events = self._connector.logs([self._coordinator.contract], first, last.number)
        try:
            self._fold.extend(events)
        except InconsistentHistory:
            reorganised = self._reorganised()
            self._fold, self._read_to = self._empty()
            if reorganised:
                raise ChainUnavailable("the chain was reorganised while its events were read: read again") from None
            raise
        self._read_to = last

    def _reorganised(self) -> bool:
        known = self._read_to
        return known is not _NOTHING and self._connector.stamp(known.number).hash != known.hash

    def _empty(self) -> tuple[HistoryFold, BlockStamp]:
        return HistoryFold(only=self._task_id, kept=self._kept), _NOTHING


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a worker works with: the chain, the contracts, the store, its keys and its journal."""

    connector: BlockchainConnector
    coordinator: RoundCoordinator
    registry: ParticipantRegistry
    store: StorageProvider
    account: Signer
    vrf_key: VrfKey
    identity: TaskIdentity
    history: History
    objects: TaskObjects
    journal: Journal

    @property
    def address(self) -> Address:
        """The worker's account."""
        return Address(self.account.address)

    @property
    def task_id(self) -> int:
        """The task it works on."""
        return self.identity.task_id


def round_history(surroundings: Surroundings, view: View) -> tuple[TaskHistory, RoundHistory]:
    """Return the histories of the task and of the round in view.

    Raises:
        RoundAbandoned: the events of the round are not there.
    """
    task = surroundings.history.refresh()
    history = task.rounds.get(view.round.round)
    if history is None:
        raise RoundAbandoned(f"the chain has no events of round {view.round.round}")
    return task, history


def read_view(
    connector: BlockchainConnector, coordinator: RoundCoordinator, history: History, task_id: int, address: Address
) -> View:
    """Read the chain at its newest block, as far as one account needs it. Raises `ChainUnavailable`."""
    stamp = connector.head()
    task, current = history.views(stamp)
    return View(
        now=connector.now(),
        block=stamp.number,
        task=task,
        round=current,
        enrolment=coordinator.enrolment(task_id, address, block=stamp),
    )
