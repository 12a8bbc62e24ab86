// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

/// Submits and votes like any worker, and refuses ether.
contract CannotReceive {
    function withdraw(address coordinator, uint256 taskId) external {
        (bool done, bytes memory result) = coordinator.call(abi.encodeWithSignature("withdrawRewards(uint256)", taskId));
        if (!done) {
            assembly {
                revert(add(result, 32), mload(result))
            }
        }
    }

    function reveal(address coordinator, uint256 taskId, uint32 round, bytes32 inner) external {
        (bool done,) = coordinator.call(
            abi.encodeWithSignature("reveal(uint256,uint32,uint16,bytes32)", taskId, round, uint16(0), inner)
        );
        require(done);
    }
}

/// Withdraws again while it is being paid.
contract ReentrantRevealer {
    address private immutable _coordinator;
    uint256 private immutable _taskId;
    uint256 public refused;

    constructor(address coordinator, uint256 taskId) {
        _coordinator = coordinator;
        _taskId = taskId;
    }

    function reveal(uint32 round, bytes32 inner) external {
        (bool done,) = _coordinator.call(
            abi.encodeWithSignature("reveal(uint256,uint32,uint16,bytes32)", _taskId, round, uint16(0), inner)
        );
        require(done);
    }

    function withdraw() public {
        (bool done,) = _coordinator.call(abi.encodeWithSignature("withdrawRewards(uint256)", _taskId));
        require(done);
    }

    receive() external payable {
        try this.withdraw() {}
        catch {
            ++refused;
        }
    }
}

