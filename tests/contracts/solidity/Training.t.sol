// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase, VoidReason} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

contract OpenRoundTest is RoundFixture {
    function test_openRound_startsTraining() public {
        startTask(defaultRules(), 3);
        uint64 deadline = uint64(block.timestamp) + 1000;
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RoundOpened(taskId, 1, 3, keccak256("genesis"), deadline);
        vm.prank(stranger);
        coordinator.openRound(taskId);
        RoundView memory shown = coordinator.currentRound(taskId);
        vm.assertEq(shown.round, 1);
        assertPhase(Phase.Training);
        vm.assertEq(shown.deadline, deadline);
        vm.assertEq(shown.enrolled, 3);
        vm.assertEq(shown.baseModel.digest, keccak256("genesis"));
        vm.assertEq(shown.updates, 0);
        vm.assertEq(shown.seats.length, 0);
    }

    function test_openRound_reverts_whileRoundIsInProgress() public {
        startTask(defaultRules(), 3);
        openRound();
        vm.expectRevert(abi.encodeWithSelector(RoundInProgress.selector, 1));
        coordinator.openRound(taskId);
    }

    function test_openRound_reverts_whenTooFewAreEnrolled() public {
        startTask(defaultRules(), 1);
        vm.expectRevert(abi.encodeWithSelector(TooFewEnrolled.selector, 1, 2));
        coordinator.openRound(taskId);
        TaskRules memory rules = defaultRules();
        rules.minUpdates = 4;
        startTask(rules, 3);
        vm.expectRevert(abi.encodeWithSelector(TooFewEnrolled.selector, 3, 4));
        coordinator.openRound(taskId);
    }

    function test_openRound_needsTwo_evenIfOneUpdateIsEnough() public {
        TaskRules memory rules = defaultRules();
        rules.minUpdates = 1;
        startTask(rules, 1);
        vm.expectRevert(abi.encodeWithSelector(TooFewEnrolled.selector, 1, 2));
        coordinator.openRound(taskId);
    }

    function test_openRound_reverts_whenRoundsAreUsedUp() public {
        TaskRules memory rules = defaultRules();
        rules.maxRounds = 1;
        startTask(rules, 5);
        finalizeRound();
        vm.expectRevert(abi.encodeWithSelector(NoRoundsLeft.selector, 1));
        coordinator.openRound(taskId);
    }

    function test_openRound_reverts_whenVoidsAreUsedUp() public {
        startTask(defaultRules(), 3);
        for (uint256 i = 0; i < 3; ++i) {
            openRound();
            expire();
            advance();
        }
        vm.assertEq(coordinator.task(taskId).consecutiveVoids, 3);
        vm.expectRevert(abi.encodeWithSelector(NoRoundsLeft.selector, 1000));
        coordinator.openRound(taskId);
    }

    function test_openRound_reverts_whenTaskHasEnded() public {
        startTask(defaultRules(), 3);
        vm.prank(owner);
        coordinator.endTask(taskId);
        vm.expectRevert(abi.encodeWithSelector(TaskNotOpen.selector, taskId));
        coordinator.openRound(taskId);
    }
}

