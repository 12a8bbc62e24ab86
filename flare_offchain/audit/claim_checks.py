"""Checks of a round's claims: every proof verified again, every list compared with what transactions carried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from flare_offchain.audit.claims import SentClaims, closing_list, sent_claims
from flare_offchain.audit.facts import ChainFacts
from flare_offchain.audit.ledger import Ledger
from flare_offchain.consensus.chain_proof import verify_for_chain
from flare_offchain.consensus.identities import vrf_alpha
from flare_offchain.core.claims import SeatClaim, list_claims, pack_claims
from flare_offchain.core.errors import InvalidProof, MalformedObject
from flare_offchain.core.participants import CERTAIN, Participants
from flare_offchain.core.records import ClaimRecord, RoundHistory, SeedRecord, TaskHistory
from flare_offchain.core.types import Address
from flare_offchain.federation.update import TaskIdentity

CARRIED = "the claims listed are those that their transaction carried"


@dataclass(frozen=True, slots=True)
class Draw:
    """What a round's claims are checked against.

    counting: the numbers of those who take part. narrow, wide: the thresholds before and after widening.
    """

    identity: TaskIdentity
    history: RoundHistory
    seed: SeedRecord
    facts: ChainFacts
    participants: Participants
    counting: frozenset[int]
    narrow: int
    wide: int

    def limit(self, block: int) -> int:
        """Return the highest output that wins for a claim in a block.

        Where the threshold was widened in the same block, the claim came after it: the deadline had passed before.
        """
        widened = self.history.widened_block
        return self.narrow if widened is None or block < widened else self.wide

    @property
    def alpha(self) -> bytes:
        """What the round's proofs are made over."""
        of = self.identity
        return vrf_alpha(of.chain_id, of.coordinator, of.task_id, self.history.number, self.seed.seed)


def check_numbers(ledger: Ledger, task: TaskHistory, participants: Participants) -> None:
    """Participants are numbered from 1 as they register, once each; whoever enrols does so under its own number."""
    numbers = [item.number for item in participants.registrations]
    expected = list(range(1, len(numbers) + 1))
    ledger.equal("participants are numbered as they register", numbers, expected, None, "registrations")
    for item in participants.registrations:
        subject = f"registration of {item.account}"
        once = participants.account(item.account) == item
        ledger.check("an account registers once", once, None, subject, "a second registration")
        unused = participants.with_key(item.vrf_key) == item
        ledger.check("a key is registered once", unused, None, subject, "the key is another account's")
    for number, worker in task.numbers.items():
        known = participants.account(worker)
        registered = None if known is None else known.number
        ledger.equal("a worker enrols under its own number", number, registered, None, f"enrolment of {worker}")


def check_claims(ledger: Ledger, draw: Draw, enrolled: set[Address]) -> None:
    """Each claim is its member's only one, by a registered key, with a low enough output; each list is as carried."""
    history, seen = draw.history, set[Address]()
    for record in history.claims:
        name = f"claim of {record.member}"
        _check_claim(ledger, draw, record, name)
        ledger.check("one claim a member", record.member not in seen, history.number, name, "a second claim")
        ledger.check("only enrolled workers claim", record.member in enrolled, history.number, name, "not enrolled")
        seen.add(record.member)
    claimed: set[int] = set()
    for transaction, records in groupby(history.claims, key=lambda record: record.transaction):
        _check_transaction(ledger, draw, transaction, list(records), claimed)


def _check_claim(ledger: Ledger, draw: Draw, record: ClaimRecord, name: str) -> None:
    number, prefix = draw.history.number, record.claim.output_prefix
    limit = draw.limit(record.block) >> 160
    ledger.check("an output is below the threshold", prefix <= limit, number, name, f"output {prefix:#026x}…")
    known = draw.participants.account(record.member)
    if ledger.check("a member has a registered key", known is not None, number, name, "never registered"):
        assert known is not None
        ledger.equal("a claim has its member's number", record.number, known.number, number, name)


def _check_transaction(
    ledger: Ledger, draw: Draw, transaction: bytes, records: list[ClaimRecord], claimed: set[int]
) -> None:
    """Compare the claims that a transaction is recorded to have made with those that it carried.

    claimed: the numbers that claimed before it in the round; its own are added.
    """
    number, name = draw.history.number, f"claims of {', '.join(record.member for record in records)}"
    recorded = [record.claim for record in records]
    try:
        sent = sent_claims(draw.facts.transaction_input(transaction))
    except MalformedObject as error:
        ledger.note(f"round {number}: {name}: {error}; the contract verified the proofs, the audit did not again")
        claimed |= {claim.number for claim in recorded}
        return
    ledger.equal("claims are on their round", (sent.task, sent.round), (draw.identity.task_id, number), number, name)
    expected: list[SeatClaim] = []
    for claim, certain in _takeable(draw, sent, records[0].block, claimed):
        # Whether a participant was active is not always certain: then the record decides.
        if certain or (len(expected) < len(recorded) and recorded[len(expected)] == claim):
            expected.append(claim)
            claimed.add(claim.number)
    # A claim that is recorded wrongly here is not another transaction's fault.
    claimed |= {claim.number for claim in recorded}
    ledger.equal(CARRIED, pack_claims(recorded), pack_claims(expected), number, name)


def _takeable(draw: Draw, sent: SentClaims, block: int, claimed: set[int]) -> Iterator[tuple[SeatClaim, bool]]:
    """Yield the claims that the contract takes, in order, and whether that is certain; `claimed` grows meanwhile."""
    alpha, limit = draw.alpha, draw.limit(block)
    for number, proof in sent.claims:
        known = draw.participants.numbered(number)
        readable = draw.participants.readable(number, block, sent.from_snapshot)
        if known is None or number not in draw.counting or number in claimed or True not in readable:
            continue
        try:
            output = verify_for_chain(known.vrf_key, alpha, proof)
        except InvalidProof:
            continue
        if output <= limit:
            yield SeatClaim.of(number, output), readable == CERTAIN


def check_closing(ledger: Ledger, draw: Draw) -> None:
    """SORTITION was closed with the claims of its events, in their order."""
    history = draw.history
    if history.closing_transaction is None:
        return
    try:
        task, brought = closing_list(draw.facts.transaction_input(history.closing_transaction))
    except MalformedObject as error:
        ledger.note(f"round {history.number}: the closing of SORTITION: {error}; the contract compared the claims")
        return
    events = groupby(history.claims, key=attrgetter("event"))
    listed = list_claims(pack_claims(record.claim for record in records) for _, records in events)
    closed = (draw.identity.task_id, listed.hex())
    rule = "SORTITION is closed with all claims in their order"
    ledger.equal(rule, (task, brought.hex()), closed, history.number, "list of claims")
