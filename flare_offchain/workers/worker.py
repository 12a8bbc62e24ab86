"""A worker: one account that trains, sits on committees when the VRF draws it, and moves rounds on.

A worker keeps nothing in memory that it could not read again. Each cycle reads the chain at one block, asks the plan
what is due (`flare_offchain.workers.plan`), and does that one thing. What a role does is in `trainer.py`,
`committee.py` and `keeper.py`; this file holds what they share and the cycle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flare_offchain.blockchain.outcomes import Reverted
from flare_offchain.consensus.chain_proof import prove_for_chain, verify_for_chain
from flare_offchain.core.claims import SeatClaim, unlist_claims
from flare_offchain.core.errors import RoundAbandoned
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import Address
from flare_offchain.workers.committee import CommitteeRole
from flare_offchain.workers.keeper import KEEPING, RACES, Done, keep
from flare_offchain.workers.plan import Local, Step, View, Wait, may_claim, next_step
from flare_offchain.workers.surroundings import Surroundings, read_view
from flare_offchain.workers.trainer import TrainerRole

MAX_UNEXPLAINED = 3
"""How often a step is taken again whose transaction was mined, reverted, and would have gone through a moment ago."""


@dataclass(slots=True)
class _Scratch:
    """What is known for the moment: which steps were declined in one phase and attempt, and the VRF output."""

    position: tuple[int, int, int, bool] = (0, 0, 0, False)
    declined: set[Step] = field(default_factory=set)
    unexplained: Counter[Step] = field(default_factory=Counter)
    output: tuple[bytes, int, bytes] | None = None


class Worker:
    """One account's daemon, one step at a time."""

    def __init__(
        self,
        surroundings: Surroundings,
        trainer: TrainerRole | None,
        committee: CommitteeRole,
        keeps: bool = True,
    ) -> None:
        """`trainer` is None for one that only sits on committees; `keeps`: whether it moves overdue phases on."""
        self.surroundings, self.trainer, self.committee, self.keeps = surroundings, trainer, committee, keeps
        self._scratch = _Scratch()

    @property
    def address(self) -> Address:
        """The worker's account."""
        return self.surroundings.address

    def look(self) -> View:
        """Read the chain at its newest block."""
        s = self.surroundings
        return read_view(s.connector, s.coordinator, s.history, s.task_id, s.address)

    def next_step(self) -> tuple[View, Step | Wait]:
        """Read the chain and return what is due."""
        view = self.look()
        self._forget_declined(view)
        step = next_step(view, self._local(view))
        if step in KEEPING and not self.keeps:
            return view, Wait("others move the round on", until=view.round.deadline + 1)
        return view, step

    def step(self) -> Done | Wait:
        """Take the step that is due, if one is.

        Raises:
            FlareError: of the branch that says what to do next (retry, give up the round, stop).
        """
        view, step = self.next_step()
        if isinstance(step, Wait):
            return step
        return self.take(step, view)

    def take(self, step: Step, view: View) -> Done:
        """Take one step. A refusal that only means that others were faster is a step taken."""
        number = view.round.round
        try:
            done = self._execute(step, view)
        except RoundAbandoned as error:
            self._scratch.declined.add(step)
            return Done(step, number, note=f"given up: {error}")
        if isinstance(done.outcome, Reverted):
            self._refused(step, done.outcome)
        return done

    def _refused(self, step: Step, outcome: Reverted) -> None:
        if outcome.receipt is not None and outcome.error is None:
            # It went through when it was simulated, so something in its block came before it. It may still be due.
            self._scratch.unexplained[step] += 1
            if self._scratch.unexplained[step] < MAX_UNEXPLAINED:
                return
        elif outcome.error not in RACES:
            raise outcome.revert.exception()
        self._scratch.declined.add(step)

    def _execute(self, step: Step, view: View) -> Done:
        s, number, task_id = self.surroundings, view.round.round, self.surroundings.task_id
        match step:
            case Step.SUBMIT_UPDATE | Step.PUBLISH_UPDATE:
                if self.trainer is None:
                    raise RoundAbandoned("this worker does not train")
                if step is Step.PUBLISH_UPDATE:
                    self.trainer.publish(s, view)
                    return Done(step, number)
                outcome = self.trainer.submit(s, view)
            case Step.CLAIM_SEAT:
                outcome = s.coordinator.claim_seat(s.account, task_id, number, view.enrolment.number, self._proof(view))
            case Step.PROPOSE:
                outcome = self.committee.propose(s, view)
            case Step.VOTE:
                outcome = self.committee.vote(s, view)
            case Step.REVEAL:
                outcome = self.committee.reveal(s, view)
            case _:
                outcome = keep(s.coordinator, s.account, task_id, step, view)
        return Done(step, number, outcome)

    def _local(self, view: View) -> Local:
        return Local(
            address=self.address,
            output=self._output(view),
            lower_claims=self._lower_claims(view),
            unpublished=self.trainer is not None and self.trainer.has_unpublished(self.surroundings, view),
            knows_inner=self.committee.knows_inner(self.surroundings, view),
            declined=frozenset(self._scratch.declined | ({Step.SUBMIT_UPDATE} if self.trainer is None else set())),
        )

    def _forget_declined(self, view: View) -> None:
        position = (view.round.round, int(view.round.phase), view.round.attempt, any(view.round.seed))
        if position != self._scratch.position:
            if view.round.phase.terminal or view.round.round != self._scratch.position[0]:
                self.surroundings.objects.decoder.forget()
            self._scratch.position, self._scratch.declined = position, set()
            self._scratch.unexplained.clear()

    def _lower_claims(self, view: View) -> int:
        """Count the claims lower than one's own would be, where that decides whether it is worth its gas."""
        s, output = self.surroundings, self._output(view)
        open_for_claims = view.round.phase is Phase.Sortition and view.now <= view.round.deadline
        full = view.round.claims >= view.task.rules.max_seats
        if output is None or not (open_for_claims and full and may_claim(view, output)):
            return 0
        own = SeatClaim.of(view.enrolment.number, output)
        claims = unlist_claims(s.coordinator.round_claims(s.task_id, view.round, view.block))
        return sum(claim < own for claim in claims)

    def _output(self, view: View) -> int | None:
        if not any(view.round.seed):
            return None
        if self._scratch.output is None or self._scratch.output[0] != view.round.alpha:
            proof = prove_for_chain(self.surroundings.vrf_key, view.round.alpha)
            output = verify_for_chain(self.surroundings.vrf_key.public_x, view.round.alpha, proof)
            self._scratch.output = view.round.alpha, output, proof
        return self._scratch.output[1]

    def _proof(self, view: View) -> bytes:
        self._output(view)
        if self._scratch.output is None:
            raise RoundAbandoned(f"round {view.round.round} has no seed yet")
        return self._scratch.output[2]
