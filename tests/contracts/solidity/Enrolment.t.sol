// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase, RejectReason} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

contract EnrolTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        taskId = createTask(defaultRules());
    }

    function test_enrol_countsFromNextRound() public {
        address worker = newWorker();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit WorkerEnrolled(taskId, worker, 1, 1);
        enrol(worker);
        EnrolmentView memory shown = coordinator.enrolment(taskId, worker);
        vm.assertTrue(shown.enrolled);
        vm.assertEq(shown.fromRound, 1);
        vm.assertEq(shown.number, 1);
        vm.assertFalse(shown.counting);
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
        closeSortition();
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

    /// Leaving and enrolling again gives up the updates of the round in progress, so never two of one worker; its claim
    /// it keeps, one, for the round was opened with it.
    function test_leave_andEnrol_duringRound_keepsItsClaimAlone() public {
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
        claim(workers[0]);
        vm.prank(workers[0]);
        coordinator.leave(taskId);
        enrol(workers[0]);
        bytes memory again = claimOf(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(SeatAlreadyClaimed.selector, 1, workers[0]));
        coordinator.claimSeat(taskId, round, again);
        vm.assertEq(coordinator.task(taskId).enrolled, 4);
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
        advance();
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
        closeSortition();
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

    /// All but the last worker train, all sit; the committee stands.
    function trainWithoutLast() private {
        openRound();
        for (uint256 i = 0; i < 3; ++i) {
            submit(workers[i], 1);
        }
        expire();
        coordinator.closeTraining(taskId);
        fixSeed();
        claimAll();
        closeSortition();
    }

    /// A seat alone is no activity: whoever holds one costs a round that is void nothing.
    function test_removeIdle_endsEnrolment_ofWorkerThatOnlySits() public {
        for (uint256 k = 0; k < 2; ++k) {
            trainWithoutLast();
            vm.assertEq(seatCount(), 4);
            for (uint256 i = 0; i < 3; ++i) {
                expire();
                advance();
            }
        }
        assertPhase(Phase.Void);
        vm.assertEq(coordinator.enrolment(taskId, workers[3]).lastActiveRound, 0);
        coordinator.removeIdle(taskId, workers[3]);
    }

    /// Propose in the seat whose turn it is, and let all others approve, the last worker in its way.
    function finalizeWith(bytes32 inner, RejectReason reason) private returns (address proposer) {
        proposer = seated(attempt());
        proposeWith(fullBitmap(3), 3);
        for (uint256 seat = 0; seat < 4; ++seat) {
            address member = seated(seat);
            if (member == proposer) continue;
            if (member != workers[3]) approve(member);
            else if (reason != RejectReason.None) reject(member, reason);
            else if (inner == INNER) approve(member);
            else approveBlindly(member);
        }
        coordinator.closeValidation(taskId);
        reveal();
        assertPhase(Phase.Finalized);
    }

    /// To have proposed, or approved as the reveal opens it, what is finalized, is activity.
    function test_removeIdle_reverts_whenServedRecently() public {
        bool[2] memory served;
        for (uint256 k = 0; !(served[0] && served[1]); ++k) {
            trainWithoutLast();
            bool proposes = finalizeWith(INNER, RejectReason.None) == workers[3];
            served[proposes ? 0 : 1] = true;
            vm.assertEq(coordinator.enrolment(taskId, workers[3]).lastActiveRound, round);
            voidRound();
            vm.expectRevert(abi.encodeWithSelector(EnrolmentNotIdle.selector, taskId, workers[3], round - 1));
            coordinator.removeIdle(taskId, workers[3]);
        }
    }

    /// To be overruled is none, nor is an approval that nothing opens.
    function test_removeIdle_endsEnrolment_ofMemberThatWasWrong() public {
        vm.prank(workers[3]);
        registry.increaseBond{value: 1 ether}();
        for (uint256 wrong = 0; wrong < 2; ++wrong) {
            trainWithoutLast();
            // As a proposer it would serve.
            while (seated(attempt()) == workers[3]) {
                expire();
                advance();
            }
            finalizeWith(keccak256("a guess"), wrong % 2 == 0 ? RejectReason.None : RejectReason.WrongModel);
            vm.assertEq(coordinator.enrolment(taskId, workers[3]).lastActiveRound, 0);
        }
        vm.assertEq(bondOf(workers[3]), 2 * BOND - 0.2 ether);
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
