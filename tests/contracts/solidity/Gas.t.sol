// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RejectReason} from "../../../contracts/types/Phase.sol";
import {EcVrfHarness} from "./EcVrfHarness.sol";
import {RoundFixture} from "./support/RoundFixture.sol";
import {VrfProver} from "./support/VrfProver.sol";

/// What actions cost, as committed in tests/snapshots/gas. Transactions, all in, are measured by scripts/bench.
contract GasTest is RoundFixture {
    /// The goal of the library: 12,000 gas on average, no precompile but ecrecover and SHA-256.
    function test_gas_verify() public {
        EcVrfHarness harness = new EcVrfHarness();
        uint256 total;
        for (uint256 i = 0; i < 128; ++i) {
            (uint256 secret, uint256 key) = VrfProver.keyOf(i);
            bytes32 alpha = keccak256(abi.encode("gas", i));
            total += harness.measure(key, alpha, VrfProver.prove(secret, alpha));
        }
        vm.assertLe(total / 128, 12_000);
        vm.snapshotValue("EcVrf", "verify, mean of 128", total / 128);
    }

    function snapshot(string memory name) private {
        vm.snapshotGasLastCall("RoundCoordinator", name);
    }

    /// The third round of a task of five.
    function test_gas_round() public {
        startTask(defaultRules(), 5);
        finalizeRound();
        finalizeRound();
        vm.cool(address(coordinator));
        openRound();
        snapshot("openRound");
        vm.cool(address(coordinator));
        submit(workers[0], 100);
        snapshot("submitUpdate, settling the last");
        for (uint256 i = 1; i < 5; ++i) {
            submit(workers[i], uint32(100 * (i + 1)));
        }
        vm.cool(address(coordinator));
        coordinator.closeTraining(taskId);
        snapshot("closeTraining");
        fixSeed();
        for (uint256 i = 0; i < 5; ++i) {
            bytes memory claim_ = claimOf(workers[i]);
            list = abi.encodePacked(list, bundle(entryOf(workers[i])));
            if (claim_.length == 276) {
                vm.cool(address(coordinator));
                coordinator.claimSeat(taskId, round, claim_);
                snapshot("claimSeat, no counter skipped");
            } else {
                coordinator.claimSeat(taskId, round, claim_);
            }
        }
        vm.cool(address(coordinator));
        closeSortition();
        snapshot("closeSortition, 5 seats");
        propose();
        address voter = seated(1);
        bytes32 commitment = commitmentOf(voter, INNER);
        vm.cool(address(coordinator));
        vm.prank(voter);
        coordinator.vote(taskId, round, 0, 1, commitment, RejectReason.None);
        snapshot("vote");
        for (uint256 rank = 2; rank < 5; ++rank) {
            approve(seated(rank));
        }
        vm.cool(address(coordinator));
        coordinator.closeValidation(taskId);
        snapshot("closeValidation");
        vm.cool(address(coordinator));
        coordinator.reveal(taskId, round, 0, INNER);
        snapshot("reveal, 5 seats");
    }

    /// Claims of five in one transaction, in a round after the first.
    function claimTogether(bool fromSnapshot, string memory name) private {
        startTask(defaultRules(), 5);
        finalizeRound();
        if (fromSnapshot) {
            vm.cool(address(coordinator));
            coordinator.snapshotKeys(0);
            snapshot("snapshotKeys, 5 of 96");
        }
        toSortition();
        bytes memory batch;
        for (uint256 i = 0; i < 5; ++i) {
            batch = abi.encodePacked(batch, claimOf(workers[i]));
        }
        vm.cool(address(coordinator));
        uint256 claimed = coordinator.claimSeats(taskId, round, fromSnapshot, batch);
        snapshot(name);
        vm.assertEq(claimed, 5);
    }

    function test_gas_claimSeats() public {
        claimTogether(false, "claimSeats, 5");
    }

    function test_gas_claimSeats_fromSnapshot() public {
        claimTogether(true, "claimSeats, 5 from a snapshot");
    }
}
