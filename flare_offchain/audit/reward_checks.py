"""Checks of rewards: who earned what, to the wei."""

from __future__ import annotations

from collections import defaultdict

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
    members, trainers = member_rewards(identity, task, history), trainer_rewards(task, history)
    for worker in sorted({*credited, *members, *trainers}):
        at_once = members.get(worker, 0)
        settled = at_once + trainers.get(worker, 0)
        holds = credited[worker] in (at_once, settled)
        detail = f"credited {credited[worker]} wei, due {at_once} at once and {settled} once settled"
        ledger.check("rewards follow the rules", holds, number, f"reward of {worker}", detail)
    total = sum(members.values()) + sum(trainers.values())
    ledger.check("a round pays no more than its reward", total <= history.reward, number, "rewards", f"{total} wei")


def member_rewards(identity: TaskIdentity, task: TaskHistory, history: RoundHistory) -> dict[Address, int]:
    """Return what proposer, matching voters and revealer of a finalized round earn, in wei."""
    proposal = history.final_proposal
    if proposal is None:
        return {}
    opening = history.openings[proposal.attempt]
    rewards: dict[Address, int] = defaultdict(int)
    rewards[proposal.proposer] += history.reward * int(task.rules["proposerShare"]) // BASIS_POINTS
    rewards[opening.revealer] += history.reward * int(task.rules["revealerShare"]) // BASIS_POINTS
    voters = matching_votes(identity, history, proposal, opening.inner)
    if voters:
        pot = history.reward * int(task.rules["voterShare"]) // BASIS_POINTS
        for vote in voters:
            rewards[vote.member] += pot // len(voters)
    return {worker: amount for worker, amount in rewards.items() if amount}


def trainer_rewards(task: TaskHistory, history: RoundHistory) -> dict[Address, int]:
    """Return what the accepted trainers of a finalized round earn once they settle, in wei."""
    proposal = history.final_proposal
    if proposal is None or not proposal.accepted_weight:
        return {}
    pot = history.reward * int(task.rules["trainerShare"]) // BASIS_POINTS
    cap = int(task.rules["sampleCap"])
    return {
        update.worker: pot * update.weight(cap) // proposal.accepted_weight
        for update in history.updates
        if proposal.accepts(update.index)
    }
