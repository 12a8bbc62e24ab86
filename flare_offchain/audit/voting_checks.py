"""Checks of proposals, votes, openings, fines and the outcome of a round (docs/protocol.md §§3–4)."""

from __future__ import annotations

from flare_offchain.audit.facts import ChainFacts
from flare_offchain.audit.ledger import Ledger
from flare_offchain.consensus.identities import bitmap_digest, proposal_digest, vote_commitment
from flare_offchain.core.phases import Fault, Phase, RejectReason
from flare_offchain.core.records import ClosingRecord, ProposalRecord, RoundHistory, TaskHistory, VoteRecord
from flare_offchain.core.types import Address
from flare_offchain.federation.update import TaskIdentity


def check_proposals(ledger: Ledger, task: TaskHistory, history: RoundHistory, facts: ChainFacts) -> None:
    """Proposals come from the seat whose turn it is, in its window, and add up."""
    number = history.number
    limit = min(len(history.committee), int(task.rules["maxAttempts"]))
    cap = int(task.rules["sampleCap"])
    for attempt, proposal in history.proposals.items():
        name = f"proposal of attempt {attempt}"
        turn = history.proposers.get(attempt)
        ledger.equal("only the seat whose turn it is proposes", proposal.proposer, turn, number, name)
        ledger.check("attempts are limited", attempt < limit, number, name, f"at most {limit} attempts")
        in_window = facts.timestamp(proposal.block) <= history.window_deadlines.get(attempt, 0)
        ledger.check("a proposal comes within its window", in_window, number, name, f"block {proposal.block} is late")
        size = (len(history.updates) + 7) // 8
        ledger.equal("a bitmap has a bit for each update", len(proposal.accepted_bitmap), size, number, name)
        weight = sum(u.weight(cap) for u in history.updates if proposal.accepts(u.index))
        ledger.equal("the accepted weight is the sum of weights", proposal.accepted_weight, weight, number, name)


def check_votes(ledger: Ledger, history: RoundHistory, facts: ChainFacts) -> None:
    """Every vote is a seated member's only vote on that attempt, in time; the tally counts them."""
    number = history.number
    seated = {seat.member for seat in history.committee}
    for attempt, proposal in history.proposals.items():
        votes = history.votes_of(attempt)
        voters: set[Address] = set()
        for vote in votes:
            name = f"vote of {vote.member} on attempt {attempt}"
            ledger.check("only seats vote", vote.member in seated, number, name, "the voter holds no seat")
            ledger.check("nobody votes twice", vote.member not in voters, number, name, "a second vote")
            ledger.check(
                "a proposer does not vote", vote.member != proposal.proposer, number, name, "it is the proposer"
            )
            well_formed = vote.approved == (vote.reason is RejectReason.None_) == any(vote.commitment)
            ledger.check("a vote approves or gives a reason", well_formed, number, name, "neither or both")
            late = facts.timestamp(vote.block) > history.vote_deadlines.get(attempt, 0)
            ledger.check("votes come before the deadline", not late, number, name, f"block {vote.block} is late")
            voters.add(vote.member)
        closing = history.closings.get(attempt)
        if closing is not None:
            tally = (1 + sum(v.approved for v in votes), sum(not v.approved for v in votes))
            subject = f"tally of attempt {attempt}"
            ledger.equal("the tally counts the votes", (closing.approvals, closing.rejections), tally, number, subject)
    stray = [vote for vote in history.votes if vote.attempt not in history.proposals]
    ledger.check("votes are on proposals", not stray, number, "votes", f"{len(stray)} on no proposal")


def check_openings(ledger: Ledger, identity: TaskIdentity, history: RoundHistory) -> None:
    """The revealed `inner` opens the proposer's commitment, and as many approvals as the contract counted."""
    number = history.number
    for attempt, opening in history.openings.items():
        proposal = history.proposals.get(attempt)
        name = f"opening of attempt {attempt}"
        if not ledger.check("only proposals are opened", proposal is not None, number, name, "no such proposal"):
            continue
        assert proposal is not None
        own = commitment_of(identity, history, proposal, proposal.proposer, opening.inner)
        ledger.equal("the reveal opens the proposer's commitment", proposal.commitment, own, number, name)
        matching = 1 + len(matching_votes(identity, history, proposal, opening.inner))
        ledger.equal("matching approvals are counted", opening.matching, matching, number, name)


