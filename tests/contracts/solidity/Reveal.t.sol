// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Fault, Phase, RejectReason} from "../../../contracts/types/Phase.sol";
import {ValidationTest} from "./Validation.t.sol";

contract RevealTest is ValidationTest {
    function close() private {
        coordinator.closeValidation(taskId);
        assertPhase(Phase.Reveal);
    }

    function test_reveal_finalizes() public {
        approveAll();
        close();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit CommitmentOpened(taskId, 1, stranger, 0, INNER, 5);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RoundFinalized(taskId, 1, modelOf(0).digest, modelOf(0).size, 0, 10 ether);
        vm.prank(stranger);
        coordinator.reveal(taskId, 1, 0, INNER);
        assertPhase(Phase.Finalized);
        TaskView memory shown = coordinator.task(taskId);
        vm.assertEq(shown.model.digest, modelOf(0).digest);
        vm.assertEq(shown.consecutiveVoids, 0);
        OutcomeView memory outcome = coordinator.outcome(taskId, 1);
        vm.assertTrue(outcome.finalized);
        vm.assertEq(outcome.acceptedWeight, 1500);
        vm.assertEq(outcome.trainerReward, 6 ether);
        vm.assertEq(coordinator.currentRound(taskId).proposal.proposer, byRank[0]);
    }

    function test_reveal_reverts_andChangesNothing_whenInnerIsWrong() public {
        approveAll();
        close();
        bytes32 expected = coordinator.currentRound(taskId).proposal.commitment;
        bytes32 opened = commitmentOf(byRank[0], keccak256("wrong"));
        bytes32 before = keccak256(abi.encode(coordinator.currentRound(taskId)));
        vm.expectRevert(abi.encodeWithSelector(CommitmentNotOpened.selector, expected, opened));
        coordinator.reveal(taskId, 1, 0, keccak256("wrong"));
        vm.assertEq(keccak256(abi.encode(coordinator.currentRound(taskId))), before);
        reveal();
    }

    function test_reveal_takesTheLastSecond_andNotOneMore() public {
        approveAll();
        close();
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        coordinator.reveal(taskId, 1, 0, INNER);
        vm.warp(deadline);
        reveal();
    }

    function test_reveal_reverts_inAnotherRoundAttemptOrPhase() public {
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Reveal, Phase.Validation));
        coordinator.reveal(taskId, 1, 0, INNER);
        approveAll();
        close();
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 2, 1));
        coordinator.reveal(taskId, 2, 0, INNER);
        vm.expectRevert(abi.encodeWithSelector(WrongAttempt.selector, 1, 0));
        coordinator.reveal(taskId, 1, 1, INNER);
        reveal();
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Reveal, Phase.Finalized));
        coordinator.reveal(taskId, 1, 0, INNER);
    }

    /// Approvals that were not computed do not count, and are fined where the proposal is finalized all the same.
    function test_reveal_finesMismatchedApproval() public {
        approve(byRank[1]);
        approve(byRank[2]);
        approve(byRank[3]);
        approveBlindly(byRank[4]);
        close();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit CommitmentOpened(taskId, 1, address(this), 0, INNER, 4);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit MemberFined(taskId, 1, byRank[4], 0, Fault.ApprovalMismatched, 0.1 ether);
        reveal();
        assertPhase(Phase.Finalized);
        assertFined(byRank[4], 1);
        vm.assertEq(creditOf(byRank[4]), trainerPart(byRank[4]));
        vm.assertEq(creditOf(byRank[1]), trainerPart(byRank[1]) + 0.5 ether);
    }

    /// In a later attempt the seats before the proposer's vote like all others.
    function test_reveal_finesWhoHadProposedBefore() public {
        approveAll();
        close();
        expire();
        advance();
        propose();
        approveBlindly(byRank[0]);
        for (uint256 rank = 2; rank < 5; ++rank) {
            approve(byRank[rank]);
        }
        close();
        reveal();
        assertPhase(Phase.Finalized);
        // For the commitment that was never opened, and for the approval.
        assertFined(byRank[0], 2);
    }

    /// A commitment to the same sums, made for another task, opens nothing here.
    function test_reveal_finesAnotherTasksApproval() public {
        approve(byRank[1]);
        approve(byRank[2]);
        approve(byRank[3]);
        bytes32 digest = coordinator.currentRound(taskId).proposal.digest;
        bytes32 foreign = coordinator.voteCommitment(taskId + 1, 1, 0, digest, byRank[4], INNER);
        vm.prank(byRank[4]);
        coordinator.vote(taskId, 1, 0, 4, foreign, RejectReason.None);
        close();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit CommitmentOpened(taskId, 1, address(this), 0, INNER, 4);
        reveal();
        assertFined(byRank[4], 1);
    }

    /// A commitment copied from another member opens for that member alone.
    function test_reveal_finesCopiedApproval() public {
        approve(byRank[1]);
        approve(byRank[2]);
        approve(byRank[3]);
        bytes32 copied = commitmentOf(byRank[1], INNER);
        vm.prank(byRank[4]);
        coordinator.vote(taskId, 1, 0, 4, copied, RejectReason.None);
        close();
        reveal();
        assertFined(byRank[4], 1);
    }

    function test_reveal_fails_whenMatchesAreNoQuorum_finesNobody() public {
        approve(byRank[1]);
        approve(byRank[2]);
        approveBlindly(byRank[3]);
        approveBlindly(byRank[4]);
        close();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit CommitmentOpened(taskId, 1, address(this), 0, INNER, 3);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit AttemptFailed(taskId, 1, 0);
        reveal();
        assertPhase(Phase.Aggregation);
        vm.assertEq(attempt(), 1);
        for (uint256 rank = 0; rank < 5; ++rank) {
            assertFined(byRank[rank], 0);
        }
        vm.assertEq(coordinator.task(taskId).model.digest, keccak256("genesis"));
    }

    function test_reveal_finesOverruledRejection() public {
        for (uint256 rank = 1; rank < 4; ++rank) {
            approve(byRank[rank]);
        }
        reject(byRank[4], RejectReason.WrongModel);
        close();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit MemberFined(taskId, 1, byRank[4], 0, Fault.RejectionOverruled, 0.1 ether);
        reveal();
        assertFined(byRank[4], 1);
    }

    function test_reveal_neverFines_rejectionAsUnavailable() public {
        for (uint256 rank = 1; rank < 4; ++rank) {
            approve(byRank[rank]);
        }
        reject(byRank[4], RejectReason.Unavailable);
        close();
        reveal();
        assertPhase(Phase.Finalized);
        assertFined(byRank[4], 0);
        vm.assertEq(creditOf(byRank[4]), trainerPart(byRank[4]));
    }

    function test_reveal_missing_finesProposer_andOpensNextAttempt() public {
        approveAll();
        close();
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit MemberFined(taskId, 1, byRank[0], 0, Fault.CommitmentUnopened, 0.1 ether);
        advance();
        assertPhase(Phase.Aggregation);
        vm.assertEq(attempt(), 1);
        assertFined(byRank[0], 1);
    }

    function test_reveal_takesWhatTheBudgetHas() public {
        approveAll();
        close();
        reveal();
        for (uint256 i = 1; i < 10; ++i) {
            finalizeRound();
        }
        vm.assertEq(coordinator.task(taskId).budget, 0);
        finalizeRound();
        vm.assertEq(coordinator.outcome(taskId, 11).trainerReward, 0);
        vm.assertTrue(coordinator.outcome(taskId, 11).finalized);
        vm.assertEq(address(coordinator).balance, BUDGET);
    }

    function trainerPart(address worker) private view returns (uint256) {
        return uint256(6 ether) * coordinator.enrolment(taskId, worker).updateWeight / 1500;
    }
}
