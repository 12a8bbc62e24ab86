"""The trainer's part of a round: train, encode, commit on chain, publish once TRAINING has closed."""

from __future__ import annotations

from typing import Protocol

from flare_offchain.blockchain.outcomes import Confirmed, TransactionOutcome
from flare_offchain.core.errors import IntegrityError, RoundAbandoned
from flare_offchain.core.phases import Phase
from flare_offchain.core.tensors import Weights
from flare_offchain.core.types import ContentId
from flare_offchain.federation.update import update_context
from flare_offchain.storage.cid import content_id
from flare_offchain.workers.plan import View
from flare_offchain.workers.surroundings import Surroundings

MEMORY = "codec-memory"


class LocalTrainer(Protocol):
    """What makes an update of a base model: a `FederatedClient`, honest or malicious."""

    @property
    def sample_count(self) -> int:
        """Training samples that the update is made from."""
        ...

    def make_update(self, base: Weights, round_number: int, context: bytes) -> bytes:
        """Train on the client's own data and return the encoded update object."""
        ...

    def acknowledge(self, accepted: bool) -> None:
        """Learn what became of the newest update (error feedback depends on it)."""
        ...

    def save_memory(self) -> bytes:
        """Return what must survive a restart, canonical bytes."""
        ...

    def load_memory(self, data: bytes) -> None:
        """Take back what `save_memory` returned."""
        ...


class TrainerRole:
    """Runs a `LocalTrainer` for the chain."""

    def __init__(self, trainer: LocalTrainer) -> None:
        self.trainer = trainer
        self._loaded = False

    def submit(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Train (or take the update that was trained before a restart) and commit to it on chain."""
        number = view.round.round
        data = s.journal.read(update_entry(s, number))
        if data is None:
            data = self._train(s, view)
        named = content_id(data)
        outcome = s.coordinator.submit_update(s.account, s.task_id, number, named, self.trainer.sample_count)
        if not isinstance(outcome, Confirmed):
            s.journal.remove(update_entry(s, number))
        return outcome

    def publish(self, s: Surroundings, view: View) -> None:
        """Put the committed update into the store, now that nobody can copy it any more."""
        number = view.round.round
        data = s.journal.read(update_entry(s, number))
        if data is None:
            raise RoundAbandoned(f"the update of round {number} is gone from the journal")
        mine = [u for u in self._recorded(s, number) if u.digest == content_id(data).digest]
        if not mine:
            s.journal.remove(update_entry(s, number))
            raise IntegrityError(f"the journal's update of round {number} is not the one committed on chain")
        s.store.put(data)
        s.journal.write(_published(s), number.to_bytes(4, "big"))

    def has_unpublished(self, s: Surroundings, view: View) -> bool:
        """Whether the round's update is committed on chain but not in the store yet."""
        if view.round.phase is not Phase.Sortition or view.enrolment.update_round != view.round.round:
            return False
        done = s.journal.read(_published(s))
        return (
            done != view.round.round.to_bytes(4, "big")
            and s.journal.read(update_entry(s, view.round.round)) is not None
        )

    def _train(self, s: Surroundings, view: View) -> bytes:
        number = view.round.round
        self._remember(s, number)
        base = s.objects.model(view.round.base_model)
        context = update_context(s.identity, number, s.address, view.round.base_model.digest)
        data = self.trainer.make_update(base, number, context)
        s.journal.write(update_entry(s, number), data)
        s.journal.write(MEMORY, number.to_bytes(4, "big") + self.trainer.save_memory())
        return data

    def _remember(self, s: Surroundings, number: int) -> None:
        """Bring the codec's memory up to date: restart, then what became of the newest update."""
        memory = s.journal.read(MEMORY)
        if memory is None:
            return
        last, state = int.from_bytes(memory[:4], "big"), memory[4:]
        if not self._loaded:
            self.trainer.load_memory(state)
            self._loaded = True
        earlier = s.history.refresh().rounds.get(last)
        if earlier is None or last >= number:
            return
        mine = next((u.index for u in earlier.updates if u.worker == s.address), None)
        final = earlier.final_proposal
        self.trainer.acknowledge(mine is not None and final is not None and final.accepts(mine))
        s.journal.remove(update_entry(s, last))

    def _recorded(self, s: Surroundings, number: int) -> list[ContentId]:
        history = s.history.refresh().rounds.get(number)
        return [u.content_id for u in history.updates if u.worker == s.address] if history else []


def update_entry(s: Surroundings, number: int) -> str:
    """Name of the journal entry that holds a round's update."""
    return f"update-{s.task_id}-{number}"


def _published(s: Surroundings) -> str:
    return f"published-{s.task_id}"
