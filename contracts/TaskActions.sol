// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundStorage} from "./RoundStorage.sol";
import {RoundViews} from "./RoundViews.sol";
import {IParticipantRegistry} from "./interfaces/IParticipantRegistry.sol";
import {ITaskActions} from "./interfaces/IRoundCoordinator.sol";
import {KeyLib} from "./libraries/KeyLib.sol";
import {TaskLib} from "./libraries/TaskLib.sol";
import {TaskState} from "./types/TaskState.sol";

/// @title What is done to tasks as a whole, and seldom
/// @notice In a contract of its own because code is limited to 24,576 bytes (EIP-170). The coordinator runs it on its own
/// storage (see `RoundCoordinator`), and what it emits comes from there; called directly, it changes storage of its own that
/// nobody reads, and keeps no ether.
contract TaskActions is RoundStorage, ITaskActions {
    IParticipantRegistry private immutable _registry;
    RoundViews private immutable _views;
    address private immutable _self;

    /// The coordinator's address alone answers.
    error NotDelegated();

    constructor(IParticipantRegistry registry, RoundViews views) {
        _registry = registry;
        _views = views;
        _self = address(this);
    }

    modifier delegated() {
        if (address(this) == _self) revert NotDelegated();
        _;
    }

    /// @inheritdoc ITaskActions
    function createTask(TaskRules calldata rules, ContentId calldata spec, ContentId calldata genesis)
        external
        payable
        override
        delegated
        returns (uint256 taskId)
    {
        _views.checkTask(rules, spec, genesis, _registry.unbondingDelay());
        taskId = ++_taskCount;
        TaskState storage task_ = _tasks[taskId];
        task_.rules = rules;
        task_.owner = msg.sender;
        task_.status = TaskStatus.Open;
        task_.specDigest = spec.digest;
        task_.specSize = uint32(spec.size);
        task_.modelDigest = genesis.digest;
        task_.modelSize = uint32(genesis.size);
        emit TaskCreated(taskId, msg.sender, spec, genesis, rules);
        _fund(task_, taskId);
    }

    /// @inheritdoc ITaskActions
    function fundTask(uint256 taskId) external payable override delegated {
        _fund(_openTask(taskId), taskId);
    }

    /// @inheritdoc ITaskActions
    function invite(uint256 taskId, address[] calldata workers) external override delegated {
        TaskState storage task_ = _openTask(taskId);
        if (msg.sender != task_.owner) revert NotTaskOwner(taskId, msg.sender);
        for (uint256 i = 0; i < workers.length; ++i) {
            task_.invited[workers[i]] = true;
            emit WorkerInvited(taskId, workers[i]);
        }
    }

    /// @inheritdoc ITaskActions
    function endTask(uint256 taskId) external override delegated {
        TaskState storage task_ = _openTask(taskId);
        _requireAtRest(task_);
        if (msg.sender != task_.owner && !TaskLib.isExhausted(task_)) revert NotTaskOwner(taskId, msg.sender);
        task_.status = TaskStatus.Ended;
        emit TaskEnded(taskId, task_.budget);
    }

    /// @inheritdoc ITaskActions
    function withdrawRemainder(uint256 taskId) external override delegated {
        TaskState storage task_ = _task(taskId);
        if (msg.sender != task_.owner) revert NotTaskOwner(taskId, msg.sender);
        uint256 amount = task_.status == TaskStatus.Ended ? task_.budget : 0;
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        task_.budget = 0;
        _pay(amount);
    }

    /// @inheritdoc ITaskActions
    function snapshotKeys(uint256 segment) external override delegated returns (address snapshot) {
        snapshot = KeyLib.takeSnapshot(_keys, segment);
        emit KeysSnapshotted(segment, snapshot);
    }

    /// @dev Credits are counted in 96 bits, which no sum of them can exceed while the contract holds less.
    function _fund(TaskState storage task_, uint256 taskId) private {
        if (address(this).balance > type(uint96).max) revert RuleOutOfRange("budget", msg.value);
        if (msg.value == 0) return;
        task_.budget += uint128(msg.value);
        emit TaskFunded(taskId, msg.sender, msg.value);
    }
}
