"""Sortition on chain and in Python, side by side: thresholds, seats, evictions, ranks and quorums of whole rounds."""

import pytest

from flare_offchain.blockchain.contracts import TaskRules
from flare_offchain.blockchain.deployments import deploy_flare
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.consensus.chain_proof import prove_for_chain, verify_for_chain
from flare_offchain.consensus.identities import possession_alpha, round_seed, vrf_alpha
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.sortition import Seat, insert, quorum, ranked, threshold, wins
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import ContentId

pytestmark = pytest.mark.contracts

WORKERS, EXPECTED, MAX_SEATS, BASIS_POINTS = 12, 6, 4, 6000
HOUR = 3600
RULES = TaskRules(
    training_duration=HOUR,
    seed_duration=HOUR,
    sortition_duration=HOUR,
    proposal_duration=HOUR,
    validation_duration=HOUR,
    reveal_duration=HOUR,
    expected_committee=EXPECTED,
    max_seats=MAX_SEATS,
    threshold_basis_points=BASIS_POINTS,
    max_attempts=3,
    min_updates=1,
    max_updates=64,
    sample_cap=100,
    idle_rounds=50,
    strike_limit=0,
    max_consecutive_voids=50,
    max_rounds=50,
    invite_only=False,
    round_reward=0,
    fine_amount=0,
    trainer_share=5000,
    proposer_share=3000,
    voter_share=1000,
    revealer_share=1000,
)
OBJECT = ContentId(b"\x01" * 32, 100)


class Rounds:
    """A task with workers, and one round after another up to the end of sortition."""

    def __init__(self):
        self.chain = EthTesterConnector(seed=3, accounts=WORKERS)
        flare = deploy_flare(self.chain, self.chain.account(0), minimum_bond=1, unbonding_delay=10**7)
        self.coordinator, self.workers = flare.coordinator, [self.chain.account(i) for i in range(WORKERS)]
        self.keys = {account.address: VrfKey.derive(b"sortition", bytes([i])) for i, account in enumerate(self.workers)}
        for account in self.workers:
            key = self.keys[account.address]
            alpha = possession_alpha(self.chain.chain_id, flare.registry.address, account.address)
            flare.registry.register(account, key.public_x, prove_for_chain(key, alpha), bond=1).confirmed()
        created = self.coordinator.create_task(self.workers[0], RULES, OBJECT, OBJECT)
        self.task = self.coordinator.created_task(created)
        for account in self.workers:
            self.coordinator.enrol(account, self.task).confirmed()

    def view(self):
        return self.coordinator.current_round(self.task)

    def open(self):
        """Open a round, close its training, fix its seed; return the claims and the event of the seed."""
        anyone = self.workers[0]
        self.coordinator.open_round(anyone, self.task).confirmed()
        number = self.view().round
        for index, account in enumerate(self.workers):
            update = ContentId(bytes([number]) * 31 + bytes([index + 1]), 10)
            self.coordinator.submit_update(account, self.task, number, update, 10).confirmed()
        self.coordinator.close_training(anyone, self.task).confirmed()
        self.chain.advance_blocks(3)
        seeded = self.coordinator.fix_seed(anyone, self.task).confirmed().event("SeedFixed").arguments
        proofs = {address: prove_for_chain(key, self.view().alpha) for address, key in self.keys.items()}
        return number, seeded, proofs

    def close_sortition(self):
        self.chain.advance_time(HOUR + 1)
        self.coordinator.close_sortition(self.workers[0], self.task).confirmed()
        return self.view()

    def end(self):
        """Let the round run out."""
        for _ in range(20):
            if self.view().phase.terminal:
                return
            self.chain.advance_time(HOUR + 1)
            self.coordinator.advance(self.workers[0], self.task).confirmed()
        pytest.fail("the round does not end")


@pytest.fixture(scope="module")
def rounds():
    return Rounds()