contract RewardsTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 5);
    }

    function withdraw(address worker) private returns (uint256 paid) {
        uint256 before = worker.balance;
        vm.prank(worker);
        coordinator.withdrawRewards(taskId);
        paid = worker.balance - before;
    }

    function test_rewards_areSplitByTheShares() public {
        toReveal();
        address proposer = seated(0);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RewardCredited(taskId, 1, proposer, 1.5 ether);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RewardCredited(taskId, 1, seated(1), 1.5 ether / 4);
        vm.prank(stranger);
        coordinator.reveal(taskId, round, 0, INNER);
        for (uint256 i = 0; i < 5; ++i) {
            uint256 trainer = uint256(6 ether) * 100 * (i + 1) / 1500;
            uint256 seat = workers[i] == proposer ? 1.5 ether : 1.5 ether / 4;
            vm.assertEq(creditOf(workers[i]), trainer + seat);
        }
        vm.assertEq(creditOf(stranger), 1 ether);
        vm.assertEq(coordinator.task(taskId).budget, BUDGET - 10 ether);
    }

    function test_withdrawRewards_paysOnce() public {
        finalizeRound();
        uint256 due = creditOf(workers[0]);
        vm.assertGt(due, 0);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RewardsWithdrawn(taskId, workers[0], due);
        vm.assertEq(withdraw(workers[0]), due);
        vm.expectRevert(abi.encodeWithSelector(NothingToWithdraw.selector, workers[0]));
        vm.prank(workers[0]);
        coordinator.withdrawRewards(taskId);
    }

    function test_withdrawRewards_reverts_whenReceiverRefuses() public {
        CannotReceive revealer = new CannotReceive();
        toReveal();
        revealer.reveal(address(coordinator), taskId, round, INNER);
        vm.expectRevert(abi.encodeWithSelector(TransferFailed.selector, address(revealer), 1 ether));
        revealer.withdraw(address(coordinator), taskId);
        vm.assertEq(creditOf(address(revealer)), 1 ether);
    }

    function test_withdrawRewards_paysOnce_whenReentered() public {
        ReentrantRevealer revealer = new ReentrantRevealer(address(coordinator), taskId);
        toReveal();
        revealer.reveal(round, INNER);
        revealer.withdraw();
        vm.assertEq(revealer.refused(), 1);
        vm.assertEq(address(revealer).balance, 1 ether);
    }

    function test_settle_creditsTrainer_atItsNextUpdate() public {
        finalizeRound();
        uint256 due = creditOf(workers[4]);
        openRound();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RewardCredited(taskId, 1, workers[4], 2 ether);
        submit(workers[4], 1);
        vm.assertEq(creditOf(workers[4]), due);
    }

    function test_settle_isAnyones_andOnlyOnce() public {
        finalizeRound();
        uint256 due = creditOf(workers[4]);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RewardCredited(taskId, 1, workers[4], 2 ether);
        vm.prank(stranger);
        coordinator.settle(taskId, workers[4]);
        vm.recordLogs();
        coordinator.settle(taskId, workers[4]);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(creditOf(workers[4]), due);
    }

    function test_settle_doesNothing_whileRoundIsInProgress() public {
        toReveal();
        vm.recordLogs();
        coordinator.settle(taskId, workers[4]);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        reveal();
        vm.assertGe(creditOf(workers[4]), 2 ether);
    }

    function test_rewards_neverExpire() public {
        finalizeRound();
        uint256 due = creditOf(workers[4]);
        for (uint256 i = 0; i < 5; ++i) {
            openRound();
            for (uint256 k = 0; k < 4; ++k) {
                submit(workers[k], 1);
            }
            expire();
            coordinator.closeTraining(taskId);
            fixSeed();
            for (uint256 k = 0; k < 4; ++k) {
                claim(workers[k]);
            }
            expire();
            closeSortition();
            proposeWith(fullBitmap(4), 4);
            approveAll();
            coordinator.closeValidation(taskId);
            reveal();
        }
        vm.assertEq(withdraw(workers[4]), due);
    }

    function test_rewards_ofVoidRound_areNone() public {
        toAggregation();
        for (uint256 i = 0; i < 3; ++i) {
            expire();
            advance();
        }
        for (uint256 i = 0; i < 5; ++i) {
            coordinator.settle(taskId, workers[i]);
            vm.assertEq(creditOf(workers[i]), 0);
            vm.assertEq(coordinator.enrolment(taskId, workers[i]).strikes, 0);
        }
        vm.assertEq(coordinator.task(taskId).budget, BUDGET);
    }

    /// A published weight that is too small does not make the trainers' rewards larger than the round's.
    function test_rewards_stayWithinTheRound_whenPublishedWeightIsTooSmall() public {
        toAggregation();
        // All but the first: 1,400. The contract knows only that they weigh 4 at least.
        proposeWith(hex"1e", 4);
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        uint256 trainers;
        for (uint256 i = 0; i < 5; ++i) {
            uint256 before = coordinator.enrolment(taskId, workers[i]).credit;
            coordinator.settle(taskId, workers[i]);
            vm.assertEq(coordinator.enrolment(taskId, workers[i]).credit, before);
            trainers += before;
        }
        // Members' parts apart: 1.5 ether to the proposer, as much to the voters.
        vm.assertEq(trainers - 3 ether, coordinator.outcome(taskId, 1).trainerReward);
        vm.assertEq(trainers + creditOf(address(this)) + coordinator.task(taskId).budget, BUDGET);
    }
}

