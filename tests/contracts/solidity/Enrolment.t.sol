// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundFixture} from "./support/RoundFixture.sol";

contract EnrolTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        taskId = createTask(defaultRules());
    }

    function test_enrol_countsFromNextRound() public {
        address worker = newWorker();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit WorkerEnrolled(taskId, worker, 1);
        enrol(worker);
        EnrolmentView memory shown = coordinator.enrolment(taskId, worker);
        vm.assertTrue(shown.enrolled);
        vm.assertEq(shown.fromRound, 1);
        vm.assertEq(coordinator.task(taskId).enrolled, 1);
    }

    function test_enrol_duringRound_doesNotCountInIt() public {
        startTask(defaultRules(), 3);
        openRound();
        address late = newWorker();
        enrol(late);
        vm.assertEq(coordinator.enrolment(taskId, late).fromRound, 2);
        vm.assertEq(coordinator.currentRound(taskId).enrolled, 3);
        vm.assertEq(coordinator.task(taskId).enrolled, 4);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, late));
        submit(late, 1);
    }

    function test_enrol_reverts_whenEnrolled() public {
        address worker = newWorker();
        enrol(worker);
        vm.expectRevert(abi.encodeWithSelector(AlreadyEnrolled.selector, taskId, worker));
        enrol(worker);
    }

    function test_enrol_reverts_whenNotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(NotActiveParticipant.selector, stranger));
        enrol(stranger);
    }

    function test_enrol_reverts_whenTaskIsUnknown() public {
        address worker = newWorker();
        vm.expectRevert(abi.encodeWithSelector(TaskUnknown.selector, 99));
        vm.prank(worker);
        coordinator.enrol(99);
    }

    function test_enrol_reverts_whenTaskHasEnded() public {
        address worker = newWorker();
        vm.prank(owner);
        coordinator.endTask(taskId);
        vm.expectRevert(abi.encodeWithSelector(TaskNotOpen.selector, taskId));
        enrol(worker);
    }

    function test_enrol_again_afterLeaving() public {
        startTask(defaultRules(), 3);
        vm.prank(workers[0]);
        coordinator.leave(taskId);
        enrol(workers[0]);
        vm.assertEq(coordinator.task(taskId).enrolled, 3);
        openRound();
        submit(workers[0], 1);
    }
}

contract LeaveTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 4);
    }

    function leave(address worker) private {
        vm.prank(worker);
        coordinator.leave(taskId);
    }

    function test_leave_betweenRounds_endsAtOnce() public {
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit EnrolmentEnded(taskId, workers[0], 0);
        leave(workers[0]);
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).enrolled);
        vm.assertEq(coordinator.task(taskId).enrolled, 3);
        openRound();
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[0]));
        submit(workers[0], 1);
    }

    function test_leave_duringRound_keepsItsRightsInIt() public {
        openRound();
        leave(workers[0]);
        vm.assertEq(coordinator.currentRound(taskId).enrolled, 4);
        submitAll();
        coordinator.closeTraining(taskId);
        fixSeed();
        claimAll();
        coordinator.closeSortition(taskId);
        vm.assertEq(seatCount(), 4);
        propose();
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        openRound();
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[0]));
        submit(workers[0], 1);
        vm.assertEq(coordinator.currentRound(taskId).enrolled, 3);
    }

    /// Leaving and enrolling again gives up the round in progress: never two updates, never two claims.
    function test_leave_andEnrol_duringRound_losesItsRights() public {
        openRound();
        submit(workers[0], 1);
        leave(workers[0]);
        enrol(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[0]));
        submit(workers[0], 1);
        for (uint256 i = 1; i < 4; ++i) {
            submit(workers[i], 1);
        }
        coordinator.closeTraining(taskId);
        fixSeed();
        bytes memory proof = proofOf(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], proof);
    }

    function test_leave_ofWorkerThatDoesNotCountYet() public {
        openRound();
        address late = newWorker();
        enrol(late);
        leave(late);
        vm.assertEq(coordinator.task(taskId).enrolled, 4);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, late));
        submit(late, 1);
    }

    function test_leave_reverts_whenNotEnrolled() public {
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, stranger));
        leave(stranger);
        leave(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[0]));
        leave(workers[0]);
    }
}

contract RemoveIdleTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 4);
    }

    function voidRound() private {
        openRound();
        expire();
        coordinator.advance(taskId);
    }

    /// A round in which all but the last worker train and sit.
    function roundWithoutLast() private {
        openRound();
        for (uint256 i = 0; i < 3; ++i) {
            submit(workers[i], 1);
        }
        expire();
        coordinator.closeTraining(taskId);
        fixSeed();
        for (uint256 i = 0; i < 3; ++i) {
            claim(workers[i]);
        }
        expire();
        coordinator.closeSortition(taskId);
        proposeWith(fullBitmap(3), 3);
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
    }

    function test_removeIdle_endsEnrolment_afterIdleRounds() public {
        voidRound();
        roundWithoutLast();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit EnrolmentEnded(taskId, workers[3], 2);
        vm.prank(stranger);
        coordinator.removeIdle(taskId, workers[3]);
        vm.assertEq(coordinator.task(taskId).enrolled, 3);
    }

    function test_removeIdle_reverts_beforeIdleRoundsHaveEnded() public {
        voidRound();
        vm.expectRevert(abi.encodeWithSelector(EnrolmentNotIdle.selector, taskId, workers[3], 0));
        coordinator.removeIdle(taskId, workers[3]);
        openRound();
        vm.expectRevert(abi.encodeWithSelector(EnrolmentNotIdle.selector, taskId, workers[3], 0));
        coordinator.removeIdle(taskId, workers[3]);
    }

    function test_removeIdle_reverts_whenUpdatedRecently() public {
        voidRound();
        roundWithoutLast();
        vm.expectRevert(abi.encodeWithSelector(EnrolmentNotIdle.selector, taskId, workers[0], 2));
        coordinator.removeIdle(taskId, workers[0]);
    }

    /// A seat is activity too: whoever holds one and does not vote is fined instead.
    function test_removeIdle_reverts_whenSeatedRecently() public {
        openRound();
        for (uint256 i = 0; i < 3; ++i) {
            submit(workers[i], 1);
        }
        expire();
        coordinator.closeTraining(taskId);
        fixSeed();
        claimAll();
        coordinator.closeSortition(taskId);
        for (uint256 i = 0; i < 3; ++i) {
            expire();
            coordinator.advance(taskId);
        }
        voidRound();
        vm.expectRevert(abi.encodeWithSelector(EnrolmentNotIdle.selector, taskId, workers[3], 1));
        coordinator.removeIdle(taskId, workers[3]);
    }

    function test_removeIdle_countsFromEnrolment() public {
        voidRound();
        voidRound();
        address late = newWorker();
        enrol(late);
        vm.expectRevert(abi.encodeWithSelector(EnrolmentNotIdle.selector, taskId, late, 0));
        coordinator.removeIdle(taskId, late);
    }

    function test_removeIdle_endsEnrolment_ofExitingParticipant() public {
        vm.prank(workers[1]);
        registry.requestExit();
        coordinator.removeIdle(taskId, workers[1]);
        vm.assertEq(coordinator.task(taskId).enrolled, 3);
    }

    function test_removeIdle_endsEnrolment_belowMinimumBond() public {
        vm.prank(address(coordinator));
        registry.fine(workers[1], 1);
        coordinator.removeIdle(taskId, workers[1]);
    }

    function test_removeIdle_reverts_whenNotEnrolled() public {
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, stranger));
        coordinator.removeIdle(taskId, stranger);
    }
}