def check_outcome(ledger: Ledger, history: RoundHistory) -> None:
    """FINALIZED needs a quorum of matching approvals; the final model is the one proposed."""
    number = history.number
    if history.phase is Phase.Finalized:
        attempt = history.final_attempt
        opening = history.openings.get(attempt) if attempt is not None else None
        reached = opening is not None and history.quorum > 0 and opening.matching >= history.quorum
        ledger.check("a final model has a quorum", reached, number, "outcome", f"{opening} against {history.quorum}")
        proposal = history.final_proposal
        proposed = None if proposal is None else proposal.model
        ledger.equal("the final model is the proposed one", history.final_model, proposed, number, "outcome")
    elif history.phase is Phase.Void:
        winning = [a for a, o in history.openings.items() if history.quorum and o.matching >= history.quorum]
        ledger.check("a void round had no quorum", not winning, number, "outcome", f"attempts {winning} had one")


def check_fines(
    ledger: Ledger, identity: TaskIdentity, task: TaskHistory, history: RoundHistory, facts: ChainFacts
) -> None:
    """Fined are exactly those whom the rules fine, at most the amount that the rules say."""
    expected = expected_faults(identity, history, facts)
    recorded = {(fine.member, fine.attempt, fine.fault) for fine in history.fines}
    for member, attempt, fault in sorted(expected | recorded):
        key = (member, attempt, fault)
        name = f"fine of {member} in attempt {attempt}"
        detail = f"{fault.name} is {'due but not recorded' if key in expected else 'recorded but not due'}"
        ledger.check("fines follow the rules", key in expected and key in recorded, history.number, name, detail)
    most = int(task.rules["fineAmount"])
    for fine in history.fines:
        name = f"fine of {fine.member} in attempt {fine.attempt}"
        ledger.check(
            "a fine is at most the rules' amount", fine.amount <= most, history.number, name, f"{fine.amount} wei"
        )


def expected_faults(
    identity: TaskIdentity, history: RoundHistory, facts: ChainFacts
) -> set[tuple[Address, int, Fault]]:
    """Return who is to be fined in a round, in which attempt and why (DESIGN: "Fined")."""
    faults: set[tuple[Address, int, Fault]] = set()
    for attempt, proposal in history.proposals.items():
        closing = history.closings.get(attempt)
        if closing is None:
            continue
        votes = history.votes_of(attempt)
        if facts.timestamp(closing.block) > history.vote_deadlines[attempt]:
            absent = {s.member for s in history.committee} - {v.member for v in votes} - {proposal.proposer}
            faults |= {(member, attempt, Fault.VoteMissing) for member in absent}
        if closing.rejections >= history.quorum:
            faults.add((proposal.proposer, attempt, Fault.ProposalRejected))
        elif _unopened(history, closing, attempt):
            faults.add((proposal.proposer, attempt, Fault.CommitmentUnopened))
        if history.final_attempt == attempt:
            faults |= _overruled(identity, history, proposal, votes)
    return faults


def _unopened(history: RoundHistory, closing: ClosingRecord, attempt: int) -> bool:
    could_pass = closing.approvals >= history.quorum
    return could_pass and attempt in history.failed_attempts and attempt not in history.openings


def _overruled(
    identity: TaskIdentity, history: RoundHistory, proposal: ProposalRecord, votes: list[VoteRecord]
) -> set[tuple[Address, int, Fault]]:
    opening = history.openings[proposal.attempt]
    matching = {v.member for v in matching_votes(identity, history, proposal, opening.inner)}
    faults = {(v.member, v.attempt, Fault.ApprovalMismatched) for v in votes if v.approved and v.member not in matching}
    return faults | {
        (v.member, v.attempt, Fault.RejectionOverruled)
        for v in votes
        if not v.approved and v.reason is not RejectReason.Unavailable
    }


def commitment_of(
    identity: TaskIdentity, history: RoundHistory, proposal: ProposalRecord, member: Address, inner: bytes
) -> bytes:
    """Return the commitment of a member over `inner` for a proposal."""
    digest = proposal_digest(
        identity.chain_id,
        identity.coordinator,
        identity.task_id,
        history.number,
        proposal.attempt,
        proposal.model,
        proposal.report,
        bitmap_digest(proposal.accepted_bitmap),
        proposal.accepted_weight,
    )
    return vote_commitment(
        identity.chain_id,
        identity.coordinator,
        identity.task_id,
        history.number,
        proposal.attempt,
        digest,
        member,
        inner,
    )


def matching_votes(
    identity: TaskIdentity, history: RoundHistory, proposal: ProposalRecord, inner: bytes
) -> list[VoteRecord]:
    """Return the approvals that `inner` opens."""
    return [
        vote
        for vote in history.votes_of(proposal.attempt)
        if vote.approved and vote.commitment == commitment_of(identity, history, proposal, vote.member, inner)
    ]
