"""Batches of claims, taken in part: the audit says of each claim whether the chain had to take it.

One round on the embedded chain, whose claims are carried in three transactions: good ones, broken ones, repeated ones,
ones of a participant that has left the registry, and ones whose keys are in no snapshot. Then call data and events are
altered, as a lying endpoint could.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import pytest

from flare_offchain.audit.ledger import Ledger
from flare_offchain.audit.sortition_checks import check_sortition
from flare_offchain.blockchain.facts import ConnectorFacts
from flare_offchain.consensus.claims import encode_claim
from flare_offchain.core.claims import SeatClaim, unlist_claims
from flare_offchain.core.history import HistoryFold
from flare_offchain.core.participants import Participants
from flare_offchain.federation.update import TaskIdentity
from tests.factories.sortition import HOUR, SortitionTask

pytestmark = pytest.mark.integration

CARRIED = "the claims listed are those that their transaction carried"
CLOSED = "SORTITION is closed with all claims in their order"
LEAVER = 8
"""The number of one who leaves the registry within the round."""


class Played:
    """The round, and what the chain says of it."""

    def __init__(self):
        self.game = game = SortitionTask(8, expected=9, max_seats=5, basis_points=5001)
        game.coordinator.snapshot_keys(game.workers[0], 0).confirmed()
        late = game.join()
        number, _, proofs = game.open()
        self.proofs = proofs
        game.registry.request_exit(game.workers[LEAVER - 1]).confirmed()
        broken = proofs[3][:-1] + bytes([proofs[3][-1] ^ 1])
        self.sent = [
            self.carry(number, [(1, proofs[1]), (2, proofs[2]), (3, broken), (77, proofs[1])]),
            self.carry(number, [(2, proofs[2]), (4, proofs[4]), (LEAVER, proofs[LEAVER])], from_snapshot=True),
            self.carry(number, [(5, proofs[5]), (late, proofs[late])], from_snapshot=True),
            game.coordinator.claim_seat(game.workers[0], game.task, number, 6, proofs[6]).confirmed().transaction_hash,
        ]
        self.listed = listed = game.list()
        assert [claim.number for claim in unlist_claims(listed)] == [1, 2, 4, 5, 6]
        game.chain.advance_time(HOUR + 1)
        game.coordinator.advance(game.workers[0], game.task, listed).confirmed()
        events = game.chain.logs([game.coordinator.contract, game.registry.contract], 0, game.chain.block_number)
        self.events = events
        self.history = HistoryFold().extend(events).tasks[game.task]
        self.participants = Participants(game.registry.minimum_bond()).extend(events)
        self.identity = TaskIdentity(game.chain.chain_id, game.coordinator.address, game.task)

    def carry(self, number, claims, **options):
        sent = self.game.coordinator.claim_seats(self.game.workers[0], self.game.task, number, claims, **options)
        return sent.confirmed().transaction_hash

    def findings(self, task=None, facts=None, participants=None):
        task, ledger = task or self.history, Ledger()
        facts = facts or ConnectorFacts(self.game.chain)
        check_sortition(ledger, self.identity, task, task.rounds[1], facts, participants or self.participants)
        return ledger


class Altered(ConnectorFacts):
    """A chain that answers with other call data for one transaction."""

    def __init__(self, chain, transaction, alter):
        super().__init__(chain)
        self.transaction, self.alter = transaction, alter

    def transaction_input(self, transaction_hash):
        data = super().transaction_input(transaction_hash)
        return self.alter(data) if transaction_hash == self.transaction else data


@pytest.fixture(scope="module")
def played():
    return Played()


def test_what_was_skipped_was_to_be_skipped(played):
    ledger = played.findings()
    assert ledger.findings == []
    assert ledger.notes == []
    assert ledger.checked[CARRIED] == 4
    assert ledger.checked[CLOSED] == 1


@pytest.mark.parametrize("index", range(5))
def test_a_claim_left_out_of_an_event_is_found(played, index):
    task = deepcopy(played.history)
    gone = task.rounds[1].claims.pop(index)
    rules = {finding.rule for finding in played.findings(task).findings}
    alone = sum(record.transaction == gone.transaction for record in played.history.rounds[1].claims) == 1
    assert rules >= ({CLOSED} if alone else {CLOSED, CARRIED})


@pytest.mark.parametrize("number", [3, 8])
def test_a_claim_that_was_not_to_be_taken_is_found(played, number):
    """The broken one in the first transaction; the leaver's in the second."""
    task = deepcopy(played.history)
    claims = task.rounds[1].claims
    after = 2 if number == 3 else 3
    made_up = replace(claims[after - 1], member=task.numbers[number], claim=SeatClaim(1, number))
    claims.insert(after, made_up)
    assert CARRIED in {finding.rule for finding in played.findings(task).findings}


