"""Sortition on chain and in Python, side by side: thresholds, claims, lists, committees and quorums of whole rounds."""

import pytest

from flare_offchain.blockchain.contracts import TaskRules
from flare_offchain.blockchain.deployments import deploy_flare
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.consensus.chain_proof import prove_for_chain, verify_for_chain
from flare_offchain.consensus.identities import possession_alpha, round_seed, vrf_alpha
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.sortition import quorum, threshold, wins
from flare_offchain.core.claims import CLAIM_BYTES, SeatClaim, pack_claims, unpack_claims
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError
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
        numbers = [self.coordinator.enrolment(self.task, account.address).number for account in self.workers]
        assert numbers == list(range(1, WORKERS + 1))
        assert flare.registry.participants() == WORKERS

    def view(self):
        return self.coordinator.current_round(self.task)

    def open(self):
        """Open a round, close its training, fix its seed; return its number, the seed's event, and proofs by number."""
        anyone = self.workers[0]
        self.coordinator.open_round(anyone, self.task).confirmed()
        number = self.view().round
        for index, account in enumerate(self.workers):
            update = ContentId(bytes([number]) * 31 + bytes([index + 1]), 10)
            self.coordinator.submit_update(account, self.task, number, update, 10).confirmed()
        self.coordinator.close_training(anyone, self.task).confirmed()
        self.chain.advance_blocks(3)
        seeded = self.coordinator.fix_seed(anyone, self.task).confirmed().event("SeedFixed").arguments
        keys = enumerate(self.keys.values(), 1)
        return number, seeded, {number: prove_for_chain(key, self.view().alpha) for number, key in keys}

    def output(self, number, proof):
        return verify_for_chain(list(self.keys.values())[number - 1].public_x, self.view().alpha, proof)

    def list(self):
        """The list that SORTITION is to be closed with."""
        return self.coordinator.round_claims(self.task, self.view(), self.chain.block_number)

    def close_sortition(self):
        claims = self.list()
        self.chain.advance_time(HOUR + 1)
        self.coordinator.close_sortition(self.workers[0], self.task, claims).confirmed()
        return self.view()

    def end(self):
        """Let the round run out."""
        for _ in range(20):
            if self.view().phase.terminal:
                return
            claims = self.list() if self.view().phase is Phase.Sortition and any(self.view().seed) else b""
            self.chain.advance_time(HOUR + 1)
            self.coordinator.advance(self.workers[0], self.task, claims).confirmed()
        pytest.fail("the round does not end")


@pytest.fixture(scope="module")
def rounds():
    return Rounds()


def claim_one_by_one(rounds, number, proofs, limit, claims):
    """Claim for everyone, on chain and in Python, and compare each step. Return all claims of the round in order."""
    claims, outcomes = list(claims), set()
    for participant, proof in proofs.items():
        output = rounds.output(participant, proof)
        sent = rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, number, participant, proof)
        if any(claim.number == participant for claim in claims):
            assert sent.error == "SeatAlreadyClaimed"
            continue
        if not wins(output, limit):
            assert sent.error == "OutputAboveThreshold"
            outcomes.add(sent.error)
            continue
        claims.append(SeatClaim.of(participant, output))
        assert sent.confirmed().event("SeatsClaimed").arguments["claims"] == claims[-1].to_bytes()
        assert rounds.view().claims == len(claims)
        assert rounds.coordinator.enrolment(rounds.task, rounds.workers[participant - 1].address).claimed
    assert rounds.list() == pack_claims(claims)
    return claims, outcomes


def compare_committee(rounds, view, claims):
    seated = sorted(claims)[:MAX_SEATS]
    assert [(seat.member, seat.output_prefix) for seat in view.seats] == [
        (rounds.workers[claim.number - 1].address, claim.output_prefix) for claim in seated
    ]
    assert view.quorum == quorum(BASIS_POINTS, EXPECTED, WORKERS, len(seated))


def test_rounds_with_claims_one_by_one(rounds):
    seen = set()
    for _ in range(6):
        number, seeded, proofs = rounds.open()
        seed = round_seed(seeded["previousSeed"], seeded["blockHash"], rounds.task, number)
        assert seeded["seed"] == seed == rounds.coordinator.task(rounds.task).seed
        where = (rounds.chain.chain_id, rounds.coordinator.address, rounds.task, number)
        assert rounds.view().alpha == vrf_alpha(*where, seed)
        limit = threshold(WORKERS, EXPECTED)
        assert seeded["threshold"] == rounds.view().threshold == limit
        claims, outcomes = claim_one_by_one(rounds, number, proofs, limit, ())
        seen |= outcomes
        seen |= {"more claims than seats"} if len(claims) > MAX_SEATS else set()
        assert rounds.view().seats == ()
        view = rounds.close_sortition()
        if len(claims) < quorum(BASIS_POINTS, EXPECTED, WORKERS, len(claims)):
            assert view.widened
        else:
            compare_committee(rounds, view, claims)
        rounds.end()
    assert {"OutputAboveThreshold", "more claims than seats"} <= seen


