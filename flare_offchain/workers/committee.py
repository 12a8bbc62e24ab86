"""A seat's part of a round: propose when it is its turn, else recompute and vote; reveal what opens the proposal."""

from __future__ import annotations

from dataclasses import replace

from flare_offchain.blockchain.outcomes import TransactionOutcome
from flare_offchain.consensus.identities import bitmap_digest, inner_hash, proposal_digest, vote_commitment
from flare_offchain.core.errors import IntegrityError, ObjectNotFound, RoundAbandoned
from flare_offchain.core.phases import Phase, RejectReason
from flare_offchain.core.records import ProposalRecord
from flare_offchain.core.types import ContentId
from flare_offchain.federation.gather import round_inputs
from flare_offchain.federation.round import (
    ProposalCheck,
    Proposed,
    RoundInputs,
    RoundResult,
    aggregate_round,
    check_proposal,
)
from flare_offchain.models.forward import IN_PROCESS, Forwards
from flare_offchain.workers.plan import View, seat_of
from flare_offchain.workers.surroundings import Surroundings, round_history


class CommitteeRole:
    """Computes rounds and speaks for a seat.

    Args:
        patience: for which part of a phase, 0 to 1, to wait for objects that cannot be had yet: they may be on their
            way, or the store may recover. After that they count as withheld.
        forwards: where models are evaluated.
    """

    def __init__(self, patience: float = 0.0, forwards: Forwards = IN_PROCESS) -> None:
        self.patience, self.forwards = patience, forwards

    def inputs(self, s: Surroundings, view: View) -> RoundInputs:
        """Gather what the round's result depends on.

        Raises:
            ObjectNotFound: objects are missing, and it is worth waiting for them.
            RoundAbandoned, StorageUnavailable: as `round_inputs`.
        """
        task, history = round_history(s, view)
        try:
            inputs = round_inputs(s.identity, task, history, s.objects)
        except RoundAbandoned as error:
            if isinstance(error.__cause__, ObjectNotFound | IntegrityError) and self._waits(view):
                raise ObjectNotFound(f"{error}; trying again") from error
            raise
        missing = [index for index, data in inputs.objects.items() if data is None]
        if missing and self._waits(view):
            raise ObjectNotFound(f"round {view.round.round}: updates {missing} cannot be had yet; trying again")
        return replace(inputs, forwards=self.forwards)

    def _waits(self, view: View) -> bool:
        """Whether the phase is young enough to wait for objects."""
        rules = view.task.rules
        lasts = rules.proposal_duration if view.round.phase is Phase.Aggregation else rules.validation_duration
        return view.now < view.round.deadline - (1 - self.patience) * lasts

    def propose(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Aggregate the round, publish model and report, pin the updates used, and propose."""
        inputs = self.inputs(s, view)
        result = aggregate_round(inputs)
        model, report = s.store.put(result.model), s.store.put(result.report)
        keep_state(s, result.state)
        for update in inputs.updates:
            if inputs.objects.get(update.index) is not None:
                s.store.pin(update.content_id)
        inner = inner_hash(view.round.attempt, result.sums_digest)
        return self.put_forward(s, view, model, report, result, inner)

    def put_forward(
        self, s: Surroundings, view: View, model: ContentId, report: ContentId, result: RoundResult, inner: bytes
    ) -> TransactionOutcome:
        """Send a proposal of two published objects and the result's accepted set, committed to `inner`."""
        number, attempt = view.round.round, view.round.attempt
        digest = proposal_digest(
            s.identity.chain_id,
            s.identity.coordinator,
            s.task_id,
            number,
            attempt,
            model,
            report,
            bitmap_digest(result.accepted_bitmap),
            result.accepted_weight,
        )
        remember_inner(s, digest, inner)
        return s.coordinator.propose(
            s.account,
            s.task_id,
            number,
            attempt,
            model=model,
            report=report,
            accepted_bitmap=result.accepted_bitmap,
            accepted_weight=result.accepted_weight,
            commitment=self.commitment(s, number, attempt, digest, inner),
        )

    def vote(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Recompute the proposal; approve with a commitment over its exact sums, or reject with a reason."""
        found = self.judge(s, view)
        if not found.approved or found.sums_digest is None:
            return self.reject(s, view, found.reason)
        keep_state(s, found.state)
        return self.approve(s, view, inner_hash(view.round.attempt, found.sums_digest))

    def reject(self, s: Surroundings, view: View, reason: RejectReason) -> TransactionOutcome:
        """Vote against the proposal in view."""
        seat = own_seat(s, view)
        return s.coordinator.vote(s.account, s.task_id, view.round.round, view.round.attempt, seat, reason=reason)

    def approve(self, s: Surroundings, view: View, inner: bytes) -> TransactionOutcome:
        """Vote for the proposal in view with a commitment over `inner`."""
        number, attempt, digest = view.round.round, view.round.attempt, view.round.proposal.digest
        remember_inner(s, digest, inner)
        commitment = self.commitment(s, number, attempt, digest, inner)
        return s.coordinator.vote(s.account, s.task_id, number, attempt, own_seat(s, view), commitment=commitment)

    def judge(self, s: Surroundings, view: View) -> ProposalCheck:
        """Recompute the proposal in view."""
        proposal = self.proposal(s, view)
        model, report = s.objects.fetch(proposal.model), s.objects.fetch(proposal.report)
        if (model is None or report is None) and self._waits(view):
            raise ObjectNotFound(f"round {view.round.round}: the proposal's objects cannot be had yet; trying again")
        return check_proposal(
            self.inputs(s, view),
            Proposed(
                proposal.model,
                model,
                proposal.report,
                report,
                proposal.accepted_bitmap,
                proposal.accepted_weight,
            ),
        )

    def reveal(self, s: Surroundings, view: View) -> TransactionOutcome:
        """Reveal the `inner` that opens the proposer's commitment."""
        inner = recall_inner(s, view.round.proposal.digest)
        if inner is None:
            raise RoundAbandoned("this worker did not compute the proposal's sums")
        return s.coordinator.reveal(s.account, s.task_id, view.round.round, view.round.attempt, inner)

    def knows_inner(self, s: Surroundings, view: View) -> bool:
        """Whether the worker can open the proposal in view."""
        if view.round.phase is not Phase.Reveal:
            return False
        inner = recall_inner(s, view.round.proposal.digest)
        if inner is None:
            return False
        current = view.round
        opened = vote_commitment(
            s.identity.chain_id,
            s.identity.coordinator,
            s.task_id,
            current.round,
            current.attempt,
            current.proposal.digest,
            current.proposal.proposer,
            inner,
        )
        return opened == current.proposal.commitment

    def proposal(self, s: Surroundings, view: View) -> ProposalRecord:
        """Return the proposal in view as its event records it."""
        _, history = round_history(s, view)
        proposal = history.proposals.get(view.round.attempt)
        if proposal is None:
            raise RoundAbandoned(f"the proposal of attempt {view.round.attempt} is not among the events")
        return proposal

    def commitment(self, s: Surroundings, number: int, attempt: int, digest: bytes, inner: bytes) -> bytes:
        """Return this member's commitment over `inner`."""
        return vote_commitment(
            s.identity.chain_id, s.identity.coordinator, s.task_id, number, attempt, digest, s.address, inner
        )


def own_seat(s: Surroundings, view: View) -> int:
    """Return the number of this member's seat. Raises `RoundAbandoned` where it has none."""
    seat = seat_of(view.round, s.address)
    if seat is None:
        raise RoundAbandoned(f"this worker has no seat in round {view.round.round}")
    return seat


def keep_state(s: Surroundings, state: bytes | None) -> None:
    """Put the server optimiser's state into the store, whoever computed it: the next round needs it."""
    if state is not None:
        s.store.put(state)


def remember_inner(s: Surroundings, digest: bytes, inner: bytes) -> None:
    """Keep the newest `inner` with the digest of the proposal that it belongs to, across a restart."""
    s.journal.write(f"inner-{s.task_id}", digest + inner)


def recall_inner(s: Surroundings, digest: bytes) -> bytes | None:
    """Return the `inner` of a proposal, if it is the newest that was computed."""
    kept = s.journal.read(f"inner-{s.task_id}")
    return kept[32:] if kept is not None and kept[:32] == digest else None
