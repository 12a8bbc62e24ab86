// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IActiveKeys} from "../../../contracts/interfaces/IActiveKeys.sol";
import {Phase, VoidReason} from "../../../contracts/types/Phase.sol";
import {SortitionTest} from "./Sortition.t.sol";
import {RoundFixture} from "./support/RoundFixture.sol";
import {Vm} from "./support/Vm.sol";

contract CloseSortitionTest is SortitionTest {
    function test_closeSortition_early_whenAllHaveClaimed() public {
        claimAll();
        uint64 deadline = uint64(block.timestamp) + 300;
        address first = workers[0];
        for (uint256 i = 1; i < 5; ++i) {
            if (outputOf(workers[i]) < outputOf(first)) first = workers[i];
        }
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SortitionClosed(taskId, 1, 5, 4, deadline);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit AttemptOpened(taskId, 1, 0, first, deadline);
        vm.prank(stranger);
        coordinator.closeSortition(taskId, list);
        RoundView memory shown = coordinator.currentRound(taskId);
        assertPhase(Phase.Aggregation);
        vm.assertEq(shown.quorum, 4);
        vm.assertEq(shown.attempt, 0);
        vm.assertEq(shown.claims, 5);
        vm.assertEq(shown.deadline, deadline);
        vm.assertEq(shown.proposal.digest, 0);
        vm.assertEq(shown.approvals, 0);
    }

    function test_closeSortition_seatsInOrderOfOutputs() public {
        claimAll();
        closeSortition();
        SeatView[] memory seats = coordinator.currentRound(taskId).seats;
        vm.assertEq(seats.length, 5);
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertEq(seats[i].outputPrefix, outputOf(seats[i].member) >> 160);
            if (i != 0) vm.assertLt(seats[i - 1].outputPrefix, seats[i].outputPrefix);
            vm.assertFalse(seats[i].voted);
        }
    }

    function test_closeSortition_reverts_early_whenOneIsMissing() public {
        for (uint256 i = 0; i < 4; ++i) {
            claim(workers[i]);
        }
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, deadline, deadline));
        closeSortition();
        expire();
        closeSortition();
        assertPhase(Phase.Aggregation);
        vm.assertEq(seatCount(), 4);
    }

    /// With too few claims there is nothing to seat, and the list is not looked at.
    function test_closeSortition_widensOnce_thenVoids() public {
        for (uint256 i = 0; i < 3; ++i) {
            claim(workers[i]);
        }
        expire();
        coordinator.closeSortition(taskId, "no list at all");
        vm.assertTrue(coordinator.currentRound(taskId).widened);
        vm.assertEq(claimCount(), 3);
        vm.assertEq(seatCount(), 0);
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RoundVoided(taskId, 1, VoidReason.TooFewSeats);
        coordinator.closeSortition(taskId, "");
        assertPhase(Phase.Void);
        vm.assertEq(coordinator.task(taskId).consecutiveVoids, 1);
    }

    /// The claims of before the widening and of after are one list.
    function test_closeSortition_proceeds_whenWideningHelped() public {
        for (uint256 i = 0; i < 3; ++i) {
            claim(workers[i]);
        }
        expire();
        closeSortition();
        claim(workers[3]);
        expire();
        closeSortition();
        assertPhase(Phase.Aggregation);
        vm.assertEq(seatCount(), 4);
    }

    function test_closeSortition_reverts_beforeSeed() public {
        round = 0;
        startTask(defaultRules(), 5);
        openRound();
        submitAll();
        coordinator.closeTraining(taskId);
        vm.expectRevert(abi.encodeWithSelector(SeedNotFixed.selector, 1));
        closeSortition();
    }

    function test_closeSortition_reverts_inAnotherPhase() public {
        claimAll();
        closeSortition();
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Aggregation));
        closeSortition();
    }

    function test_closeSortition_reverts_whenTaskIsUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(TaskUnknown.selector, 9));
        coordinator.closeSortition(9, "");
    }

    /// Whoever has lost its bond since it claimed sits all the same, and can be fined.
    function test_closeSortition_seatsWhoHasLeftSince() public {
        claimAll();
        vm.prank(workers[0]);
        registry.requestExit();
        vm.prank(workers[1]);
        coordinator.leave(taskId);
        closeSortition();
        vm.assertEq(seatCount(), 5);
    }
}

