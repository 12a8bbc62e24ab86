// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Fault, Phase, RejectReason, VoidReason} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

abstract contract ValidationTest is RoundFixture {
    address[] internal byRank;

    function setUp() public virtual override {
        super.setUp();
        startTask(defaultRules(), 5);
        toAggregation();
        propose();
        for (uint256 rank = 0; rank < 5; ++rank) {
            byRank.push(seated(rank));
        }
    }

    function assertFined(address member, uint256 times) internal view {
        vm.assertEq(bondOf(member), BOND - times * 0.1 ether);
    }
}

contract VoteTest is ValidationTest {
    function test_vote_approves() public {
        bytes32 commitment = commitmentOf(byRank[1], INNER);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit VoteCast(taskId, 1, byRank[1], 0, true, commitment, RejectReason.None);
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 0, 1, commitment, RejectReason.None);
        RoundView memory shown = coordinator.currentRound(taskId);
        vm.assertEq(shown.approvals, 2);
        vm.assertEq(shown.rejections, 0);
        for (uint256 i = 0; i < 5; ++i) {
            bool isVoter = shown.seats[i].member == byRank[1];
            vm.assertTrue(shown.seats[i].voted == isVoter && shown.seats[i].approved == isVoter);
            vm.assertEq(shown.seats[i].commitment, isVoter ? commitment : bytes32(0));
        }
    }

    function test_vote_rejects_withReason() public {
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit VoteCast(taskId, 1, byRank[1], 0, false, 0, RejectReason.WrongModel);
        reject(byRank[1], RejectReason.WrongModel);
        reject(byRank[2], RejectReason.Unavailable);
        RoundView memory shown = coordinator.currentRound(taskId);
        vm.assertEq(shown.approvals, 1);
        vm.assertEq(shown.rejections, 2);
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertFalse(shown.seats[i].approved);
        }
    }

    function test_voteCommitment_bindsEverything() public view {
        bytes32 expected = keccak256(
            abi.encode(
                "flare/vote",
                block.chainid,
                address(coordinator),
                taskId,
                uint256(1),
                uint256(0),
                keccak256("proposal"),
                byRank[1],
                INNER
            )
        );
        vm.assertEq(coordinator.voteCommitment(taskId, 1, 0, keccak256("proposal"), byRank[1], INNER), expected);
    }

    function test_vote_reverts_whenVoted() public {
        bytes32 commitment = commitmentOf(byRank[1], INNER);
        approve(byRank[1]);
        vm.expectRevert(abi.encodeWithSelector(AlreadyVoted.selector, 1, 0, byRank[1]));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 0, 1, commitment, RejectReason.None);
        vm.expectRevert(abi.encodeWithSelector(AlreadyVoted.selector, 1, 0, byRank[1]));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 0, 1, 0, RejectReason.Censored);
    }

    function test_vote_reverts_whenProposerVotes() public {
        vm.expectRevert(abi.encodeWithSelector(ProposerCannotVote.selector, byRank[0]));
        vm.prank(byRank[0]);
        coordinator.vote(taskId, 1, 0, 0, INNER, RejectReason.None);
    }

    function test_vote_reverts_whenNotSeated() public {
        vm.expectRevert(abi.encodeWithSelector(NotSeated.selector, 1, stranger));
        vm.prank(stranger);
        coordinator.vote(taskId, 1, 0, 1, INNER, RejectReason.None);
    }

    /// A member votes in its own seat alone: not in another's, nor in one that the committee does not have.
    function test_vote_reverts_inAnotherSeat() public {
        uint8[4] memory others = [2, 5, 64, 255];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(NotSeated.selector, others[i], byRank[1]));
            vm.prank(byRank[1]);
            coordinator.vote(taskId, 1, 0, others[i], INNER, RejectReason.None);
        }
        vm.assertEq(coordinator.currentRound(taskId).approvals, 1);
    }

    /// What an earlier, larger committee has left behind is no seat.
    function test_vote_reverts_inASeatOfAnEarlierCommittee() public {
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        toSortition();
        for (uint256 i = 0; i < 5; ++i) {
            if (workers[i] != byRank[4]) claim(workers[i]);
        }
        expire();
        closeSortition();
        vm.assertEq(seatCount(), 4);
        propose();
        vm.expectRevert(abi.encodeWithSelector(NotSeated.selector, 4, byRank[4]));
        vm.prank(byRank[4]);
        coordinator.vote(taskId, 2, 0, 4, INNER, RejectReason.None);
    }

    function test_vote_reverts_whenInvalid() public {
        vm.expectRevert(abi.encodeWithSelector(InvalidVote.selector));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 0, 1, 0, RejectReason.None);
        vm.expectRevert(abi.encodeWithSelector(InvalidVote.selector));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 0, 1, INNER, RejectReason.WrongModel);
    }

    function test_vote_takesTheLastSecond_andNotOneMore() public {
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        approve(byRank[1]);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        vm.prank(byRank[2]);
        coordinator.vote(taskId, 1, 0, 2, INNER, RejectReason.None);
    }

    function test_vote_reverts_inAnotherRoundAttemptOrPhase() public {
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 2, 1));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 2, 0, 1, INNER, RejectReason.None);
        vm.expectRevert(abi.encodeWithSelector(WrongAttempt.selector, 1, 0));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 1, 1, INNER, RejectReason.None);
        approveAll();
        coordinator.closeValidation(taskId);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Validation, Phase.Reveal));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 0, 1, INNER, RejectReason.None);
    }

    /// A vote for the last round does not count in this one, whose ballot does not stand yet.
    function test_vote_reverts_inPastRound() public {
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        openRound();
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 1, 2));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 1, 0, 1, INNER, RejectReason.None);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Validation, Phase.Training));
        vm.prank(byRank[1]);
        coordinator.vote(taskId, 2, 0, 1, INNER, RejectReason.None);
    }

    function test_vote_isCleared_byTheNextAttempt() public {
        reject(byRank[1], RejectReason.WrongModel);
        reject(byRank[2], RejectReason.WrongModel);
        coordinator.closeValidation(taskId);
        vm.assertEq(attempt(), 1);
        propose();
        RoundView memory shown = coordinator.currentRound(taskId);
        vm.assertEq(shown.approvals, 1);
        vm.assertEq(shown.rejections, 0);
        approve(byRank[0]);
        approve(byRank[2]);
        approve(byRank[3]);
        approve(byRank[4]);
        coordinator.closeValidation(taskId);
        reveal();
        assertPhase(Phase.Finalized);
    }
}

