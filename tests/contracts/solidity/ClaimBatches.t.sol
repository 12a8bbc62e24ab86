// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MAX_CLAIMS} from "../../../contracts/types/Claims.sol";
import {SortitionTest} from "./Sortition.t.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

contract ClaimSeatsTest is SortitionTest {
    function test_claimSeats_takesAll_inOneEvent() public {
        (bytes memory batch, bytes memory entries) = batchOfAll();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SeatsClaimed(taskId, 1, entries);
        vm.prank(stranger);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 5);
        vm.assertEq(claimCount(), 5);
        list = bundle(entries);
        closeSortition();
        vm.assertEq(seatCount(), 5);
    }

    function test_claimSeats_skipsBadDuplicateAndForeignClaims() public {
        bytes memory bad = claimOf(workers[1]);
        bad[100] ^= 0x01;
        bytes memory batch = abi.encodePacked(
            bad,
            claimOf(workers[0]),
            claimOf(workers[0]),
            abi.encodePacked(uint24(99), proofOf(workers[2])),
            claimWith(workers[3], proofOf(workers[4])),
            claimOf(workers[2])
        );
        bytes memory entries = abi.encodePacked(entryOf(workers[0]), entryOf(workers[2]));
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SeatsClaimed(taskId, 1, entries);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 2);
        vm.assertEq(claimCount(), 2);
        bool[5] memory taken = [true, false, true, false, false];
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertTrue(coordinator.enrolment(taskId, workers[i]).claimed == taken[i]);
        }
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 0);
        claim(workers[1]);
        vm.assertEq(claimCount(), 3);
    }

    function test_claimSeats_skipsWhoIsNotActive() public {
        bytes memory batch = abi.encodePacked(claimOf(workers[0]), claimOf(workers[1]));
        vm.prank(workers[0]);
        registry.requestExit();
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 1);
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).claimed);
    }

    function test_claimSeats_reverts_whenMalformed_andTakesNothing() public {
        bytes memory claim_ = claimOf(workers[0]);
        uint256[4] memory rests = [uint256(1), 3, 4, 275];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(MalformedClaims.selector, claim_.length));
            coordinator.claimSeats(taskId, round, false, abi.encodePacked(claim_, new bytes(rests[i])));
        }
        // A claim that says it is longer than what is there.
        bytes memory long = claimOf(workers[1]);
        long[3] = bytes1(uint8(long[3]) + 1);
        vm.expectRevert(abi.encodeWithSelector(MalformedClaims.selector, claim_.length));
        coordinator.claimSeats(taskId, round, false, abi.encodePacked(claim_, long));
        vm.assertEq(claimCount(), 0);
    }

    function test_claimSeats_takesNothing_whenEmpty() public {
        vm.recordLogs();
        vm.assertEq(coordinator.claimSeats(taskId, round, false, ""), 0);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(claimCount(), 0);
    }

    function test_claimSeats_reverts_afterDeadline() public {
        expire();
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        coordinator.claimSeats(taskId, round, false, "");
    }

    /// However little gas the carrier sends, the batch is done in full or not at all: a precompile that starves takes
    /// 63/64 of what was left with it.
    function test_claimSeats_isAllOrNothing_whateverTheGas() public {
        bytes memory batch;
        for (uint256 i = 0; i < 3; ++i) {
            batch = abi.encodePacked(batch, claimOf(workers[i]));
        }
        bytes memory data = abi.encodeCall(coordinator.claimSeats, (taskId, round, false, batch));
        for (uint256 gasLimit = 30_000; gasLimit < 400_000; gasLimit += 997) {
            (bool done, bytes memory result) = address(coordinator).call{gas: gasLimit}(data);
            if (!done) continue;
            vm.assertEq(abi.decode(result, (uint256)), 3);
            vm.assertEq(claimCount(), 3);
            return;
        }
        revert("never enough gas");
    }
}

contract LargeBatchTest is RoundFixture {
    uint256 private constant MANY = 30;

    function setUp() public override {
        super.setUp();
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 32;
        startTask(rules, MANY);
        toSortition();
    }

    function test_claimSeats_takesThirtyAtOnce() public {
        (bytes memory batch, bytes memory entries) = batchOfAll();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SeatsClaimed(taskId, 1, entries);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), MANY);
        list = bundle(entries);
        closeSortition();
        vm.assertEq(seatCount(), MANY);
    }
}

/// A batch reads and writes each word of the roster as often as its order makes it: right in any.
contract ClaimOrderTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        // Numbers 74 to 79: two words.
        registerMany(73);
        startTask(defaultRules(), 6);
        toSortition();
    }

    function test_fuzz_claimSeats_inAnyOrder(uint256 seed) public {
        uint256[6] memory order = [uint256(0), 1, 2, 3, 4, 5];
        bytes memory batch;
        bytes memory entries;
        for (uint256 i = 6; i > 0; --i) {
            uint256 pick = seed % i;
            seed /= i;
            (order[pick], order[i - 1]) = (order[i - 1], order[pick]);
            address worker = workers[order[i - 1]];
            batch = abi.encodePacked(batch, claimOf(worker));
            entries = abi.encodePacked(entries, entryOf(worker));
            // Twice in one batch.
            if (seed % 2 == 0) batch = abi.encodePacked(batch, claimOf(worker));
        }
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 6);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 0);
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertTrue(coordinator.enrolment(taskId, workers[i]).claimed);
        }
        list = bundle(entries);
        closeSortition();
        vm.assertEq(seatCount(), 6);
    }
}

/// 511 claims are as many as can be counted.
contract MostClaimsTest is SortitionTest {
    /// Set the count of the round's claims, one of which has been made.
    function setCount(uint256 count) private {
        claim(workers[0]);
        bytes32 word = claimsWord(list);
        vm.store(address(coordinator), findSlot(word), (word & ~bytes32(uint256(511 << 24))) | bytes32(count << 24));
        vm.assertEq(claimCount(), count);
    }

    function test_claimSeat_reverts_whenTheMostAreClaimed() public {
        setCount(MAX_CLAIMS);
        bytes memory claim_ = claimOf(workers[1]);
        vm.expectRevert(abi.encodeWithSelector(TooManyClaims.selector, 511));
        coordinator.claimSeat(taskId, round, claim_);
        vm.expectRevert(abi.encodeWithSelector(TooManyClaims.selector, 511));
        coordinator.claimSeats(taskId, round, false, claim_);
        // What would be skipped is skipped still.
        vm.assertEq(coordinator.claimSeats(taskId, round, false, claimOf(workers[0])), 0);
    }

    function test_claimSeat_takesTheLastThatCanBeCounted() public {
        setCount(MAX_CLAIMS - 1);
        claim(workers[1]);
        vm.assertEq(claimCount(), 511);
        bytes memory claim_ = claimOf(workers[2]);
        vm.expectRevert(abi.encodeWithSelector(TooManyClaims.selector, 511));
        coordinator.claimSeat(taskId, round, claim_);
    }
}
