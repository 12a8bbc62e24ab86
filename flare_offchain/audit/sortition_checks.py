"""Checks of a round's opening, updates, seed, committee and quorum against the rules of docs/protocol.md §§2–3."""

from __future__ import annotations

from flare_offchain.audit.claim_checks import Draw, check_claims, check_closing
from flare_offchain.audit.facts import ChainFacts
from flare_offchain.audit.ledger import Ledger
from flare_offchain.consensus.identities import round_seed
from flare_offchain.consensus.sortition import quorum, threshold
from flare_offchain.core.participants import Participants
from flare_offchain.core.records import RoundHistory, TaskHistory
from flare_offchain.core.types import Address
from flare_offchain.federation.update import TaskIdentity

MAX_SEED_BLOCKS = 3


def check_opening(ledger: Ledger, task: TaskHistory, history: RoundHistory) -> None:
    """The round starts from the newest finalized model, with everyone who was enrolled then."""
    number = history.number
    base = task.base_model(number)
    ledger.equal(
        "a round starts from the newest finalized model", history.base_digest, base.digest, number, "base model"
    )
    enrolled = len(enrolled_at(task, history))
    ledger.equal("the enrolled are counted when the round opens", history.enrolled, enrolled, number, "enrolment")


def enrolled_at(task: TaskHistory, history: RoundHistory) -> set[Address]:
    """Return the workers whose enrolment counts in a round."""
    changes = [(block, worker, True) for worker, _, block in task.enrolments]
    changes += [(block, worker, False) for worker, _, block in task.departures]
    counted: set[Address] = set()
    for block, worker, joined in sorted(changes, key=lambda change: (change[0], change[2])):
        if block > history.opened_block:
            break
        (counted.add if joined else counted.discard)(worker)
    return counted


def check_updates(ledger: Ledger, task: TaskHistory, history: RoundHistory, facts: ChainFacts) -> None:
    """One update a worker, by those enrolled, in time and no more than the cap."""
    number = history.number
    enrolled = enrolled_at(task, history)
    seen: set[Address] = set()
    for update in history.updates:
        name = f"update {update.index} of {update.worker}"
        ledger.check("one update a worker and round", update.worker not in seen, number, name, "a second update")
        ledger.check(
            "only enrolled workers submit", update.worker in enrolled, number, name, "the worker is not enrolled"
        )
        ledger.check(
            "updates arrive before the deadline",
            facts.timestamp(update.block) <= history.training_deadline,
            number,
            name,
            f"block {update.block} is after the deadline",
        )
        seen.add(update.worker)
    cap = int(task.rules["maxUpdates"])
    ledger.check("no more updates than the cap", len(history.updates) <= cap, number, "updates", f"over {cap}")


def check_seed(
    ledger: Ledger, identity: TaskIdentity, history: RoundHistory, previous_seed: bytes, facts: ChainFacts
) -> None:
    """The seed comes from the hash of the last seed block that was fixed, and from the seed before."""
    number, seed = history.number, history.seed
    if seed is None:
        return
    ledger.equal("a seed follows from the seed before", seed.previous, previous_seed, number, "seed")
    actual = facts.block_hash(seed.seed_block)
    if actual is None:
        ledger.note(f"round {number}: the endpoint no longer has block {seed.seed_block}; its hash is not compared")
    else:
        ledger.equal("a seed is made of its block's hash", seed.block_hash, actual, number, f"block {seed.seed_block}")
    expected = round_seed(seed.previous, seed.block_hash, identity.task_id, number)
    ledger.equal("a seed is recomputed", seed.seed, expected, number, "seed")
    moves = len(history.seed_blocks)
    ledger.check("a seed block moves at most twice", moves <= MAX_SEED_BLOCKS, number, "seed block", f"{moves} blocks")


def check_sortition(
    ledger: Ledger,
    identity: TaskIdentity,
    task: TaskHistory,
    history: RoundHistory,
    facts: ChainFacts,
    participants: Participants,
) -> None:
    """Thresholds, every claim's VRF proof, the list of claims, the quorum and the order of proposers."""
    number, seed, rules = history.number, history.seed, task.rules
    if seed is None:
        return
    expected = int(rules["expectedCommittee"])
    narrow = threshold(history.enrolled, expected, False)
    wide = threshold(history.enrolled, expected, True)
    ledger.equal("the threshold follows from enrolment", seed.threshold, narrow, number, "threshold")
    if history.widened_threshold is not None:
        ledger.equal("a widened threshold doubles the committee", history.widened_threshold, wide, number, "threshold")
    enrolled = enrolled_at(task, history)
    counting = frozenset(number for number, worker in task.numbers.items() if worker in enrolled)
    draw = Draw(identity, history, seed, facts, participants, counting, narrow, wide)
    check_claims(ledger, draw, enrolled)
    check_closing(ledger, draw)
    if history.quorum:
        _check_committee(ledger, task, history)


def _check_committee(ledger: Ledger, task: TaskHistory, history: RoundHistory) -> None:
    """The lowest claims are seated, as many as the cap admits; the quorum and the proposers follow from the seats."""
    number, rules, committee = history.number, task.rules, history.committee
    seats = min(len(history.claims), int(rules["maxSeats"]))
    ledger.equal("the seats are counted", history.seats_at_close, seats, number, "committee")
    expected, basis_points = int(rules["expectedCommittee"]), int(rules["thresholdBasisPoints"])
    needed = quorum(basis_points, expected, history.enrolled, len(committee))
    ledger.equal("the quorum follows from the seats", history.quorum, needed, number, "quorum")
    for attempt, proposer in history.proposers.items():
        ranked = committee[attempt].member if attempt < len(committee) else None
        ledger.equal("seats propose in order of their outputs", proposer, ranked, number, f"attempt {attempt}")
