// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IActiveKeys} from "../../../contracts/interfaces/IActiveKeys.sol";
import {KeyLib} from "../../../contracts/libraries/KeyLib.sol";
import {RoundFixture} from "./support/RoundFixture.sol";
import {Vm} from "./support/Vm.sol";

/// Keys in code: the same claims are taken, of whoever is in a snapshot and still active.
contract SnapshotKeysTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        // Numbers 94 to 98: two segments.
        registerMany(93);
        startTask(defaultRules(), 5);
    }

    function keyAt(address snapshot, uint256 place) private view returns (uint256 key) {
        assembly ("memory-safe") {
            extcodecopy(snapshot, 0, add(1, mul(32, place)), 32)
            key := mload(0)
        }
    }

    function claimFromSnapshot(bytes memory batch) private returns (uint256) {
        return coordinator.claimSeats(taskId, round, true, batch);
    }

    function test_snapshotKeys_putsKeysIntoCode() public {
        vm.recordLogs();
        vm.prank(stranger);
        address snapshot = coordinator.snapshotKeys(0);
        vm.assertEq(vm.getRecordedLogs()[0].emitter, address(coordinator));
        vm.assertEq(snapshot.code.length, 1 + 96 * 32);
        vm.assertEq(uint256(uint8(snapshot.code[0])), 0);
        for (uint256 place = 0; place < 96; ++place) {
            uint256 key = place < 94 ? 0 : registry.activeKey(workers[place - 94]);
            vm.assertEq(keyAt(snapshot, place), key);
        }
        (address shown, uint96 active) = coordinator.keySegment(0);
        vm.assertEq(shown, snapshot);
        vm.assertEq(active, uint256(3) << 94);
        (shown, active) = coordinator.keySegment(1);
        vm.assertEq(shown, address(0));
        vm.assertEq(active, 7);
    }

    function test_snapshotKeys_emits() public {
        vm.recordLogs();
        address snapshot = coordinator.snapshotKeys(1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 1);
        vm.assertEq(logs[0].topics[0], KeysSnapshotted.selector);
        vm.assertEq(uint256(logs[0].topics[1]), 1);
        vm.assertEq(abi.decode(logs[0].data, (address)), snapshot);
        vm.assertEq(keyAt(snapshot, 0), registry.activeKey(workers[2]));
    }

    /// The code stops at once: to call it changes nothing and gives nothing.
    function test_snapshotKeys_isNoProgram() public {
        (bool done, bytes memory result) = coordinator.snapshotKeys(1).call(hex"12345678");
        vm.assertTrue(done);
        vm.assertEq(result.length, 0);
    }

    function test_claimSeats_fromSnapshots() public {
        coordinator.snapshotKeys(0);
        coordinator.snapshotKeys(1);
        toSortition();
        bytes memory entries;
        for (uint256 i = 0; i < 5; ++i) {
            entries = abi.encodePacked(entries, entryOf(workers[i]));
        }
        (bytes memory batch,) = batchOfAll();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SeatsClaimed(taskId, round, entries);
        vm.assertEq(claimFromSnapshot(batch), 5);
        list = bundle(entries);
        closeSortition();
        vm.assertEq(seatCount(), 5);
    }

    function test_claimSeats_fromSnapshots_inAnyOrder() public {
        coordinator.snapshotKeys(0);
        coordinator.snapshotKeys(1);
        toSortition();
        bytes memory batch = abi.encodePacked(
            claimOf(workers[4]), claimOf(workers[0]), claimOf(workers[3]), claimOf(workers[1]), claimOf(workers[2])
        );
        vm.assertEq(claimFromSnapshot(batch), 5);
    }

    /// Proofs are checked as ever.
    function test_claimSeats_fromSnapshots_skipsBadAndForeignProofs() public {
        coordinator.snapshotKeys(0);
        toSortition();
        bytes memory bad = claimOf(workers[0]);
        bad[100] ^= 0x01;
        bytes memory batch = abi.encodePacked(bad, claimWith(workers[1], proofOf(workers[0])));
        vm.assertEq(claimFromSnapshot(batch), 0);
        vm.assertEq(claimFromSnapshot(claimOf(workers[1])), 1);
        vm.assertEq(claimFromSnapshot(claimOf(workers[1])), 0);
    }

    function test_claimSeats_fromSnapshots_skipsAll_whereThereIsNone() public {
        coordinator.snapshotKeys(1);
        toSortition();
        (bytes memory batch,) = batchOfAll();
        // The second segment's alone.
        vm.assertEq(claimFromSnapshot(batch), 3);
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).claimed);
        vm.assertFalse(coordinator.enrolment(taskId, workers[1]).claimed);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 2);
    }

    /// Who registered since is in none, until the next.
    function test_claimSeats_fromSnapshots_skipsWhoCameLater() public {
        coordinator.snapshotKeys(1);
        address late = newWorker();
        enrol(late);
        toSortition();
        bytes memory claim_ = claimOf(late);
        vm.assertEq(claimFromSnapshot(claim_), 0);
        coordinator.snapshotKeys(1);
        vm.assertEq(claimFromSnapshot(claim_), 1);
    }

    function test_claimSeats_fromSnapshots_skipsWhoHasExited() public {
        address snapshot = coordinator.snapshotKeys(1);
        toSortition();
        bytes memory claim_ = claimOf(workers[2]);
        vm.prank(workers[2]);
        registry.requestExit();
        vm.assertTrue(keyAt(snapshot, 0) != 0);
        (, uint96 active) = coordinator.keySegment(1);
        vm.assertEq(active, 6);
        vm.assertEq(claimFromSnapshot(claim_), 0);
        // A new snapshot brings nobody back.
        vm.assertTrue(keyAt(coordinator.snapshotKeys(1), 0) != 0);
        vm.assertEq(claimFromSnapshot(claim_), 0);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, claim_), 0);
    }

    function fineBelowMinimum(address worker) private {
        vm.prank(address(coordinator));
        registry.fine(worker, 1);
    }

    function topUp(address worker) private {
        vm.prank(worker);
        registry.increaseBond{value: 1}();
    }

    /// Inactive when the snapshot was taken, active later: not in it, and not claimed for with a key of nothing.
    function test_claimSeats_fromSnapshots_skipsWhoWasInactiveThen() public {
        fineBelowMinimum(workers[2]);
        address snapshot = coordinator.snapshotKeys(1);
        vm.assertEq(keyAt(snapshot, 0), 0);
        topUp(workers[2]);
        toSortition();
        bytes memory claim_ = claimOf(workers[2]);
        vm.assertEq(claimFromSnapshot(claim_), 0);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, claim_), 1);
    }

    /// What an earlier snapshot holds is kept by the next, whoever is inactive in between.
    function test_snapshotKeys_keepsWhatItHad() public {
        coordinator.snapshotKeys(1);
        toSortition();
        fineBelowMinimum(workers[2]);
        address snapshot = coordinator.snapshotKeys(1);
        vm.assertEq(keyAt(snapshot, 0), registry.participant(workers[2]).vrfKey);
        bytes memory claim_ = claimOf(workers[2]);
        vm.assertEq(claimFromSnapshot(claim_), 0);
        topUp(workers[2]);
        vm.assertEq(claimFromSnapshot(claim_), 1);
    }

    /// Neighbours' bits and the snapshot's address stay as they are, whoever comes and goes.
    function test_fuzz_keySegment_followsWhoIsActive(uint256 moves) public {
        address snapshot = coordinator.snapshotKeys(1);
        uint256 expected = 7;
        for (uint256 i = 0; i < 24; ++i) {
            uint256 place = moves % 96;
            bool active = moves / 96 % 2 == 0;
            moves = uint256(keccak256(abi.encode(moves)));
            vm.prank(address(registry));
            IActiveKeys(address(coordinator)).activeKeyChanged(stranger, uint24(96 + place), active ? 5 : 0);
            expected = active ? expected | (1 << place) : expected & ~(uint256(1) << place);
            (address shown, uint96 bits) = coordinator.keySegment(1);
            vm.assertEq(shown, snapshot);
            vm.assertEq(bits, expected);
        }
        (, uint96 others) = coordinator.keySegment(0);
        vm.assertEq(others, uint256(3) << 94);
    }

    /// With too little gas to store the code there is no snapshot, and the last stays.
    function test_snapshotKeys_reverts_whenCodeCannotBeStored() public {
        address last = coordinator.snapshotKeys(0);
        bytes memory data = abi.encodeCall(coordinator.snapshotKeys, (0));
        bytes memory expected = abi.encodeWithSelector(KeyLib.SnapshotFailed.selector, 0);
        bool refused;
        for (uint256 gasLimit = 100_000; gasLimit < 1_500_000; gasLimit += 20_000) {
            (bool done, bytes memory result) = address(coordinator).call{gas: gasLimit}(data);
            if (done) break;
            if (keccak256(result) == keccak256(expected)) refused = true;
            (address shown,) = coordinator.keySegment(0);
            vm.assertEq(shown, last);
        }
        vm.assertTrue(refused);
        (address next,) = coordinator.keySegment(0);
        vm.assertTrue(next != last);
    }

    function test_snapshotKeys_reverts_beyondTheNumbers() public {
        vm.expectRevert();
        coordinator.snapshotKeys(type(uint24).max);
        vm.expectRevert();
        coordinator.snapshotKeys(type(uint256).max);
    }
}