def altered(played, transaction, alter):
    return played.findings(facts=Altered(played.game.chain, transaction, alter))


@pytest.mark.parametrize(("index", "number"), [(0, 1), (0, 2), (1, 4), (2, 5), (3, 6)])
@pytest.mark.parametrize("at", [2, 20, 60, 250])
def test_call_data_that_is_altered_is_found(played, index, number, at):
    """A bit of a claim that was taken: of its number, Gamma, s, or a witness."""
    claim = encode_claim(number, played.proofs[number])
    flipped = claim[:at] + bytes([claim[at] ^ 1]) + claim[at + 1 :]
    ledger = altered(played, played.sent[index], lambda data: data.replace(claim, flipped))
    assert [finding.rule for finding in ledger.findings] == [CARRIED]


def test_a_batch_that_says_where_its_keys_came_from_otherwise_is_found(played):
    """From storage, the newcomer's claim would have been taken."""
    flag = 4 + 2 * 32 + 31

    def alter(data):
        assert data[flag] == 1
        return data[:flag] + b"\x00" + data[flag + 1 :]

    assert [finding.rule for finding in altered(played, played.sent[2], alter).findings] == [CARRIED]


def test_a_list_that_is_altered_is_found(played):
    listed = played.listed
    for wrong in (listed[15:30] + listed[:15] + listed[30:], listed[:-1] + bytes([listed[-1] ^ 1])):
        closing = played.history.rounds[1].closing_transaction
        ledger = altered(played, closing, lambda data, wrong=wrong: data.replace(listed, wrong))
        assert [finding.rule for finding in ledger.findings] == [CLOSED]


def test_call_data_that_no_function_of_sortition_takes_is_noted(played):
    for transaction in (played.sent[0], played.history.rounds[1].closing_transaction):
        ledger = altered(played, transaction, lambda data: b"else" + data[4:])
        assert ledger.findings == []
        assert len(ledger.notes) == 1


@pytest.mark.parametrize("name", ["ExitRequested", "KeysSnapshotted"])
def test_an_event_that_is_withheld_is_found(played, name):
    """Without its exit the leaver's claim had to be taken; without a snapshot no claim could."""
    events = [event for event in played.events if event.name != name]
    participants = Participants(1).extend(events)
    assert CARRIED in {finding.rule for finding in played.findings(participants=participants).findings}


def test_a_fine_whose_effect_is_not_known_leaves_both_open(played):
    """Without the registry's minimum bond nobody knows whether the fined could still claim: the record decides."""
    fined = Fined("BondFined", {"account": played.game.workers[0].address, "bond": 1}, 1)
    events = [*played.events, fined]
    assert played.findings(participants=Participants(None).extend(events)).findings == []
    task = deepcopy(played.history)
    del task.rounds[1].claims[0]
    rules = {finding.rule for finding in played.findings(task, participants=Participants(None).extend(events)).findings}
    assert CARRIED not in rules
    assert CLOSED in rules


@dataclass(frozen=True)
class Fined:
    name: str
    arguments: dict
    block: int
    transaction_hash: bytes = bytes(32)
