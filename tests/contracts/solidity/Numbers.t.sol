// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParticipantRegistryErrors} from "../../../contracts/interfaces/IParticipantRegistry.sol";
import {RegistryTest} from "./ParticipantRegistry.t.sol";

/// Numbers of participants, from 1 to as many as 24 bits count.
contract NumberTest is RegistryTest {
    function test_register_numbersAccounts_inTheirOrder() public {
        for (uint24 number = 1; number <= 3; ++number) {
            vm.assertEq(registry.participant(newWorker()).number, number);
            vm.assertEq(registry.participants(), number);
        }
        vm.assertEq(registry.participant(stranger).number, 0);
    }

    /// A number outlives the account: it is never another's.
    function test_withdrawBond_keepsTheNumber() public {
        registerAccount();
        exitAccount();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(account);
        registry.withdrawBond();
        vm.assertEq(registry.participant(account).number, 1);
        vm.assertEq(registry.participant(newWorker()).number, 2);
    }

    function test_register_reverts_whenAllNumbersAreGiven() public {
        registerMany(type(uint24).max);
        bytes memory proof = possession(account);
        vm.expectRevert(
            abi.encodeWithSelector(IParticipantRegistryErrors.RegistryFull.selector, uint256(type(uint24).max))
        );
        vm.prank(account);
        registry.register{value: BOND}(key, proof);
    }

    /// The highest number is as good as any.
    function test_register_givesTheHighestNumber() public {
        registerMany(type(uint24).max - 2);
        startTask(defaultRules(), 2);
        vm.assertEq(registry.participant(workers[1]).number, type(uint24).max);
        toAggregation();
        vm.assertEq(seatCount(), 2);
    }
}
