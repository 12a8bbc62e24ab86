// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParticipantRegistryErrors} from "../../../contracts/interfaces/IParticipantRegistry.sol";
import {IRoundCoordinator} from "../../../contracts/interfaces/IRoundCoordinator.sol";
import {Phase, RejectReason, VoidReason} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";
import {VrfProver} from "./support/VrfProver.sol";

abstract contract SortitionTest is RoundFixture {
    function setUp() public virtual override {
        super.setUp();
        startTask(defaultRules(), 5);
        toSortition();
    }
}

contract ClaimSeatTest is SortitionTest {
    function test_claimSeat_takesSeat_whoeverCarriesTheProof() public {
        bytes memory proof = proofOf(workers[0]);
        uint256 output = outputOf(workers[0]);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SeatClaimed(taskId, 1, workers[0], 0, output);
        vm.prank(stranger);
        coordinator.claimSeat(taskId, round, workers[0], proof);
        SeatView[] memory seats = coordinator.currentRound(taskId).seats;
        vm.assertEq(seats.length, 1);
        vm.assertEq(seats[0].member, workers[0]);
        vm.assertEq(seats[0].outputPrefix, output >> 160);
        vm.assertFalse(seats[0].voted);
        vm.assertEq(coordinator.enrolment(taskId, workers[0]).seatRound, 1);
        vm.assertEq(coordinator.enrolment(taskId, workers[0]).lastActiveRound, 1);
    }

    function test_claimSeat_ranksByOutput() public {
        claimAll();
        SeatView[] memory seats = coordinator.currentRound(taskId).seats;
        for (uint256 i = 0; i < seats.length; ++i) {
            vm.assertEq(seats[i].member, workers[i]);
            uint256 lower;
            for (uint256 j = 0; j < seats.length; ++j) {
                if (seats[j].outputPrefix < seats[i].outputPrefix) ++lower;
            }
            vm.assertEq(seats[i].rank, lower);
        }
    }

    function test_claimSeat_reverts_whenClaimed() public {
        claim(workers[0]);
        bytes memory proof = proofOf(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(SeatAlreadyClaimed.selector, 1, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], proof);
    }

    function test_claimSeat_reverts_whenProofIsAnotherWorkers() public {
        bytes memory proof = proofOf(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[1]));
        coordinator.claimSeat(taskId, round, workers[1], proof);
    }

    function test_claimSeat_reverts_whenProofIsAnotherRounds() public {
        bytes32 seed = coordinator.currentRound(taskId).seed;
        bytes memory proof = VrfProver.prove(secretOf[workers[0]], coordinator.vrfAlpha(taskId, round + 1, seed));
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], proof);
    }

    function test_claimSeat_reverts_whenProofIsOfAnotherSeed() public {
        requireForeign(coordinator.vrfAlpha(taskId, round, ~coordinator.currentRound(taskId).seed));
    }

    function test_claimSeat_provesTheHashOfSixFields() public view {
        bytes32 seed = coordinator.currentRound(taskId).seed;
        vm.assertEq(
            coordinator.vrfAlpha(taskId, round, seed),
            keccak256(abi.encode("flare/alpha", block.chainid, address(coordinator), taskId, round, seed))
        );
    }

    function test_claimSeat_reverts_whenProofIsAnotherChains() public {
        bytes memory proof = proofOf(workers[0]);
        vm.chainId(99);
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], proof);
    }

    function test_claimSeat_reverts_whenProofIsAnotherContracts() public {
        IRoundCoordinator other =
            IRoundCoordinator(deploy("RoundCoordinator.sol:RoundCoordinator", abi.encode(BOND, UNBONDING)));
        requireForeign(other.vrfAlpha(taskId, round, coordinator.currentRound(taskId).seed));
    }

    function test_claimSeat_reverts_whenProofIsAnotherTasks() public {
        requireForeign(coordinator.vrfAlpha(taskId + 1, round, coordinator.currentRound(taskId).seed));
    }

    /// A proof that is good for another message wins nothing here, alone or in a batch.
    function requireForeign(bytes32 alpha) private {
        bytes memory proof = VrfProver.prove(secretOf[workers[0]], alpha);
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], proof);
        vm.assertEq(coordinator.claimSeats(taskId, round, claimEntry(workers[0], proof)), 0);
    }

    function test_claimSeat_reverts_whenProofIsMalformed() public {
        bytes memory proof = proofOf(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], abi.encodePacked(proof, hex"00"));
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], "");
    }

    function test_claimSeat_reverts_whenNotEnrolled() public {
        address late = newWorker();
        enrol(late);
        bytes memory proof = proofOf(late);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, late));
        coordinator.claimSeat(taskId, round, late, proof);
    }

    function test_claimSeat_reverts_afterExitRequest() public {
        bytes memory proof = proofOf(workers[0]);
        vm.prank(workers[0]);
        registry.requestExit();
        vm.expectRevert(abi.encodeWithSelector(NotActiveParticipant.selector, workers[0]));
        coordinator.claimSeat(taskId, round, workers[0], proof);
    }

    function test_claimSeat_takesTheLastSecond_andNotOneMore() public {
        bytes memory first = proofOf(workers[0]);
        bytes memory second = proofOf(workers[1]);
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        coordinator.claimSeat(taskId, round, workers[0], first);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        coordinator.claimSeat(taskId, round, workers[1], second);
    }

    function test_claimSeat_reverts_beforeSeed() public {
        round = 0;
        startTask(defaultRules(), 5);
        openRound();
        submitAll();
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Training));
        coordinator.claimSeat(taskId, round, workers[0], "");
        coordinator.closeTraining(taskId);
        vm.expectRevert(abi.encodeWithSelector(SeedNotFixed.selector, 1));
        coordinator.claimSeat(taskId, round, workers[0], "");
    }

    function test_claimSeat_reverts_inAnotherRound() public {
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 2, 1));
        coordinator.claimSeat(taskId, 2, workers[0], "");
    }

    /// Keys cannot be chosen for a seed: an account that has withdrawn its bond never comes back.
    function test_claimSeat_reverts_whenKeyWasReplaced() public {
        vm.prank(workers[0]);
        registry.requestExit();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(workers[0]);
        registry.withdrawBond();
        (uint256 secret, uint256 key) = VrfProver.keyOf(1234);
        bytes memory possession = VrfProver.prove(secret, registry.possessionAlpha(workers[0]));
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistryErrors.AlreadyRegistered.selector, workers[0]));
        vm.prank(workers[0]);
        registry.register{value: BOND}(key, possession);
    }
}