def winners(rounds, proofs, limit):
    return {number: proof for number, proof in proofs.items() if wins(rounds.output(number, proof), limit)}


def test_a_round_that_widens(rounds):
    """Two claims only at first; then, under twice the threshold, everyone's."""
    number, _, proofs = rounds.open()
    limit, wide = threshold(WORKERS, EXPECTED), threshold(WORKERS, EXPECTED, widened=True)
    first = dict(list(winners(rounds, proofs, limit).items())[:2])
    claims, _ = claim_one_by_one(rounds, number, first, limit, ())
    assert len(claims) < quorum(BASIS_POINTS, EXPECTED, WORKERS, len(claims))
    view = rounds.close_sortition()
    assert (view.phase, view.widened, view.threshold, view.claims) == (Phase.Sortition, True, wide, len(claims))
    claims, _ = claim_one_by_one(rounds, number, proofs, wide, claims)
    assert len(claims) > MAX_SEATS
    compare_committee(rounds, rounds.close_sortition(), claims)
    rounds.end()


@pytest.mark.parametrize("from_snapshot", [False, True])
def test_a_round_with_all_claims_at_once(rounds, from_snapshot):
    number, seeded, proofs = rounds.open()
    if from_snapshot:
        rounds.coordinator.snapshot_keys(rounds.workers[0], 0).confirmed()
        snapshot, active = rounds.coordinator.key_segment(0)
        assert active == 2 ** (WORKERS + 1) - 2
        code = rounds.chain.code(snapshot)
        assert len(code) == 1 + 32 * 96
        assert [int.from_bytes(code[1 + 32 * n : 33 + 32 * n], "big") for n in range(1, WORKERS + 1)] == [
            key.public_x for key in rounds.keys.values()
        ]
    broken = proofs[1][:-1] + bytes([proofs[1][-1] ^ 1])
    sent = rounds.coordinator.claim_seats(
        rounds.workers[0],
        rounds.task,
        number,
        [(1, broken), *proofs.items(), (1, proofs[1]), (WORKERS + 1, proofs[2])],
        from_snapshot=from_snapshot,
    )
    expected = [SeatClaim.of(n, rounds.output(n, p)) for n, p in winners(rounds, proofs, seeded["threshold"]).items()]
    assert unpack_claims(sent.confirmed().event("SeatsClaimed").arguments["claims"]) == expected
    assert rounds.list() == pack_claims(expected)
    rounds.end()


def test_only_the_list_of_the_events_closes_sortition(rounds):
    while True:
        number, seeded, proofs = rounds.open()
        won = winners(rounds, proofs, seeded["threshold"])
        if len(won) >= EXPECTED:
            break
        rounds.end()
    for item in won.items():
        rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, number, *item).confirmed()
    right = rounds.list()
    claims = [right[at : at + CLAIM_BYTES] for at in range(0, len(right), CLAIM_BYTES)]
    rounds.chain.advance_time(HOUR + 1)
    for wrong in (
        b"",
        right[:-1],
        b"".join(claims[1:]),
        right + claims[0],
        b"".join([claims[1], claims[0], *claims[2:]]),
        b"".join([claims[0], *claims[:-1]]),
        bytes([right[0] ^ 1]) + right[1:],
        right[:-1] + bytes([right[-1] ^ 1]),
    ):
        assert rounds.coordinator.close_sortition(rounds.workers[0], rounds.task, wrong).error == "ClaimsNotThese"
        assert rounds.coordinator.advance(rounds.workers[0], rounds.task, wrong).error == "ClaimsNotThese"
    rounds.coordinator.advance(rounds.workers[0], rounds.task, right).confirmed()
    compare_committee(rounds, rounds.view(), unpack_claims(right))
    rounds.end()


def test_a_list_that_is_not_complete_is_read_again(rounds):
    number, seeded, proofs = rounds.open()
    before = rounds.chain.block_number
    claim = next(iter(winners(rounds, proofs, seeded["threshold"]).items()))
    rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, number, *claim).confirmed()
    with pytest.raises(ChainUnavailable, match="read again"):
        rounds.coordinator.round_claims(rounds.task, rounds.view(), before)
    rounds.end()


def test_what_is_no_claim_is_not_sent(rounds):
    for number, proof in ((0, bytes(273)), (1, b""), (1, bytes(274)), (2**24, bytes(273))):
        with pytest.raises(ConfigurationError, match="no claim"):
            rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, 1, number, proof)