/// Who closes SORTITION chooses nothing: the list that is brought is the round's, or it is refused.
contract ClaimsListTest is SortitionTest {
    /// What is brought of a transaction with one claim.
    uint256 private constant SIZE = 17;

    function setUp() public override {
        super.setUp();
        claimAll();
    }

    function expectForged(bytes memory forged) private {
        vm.expectRevert(abi.encodeWithSelector(ClaimsNotThese.selector, 5));
        coordinator.closeSortition(taskId, forged);
        vm.expectRevert(abi.encodeWithSelector(ClaimsNotThese.selector, 5));
        coordinator.advance(taskId, forged);
    }

    function entry(uint256 i) private view returns (bytes memory) {
        return cut(list, SIZE * i, SIZE * i + SIZE);
    }

    function test_closeSortition_reverts_whenListIsShortened() public {
        expectForged("");
        expectForged(cut(list, 0, 4 * SIZE));
        expectForged(cut(list, SIZE, 5 * SIZE));
        expectForged(cut(list, 0, 5 * SIZE - 1));
        closeSortition();
    }

    function test_closeSortition_reverts_whenListIsLengthened() public {
        expectForged(abi.encodePacked(list, hex"00"));
        expectForged(abi.encodePacked(list, entry(0)));
        expectForged(abi.encodePacked(list, list));
        closeSortition();
    }

    function test_closeSortition_reverts_whenListIsReordered() public {
        expectForged(abi.encodePacked(entry(1), entry(0), cut(list, 2 * SIZE, 5 * SIZE)));
        expectForged(abi.encodePacked(cut(list, 0, 3 * SIZE), entry(4), entry(3)));
        closeSortition();
    }

    function test_closeSortition_reverts_whenOneStandsForAnother() public {
        expectForged(abi.encodePacked(entry(0), entry(0), cut(list, 2 * SIZE, 5 * SIZE)));
        expectForged(abi.encodePacked(cut(list, 0, 4 * SIZE), entry(3)));
        closeSortition();
    }

    /// The same claims as if they had been made in other transactions.
    function test_closeSortition_reverts_whenListIsDividedAnew() public {
        bytes memory entries;
        for (uint256 i = 0; i < 5; ++i) {
            entries = abi.encodePacked(entries, cut(entry(i), 2, SIZE));
        }
        expectForged(bundle(entries));
        expectForged(abi.encodePacked(bundle(cut(entries, 0, 30)), cut(list, 2 * SIZE, 5 * SIZE)));
        // A transaction without claims is none.
        expectForged(abi.encodePacked(list, uint16(0)));
        expectForged(abi.encodePacked(uint16(0), list));
        closeSortition();
    }

    /// With one claim less, and what is left announced as before.
    function test_closeSortition_reverts_whenListEndsWithinWhatItAnnounces() public {
        expectForged(abi.encodePacked(list, uint16(1)));
        expectForged(abi.encodePacked(cut(list, 0, 4 * SIZE), uint16(2), cut(entry(4), 2, SIZE)));
        expectForged(hex"00");
        expectForged(abi.encodePacked(type(uint16).max, list));
        closeSortition();
    }

    /// Any bit of it: of an output, of a number, or of what divides it.
    function test_fuzz_closeSortition_reverts_whenListIsAltered(uint256 place, uint8 change) public {
        bytes memory forged = list;
        forged[place % forged.length] ^= bytes1(change == 0 ? 1 : change);
        expectForged(forged);
        closeSortition();
    }

    /// The list of the last round, in which the same workers claimed.
    function test_closeSortition_reverts_whenListIsAnotherRounds() public {
        bytes memory last = list;
        closeSortition();
        propose();
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        toSortition();
        claimAll();
        expectForged(last);
        closeSortition();
    }

    /// What is brought is what the events hold.
    function test_closeSortition_takesTheListOfTheEvents() public {
        closeSortition();
        propose();
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        toSortition();
        vm.recordLogs();
        claim(workers[3]);
        bytes memory batch = abi.encodePacked(claimOf(workers[0]), claimOf(workers[1]), claimOf(workers[2]));
        coordinator.claimSeats(taskId, round, false, batch);
        claim(workers[4]);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 3);
        bytes memory emitted;
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(logs[i].topics[0], SeatsClaimed.selector);
            emitted = abi.encodePacked(emitted, bundle(abi.decode(logs[i].data, (bytes))));
        }
        coordinator.closeSortition(taskId, emitted);
        vm.assertEq(seatCount(), 5);
    }
}

