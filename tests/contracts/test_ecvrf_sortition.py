"""Sortition on chain and in Python, side by side: thresholds, claims, lists, committees and quorums of whole rounds."""

from dataclasses import replace

import pytest

from flare_offchain.consensus.identities import round_seed, vrf_alpha
from flare_offchain.consensus.sortition import quorum, threshold, wins
from flare_offchain.core.claims import SeatClaim, list_claims, pack_claims, unlist_claims, unpack_claims
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError
from flare_offchain.core.phases import Phase
from tests.factories.sortition import HOUR, SortitionTask

pytestmark = pytest.mark.contracts

WORKERS, EXPECTED, MAX_SEATS, BASIS_POINTS = 12, 6, 4, 6000


@pytest.fixture(scope="module")
def rounds():
    return SortitionTask(WORKERS, expected=EXPECTED, max_seats=MAX_SEATS, basis_points=BASIS_POINTS)


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
    assert unlist_claims(rounds.list()) == claims
    return claims, outcomes


def compare_committee(rounds, view, claims):
    seated = sorted(claims)[:MAX_SEATS]
    assert [(seat.member, seat.output_prefix) for seat in view.seats] == [
        (rounds.workers[claim.number - 1].address, claim.output_prefix) for claim in seated
    ]
    assert view.quorum == quorum(BASIS_POINTS, EXPECTED, WORKERS, len(seated))


def test_rounds_with_claims_one_by_one(rounds):
    assert rounds.registry.participants() == WORKERS
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
            key.public_x for key in rounds.keys
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
    assert rounds.list() == list_claims([pack_claims(expected)])
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
    claims = [list_claims([claim.to_bytes()]) for claim in unlist_claims(right)]
    assert right == b"".join(claims)
    rounds.chain.advance_time(HOUR + 1)
    for wrong in (
        b"",
        right[:-1],
        b"".join(claims[1:]),
        right + claims[0],
        b"".join([claims[1], claims[0], *claims[2:]]),
        b"".join([claims[0], *claims[:-1]]),
        bytes([right[0] ^ 1]) + right[1:],
        right[:2] + bytes([right[2] ^ 1]) + right[3:],
        list_claims([pack_claims(unlist_claims(right))]),
        right[:-1] + bytes([right[-1] ^ 1]),
    ):
        assert rounds.coordinator.close_sortition(rounds.workers[0], rounds.task, wrong).error == "ClaimsNotThese"
        assert rounds.coordinator.advance(rounds.workers[0], rounds.task, wrong).error == "ClaimsNotThese"
    rounds.coordinator.advance(rounds.workers[0], rounds.task, right).confirmed()
    compare_committee(rounds, rounds.view(), unlist_claims(right))
    rounds.end()


def test_a_list_that_is_not_complete_is_read_again(rounds):
    number, seeded, proofs = rounds.open()
    before = rounds.chain.block_number
    claim = next(iter(winners(rounds, proofs, seeded["threshold"]).items()))
    rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, number, *claim).confirmed()
    with pytest.raises(ChainUnavailable, match="read again"):
        rounds.coordinator.round_claims(rounds.task, rounds.view(), before)
    rounds.end()


@pytest.mark.parametrize(
    "alter", [lambda claims: claims[:-1], lambda claims: claims + bytes(1), lambda claims: claims * 2]
)
def test_events_that_an_endpoint_alters_are_read_again(rounds, monkeypatch, alter):
    number, seeded, proofs = rounds.open()
    claim = next(iter(winners(rounds, proofs, seeded["threshold"]).items()))
    rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, number, *claim).confirmed()
    read = rounds.coordinator.events

    def altered(first, last):
        for event in read(first, last):
            changed = event.name == "SeatsClaimed" and event.arguments["round"] == number
            arguments = event.arguments | ({"claims": alter(event.arguments["claims"])} if changed else {})
            yield replace(event, arguments=arguments)

    with monkeypatch.context() as patched:
        patched.setattr(type(rounds.coordinator), "events", lambda _, first, last: altered(first, last))
        with pytest.raises(ChainUnavailable, match="read again"):
            rounds.list()
    rounds.end()


def test_what_is_no_claim_is_not_sent(rounds):
    for number, proof in ((0, bytes(273)), (1, b""), (1, bytes(274)), (2**24, bytes(273))):
        with pytest.raises(ConfigurationError, match="no claim"):
            rounds.coordinator.claim_seat(rounds.workers[0], rounds.task, 1, number, proof)