contract CloseValidationTest is ValidationTest {
    function test_closeValidation_early_whenAllHaveVoted() public {
        approveAll();
        uint64 deadline = uint64(block.timestamp) + 200;
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit ValidationClosed(taskId, 1, 0, 5, 0, deadline);
        vm.prank(stranger);
        coordinator.closeValidation(taskId);
        assertPhase(Phase.Reveal);
        vm.assertEq(coordinator.currentRound(taskId).deadline, deadline);
    }

    function test_closeValidation_early_whenAllHaveVoted_oneAgainst() public {
        approve(byRank[1]);
        approve(byRank[2]);
        approve(byRank[3]);
        reject(byRank[4], RejectReason.WrongModel);
        coordinator.closeValidation(taskId);
        assertPhase(Phase.Reveal);
    }

    /// A quorum of approvals is no reason to shut the others out.
    function test_closeValidation_reverts_early_whenQuorumIsReached() public {
        approve(byRank[1]);
        approve(byRank[2]);
        approve(byRank[3]);
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, deadline, deadline));
        coordinator.closeValidation(taskId);
    }

    function test_closeValidation_reverts_early_afterOneRejection() public {
        reject(byRank[1], RejectReason.WrongModel);
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, deadline, block.timestamp));
        coordinator.closeValidation(taskId);
    }

    /// Two of five reject, four are the quorum: the attempt fails at once, and nobody is fined, for the two who had
    /// not voted were shut out and the rejections are no quorum.
    function test_closeValidation_early_whenQuorumIsImpossible_finesNobody() public {
        reject(byRank[1], RejectReason.WrongModel);
        reject(byRank[2], RejectReason.WrongSelection);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit ValidationClosed(taskId, 1, 0, 1, 2, 0);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit AttemptFailed(taskId, 1, 0);
        coordinator.closeValidation(taskId);
        assertPhase(Phase.Aggregation);
        for (uint256 rank = 0; rank < 5; ++rank) {
            assertFined(byRank[rank], 0);
        }
    }

    function test_closeValidation_finesProposer_whenRejectionsReachQuorum() public {
        for (uint256 rank = 1; rank < 5; ++rank) {
            reject(byRank[rank], RejectReason.WrongModel);
        }
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit MemberFined(taskId, 1, byRank[0], 0, Fault.ProposalRejected, 0.1 ether);
        coordinator.closeValidation(taskId);
        assertFined(byRank[0], 1);
        for (uint256 rank = 1; rank < 5; ++rank) {
            assertFined(byRank[rank], 0);
        }
        vm.assertEq(attempt(), 1);
    }

    function test_closeValidation_finesMissingVotes_afterDeadline() public {
        approve(byRank[1]);
        approve(byRank[2]);
        approve(byRank[3]);
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit MemberFined(taskId, 1, byRank[4], 0, Fault.VoteMissing, 0.1 ether);
        coordinator.closeValidation(taskId);
        assertPhase(Phase.Reveal);
        for (uint256 rank = 0; rank < 5; ++rank) {
            assertFined(byRank[rank], rank == 4 ? 1 : 0);
        }
    }

    /// Whatever becomes of the attempt.
    function test_closeValidation_finesMissingVotes_ofFailedAttempt() public {
        approve(byRank[1]);
        expire();
        coordinator.closeValidation(taskId);
        vm.assertEq(attempt(), 1);
        for (uint256 rank = 0; rank < 5; ++rank) {
            assertFined(byRank[rank], rank < 2 ? 0 : 1);
        }
    }

    /// Too few approvals to be worth a reveal: the proposer is not fined for a commitment that nobody can use.
    function test_closeValidation_skipsReveal_whenApprovalsAreTooFew() public {
        approve(byRank[1]);
        approve(byRank[2]);
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit ValidationClosed(taskId, 1, 0, 3, 0, 0);
        coordinator.closeValidation(taskId);
        assertPhase(Phase.Aggregation);
        assertFined(byRank[0], 0);
    }

    function test_closeValidation_voids_afterLastAttempt() public {
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 rank = 0; rank < 5; ++rank) {
                if (rank != i) reject(byRank[rank], RejectReason.Malformed);
            }
            if (i == 2) {
                vm.expectEmit(true, true, true, true, address(coordinator));
                emit RoundVoided(taskId, 1, VoidReason.AttemptsExhausted);
            }
            coordinator.closeValidation(taskId);
            if (i < 2) propose();
        }
        assertPhase(Phase.Void);
        for (uint256 rank = 0; rank < 5; ++rank) {
            assertFined(byRank[rank], rank < 3 ? 1 : 0);
        }
        vm.assertEq(coordinator.task(taskId).budget, BUDGET);
    }

    /// A bond that is nearly gone pays what it has; the key is inactive from then on.
    function test_closeValidation_fines_downToNothing() public {
        vm.prank(address(coordinator));
        registry.fine(byRank[4], BOND - 0.04 ether);
        for (uint256 rank = 1; rank < 4; ++rank) {
            approve(byRank[rank]);
        }
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit MemberFined(taskId, 1, byRank[4], 0, Fault.VoteMissing, 0.04 ether);
        coordinator.closeValidation(taskId);
        vm.assertEq(bondOf(byRank[4]), 0);
    }

    /// An exit does not save a seat from its fines.
    function test_closeValidation_finesMissingVote_afterExitRequest() public {
        vm.prank(byRank[4]);
        registry.requestExit();
        for (uint256 rank = 1; rank < 4; ++rank) {
            approve(byRank[rank]);
        }
        expire();
        coordinator.closeValidation(taskId);
        assertFined(byRank[4], 1);
    }

    function test_closeValidation_reverts_inAnotherPhase() public {
        approveAll();
        coordinator.closeValidation(taskId);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Validation, Phase.Reveal));
        coordinator.closeValidation(taskId);
        reveal();
        openRound();
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Validation, Phase.Training));
        coordinator.closeValidation(taskId);
    }
}