def claim_one_by_one(rounds, number, proofs, limit, seats):
    """Claim for everyone, on chain and in Python, and compare each step."""
    outcomes = set()
    for address, proof in proofs.items():
        output = verify_for_chain(rounds.keys[address].public_x, rounds.view().alpha, proof)
        if any(seat.member == address for seat in seats):
            continue
        insertion = insert(seats, Seat.of(address, output), MAX_SEATS) if wins(output, limit) else None
        sent = rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, number, address, proof)
        if insertion is None:
            expected = "CommitteeFull" if wins(output, limit) else "OutputAboveThreshold"
            assert sent.error == expected
            outcomes.add(expected)
            continue
        event = sent.confirmed().event("SeatClaimed").arguments
        assert (event["member"], event["seatIndex"], event["output"]) == (address, insertion.index, output)
        if insertion.evicted:
            gone = sent.confirmed().event("SeatEvicted").arguments
            assert (gone["member"], gone["seatIndex"]) == (insertion.evicted.member, insertion.index)
            outcomes.add("evicted")
        seats = insertion.seats
        by_index = [(seat.member, seat.output_prefix) for seat in rounds.view().seats]
        assert by_index == [(seat.member, seat.output_prefix) for seat in seats]
    return seats, outcomes


def compare_committee(view, seats):
    by_rank = sorted(view.seats, key=lambda seat: seat.rank)
    assert [(seat.member, seat.output_prefix) for seat in by_rank] == [
        (seat.member, seat.output_prefix) for seat in ranked(seats)
    ]
    assert [seat.rank for seat in by_rank] == list(range(len(seats)))
    assert view.quorum == quorum(BASIS_POINTS, EXPECTED, WORKERS, len(seats))


def test_rounds_with_claims_one_by_one(rounds):
    seen = set()
    for _ in range(6):
        number, seeded, proofs = rounds.open()
        seed = round_seed(seeded["previousSeed"], seeded["blockHash"], rounds.task, number)
        assert seeded["seed"] == seed
        where = (rounds.chain.chain_id, rounds.coordinator.address, rounds.task, number)
        assert rounds.view().alpha == vrf_alpha(*where, seed)
        limit = threshold(WORKERS, EXPECTED)
        assert seeded["threshold"] == rounds.view().threshold == limit
        seats, outcomes = claim_one_by_one(rounds, number, proofs, limit, ())
        seen |= outcomes
        view = rounds.close_sortition()
        if len(seats) < quorum(BASIS_POINTS, EXPECTED, WORKERS, len(seats)):
            assert view.widened
        else:
            compare_committee(view, seats)
        rounds.end()
    assert {"OutputAboveThreshold", "CommitteeFull", "evicted"} <= seen


def test_a_round_that_widens(rounds):
    """Two claims only at first; then, under twice the threshold, everyone's."""
    number, _, proofs = rounds.open()
    limit, wide = threshold(WORKERS, EXPECTED), threshold(WORKERS, EXPECTED, widened=True)
    winners = {
        address: proof
        for address, proof in proofs.items()
        if wins(verify_for_chain(rounds.keys[address].public_x, rounds.view().alpha, proof), limit)
    }
    first = dict(list(winners.items())[:2])
    seats, _ = claim_one_by_one(rounds, number, first, limit, ())
    assert len(seats) < quorum(BASIS_POINTS, EXPECTED, WORKERS, len(seats))
    view = rounds.close_sortition()
    assert (view.phase, view.widened, view.threshold) == (Phase.Sortition, True, wide)
    seats, outcomes = claim_one_by_one(rounds, number, proofs, wide, seats)
    assert "evicted" in outcomes
    compare_committee(rounds.close_sortition(), seats)
    rounds.end()


def test_a_round_with_all_claims_at_once(rounds):
    number, seeded, proofs = rounds.open()
    first = rounds.workers[0].address
    broken = proofs[first][:-1] + bytes([proofs[first][-1] ^ 1])
    claims = [(first, broken), *proofs.items(), (first, proofs[first]), (rounds.coordinator.address, b"")]
    rounds.coordinator.claim_seats(rounds.workers[0], rounds.task, number, claims).confirmed()
    seats, limit = (), seeded["threshold"]
    for address, proof in proofs.items():
        output = verify_for_chain(rounds.keys[address].public_x, rounds.view().alpha, proof)
        insertion = insert(seats, Seat.of(address, output), MAX_SEATS) if wins(output, limit) else None
        seats = insertion.seats if insertion else seats
    view = rounds.view()
    assert [(seat.member, seat.output_prefix) for seat in view.seats] == [
        (seat.member, seat.output_prefix) for seat in seats
    ]
    rounds.end()
