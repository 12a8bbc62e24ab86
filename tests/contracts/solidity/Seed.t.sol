// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase, VoidReason} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

contract FixSeedTest is RoundFixture {
    uint64 private seedBlock;
    bytes32 private constant HASH = keccak256("hash of the seed block");

    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 4);
        openRound();
        submitAll();
        coordinator.closeTraining(taskId);
        seedBlock = coordinator.currentRound(taskId).seedBlock;
    }

    function seedAfter(bytes32 previous, bytes32 hash) private view returns (bytes32) {
        bytes32 drawn = keccak256(abi.encode("flare/seed", previous, hash, taskId, uint256(round)));
        return bytes32(uint256(drawn) & ~uint256((1 << 72) - 1));
    }

    function test_fixSeed_hashesTheBlock() public {
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, HASH);
        bytes32 seed = seedAfter(0, HASH);
        uint64 deadline = uint64(block.timestamp) + 500;
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit SeedFixed(taskId, 1, 0, HASH, seed, type(uint256).max, deadline);
        vm.prank(stranger);
        coordinator.fixSeed(taskId);
        RoundView memory shown = coordinator.currentRound(taskId);
        vm.assertEq(shown.seed, seed);
        vm.assertEq(shown.deadline, deadline);
        vm.assertEq(shown.threshold, type(uint256).max);
        vm.assertEq(
            shown.alpha,
            keccak256(abi.encode("flare/alpha", block.chainid, address(coordinator), taskId, uint256(round), seed))
        );
        vm.assertEq(coordinator.vrfAlpha(taskId, round, seed), shown.alpha);
        vm.assertEq(coordinator.task(taskId).seed, seed);
    }

    /// What shares the seed's word leaves no trace in it.
    function test_fixSeed_clearsTheLow72Bits() public {
        fixSeed();
        bytes32 seed = coordinator.task(taskId).seed;
        vm.assertEq(uint256(seed) & ((1 << 72) - 1), 0);
        vm.assertGt(uint256(seed), 0);
        expire();
        advance();
        vm.assertTrue(coordinator.currentRound(taskId).widened);
        vm.assertEq(coordinator.task(taskId).seed, seed);
        vm.assertEq(coordinator.currentRound(taskId).alpha, coordinator.vrfAlpha(taskId, round, seed));
    }

    function test_fixSeed_chainsSeeds_overVoidRounds() public {
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, HASH);
        coordinator.fixSeed(taskId);
        bytes32 first = coordinator.task(taskId).seed;
        for (uint256 i = 0; i < 2; ++i) {
            expire();
            advance();
        }
        assertPhase(Phase.Void);
        openRound();
        submitAll();
        coordinator.closeTraining(taskId);
        seedBlock = coordinator.currentRound(taskId).seedBlock;
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, HASH);
        coordinator.fixSeed(taskId);
        vm.assertEq(coordinator.task(taskId).seed, seedAfter(first, HASH));
    }

    function test_fixSeed_reverts_beforeTheBlockIsThere() public {
        vm.roll(seedBlock);
        vm.expectRevert(abi.encodeWithSelector(SeedBlockNotReached.selector, seedBlock, seedBlock));
        coordinator.fixSeed(taskId);
    }

    function test_fixSeed_reverts_whenFixed() public {
        fixSeed();
        vm.expectRevert(abi.encodeWithSelector(SeedAlreadyFixed.selector, 1));
        coordinator.fixSeed(taskId);
    }

    function test_fixSeed_reverts_inAnotherPhase() public {
        fixSeed();
        claimAll();
        closeSortition();
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Sortition, Phase.Aggregation));
        coordinator.fixSeed(taskId);
    }

    /// A hash that can be had is used, however late: nobody draws again by waiting.
    function test_fixSeed_usesTheBlock_afterDeadline() public {
        expire();
        vm.roll(seedBlock + 200);
        vm.setBlockhash(seedBlock, HASH);
        coordinator.fixSeed(taskId);
        vm.assertEq(coordinator.task(taskId).seed, seedAfter(0, HASH));
    }

    /// EIP-2935 keeps 8,191 hashes where the opcode keeps 256.
    function test_fixSeed_asksHistory_after256Blocks() public {
        // Answers any block with the same hash.
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, abi.encodePacked(hex"7f", HASH, hex"60005260206000f3"));
        vm.roll(seedBlock + 1000);
        coordinator.fixSeed(taskId);
        vm.assertEq(coordinator.task(taskId).seed, seedAfter(0, HASH));
    }

    function test_fixSeed_movesTheBlock_twice_thenVoids() public {
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, "");
        for (uint8 move = 1; move <= 2; ++move) {
            vm.roll(seedBlock + 300);
            seedBlock = uint64(block.number) + 2;
            vm.expectEmit(true, true, true, true, address(coordinator));
            emit SeedBlockMoved(taskId, 1, move, seedBlock);
            coordinator.fixSeed(taskId);
            RoundView memory shown = coordinator.currentRound(taskId);
            vm.assertEq(shown.seedBlock, seedBlock);
            vm.assertEq(shown.seedAttempt, move);
            vm.assertEq(shown.deadline, block.timestamp + 100);
        }
        vm.roll(seedBlock + 300);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RoundVoided(taskId, 1, VoidReason.SeedExpired);
        coordinator.fixSeed(taskId);
        assertPhase(Phase.Void);
        vm.assertEq(coordinator.task(taskId).seed, 0);
    }

    function test_fixSeed_movesTheBlock_whenItDidNotComeInTime() public {
        expire();
        advance();
        vm.assertEq(coordinator.currentRound(taskId).seedAttempt, 1);
    }
}
