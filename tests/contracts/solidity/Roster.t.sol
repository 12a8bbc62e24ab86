// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

/// Who counts in a round's sortition: whoever was enrolled when the round was opened, whatever happens in between, and
/// nobody else.
contract RosterTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        // Numbers 74 to 79: two words of the roster.
        registerMany(73);
        TaskRules memory rules = defaultRules();
        rules.thresholdBasisPoints = 5001;
        startTask(rules, 6);
    }

    function leave(address worker) private {
        vm.prank(worker);
        coordinator.leave(taskId);
    }

    function voidRound() private {
        while (phase() != Phase.Void) {
            expire();
            advance();
        }
    }

    function assertCounts(address worker, bool counting, bool claimed) private view {
        EnrolmentView memory shown = coordinator.enrolment(taskId, worker);
        vm.assertTrue(shown.counting == counting);
        vm.assertTrue(shown.claimed == claimed);
    }

    /// Come and go in TRAINING, before the seed, with the seed, and once the committee stands.
    function test_roster_isThatOfTheOpening_inEveryPhase() public {
        address late = newWorker();
        openRound();
        for (uint256 i = 0; i < 6; ++i) {
            submit(workers[i], 1);
        }
        enrol(late);
        leave(workers[0]);
        assertCounts(late, false, false);
        assertCounts(workers[0], true, false);
        coordinator.closeTraining(taskId);
        leave(late);
        leave(workers[1]);
        enrol(workers[0]);
        fixSeed();
        enrol(late);
        leave(workers[2]);
        enrol(workers[1]);
        bytes memory claim_ = claimOf(late);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, late));
        coordinator.claimSeat(taskId, round, claim_);
        for (uint256 i = 0; i < 6; ++i) {
            claim(workers[i]);
            assertCounts(workers[i], true, true);
        }
        leave(workers[3]);
        closeSortition();
        enrol(workers[3]);
        leave(workers[4]);
        vm.assertEq(seatCount(), 6);
        voidRound();
        // Enrolled now: all but 2 and 4.
        openRound();
        vm.assertEq(coordinator.currentRound(taskId).enrolled, 5);
        for (uint256 i = 0; i < 7; ++i) {
            assertCounts(workers[i], i != 2 && i != 4, false);
        }
    }

    /// A worker whose word nobody touches for rounds on end counts in each, and its claim of one is none in the next.
    function test_roster_isBroughtUpToDate_afterRoundsUntouched() public {
        // Numbers 74 and 75 are in one word, the others in another.
        toSortition();
        claim(workers[0]);
        voidRound();
        for (uint256 k = 0; k < 2; ++k) {
            openRound();
            for (uint256 i = 2; i < 6; ++i) {
                submit(workers[i], 1);
            }
            voidRound();
            assertCounts(workers[0], true, false);
            // Something finalized in between, or the task is used up.
            if (k == 0) finalizeOthers();
        }
        finalizeOthers();
        toSortition();
        assertCounts(workers[0], true, false);
        claim(workers[0]);
        claim(workers[1]);
        claim(workers[2]);
        assertCounts(workers[0], true, true);
        assertCounts(workers[3], true, false);
    }

    /// A round without the first two workers.
    function finalizeOthers() private {
        openRound();
        for (uint256 i = 2; i < 6; ++i) {
            submit(workers[i], 100);
        }
        expire();
        coordinator.closeTraining(taskId);
        fixSeed();
        for (uint256 i = 2; i < 6; ++i) {
            claim(workers[i]);
        }
        expire();
        closeSortition();
        proposeWith(fullBitmap(4), 400);
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        assertPhase(Phase.Finalized);
    }

    /// Whoever left in an earlier round does not count, though nobody touched its word since.
    function test_roster_forgetsWhoLeft() public {
        openRound();
        leave(workers[0]);
        assertCounts(workers[0], true, false);
        voidRound();
        openRound();
        assertCounts(workers[0], false, false);
        for (uint256 i = 1; i < 6; ++i) {
            submit(workers[i], 1);
            assertCounts(workers[i], true, false);
        }
        coordinator.closeTraining(taskId);
        fixSeed();
        bytes memory claim_ = claimOf(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[0]));
        coordinator.claimSeat(taskId, round, claim_);
    }

    /// One task's roster is not another's.
    function test_roster_isTheTasks() public {
        uint256 first = taskId;
        taskId = createTask(defaultRules());
        for (uint256 i = 0; i < 5; ++i) {
            enrol(workers[i]);
        }
        openRound();
        for (uint256 i = 0; i < 5; ++i) {
            submit(workers[i], 1);
        }
        coordinator.closeTraining(taskId);
        fixSeed();
        bytes memory claim_ = claimOf(workers[5]);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[5]));
        coordinator.claimSeat(taskId, round, claim_);
        claim(workers[0]);
        vm.assertFalse(coordinator.enrolment(first, workers[0]).claimed);
        vm.assertTrue(coordinator.enrolment(first, workers[5]).enrolled);
    }
}

