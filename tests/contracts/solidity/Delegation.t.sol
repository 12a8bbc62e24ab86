// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TaskActions} from "../../../contracts/TaskActions.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

interface ICode {
    function taskCode() external view returns (address);
    function viewCode() external view returns (address);
}

/// The code that the coordinator runs on its own storage does nothing at its own address.
contract DelegationTest is RoundFixture {
    function codes() private view returns (address[2] memory) {
        return [ICode(address(coordinator)).taskCode(), ICode(address(coordinator)).viewCode()];
    }

    function test_taskActions_revert_whenCalledDirectly() public {
        address code = codes()[0];
        ContentId memory object = ContentId(keccak256("object"), 100);
        bytes[6] memory calls = [
            abi.encodeCall(coordinator.createTask, (defaultRules(), object, object)),
            abi.encodeCall(coordinator.fundTask, (1)),
            abi.encodeCall(coordinator.invite, (1, new address[](1))),
            abi.encodeCall(coordinator.endTask, (1)),
            abi.encodeCall(coordinator.withdrawRemainder, (1)),
            abi.encodeCall(coordinator.snapshotKeys, (0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            for (uint256 value = 0; value < (i < 2 ? 2 : 1); ++value) {
                vm.prank(owner);
                (bool done, bytes memory result) = code.call{value: value}(calls[i]);
                vm.assertFalse(done);
                vm.assertEq(result, abi.encodeWithSelector(TaskActions.NotDelegated.selector));
            }
        }
    }

    function test_code_takesNoEther_andAnswersNothingElse() public {
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(owner);
            (bool done,) = codes()[i].call{value: 1}("");
            vm.assertFalse(done);
            vm.prank(owner);
            (done,) = codes()[i].call(hex"12345678");
            vm.assertFalse(done);
        }
    }

    /// What is not payable refuses ether at the coordinator's address, too.
    function test_coordinator_refusesEther_whereNoneIsDue() public {
        taskId = createTask(defaultRules());
        bytes[4] memory calls = [
            abi.encodeCall(coordinator.invite, (taskId, new address[](0))),
            abi.encodeCall(coordinator.endTask, (taskId)),
            abi.encodeCall(coordinator.snapshotKeys, (0)),
            abi.encodeCall(coordinator.taskCount, ())
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(owner);
            (bool done,) = address(coordinator).call{value: 1}(calls[i]);
            vm.assertFalse(done);
            vm.prank(owner);
            (done,) = address(coordinator).call(calls[i]);
            vm.assertTrue(done);
        }
    }

    /// What the code returns, or reverts with, is the coordinator's answer; what it emits comes from the coordinator.
    function test_coordinator_answersAsTheCodeDoes() public {
        vm.recordLogs();
        vm.assertEq(createTask(defaultRules()), 1);
        vm.assertEq(createTask(defaultRules()), 2);
        vm.assertEq(coordinator.taskCount(), 2);
        vm.assertEq(vm.getRecordedLogs()[0].emitter, address(coordinator));
        vm.expectRevert(abi.encodeWithSelector(TaskUnknown.selector, 7));
        coordinator.fundTask(7);
        vm.expectRevert(abi.encodeWithSelector(NotTaskOwner.selector, 1, stranger));
        vm.prank(stranger);
        coordinator.endTask(1);
    }
}
