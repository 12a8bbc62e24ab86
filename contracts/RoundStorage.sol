// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors, IRoundCoordinatorTypes} from "./interfaces/IRoundCoordinator.sol";
import {TaskState} from "./types/TaskState.sol";

/// @title What the coordinator keeps
/// @notice The first and only contract with state in the inheritance of both `RoundCoordinator` and `RoundViews`, so that
/// the code of the one may read the storage of the other.
abstract contract RoundStorage is IRoundCoordinatorTypes, IRoundCoordinatorErrors {
    /// Tasks created so far: the newest task's id.
    // Written by the coordinator alone; RoundViews runs in its storage.
    // slither-disable-next-line uninitialized-state
    uint256 internal _taskCount;

    /// The registry's active keys, as it told them (see `IActiveKeys`).
    mapping(address account => uint256 vrfKey) internal _activeKeys;

    mapping(uint256 taskId => TaskState) internal _tasks;

    /// Return a task that exists.
    function _task(uint256 taskId) internal view returns (TaskState storage task_) {
        task_ = _tasks[taskId];
        if (task_.status == TaskStatus.None) revert TaskUnknown(taskId);
    }
}
