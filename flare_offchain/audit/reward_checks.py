"""Checks of rewards: who earned what, to the wei."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from flare_offchain.audit.ledger import Ledger
from flare_offchain.audit.voting_checks import matching_votes
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import RoundHistory, TaskHistory
from flare_offchain.core.types import Address
from flare_offchain.federation.update import TaskIdentity

BASIS_POINTS = 10_000


def check_rewards(ledger: Ledger, identity: TaskIdentity, task: TaskHistory, history: RoundHistory) -> None:
    """Members are credited when a round is finalized, trainers when they settle; nobody else, never more."""
    number = history.number
    credited: dict[Address, int] = defaultdict(int)
    for credit in history.credits:
        credited[credit.worker] += credit.amount
    if history.phase is not Phase.Finalized:
        ledger.check("a void round pays nothing", not credited, number, "rewards", f"{sum(credited.values())} wei")
        return
    split = split_of(identity, task, history)
    members, trainers = member_rewards(identity, history, split), trainer_rewards(task, history, split)
    ledger.equal("a round pays what its parts add up to", history.reward, split.total, number, "rewards")
    for worker in sorted({*credited, *members, *trainers}):
        at_once = members.get(worker, 0)
        settled = at_once + trainers.get(worker, 0)
        holds = credited[worker] in (at_once, settled)
        detail = f"credited {credited[worker]} wei, due {at_once} at once and {settled} once settled"
        ledger.check("rewards follow the rules", holds, number, f"reward of {worker}", detail)


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of one round's reward, in wei (`RewardLib.split`): all trainers, proposer, each voter, revealer."""

    trainers: int = 0
    proposer: int = 0
    voter: int = 0
    revealer: int = 0
    voters: int = 0

    @property
    def total(self) -> int:
        """What leaves the budget."""
        return self.trainers + self.proposer + self.revealer + self.voter * self.voters


def split_of(identity: TaskIdentity, task: TaskHistory, history: RoundHistory) -> Split:
    """Split min(round reward, budget) by the shares; the trainers' part is a multiple of the accepted weight."""
    proposal = history.final_proposal
    if proposal is None or not proposal.accepted_weight:
        return Split()
    rules = task.rules
    reward = min(int(rules["roundReward"]), task.budget_before(history.number))
    opening = history.openings[proposal.attempt]
    voters = len(matching_votes(identity, history, proposal, opening.inner))
    trainers = reward * int(rules["trainerShare"]) // BASIS_POINTS
    return Split(
        trainers=trainers - trainers % proposal.accepted_weight,
        proposer=reward * int(rules["proposerShare"]) // BASIS_POINTS,
        voter=reward * int(rules["voterShare"]) // BASIS_POINTS // voters if voters else 0,
        revealer=reward * int(rules["revealerShare"]) // BASIS_POINTS,
        voters=voters,
    )


def member_rewards(identity: TaskIdentity, history: RoundHistory, split: Split) -> dict[Address, int]:
    """Return what proposer, matching voters and revealer of a finalized round earn, in wei."""
    proposal = history.final_proposal
    if proposal is None:
        return {}
    opening = history.openings[proposal.attempt]
    rewards: dict[Address, int] = defaultdict(int)
    rewards[proposal.proposer] += split.proposer
    rewards[opening.revealer] += split.revealer
    for vote in matching_votes(identity, history, proposal, opening.inner):
        rewards[vote.member] += split.voter
    return {worker: amount for worker, amount in rewards.items() if amount}


def trainer_rewards(task: TaskHistory, history: RoundHistory, split: Split) -> dict[Address, int]:
    """Return what the accepted trainers of a finalized round earn once they settle, in wei."""
    proposal = history.final_proposal
    if proposal is None or not proposal.accepted_weight:
        return {}
    cap = int(task.rules["sampleCap"])
    return {
        update.worker: split.trainers * update.weight(cap) // proposal.accepted_weight
        for update in history.updates
        if proposal.accepts(update.index)
    }