contract StrikesTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 5);
    }

    /// A round whose model leaves the first worker's update out.
    function strikeRound() private {
        toAggregation();
        proposeWith(hex"1e", 1400);
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
    }

    function test_strikes_count_andClear() public {
        strikeRound();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit UpdateStruck(taskId, 1, workers[0], 1);
        coordinator.settle(taskId, workers[0]);
        vm.assertEq(coordinator.enrolment(taskId, workers[0]).strikes, 1);
        strikeRound();
        coordinator.settle(taskId, workers[0]);
        vm.assertEq(coordinator.enrolment(taskId, workers[0]).strikes, 2);
        finalizeRound();
        coordinator.settle(taskId, workers[0]);
        vm.assertEq(coordinator.enrolment(taskId, workers[0]).strikes, 0);
    }

    function test_strikes_endEnrolment_atTheLimit() public {
        strikeRound();
        strikeRound();
        strikeRound();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit UpdateStruck(taskId, 3, workers[0], 3);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit EnrolmentEnded(taskId, workers[0], 3);
        coordinator.settle(taskId, workers[0]);
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).enrolled);
        vm.assertEq(coordinator.task(taskId).enrolled, 4);
        openRound();
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[0]));
        submit(workers[0], 1);
    }

    /// In the round in progress the worker still counts, for the round was opened with it.
    function test_strikes_endEnrolment_afterTheRoundInProgress() public {
        strikeRound();
        strikeRound();
        strikeRound();
        openRound();
        submitAll();
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).enrolled);
        vm.assertEq(coordinator.currentRound(taskId).enrolled, 5);
        coordinator.closeTraining(taskId);
        fixSeed();
        claimAll();
        closeSortition();
        vm.assertEq(seatCount(), 5);
    }

    function test_leave_settlesTheLastStrike() public {
        strikeRound();
        strikeRound();
        strikeRound();
        vm.prank(workers[0]);
        coordinator.leave(taskId);
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).enrolled);
        vm.assertEq(coordinator.task(taskId).enrolled, 4);
    }

    function test_enrol_clearsStrikes() public {
        strikeRound();
        strikeRound();
        coordinator.settle(taskId, workers[0]);
        vm.prank(workers[0]);
        coordinator.leave(taskId);
        enrol(workers[0]);
        vm.assertEq(coordinator.enrolment(taskId, workers[0]).strikes, 0);
    }

    function test_strikes_neverEnd_withoutLimit() public {
        TaskRules memory rules = defaultRules();
        rules.strikeLimit = 0;
        round = 0;
        startTask(rules, 5);
        for (uint256 i = 0; i < 4; ++i) {
            strikeRound();
        }
        coordinator.settle(taskId, workers[0]);
        vm.assertEq(coordinator.enrolment(taskId, workers[0]).strikes, 4);
        vm.assertTrue(coordinator.enrolment(taskId, workers[0]).enrolled);
    }
}

/// More updates than the outcome's own word has bits for: the rest of the bitmap is in `moreAccepted`.
contract ManyUpdatesTest is RoundFixture {
    uint256 private constant MANY = 115;
    uint256 private constant REFUSED = 110;

    function setUp() public override {
        super.setUp();
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 4;
        startTask(rules, MANY);
        toSortition();
        // Twice, where so few win at first that the threshold is widened.
        while (phase() == Phase.Sortition) {
            uint256 threshold = coordinator.currentRound(taskId).threshold;
            for (uint256 i = 0; i < MANY; ++i) {
                bool claimed = coordinator.enrolment(taskId, workers[i]).claimed;
                if (!claimed && outputOf(workers[i]) <= threshold) claim(workers[i]);
            }
            expire();
            closeSortition();
        }
        bytes memory bitmap = fullBitmap(MANY);
        bitmap[REFUSED / 8] &= ~bytes1(uint8(1 << (REFUSED % 8)));
        proposeWith(bitmap, fullWeight() - 1000);
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
    }

    function test_settle_paysAndStrikes_pastTheFirstWordOfTheBitmap() public {
        OutcomeView memory outcome = coordinator.outcome(taskId, 1);
        vm.assertTrue(outcome.finalized);
        uint256 part = outcome.trainerReward * 1000 / outcome.acceptedWeight;
        vm.assertGt(part, 0);
        uint256 settled;
        for (uint256 i = 100; i < MANY; ++i) {
            if (coordinator.enrolment(taskId, workers[i]).claimed) continue;
            vm.assertEq(coordinator.enrolment(taskId, workers[i]).updateIndex, i);
            vm.assertEq(creditOf(workers[i]), i == REFUSED ? 0 : part);
            coordinator.settle(taskId, workers[i]);
            vm.assertEq(creditOf(workers[i]), i == REFUSED ? 0 : part);
            vm.assertEq(coordinator.enrolment(taskId, workers[i]).strikes, i == REFUSED ? 1 : 0);
            ++settled;
        }
        vm.assertGt(settled, 5);
        vm.assertEq(coordinator.enrolment(taskId, workers[REFUSED]).strikes, 1);
    }
}
