// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors, IRoundCoordinatorTypes} from "./interfaces/IRoundCoordinator.sol";
import {PhaseLib} from "./libraries/PhaseLib.sol";
import {Keys} from "./types/Keys.sol";
import {TaskState} from "./types/TaskState.sol";

/// @title What the coordinator keeps
/// @notice The first and only contract with state in the inheritance of `RoundCoordinator`, `TaskActions` and
/// `RoundViews`, so that the first may run the code of the others on its storage.
abstract contract RoundStorage is IRoundCoordinatorTypes, IRoundCoordinatorErrors {
    /// Tasks created so far: the newest task's id.
    // Written by the coordinator alone; RoundViews runs in its storage.
    // slither-disable-next-line uninitialized-state
    uint256 internal _taskCount;

    mapping(uint256 taskId => TaskState) internal _tasks;

    // Written by the coordinator alone; RoundViews runs in its storage.
    // slither-disable-next-line uninitialized-state
    Keys internal _keys;

    /// Return a task that exists.
    function _task(uint256 taskId) internal view returns (TaskState storage task_) {
        task_ = _tasks[taskId];
        if (task_.status == TaskStatus.None) revert TaskUnknown(taskId);
    }

    function _openTask(uint256 taskId) internal view returns (TaskState storage task_) {
        task_ = _task(taskId);
        if (task_.status != TaskStatus.Open) revert TaskNotOpen(taskId);
    }

    function _requireAtRest(TaskState storage task_) internal view {
        if (!PhaseLib.isAtRest(task_)) revert RoundInProgress(task_.intake.round());
    }

    function _pay(uint256 amount) internal {
        // The caller, and what it is owed.
        // slither-disable-next-line arbitrary-send-eth
        (bool sent,) = msg.sender.call{value: amount}("");
        if (!sent) revert TransferFailed(msg.sender, amount);
    }
}