/// Enrolment and claims in any order, against three lists of booleans.
contract RosterModelTest is RoundFixture {
    uint256 private constant COUNT = 6;
    bool[COUNT] private enrolled;
    bool[COUNT] private counting;
    bool[COUNT] private claimed;

    function setUp() public override {
        super.setUp();
        registerMany(73);
        TaskRules memory rules = defaultRules();
        rules.minUpdates = 1;
        rules.maxConsecutiveVoids = type(uint16).max;
        startTask(rules, COUNT);
        for (uint256 i = 0; i < COUNT; ++i) {
            enrolled[i] = true;
        }
    }

    function test_fuzz_roster(uint256 moves) public {
        for (uint256 k = 0; k < 40; ++k) {
            uint256 who = moves / 16 % COUNT;
            uint256 how = moves % 16;
            moves = uint256(keccak256(abi.encode(moves)));
            if (how < 5) comeOrGo(who);
            else if (how < 7) nextRound();
            else if (how < 11) toClaims();
            else tryClaim(who);
            compare();
        }
    }

    function comeOrGo(uint256 who) private {
        vm.prank(workers[who]);
        if (enrolled[who]) coordinator.leave(taskId);
        else coordinator.enrol(taskId);
        enrolled[who] = !enrolled[who];
    }

    function nextRound() private {
        for (Phase now_ = phase(); now_ != Phase.None && now_ < Phase.Finalized; now_ = phase()) {
            expire();
            advance();
        }
        uint256 open;
        for (uint256 i = 0; i < COUNT; ++i) {
            if (enrolled[i]) ++open;
        }
        if (open < 2) return;
        openRound();
        for (uint256 i = 0; i < COUNT; ++i) {
            (counting[i], claimed[i]) = (enrolled[i], false);
        }
    }

    /// Whoever may submits, and the seed is fixed.
    function toClaims() private {
        if (phase() != Phase.Training) nextRound();
        if (phase() != Phase.Training) return;
        for (uint256 i = 0; i < COUNT; ++i) {
            vm.prank(workers[i]);
            (bool done,) =
                address(coordinator).call(abi.encodeCall(coordinator.submitUpdate, (taskId, round, INNER, 1, 1)));
            // Nobody who does not count may.
            vm.assertTrue(counting[i] || !done);
        }
        expire();
        advance();
        if (phase() == Phase.Sortition) fixSeed();
    }

    function tryClaim(uint256 who) private {
        if (phase() != Phase.Sortition) return;
        bytes memory claim_ = claimOf(workers[who]);
        if (!counting[who]) {
            vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, workers[who]));
        } else if (claimed[who]) {
            vm.expectRevert(abi.encodeWithSelector(SeatAlreadyClaimed.selector, round, workers[who]));
        }
        coordinator.claimSeat(taskId, round, claim_);
        if (!counting[who] || claimed[who]) return;
        list = abi.encodePacked(list, bundle(entryOf(workers[who])));
        claimed[who] = true;
    }

    function compare() private view {
        uint256 open;
        uint256 inRound;
        for (uint256 i = 0; i < COUNT; ++i) {
            EnrolmentView memory shown = coordinator.enrolment(taskId, workers[i]);
            vm.assertTrue(shown.enrolled == enrolled[i]);
            vm.assertTrue(shown.counting == counting[i]);
            vm.assertTrue(shown.claimed == claimed[i]);
            if (enrolled[i]) ++open;
            if (counting[i]) ++inRound;
        }
        vm.assertEq(coordinator.task(taskId).enrolled, open);
        if (round != 0) vm.assertEq(coordinator.currentRound(taskId).enrolled, inRound);
    }
}