contract SubmitUpdateTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 4);
        openRound();
    }

    function test_submitUpdate_recordsIt() public {
        submit(workers[2], 7);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit UpdateSubmitted(taskId, 1, workers[0], keccak256("update"), 1 << 31, 5000);
        vm.prank(workers[0]);
        coordinator.submitUpdate(taskId, 1, keccak256("update"), 1 << 31, 5000);
        EnrolmentView memory shown = coordinator.enrolment(taskId, workers[0]);
        vm.assertEq(shown.updateRound, 1);
        vm.assertEq(shown.updateIndex, 1);
        vm.assertEq(shown.updateWeight, 1000);
        vm.assertEq(shown.lastActiveRound, 1);
        vm.assertEq(coordinator.enrolment(taskId, workers[2]).updateWeight, 7);
        vm.assertEq(coordinator.currentRound(taskId).updates, 2);
    }

    function test_submitUpdate_takesTheLastSecond() public {
        vm.warp(coordinator.currentRound(taskId).deadline);
        submit(workers[0], 1);
    }

    function test_submitUpdate_reverts_afterDeadline() public {
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        submit(workers[0], 1);
    }

    function test_submitUpdate_reverts_whenSubmitted() public {
        submit(workers[0], 1);
        vm.expectRevert(abi.encodeWithSelector(UpdateAlreadySubmitted.selector, 1, workers[0]));
        submit(workers[0], 1);
    }

    function test_submitUpdate_reverts_whenNotEnrolled() public {
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, stranger));
        submit(stranger, 1);
    }

    function test_submitUpdate_reverts_afterExitRequest() public {
        vm.prank(workers[0]);
        registry.requestExit();
        vm.expectRevert(abi.encodeWithSelector(NotActiveParticipant.selector, workers[0]));
        submit(workers[0], 1);
    }

    function test_submitUpdate_reverts_inAnotherRound() public {
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 2, 1));
        vm.prank(workers[0]);
        coordinator.submitUpdate(taskId, 2, keccak256("update"), 1, 1);
    }

    function test_submitUpdate_reverts_afterTraining() public {
        submitAll();
        coordinator.closeTraining(taskId);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Training, Phase.Sortition));
        submit(workers[0], 1);
    }

    function test_submitUpdate_reverts_whenFull() public {
        TaskRules memory rules = defaultRules();
        rules.maxUpdates = 2;
        round = 0;
        startTask(rules, 4);
        openRound();
        submit(workers[0], 1);
        submit(workers[1], 1);
        vm.expectRevert(abi.encodeWithSelector(RoundFull.selector, 2));
        submit(workers[2], 1);
        coordinator.closeTraining(taskId);
    }

    function test_submitUpdate_reverts_whenInvalid() public {
        bytes32 digest = keccak256("update");
        bytes32[4] memory digests = [bytes32(0), digest, digest, digest];
        uint64[4] memory sizes = [uint64(1), 0, 1 << 32, 1];
        uint32[4] memory counts = [uint32(1), 1, 1, 0];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(InvalidUpdate.selector, digests[i], sizes[i], counts[i]));
            vm.prank(workers[0]);
            coordinator.submitUpdate(taskId, 1, digests[i], sizes[i], counts[i]);
        }
    }
}

contract CloseTrainingTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 4);
        openRound();
    }

    function test_closeTraining_early_whenAllHaveSubmitted() public {
        submitAll();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit TrainingClosed(taskId, 1, 4, uint64(block.number) + 2);
        coordinator.closeTraining(taskId);
        RoundView memory shown = coordinator.currentRound(taskId);
        assertPhase(Phase.Sortition);
        vm.assertEq(shown.seedBlock, block.number + 2);
        vm.assertEq(shown.deadline, block.timestamp + 100);
        vm.assertEq(shown.seed, 0);
        vm.assertEq(shown.threshold, 0);
        vm.assertEq(shown.updates, 4);
    }

    function test_closeTraining_reverts_early_whenOneIsMissing() public {
        for (uint256 i = 0; i < 3; ++i) {
            submit(workers[i], 1);
        }
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, deadline, deadline));
        coordinator.closeTraining(taskId);
        vm.warp(deadline + 1);
        coordinator.closeTraining(taskId);
        assertPhase(Phase.Sortition);
    }

    function test_closeTraining_voids_whenTooFewUpdates() public {
        submit(workers[0], 1);
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RoundVoided(taskId, 1, VoidReason.TooFewUpdates);
        coordinator.closeTraining(taskId);
        assertPhase(Phase.Void);
        vm.assertEq(coordinator.task(taskId).consecutiveVoids, 1);
        vm.assertEq(coordinator.task(taskId).model.digest, keccak256("genesis"));
    }

    function test_closeTraining_reverts_inAnotherPhase() public {
        submitAll();
        coordinator.closeTraining(taskId);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Training, Phase.Sortition));
        coordinator.closeTraining(taskId);
    }

    function test_closeTraining_reverts_whenTaskIsUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(TaskUnknown.selector, 9));
        coordinator.closeTraining(9);
    }
}
