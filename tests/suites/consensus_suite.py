"""What every consensus mechanism must do. Subclass it with a fixture `mechanism`."""

import pytest

from flare_offchain.consensus.mechanism import ConsensusMechanism, DecisionStatus
from flare_offchain.core.errors import RoundAbandoned

PARTICIPANTS = tuple(f"worker-{number}" for number in range(12))


class ConsensusSuite:
    """Tests of `ConsensusMechanism`."""

    @pytest.fixture
    def mechanism(self) -> ConsensusMechanism:
        """A fresh mechanism whose committees of `PARTICIPANTS` have at least 4 seats."""
        raise NotImplementedError

    @pytest.fixture
    def committee(self, mechanism):
        return mechanism.select_committee(PARTICIPANTS, 1)

    def test_a_committee_is_of_participants_each_once(self, committee):
        assert len(set(committee)) == len(committee) >= 4
        assert set(committee) <= set(PARTICIPANTS)

    def test_committees_change_from_round_to_round(self, mechanism):
        committees = {mechanism.select_committee(PARTICIPANTS, number) for number in range(1, 9)}
        assert len(committees) > 4

    def test_the_order_in_which_participants_are_named_is_irrelevant(self, mechanism, committee):
        assert set(mechanism.select_committee(PARTICIPANTS[::-1], 2)) <= set(PARTICIPANTS)
        with pytest.raises(RoundAbandoned):
            mechanism.select_committee(PARTICIPANTS[::-1], 1)

    def test_rounds_go_forward(self, mechanism, committee):
        for number in (0, 1):
            with pytest.raises(RoundAbandoned):
                mechanism.select_committee(PARTICIPANTS, number)
        assert mechanism.select_committee(PARTICIPANTS, 5)

    def test_participants_are_enough_and_named_once(self, mechanism):
        with pytest.raises(ValueError, match="once"):
            mechanism.select_committee(["a", "b", "a"], 1)
        for few in ([], ["a"]):
            with pytest.raises(RoundAbandoned):
                mechanism.select_committee(few, 1)

    def test_nothing_is_proposed_before_a_committee_stands(self, mechanism):
        with pytest.raises(RoundAbandoned):
            mechanism.propose_decision(b"model")

    def test_a_proposal_is_its_proposers_approval(self, mechanism, committee):
        proposal = mechanism.propose_decision(b"model", committee[0])
        result = mechanism.get_consensus_result(proposal)
        assert len(proposal) == 32
        assert (result.decision, result.proposer) == (b"model", committee[0])
        assert (result.round_number, result.attempt) == (1, 0)
        assert (result.ballot.approvals, result.ballot.rejections) == (1, 0)
        assert result.status is DecisionStatus.UNDECIDED
        with pytest.raises(RoundAbandoned):
            mechanism.vote(proposal, committee[0], False)

    def test_only_the_member_whose_turn_it_is_proposes(self, mechanism, committee):
        outsider = next(name for name in PARTICIPANTS if name not in committee)
        for other in (committee[1], outsider, "nobody"):
            with pytest.raises(RoundAbandoned):
                mechanism.propose_decision(b"model", other)
        assert mechanism.propose_decision(b"model")

    def test_approvals_decide_as_soon_as_they_reach_the_quorum(self, mechanism, committee):
        proposal = mechanism.propose_decision(b"model")
        quorum = mechanism.get_consensus_result(proposal).ballot.quorum
        assert len(committee) / 2 < quorum <= len(committee)
        for approvals, member in enumerate(committee[1:], start=2):
            result = mechanism.vote(proposal, member, True)
            assert result == mechanism.get_consensus_result(proposal)
            assert result.status is (DecisionStatus.APPROVED if approvals >= quorum else DecisionStatus.UNDECIDED)

    def test_rejections_decide_as_soon_as_the_quorum_is_out_of_reach(self, mechanism, committee):
        proposal = mechanism.propose_decision(b"model")
        quorum = mechanism.get_consensus_result(proposal).ballot.quorum
        spare = len(committee) - quorum
        for rejections, member in enumerate(committee[1 : spare + 2], start=1):
            result = mechanism.vote(proposal, member, False)
            assert result.status is (DecisionStatus.REJECTED if rejections > spare else DecisionStatus.UNDECIDED)
        with pytest.raises(RoundAbandoned):
            mechanism.vote(proposal, committee[-1], True)
        assert mechanism.get_consensus_result(proposal).status is DecisionStatus.REJECTED

    def test_votes_count_once_and_from_members_alone(self, mechanism, committee):
        proposal = mechanism.propose_decision(b"model")
        mechanism.vote(proposal, committee[1], True)
        outsider = next(name for name in PARTICIPANTS if name not in committee)
        before = mechanism.get_consensus_result(proposal)
        for voter in (committee[1], outsider, "nobody"):
            for approve in (True, False):
                with pytest.raises(RoundAbandoned):
                    mechanism.vote(proposal, voter, approve)
        assert mechanism.get_consensus_result(proposal) == before

    def test_unknown_proposals(self, mechanism, committee):
        for identifier in (b"", bytes(32)):
            with pytest.raises(KeyError):
                mechanism.get_consensus_result(identifier)
            with pytest.raises(KeyError):
                mechanism.vote(identifier, committee[1], True)

    def reject(self, mechanism, proposal, committee):
        for member in committee:
            if mechanism.get_consensus_result(proposal).status is DecisionStatus.REJECTED:
                return
            if member != mechanism.get_consensus_result(proposal).proposer:
                mechanism.vote(proposal, member, False)

    def test_the_next_member_proposes_after_a_rejection(self, mechanism, committee):
        first = mechanism.propose_decision(b"model")
        with pytest.raises(RoundAbandoned):
            mechanism.propose_decision(b"other", committee[1])
        self.reject(mechanism, first, committee)
        second = mechanism.propose_decision(b"model", committee[1])
        assert second != first
        assert mechanism.get_consensus_result(second).attempt == 1

    def test_a_round_without_members_left_is_over(self, mechanism, committee):
        for attempt, member in enumerate(committee):
            proposal = mechanism.propose_decision(b"model", member)
            assert mechanism.get_consensus_result(proposal).attempt == attempt
            self.reject(mechanism, proposal, committee)
        with pytest.raises(RoundAbandoned):
            mechanism.propose_decision(b"model")

    def test_an_approved_round_takes_no_other_proposal(self, mechanism, committee):
        proposal = mechanism.propose_decision(b"model")
        for member in committee[1:]:
            mechanism.vote(proposal, member, True)
        with pytest.raises(RoundAbandoned):
            mechanism.propose_decision(b"other")

    def test_a_new_round_ends_the_votes_of_the_last(self, mechanism, committee):
        proposal = mechanism.propose_decision(b"model")
        result = mechanism.get_consensus_result(proposal)
        members = mechanism.select_committee(PARTICIPANTS, 2)
        with pytest.raises(RoundAbandoned):
            mechanism.vote(proposal, committee[1], True)
        assert mechanism.get_consensus_result(proposal) == result
        again = mechanism.propose_decision(b"model", members[0])
        assert again != proposal
