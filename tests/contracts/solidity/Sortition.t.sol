// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParticipantRegistryErrors} from "../../../contracts/interfaces/IParticipantRegistry.sol";
import {IRoundCoordinator} from "../../../contracts/interfaces/IRoundCoordinator.sol";
import {Phase} from "../../../contracts/types/Phase.sol";
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
    function test_claimSeat_takesClaim_whoeverCarriesTheProof() public {
        bytes memory claim_ = claimOf(workers[0]);
        bytes memory entry = entryOf(workers[0]);
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).claimed);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SeatsClaimed(taskId, 1, entry);
        vm.prank(stranger);
        coordinator.claimSeat(taskId, round, claim_);
        vm.assertEq(claimCount(), 1);
        vm.assertEq(seatCount(), 0);
        vm.assertTrue(coordinator.enrolment(taskId, workers[0]).claimed);
        vm.assertTrue(coordinator.enrolment(taskId, workers[0]).counting);
        vm.assertFalse(coordinator.enrolment(taskId, workers[1]).claimed);
    }

    function test_claimSeat_reverts_whenClaimed() public {
        claim(workers[0]);
        bytes memory again = claimOf(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(SeatAlreadyClaimed.selector, 1, workers[0]));
        coordinator.claimSeat(taskId, round, again);
    }

    function test_claimSeat_reverts_whenProofIsAnotherWorkers() public {
        bytes memory foreign = claimWith(workers[1], proofOf(workers[0]));
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[1]));
        coordinator.claimSeat(taskId, round, foreign);
    }

    function test_claimSeat_reverts_whenProofIsAnotherRounds() public {
        requireForeign(coordinator.vrfAlpha(taskId, round + 1, coordinator.currentRound(taskId).seed));
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
        bytes memory claim_ = claimOf(workers[0]);
        vm.chainId(99);
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, claim_);
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
        bytes memory foreign = claimWith(workers[0], VrfProver.prove(secretOf[workers[0]], alpha));
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, foreign);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, foreign), 0);
        vm.assertFalse(coordinator.enrolment(taskId, workers[0]).claimed);
    }

    function test_claimSeat_reverts_whenAlteredOrOfAnotherLength() public {
        bytes memory claim_ = claimOf(workers[0]);
        expectMalformed(abi.encodePacked(claim_, hex"00"));
        expectMalformed("");
        expectMalformed(abi.encodePacked(numberOf(workers[0])));
        bytes memory short = claimOf(workers[0]);
        assembly ("memory-safe") {
            mstore(short, sub(mload(short), 1))
        }
        expectMalformed(short);
        // One skipped counter more than there is.
        claim_[3] = bytes1(uint8(claim_[3]) + 1);
        expectMalformed(claim_);
        bytes memory bad = claimOf(workers[0]);
        bad[100] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, round, bad);
    }

    function expectMalformed(bytes memory claim_) private {
        vm.expectRevert(abi.encodeWithSelector(MalformedClaims.selector, 0));
        coordinator.claimSeat(taskId, round, claim_);
    }

    function test_claimSeat_reverts_whenNotEnrolled() public {
        address late = newWorker();
        enrol(late);
        bytes memory claim_ = claimOf(late);
        vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, late));
        coordinator.claimSeat(taskId, round, claim_);
    }

    /// A proof that is right, under a number that is another's or nobody's: 0, not given yet, or never to be.
    function test_claimSeat_reverts_whenNumberIsNobodys() public {
        bytes memory proof = proofOf(workers[0]);
        uint24[3] memory numbers = [0, 6, type(uint24).max];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(NotEnrolled.selector, taskId, address(0)));
            coordinator.claimSeat(taskId, round, abi.encodePacked(numbers[i], proof));
        }
    }

    function test_claimSeat_reverts_afterExitRequest() public {
        bytes memory claim_ = claimOf(workers[0]);
        vm.prank(workers[0]);
        registry.requestExit();
        vm.expectRevert(abi.encodeWithSelector(NotActiveParticipant.selector, workers[0]));
        coordinator.claimSeat(taskId, round, claim_);
    }

    function test_claimSeat_takesTheLastSecond_andNotOneMore() public {
        bytes memory first = claimOf(workers[0]);
        bytes memory second = claimOf(workers[1]);
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        coordinator.claimSeat(taskId, round, first);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        coordinator.claimSeat(taskId, round, second);
    }

    function test_claimSeat_reverts_inAnotherRound() public {
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 2, 1));
        coordinator.claimSeat(taskId, 2, "");
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 0, 1));
        coordinator.claimSeat(taskId, 0, "");
    }

    function test_claimSeat_reverts_inATaskWithoutRounds() public {
        taskId = createTask(defaultRules());
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.None));
        coordinator.claimSeat(taskId, 0, "");
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 1, 0));
        coordinator.claimSeat(taskId + 1, 1, "");
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