contract ThresholdTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 3;
        rules.maxSeats = 8;
        startTask(rules, 8);
        toSortition();
    }

    function test_threshold_isExpectedOverEnrolled() public view {
        vm.assertEq(coordinator.currentRound(taskId).threshold, type(uint256).max / 8 * 3);
    }

    function test_claimSeat_reverts_aboveThreshold() public {
        uint256 threshold = coordinator.currentRound(taskId).threshold;
        uint256 refused;
        for (uint256 i = 0; i < workers.length; ++i) {
            uint256 output = outputOf(workers[i]);
            bytes memory proof = proofOf(workers[i]);
            if (output > threshold) {
                ++refused;
                vm.expectRevert(abi.encodeWithSelector(OutputAboveThreshold.selector, output, threshold));
            }
            coordinator.claimSeat(taskId, round, workers[i], proof);
        }
        vm.assertGt(refused, 0);
        vm.assertEq(seatCount(), workers.length - refused);
    }

    function test_widening_admitsMore() public {
        expire();
        uint64 deadline = uint64(block.timestamp) + 500;
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SortitionWidened(taskId, 1, type(uint256).max / 8 * 6, deadline);
        coordinator.closeSortition(taskId);
        RoundView memory shown = coordinator.currentRound(taskId);
        assertPhase(Phase.Sortition);
        vm.assertTrue(shown.widened);
        vm.assertEq(shown.threshold, type(uint256).max / 8 * 6);
        vm.assertEq(shown.deadline, deadline);
    }
}

