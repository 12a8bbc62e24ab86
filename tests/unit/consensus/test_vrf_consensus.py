"""Consensus by VRF committee in one process, and the check of its selections."""

import dataclasses

import pytest

from flare_offchain.consensus import VRFConsensus, VrfKey
from flare_offchain.consensus.mechanism import DecisionStatus
from flare_offchain.consensus.selection import Claim, local_alpha, select, verify_selection
from flare_offchain.core.errors import ConfigurationError, InvalidProof, RoundAbandoned
from tests.suites.consensus_suite import PARTICIPANTS, ConsensusSuite

pytestmark = pytest.mark.unit


class TestVRFConsensus(ConsensusSuite):
    @pytest.fixture
    def mechanism(self):
        return VRFConsensus(vrf_seed=42)

    def test_the_committee_has_the_lowest_outputs(self, mechanism, committee):
        selection = mechanism.selection
        assert committee == selection.members
        assert [claim.member for claim in selection.claims] == list(PARTICIPANTS)
        prefixes = {seat.member: seat.output_prefix for seat in select(1, mechanism.seed, selection.claims, 12).seats}
        assert [prefixes[member] for member in committee] == sorted(prefixes.values())[:5]

    def test_the_same_seed_selects_the_same_committees(self, committee):
        again = VRFConsensus(vrf_seed=42)
        assert again.select_committee(PARTICIPANTS[::-1], 1) == committee
        assert VRFConsensus(vrf_seed=43).select_committee(PARTICIPANTS, 1) != committee

    def test_without_a_seed_keys_and_committees_are_fresh(self):
        one, other = VRFConsensus(), VRFConsensus()
        for mechanism in (one, other):
            mechanism.select_committee(PARTICIPANTS, 1)
            mechanism.verify_selection()
        assert one.seed != other.seed
        assert not set(one.public_keys(PARTICIPANTS).values()) & set(other.public_keys(PARTICIPANTS).values())
        derived = VrfKey.derive(one.seed, PARTICIPANTS[0].encode())
        assert one.public_keys(PARTICIPANTS)[PARTICIPANTS[0]] != derived.public_x, "the seed is public"

    def test_own_keys(self, mechanism):
        key = VrfKey.generate()
        assert mechanism.add_participant("own", key) == key.public_x
        for name, taken in (("own", VrfKey.generate()), ("own", None), ("another", key)):
            with pytest.raises(ValueError, match="registered already"):
                mechanism.add_participant(name, taken)
        mechanism.select_committee([*PARTICIPANTS, "own"], 1)
        assert mechanism.public_keys(["own"]) == {"own": key.public_x}
        mechanism.verify_selection()

    def test_few_participants(self):
        mechanism = VRFConsensus(vrf_seed=1)
        committee = mechanism.select_committee(["a", "b", "c"], 1)
        assert sorted(committee) == ["a", "b", "c"]
        proposal = mechanism.propose_decision(b"x")
        assert mechanism.get_consensus_result(proposal).ballot.quorum == 2

    @pytest.mark.parametrize(("size", "threshold", "quorum"), [(5, 0.6, 3), (5, 1.0, 5), (2, 0.51, 2), (10, 0.501, 6)])
    def test_quorum(self, size, threshold, quorum):
        mechanism = VRFConsensus(size, threshold, 1)
        assert len(mechanism.select_committee(PARTICIPANTS, 1)) == size
        assert mechanism.get_consensus_result(mechanism.propose_decision(b"x")).ballot.quorum == quorum

    @pytest.mark.parametrize(
        "arguments",
        [(1,), (0,), (5, 0.5), (5, 1.1), (5, float("nan")), (5, 0.6, b"short")],
    )
    def test_settings_out_of_range(self, arguments):
        with pytest.raises(ConfigurationError):
            VRFConsensus(*arguments)

    def test_seed_as_bytes(self):
        assert VRFConsensus(vrf_seed=b"\x07" * 32).seed == b"\x07" * 32

    def test_no_selection_yet(self, mechanism):
        with pytest.raises(RoundAbandoned):
            mechanism.verify_selection()

    def test_statistics(self, mechanism):
        assert mechanism.get_consensus_stats().rounds == 0
        first = mechanism.select_committee(PARTICIPANTS, 1)
        proposal = mechanism.propose_decision(b"a")
        for member in first[1:3]:
            mechanism.vote(proposal, member, True)
        stats = mechanism.get_consensus_stats()
        assert (stats.approved, stats.rejected, stats.votes) == (1, 0, 3)
        assert (stats.decided_early, stats.votes_saved) == (1, 2)
        mechanism.vote(proposal, first[3], True)
        assert mechanism.get_consensus_stats().votes_saved == 2, "counted at the decision"

        second = mechanism.select_committee(PARTICIPANTS, 2)
        refused = mechanism.propose_decision(b"b")
        for member in second[1:4]:
            mechanism.vote(refused, member, False)
        late = mechanism.propose_decision(b"c")
        for member, approve in zip([second[0], *second[2:]], (False, True, False, True), strict=True):
            result = mechanism.vote(late, member, approve)
        assert result.status is DecisionStatus.APPROVED
        stats = mechanism.get_consensus_stats()
        assert (stats.rounds, stats.proposals, stats.approved, stats.rejected) == (2, 3, 2, 1)
        assert (stats.votes, stats.decided_early, stats.votes_saved) == (4 + 4 + 5, 2, 3)
        assert sum(stats.seats.values()) == 10
        assert all(stats.seats[member] == (member in first) + (member in second) for member in stats.seats)