/// When claims are taken: from the fixed seed until SORTITION is closed, and no word of an earlier round stands in.
contract ClaimSeatTimesTest is SortitionTest {
    bytes private late;

    /// A claim for the round that is open, or was last.
    function expectRefused(uint32 round_, bytes memory error) private {
        vm.expectRevert(error);
        coordinator.claimSeat(taskId, round_, late);
        vm.expectRevert(error);
        coordinator.claimSeats(taskId, round_, false, late);
    }

    /// SORTITION is closed early; the next round is opened while the deadline of this one's claims is still to come.
    function test_claimSeat_reverts_onceClosed_andBeforeTheNextSeed() public {
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        late = claimOf(workers[0]);
        claimAll();
        closeSortition();
        expectRefused(1, abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Aggregation));
        propose();
        approveAll();
        coordinator.closeValidation(taskId);
        reveal();
        expectRefused(1, abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Finalized));
        openRound();
        expectRefused(1, abi.encodeWithSelector(WrongRound.selector, 1, 2));
        expectRefused(2, abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Training));
        submitAll();
        coordinator.closeTraining(taskId);
        expectRefused(1, abi.encodeWithSelector(WrongRound.selector, 1, 2));
        expectRefused(2, abi.encodeWithSelector(SeedNotFixed.selector, 2));
        vm.assertLe(block.timestamp, deadline);
        // Nor is a proof for the last round one for this.
        fixSeed();
        vm.expectRevert(abi.encodeWithSelector(ProofInvalid.selector, workers[0]));
        coordinator.claimSeat(taskId, 2, late);
    }

    /// Widening lets more win by the same proofs, until a new deadline; who has claimed has claimed.
    function test_claimSeat_inTheWidenedRound() public {
        late = claimOf(workers[0]);
        claim(workers[0]);
        expire();
        closeSortition();
        vm.assertTrue(coordinator.currentRound(taskId).widened);
        vm.assertEq(claimCount(), 1);
        vm.expectRevert(abi.encodeWithSelector(SeatAlreadyClaimed.selector, 1, workers[0]));
        coordinator.claimSeat(taskId, 1, late);
        late = claimOf(workers[1]);
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        claim(workers[2]);
        vm.assertEq(claimCount(), 2);
        vm.warp(deadline + 1);
        expectRefused(1, abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        closeSortition();
        assertPhase(Phase.Void);
        vm.warp(deadline);
        expectRefused(1, abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Void));
    }

    function test_claimSeat_reverts_beforeSeed() public {
        round = 0;
        startTask(defaultRules(), 5);
        openRound();
        submitAll();
        expectRefused(1, abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Training));
        coordinator.closeTraining(taskId);
        expectRefused(1, abi.encodeWithSelector(SeedNotFixed.selector, 1));
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
        bytes memory batch;
        for (uint256 i = 0; i < workers.length; ++i) {
            uint256 output = outputOf(workers[i]);
            bytes memory claim_ = claimOf(workers[i]);
            if (output <= threshold) continue;
            ++refused;
            batch = abi.encodePacked(batch, claim_);
            vm.expectRevert(abi.encodeWithSelector(OutputAboveThreshold.selector, output, threshold));
            coordinator.claimSeat(taskId, round, claim_);
        }
        vm.assertTrue(refused > 0 && refused < 8);
        vm.assertEq(coordinator.claimSeats(taskId, round, false, batch), 0);
        for (uint256 i = 0; i < workers.length; ++i) {
            if (outputOf(workers[i]) <= threshold) claim(workers[i]);
        }
        vm.assertEq(claimCount(), workers.length - refused);
    }

    function test_widening_admitsMore() public {
        expire();
        uint64 deadline = uint64(block.timestamp) + 500;
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SortitionWidened(taskId, 1, type(uint256).max / 8 * 6, deadline);
        closeSortition();
        RoundView memory shown = coordinator.currentRound(taskId);
        assertPhase(Phase.Sortition);
        vm.assertTrue(shown.widened);
        vm.assertEq(shown.threshold, type(uint256).max / 8 * 6);
        vm.assertEq(shown.deadline, deadline);
    }
}