contract EvictionTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 4;
        rules.maxSeats = 3;
        rules.thresholdBasisPoints = 6000;
        startTask(rules, 4);
        // All four win (no more than E are enrolled) and three can sit.
        toSortition();
        sortByOutput();
    }

    /// Order `workers` by output, ascending.
    function sortByOutput() private {
        for (uint256 i = 1; i < workers.length; ++i) {
            for (uint256 j = i; j > 0 && outputOf(workers[j]) < outputOf(workers[j - 1]); --j) {
                (workers[j], workers[j - 1]) = (workers[j - 1], workers[j]);
            }
        }
    }

    function assertLowestThreeSit() private {
        vm.assertEq(seatCount(), 3);
        for (uint256 rank = 0; rank < 3; ++rank) {
            vm.assertEq(seated(rank), workers[rank]);
        }
        coordinator.closeSortition(taskId);
        for (uint256 rank = 0; rank < 3; ++rank) {
            vm.assertEq(seated(rank), workers[rank]);
        }
    }

    function test_claimSeat_evictsHighest_fromAnyPlaceInTheList() public {
        uint256[4][3] memory orders = [[uint256(3), 1, 2, 0], [uint256(1), 3, 2, 0], [uint256(2), 1, 3, 0]];
        uint8[3] memory indices = [0, 1, 2];
        for (uint256 i = 0; i < 3; ++i) {
            if (i != 0) {
                expire();
                coordinator.advance(taskId);
                finishByFailure();
                toSortition();
                sortByOutput();
            }
            for (uint256 k = 0; k < 3; ++k) {
                claim(workers[orders[i][k]]);
            }
            bytes memory proof = proofOf(workers[orders[i][3]]);
            vm.expectEmit(true, true, true, true, address(coordinator));
            emit SeatEvicted(taskId, round, workers[3], indices[i]);
            coordinator.claimSeat(taskId, round, workers[orders[i][3]], proof);
            assertLowestThreeSit();
        }
    }

    function finishByFailure() private {
        while (phase() != Phase.Void) {
            expire();
            coordinator.advance(taskId);
        }
    }

    function test_claimSeat_reverts_whenFullOfLowerOutputs() public {
        for (uint256 i = 0; i < 3; ++i) {
            claim(workers[i]);
        }
        bytes memory proof = proofOf(workers[3]);
        uint256 output = outputOf(workers[3]);
        vm.expectRevert(abi.encodeWithSelector(CommitteeFull.selector, output));
        coordinator.claimSeat(taskId, round, workers[3], proof);
    }

    function test_claimSeat_reverts_whenEvicted() public {
        for (uint256 i = 4; i > 0; --i) {
            claim(workers[i - 1]);
        }
        bytes memory proof = proofOf(workers[3]);
        vm.expectRevert(abi.encodeWithSelector(SeatAlreadyClaimed.selector, round, workers[3]));
        coordinator.claimSeat(taskId, round, workers[3], proof);
    }

    function test_vote_reverts_whenEvicted() public {
        for (uint256 i = 4; i > 0; --i) {
            claim(workers[i - 1]);
        }
        coordinator.closeSortition(taskId);
        propose();
        vm.expectRevert(abi.encodeWithSelector(NotSeated.selector, workers[3]));
        vm.prank(workers[3]);
        coordinator.vote(taskId, round, 0, bytes32(uint256(1)), RejectReason.None);
    }

    function test_claimSeats_evicts_withinOneBatch() public {
        bytes memory batch;
        for (uint256 i = 4; i > 0; --i) {
            batch = abi.encodePacked(batch, claimEntry(workers[i - 1], proofOf(workers[i - 1])));
        }
        vm.assertEq(coordinator.claimSeats(taskId, round, batch), 4);
        assertLowestThreeSit();
    }

    function test_claimSeats_skipsLosers() public {
        bytes memory batch;
        for (uint256 i = 0; i < 4; ++i) {
            batch = abi.encodePacked(batch, claimEntry(workers[i], proofOf(workers[i])));
        }
        vm.assertEq(coordinator.claimSeats(taskId, round, batch), 3);
        expire();
        assertLowestThreeSit();
    }
}

