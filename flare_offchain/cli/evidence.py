"""What an audit judges: the events of a coordinator and its registry, and the facts of their chain.

It comes from a chain that answers (an endpoint, or an embedded chain that was run again), or from the record of an
embedded chain that has been altered, as far as it can be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flare_offchain.audit.facts import ChainFacts
from flare_offchain.blockchain.artifacts import load_artifact
from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator
from flare_offchain.blockchain.events import ChainEvent
from flare_offchain.blockchain.facts import ConnectorFacts
from flare_offchain.core.errors import InconsistentHistory
from flare_offchain.core.history import HistoryFold
from flare_offchain.core.participants import Participants
from flare_offchain.core.records import TaskHistory
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from flare_offchain.blockchain.recorded_chain import RecordedChain


SETTLING = ("RewardCredited", "UpdateStruck")
"""Events of a round that can come long after it."""


@dataclass(slots=True)
class Evidence:
    """The events of one coordinator, folded, and what else the chain says."""

    chain_id: int
    coordinator: Address
    facts: ChainFacts
    head: tuple[int, bytes]
    tasks: dict[int, TaskHistory] = field(default_factory=dict)
    participants: Participants = field(default_factory=Participants)
    notes: list[str] = field(default_factory=list)
    started_with: dict[str, int] = field(default_factory=dict)
    """What the chain and the contracts were started with, where it is known: `seed`, `minimum_bond` (wei)."""

    spans: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """First and last block in which something of a (task, round) happened, late settlements left out."""

    def round_at(self, block: int, task: int | None = None) -> int | None:
        """Return the round in which a block lies, of one task or of any; None before the first and after the last.

        A block between two rounds belongs to the later one, which it opened or should have opened.
        """
        spans = sorted((span, number) for (of, number), span in self.spans.items() if task in (None, of))
        if not spans or block < spans[0][0][0]:
            return None
        later = [number for (_, last), number in spans if block <= last]
        if later:
            return later[0]
        newest = spans[-1][1]
        ended = [t.rounds[newest].phase.terminal for t in self.tasks.values() if newest in t.rounds]
        return None if all(ended) else newest

    def add(self, events: Iterable[ChainEvent], registered: Iterable[ChainEvent], *, tolerant: bool = False) -> None:
        """Fold the coordinator's and the registry's events; `tolerant`: leave out, and note, what does not follow."""
        fold = HistoryFold()
        for event in events:
            self._span(event)
            self._fold([fold, self.participants], event, tolerant)
        self.tasks = fold.tasks
        for event in registered:
            self._fold([self.participants], event, tolerant)

    def _fold(self, folds: Iterable[HistoryFold | Participants], event: ChainEvent, tolerant: bool) -> None:
        try:
            for fold in folds:
                fold.extend([event])
        except (InconsistentHistory, KeyError, ValueError) as error:
            if not tolerant:
                raise
            self.notes.append(f"{event.name} in block {event.block} is left out: {error}")

    def _span(self, event: ChainEvent) -> None:
        task, number = event.arguments.get("taskId"), event.arguments.get("round")
        if isinstance(task, int) and isinstance(number, int) and event.name not in SETTLING:
            first, last = self.spans.get((task, number), (event.block, event.block))
            self.spans[task, number] = min(first, event.block), max(last, event.block)


def chain_evidence(
    chain: BlockchainConnector, coordinator: RoundCoordinator, registry: ParticipantRegistry, first: int
) -> Evidence:
    """Read the evidence from a chain that answers, up to its newest block.

    Raises: InconsistentHistory: the events do not follow from one another; WrongChain; ChainUnavailable.
    """
    head = chain.head()
    evidence = Evidence(chain.chain_id, coordinator.address, ConnectorFacts(chain), (head.number, head.hash))
    evidence.participants.minimum_bond = evidence.started_with["minimum_bond"] = registry.minimum_bond()
    registered = chain.logs([registry.contract], first, head.number)
    evidence.add(coordinator.events(first, head.number), registered)
    return evidence


def record_evidence(chain: RecordedChain, coordinator: Address | None = None) -> Evidence | None:
    """Read from an altered record what can be read: the events of the coordinator that is named, or that emitted most.

    None where no event of a coordinator is left.
    """
    coordinator_artifact, registry_artifact = (
        load_artifact(RoundCoordinator.NAME),
        load_artifact(ParticipantRegistry.NAME),
    )
    address = coordinator or chain.emitter(coordinator_artifact)
    if address is None:
        return None
    evidence = Evidence(chain.chain_id, address, chain, chain.head)
    if chain.genesis is not None:
        evidence.started_with["seed"] = chain.genesis.seed
    registry = chain.emitter(registry_artifact)
    registered = [] if registry is None else chain.events(registry_artifact, registry)
    evidence.add(chain.events(coordinator_artifact, address), registered, tolerant=True)
    return evidence
