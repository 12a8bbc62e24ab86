"""The trainer's part of a round: train, encode, commit on chain, publish once TRAINING has closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flare_offchain.blockchain.outcomes import TransactionOutcome
from flare_offchain.core.errors import ChainUnavailable, Fatal, IntegrityError, RoundAbandoned, StorageUnavailable
from flare_offchain.core.phases import Phase
from flare_offchain.core.tensors import Weights
from flare_offchain.core.types import ContentId
from flare_offchain.federation.downlink import newest_model
from flare_offchain.federation.update import update_context
from flare_offchain.storage.cid import content_id
from flare_offchain.workers.plan import View
from flare_offchain.workers.surroundings import Surroundings


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
    """Runs a `LocalTrainer` for the chain.

    One journal entry holds the newest round that was trained for, its update, and the codec's memory after it: the
    three are written together or not at all, so a worker that is killed at any moment neither trains twice nor
    forgets what its codec owes.
    """

    def __init__(self, trainer: LocalTrainer) -> None:
        self.trainer = trainer
        self._loaded = False

    def submit(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Train (or take the update that was trained before a restart) and commit to it on chain."""
        number = view.round.round
        data = kept_update(s, number)
        if data is None:
            data = self._train(s, view)
        named = content_id(data)
        return s.coordinator.submit_update(s.account, s.task_id, number, named, self.trainer.sample_count)

    def publish(self, s: Surroundings, view: View) -> None:
        """Put the committed update into the store, now that nobody can copy it any more.

        Raises:
            RoundAbandoned: the journal no longer has the update.
            Fatal: the chain records another update of this account than the journal's.
        """
        number = view.round.round
        data = kept_update(s, number)
        if data is None:
            raise RoundAbandoned(f"the update of round {number} is gone from the journal")
        recorded = self._recorded(s, number)
        if recorded is None:
            raise ChainUnavailable(f"the chain's events do not show the update of round {number} yet")
        if recorded.digest != content_id(data).digest:
            raise Fatal(
                f"round {number} has another update of {s.address} than this worker's: does a second process use the "
                "key, or was the journal changed? Run one worker a key, with its own journal"
            )
        s.store.put(data)
        s.journal.write(_published(s), number.to_bytes(4, "big"))

    def has_unpublished(self, s: Surroundings, view: View) -> bool:
        """Whether the round's update is committed on chain but not in the store yet."""
        if view.round.phase is not Phase.Sortition or view.enrolment.update_round != view.round.round:
            return False
        done = s.journal.read(_published(s))
        return done != view.round.round.to_bytes(4, "big") and kept_update(s, view.round.round) is not None

    def _train(self, s: Surroundings, view: View) -> bytes:
        number = view.round.round
        self._remember(s, number)
        try:
            # A folder on this machine gives the whole model sooner than the updates could be combined.
            wanted = view.round.base_model
            if s.store.remote:
                base = newest_model(s.identity, s.history.refresh(), wanted, s.objects)
            else:
                base = s.objects.model(wanted)
        except IntegrityError as error:
            # The store may recover before TRAINING closes; giving the round up would be for good.
            raise StorageUnavailable(f"the base model of round {number} cannot be had: {error}") from error
        context = update_context(s.identity, number, s.address, view.round.base_model.digest)
        data = self.trainer.make_update(base, number, context)
        s.journal.write(_memory(s), _Memory(number, data, self.trainer.save_memory()).encode())
        return data

    def _remember(self, s: Surroundings, number: int) -> None:
        """Bring the codec's memory up to date: restart, then what became of the newest update."""
        memory = _read_memory(s)
        if memory is None:
            return
        if not self._loaded:
            self.trainer.load_memory(memory.state)
            self._loaded = True
        if memory.round >= number:
            return
        accepted = s.history.refresh().was_accepted(s.address, memory.round)
        if accepted is not None:
            self.trainer.acknowledge(accepted)

    def _recorded(self, s: Surroundings, number: int) -> ContentId | None:
        history = s.history.refresh().rounds.get(number)
        mine = [u.content_id for u in history.updates if u.worker == s.address] if history else []
        return mine[0] if mine else None


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the journal holds of the newest training: the round, its update, the codec's memory after it."""

    round: int
    update: bytes
    state: bytes

    def encode(self) -> bytes:
        """Return the journal entry."""
        return self.round.to_bytes(4, "big") + len(self.update).to_bytes(4, "big") + self.update + self.state

    @classmethod
    def decode(cls, data: bytes) -> _Memory:
        """Read a journal entry. Raises `Fatal` where it is none."""
        size = int.from_bytes(data[4:8], "big")
        if len(data) < 8 + size:
            raise Fatal("the journal's entry of the newest training is damaged: restore it, or remove the journal")
        return cls(int.from_bytes(data[:4], "big"), data[8 : 8 + size], data[8 + size :])


def kept_update(s: Surroundings, number: int) -> bytes | None:
    """Return the update that a worker trained for a round, if that is the newest it trained for."""
    memory = _read_memory(s)
    return memory.update if memory is not None and memory.round == number else None


def _read_memory(s: Surroundings) -> _Memory | None:
    data = s.journal.read(_memory(s))
    return None if data is None else _Memory.decode(data)


def _memory(s: Surroundings) -> str:
    return f"training-{s.task_id}"


def _published(s: Surroundings) -> str:
    return f"published-{s.task_id}"