class TestVerifySelection:
    @pytest.fixture
    def mechanism(self):
        mechanism = VRFConsensus(vrf_seed=42)
        mechanism.select_committee(PARTICIPANTS, 1)
        return mechanism

    @pytest.fixture
    def keys(self, mechanism):
        return mechanism.public_keys(PARTICIPANTS)

    def refuse(self, mechanism, selection, keys):
        with pytest.raises(InvalidProof):
            verify_selection(selection, mechanism.seed, 5, keys)
        with pytest.raises(InvalidProof):
            mechanism.verify_selection(selection)

    def test_an_outsider_verifies_with_public_values(self, mechanism, keys):
        verify_selection(mechanism.selection, mechanism.seed, 5, keys)

    def test_another_seed_or_size(self, mechanism, keys):
        with pytest.raises(InvalidProof, match="seed or size"):
            verify_selection(mechanism.selection, bytes(32), 5, keys)
        with pytest.raises(InvalidProof, match="seed or size"):
            verify_selection(mechanism.selection, mechanism.seed, 6, keys)
        larger = select(1, mechanism.seed, mechanism.selection.claims, 6)
        self.refuse(mechanism, larger, keys)
        reseeded = dataclasses.replace(mechanism.selection, seed=bytes(32))
        self.refuse(mechanism, reseeded, keys)

    def test_another_committee(self, mechanism, keys):
        seats = mechanism.selection.seats
        for wrong in (seats[::-1], seats[:-1], (), (*seats, seats[0]), (dataclasses.replace(seats[0], member="x"),)):
            self.refuse(mechanism, dataclasses.replace(mechanism.selection, seats=wrong), keys)

    def test_a_claim_that_is_left_out_or_added(self, mechanism, keys):
        claims = mechanism.selection.claims
        fewer = [claim for claim in claims if claim.member != mechanism.selection.members[0]]
        self.refuse(mechanism, select(1, mechanism.seed, fewer, 5), keys)
        key = VrfKey.generate()
        stranger = Claim("stranger", key.public_x, key.prove(local_alpha(1, mechanism.seed)))
        self.refuse(mechanism, select(1, mechanism.seed, [*claims, stranger], 5), keys)
        twice = dataclasses.replace(mechanism.selection, claims=(*claims, claims[0]))
        self.refuse(mechanism, twice, keys)

    def test_a_substituted_key(self, mechanism, keys):
        """Grinding keys for a low output is caught where the registered key is known."""
        key = VrfKey.generate()
        first, *rest = mechanism.selection.claims
        ground = Claim(first.member, key.public_x, key.prove(local_alpha(1, mechanism.seed)))
        self.refuse(mechanism, select(1, mechanism.seed, [ground, *rest], 5), keys)

    def test_a_proof_of_another_round(self, mechanism, keys):
        first = mechanism.selection
        mechanism.select_committee(PARTICIPANTS, 2)
        self.refuse(mechanism, dataclasses.replace(first, round_number=2), keys)
        with pytest.raises(InvalidProof, match="no committee"):
            mechanism.verify_selection(dataclasses.replace(first, round_number=3))
        mechanism.verify_selection(first)

    def test_selecting_refuses_invalid_and_double_claims(self, mechanism):
        first, *rest = mechanism.selection.claims
        forged = dataclasses.replace(first, proof=first.proof[:-1] + bytes([first.proof[-1] ^ 1]))
        with pytest.raises(InvalidProof):
            select(1, mechanism.seed, [forged, *rest], 5)
        with pytest.raises(ValueError, match="once a round"):
            select(1, mechanism.seed, [first, first, *rest], 5)