contract ClaimSeatsTest is SortitionTest {
    function test_claimSeats_seatsAll() public {
        bytes memory batch;
        for (uint256 i = 0; i < workers.length; ++i) {
            batch = abi.encodePacked(batch, claimEntry(workers[i], proofOf(workers[i])));
        }
        vm.prank(stranger);
        vm.assertEq(coordinator.claimSeats(taskId, round, batch), 5);
        vm.assertEq(seatCount(), 5);
        coordinator.closeSortition(taskId);
    }

    function test_claimSeats_skipsBadDuplicateAndForeignClaims() public {
        bytes memory bad = proofOf(workers[1]);
        bad[100] ^= 0x01;
        bytes memory batch = abi.encodePacked(
            claimEntry(workers[1], bad),
            claimEntry(workers[0], proofOf(workers[0])),
            claimEntry(workers[0], proofOf(workers[0])),
            claimEntry(stranger, proofOf(workers[2])),
            claimEntry(workers[3], ""),
            claimEntry(workers[2], proofOf(workers[2]))
        );
        vm.assertEq(coordinator.claimSeats(taskId, round, batch), 2);
        vm.assertEq(seatCount(), 2);
        claim(workers[1]);
    }

    function test_claimSeats_reverts_whenMalformed() public {
        bytes memory entry = claimEntry(workers[0], proofOf(workers[0]));
        vm.expectRevert(abi.encodeWithSelector(MalformedClaims.selector, entry.length));
        coordinator.claimSeats(taskId, round, abi.encodePacked(entry, bytes21(0)));
        bytes memory short = abi.encodePacked(workers[1], uint16(10), bytes9(0));
        vm.expectRevert(abi.encodeWithSelector(MalformedClaims.selector, entry.length));
        coordinator.claimSeats(taskId, round, abi.encodePacked(entry, short));
    }

    function test_claimSeats_claimsNothing_whenEmpty() public {
        vm.assertEq(coordinator.claimSeats(taskId, round, ""), 0);
    }

    function test_claimSeats_reverts_afterDeadline() public {
        expire();
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        coordinator.claimSeats(taskId, round, "");
    }

    /// However little gas the carrier sends, the batch is done in full or not at all: a precompile that starves takes
    /// 63/64 of what was left with it.
    function test_claimSeats_isAllOrNothing_whateverTheGas() public {
        bytes memory batch;
        for (uint256 i = 0; i < 3; ++i) {
            batch = abi.encodePacked(batch, claimEntry(workers[i], proofOf(workers[i])));
        }
        bytes memory data = abi.encodeCall(coordinator.claimSeats, (taskId, round, batch));
        for (uint256 gasLimit = 30_000; gasLimit < 400_000; gasLimit += 997) {
            (bool done, bytes memory result) = address(coordinator).call{gas: gasLimit}(data);
            if (!done) continue;
            vm.assertEq(abi.decode(result, (uint256)), 3);
            vm.assertEq(seatCount(), 3);
            return;
        }
        revert("never enough gas");
    }
}

contract CloseSortitionTest is SortitionTest {
    function test_closeSortition_early_whenAllHaveClaimed() public {
        claimAll();
        uint64 deadline = uint64(block.timestamp) + 300;
        address first = seated(0);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SortitionClosed(taskId, 1, 5, 4, deadline);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit AttemptOpened(taskId, 1, 0, first, deadline);
        coordinator.closeSortition(taskId);
        RoundView memory shown = coordinator.currentRound(taskId);
        assertPhase(Phase.Aggregation);
        vm.assertEq(shown.quorum, 4);
        vm.assertEq(shown.attempt, 0);
        vm.assertEq(shown.deadline, deadline);
        vm.assertEq(shown.proposal.digest, 0);
        vm.assertEq(shown.approvals, 0);
    }

    function test_closeSortition_reverts_early_whenOneIsMissing() public {
        for (uint256 i = 0; i < 4; ++i) {
            claim(workers[i]);
        }
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, deadline, deadline));
        coordinator.closeSortition(taskId);
        expire();
        coordinator.closeSortition(taskId);
        assertPhase(Phase.Aggregation);
        vm.assertEq(seatCount(), 4);
    }

    function test_closeSortition_widensOnce_thenVoids() public {
        for (uint256 i = 0; i < 3; ++i) {
            claim(workers[i]);
        }
        expire();
        coordinator.closeSortition(taskId);
        vm.assertTrue(coordinator.currentRound(taskId).widened);
        vm.assertEq(seatCount(), 3);
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RoundVoided(taskId, 1, VoidReason.TooFewSeats);
        coordinator.closeSortition(taskId);
        assertPhase(Phase.Void);
        vm.assertEq(coordinator.task(taskId).consecutiveVoids, 1);
    }

    function test_closeSortition_proceeds_whenWideningHelped() public {
        for (uint256 i = 0; i < 3; ++i) {
            claim(workers[i]);
        }
        expire();
        coordinator.closeSortition(taskId);
        claim(workers[3]);
        expire();
        coordinator.closeSortition(taskId);
        assertPhase(Phase.Aggregation);
    }

    function test_closeSortition_reverts_beforeSeed() public {
        round = 0;
        startTask(defaultRules(), 5);
        openRound();
        submitAll();
        coordinator.closeTraining(taskId);
        vm.expectRevert(abi.encodeWithSelector(SeedNotFixed.selector, 1));
        coordinator.closeSortition(taskId);
    }

    function test_closeSortition_reverts_inAnotherPhase() public {
        claimAll();
        coordinator.closeSortition(taskId);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Aggregation));
        coordinator.closeSortition(taskId);
    }
}