/// The lowest claims of as many as can be, against a committee chosen by counting.
contract SeatLowestTest is RoundFixture {
    uint256 private constant ACCOUNTS = 0x10000;

    function setUp() public override {
        super.setUp();
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 4;
        rules.thresholdBasisPoints = 5001;
        rules.maxSeats = 7;
        startTask(rules, 4);
    }

    /// Put a chain of claims in the place of the round's, and let all their numbers be somebody's.
    function pretend(uint256[] memory claims) private {
        toSortition();
        claim(workers[0]);
        bytes32 slot = findSlot(claimsWord(list));
        bytes memory entries = new bytes(15 * claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            uint256 number = claims[i] & 0xffffff;
            for (uint256 k = 0; k < 15; ++k) {
                entries[15 * i + k] = bytes1(uint8(claims[i] >> (8 * (14 - k))));
            }
            vm.prank(address(registry));
            IActiveKeys(address(coordinator)).activeKeyChanged(accountOf(number), uint24(number), 1);
        }
        // As if one transaction had claimed for a third of them, another for the rest.
        uint256 first = 15 * (claims.length / 3);
        list = abi.encodePacked(bundle(cut(entries, 0, first)), bundle(cut(entries, first, entries.length)));
        vm.store(address(coordinator), slot, claimsWord(list));
    }

    function accountOf(uint256 number) private pure returns (address) {
        return address(uint160(ACCOUNTS + number));
    }

    /// Each seat's claim has as many below it as its number says.
    function assertLowest(uint256[] memory claims, uint256 seats) private view {
        SeatView[] memory shown = coordinator.currentRound(taskId).seats;
        vm.assertEq(shown.length, seats);
        for (uint256 seat = 0; seat < seats; ++seat) {
            uint256 number = uint160(shown[seat].member) - ACCOUNTS;
            uint256 seated_ = (uint256(shown[seat].outputPrefix) << 24) | number;
            uint256 lower;
            bool found;
            for (uint256 i = 0; i < claims.length; ++i) {
                if (claims[i] < seated_) ++lower;
                else if (claims[i] == seated_) found = true;
            }
            vm.assertTrue(found);
            vm.assertEq(lower, seat);
        }
    }

    /// Few different outputs, so that most are tied and numbers decide.
    function test_fuzz_closeSortition_seatsTheLowest(uint256 seed, uint8 count, bool tied) public {
        uint256[] memory claims = new uint256[](uint256(count) % 40 + 3);
        for (uint256 i = 0; i < claims.length; ++i) {
            uint256 drawn = uint256(keccak256(abi.encode(seed, i)));
            uint256 prefix = tied ? drawn % 3 : drawn >> 160;
            // A number only once, in no order.
            claims[i] = (prefix << 24) | (i * 7919 % 100_003 + 100);
        }
        pretend(claims);
        expire();
        closeSortition();
        assertLowest(claims, claims.length < 7 ? claims.length : 7);
    }

    function seatAll(uint256[] memory claims, uint256 seats) private {
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 4;
        rules.thresholdBasisPoints = 5001;
        rules.maxSeats = uint16(seats);
        round = 0;
        startTask(rules, 4);
        pretend(claims);
        expire();
        closeSortition();
        assertLowest(claims, seats);
    }

    /// As many as can be, for as many seats as can be: ascending, descending, and without order.
    function test_closeSortition_seats64Of511() public {
        uint256[] memory claims = new uint256[](511);
        for (uint256 how = 0; how < 3; ++how) {
            for (uint256 i = 0; i < 511; ++i) {
                uint256 prefix = how == 0 ? i : how == 1 ? 511 - i : uint256(keccak256(abi.encode(i))) >> 160;
                claims[i] = (prefix << 24) | (i + 100);
            }
            seatAll(claims, 64);
        }
    }

    /// The highest and the lowest output and number there are.
    function test_closeSortition_ordersTheExtremes() public {
        uint256[] memory claims = new uint256[](4);
        claims[0] = type(uint120).max;
        claims[1] = (uint256(type(uint96).max) << 24) | 100;
        claims[2] = (1 << 24) | 101;
        claims[3] = 0xfffffe;
        seatAll(claims, 4);
        vm.assertEq(seated(0), accountOf(0xfffffe));
        vm.assertEq(seated(3), accountOf(0xffffff));
    }
}
