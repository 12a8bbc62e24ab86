// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

/// Whole rounds, from opening to credit.
contract RoundJourneyTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 5);
    }

    function test_round_finalizes_whenEveryoneIsHonest() public {
        finalizeRound();
        assertPhase(Phase.Finalized);
        TaskView memory shown = coordinator.task(taskId);
        vm.assertEq(shown.model.digest, modelOf(0).digest);
        vm.assertEq(shown.model.size, modelOf(0).size);
        vm.assertEq(shown.budget, BUDGET - 10 ether);
    }

    function test_round_conservesEther_overThreeRounds() public {
        for (uint256 i = 0; i < 3; ++i) {
            finalizeRound();
        }
        uint256 credits = creditOf(address(this));
        for (uint256 i = 0; i < workers.length; ++i) {
            credits += creditOf(workers[i]);
        }
        vm.assertEq(credits + coordinator.task(taskId).budget, BUDGET);
        vm.assertEq(address(coordinator).balance, BUDGET);
    }
}
