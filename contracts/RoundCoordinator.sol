// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ParticipantRegistry} from "./ParticipantRegistry.sol";
import {RoundStorage} from "./RoundStorage.sol";
import {RoundViews} from "./RoundViews.sol";
import {TaskActions} from "./TaskActions.sol";
import {IActiveKeys} from "./interfaces/IActiveKeys.sol";
import {IParticipantRegistry} from "./interfaces/IParticipantRegistry.sol";
import {IRoundActions, ITaskActions} from "./interfaces/IRoundCoordinator.sol";
import {AttemptLib} from "./libraries/AttemptLib.sol";
import {BallotLib} from "./libraries/BallotLib.sol";
import {KeyLib} from "./libraries/KeyLib.sol";
import {PhaseLib} from "./libraries/PhaseLib.sol";
import {RoundLib} from "./libraries/RoundLib.sol";
import {SortitionLib} from "./libraries/SortitionLib.sol";
import {TaskLib} from "./libraries/TaskLib.sol";
import {Intake} from "./types/Intake.sol";
import {Ledger} from "./types/Ledger.sol";
import {Phase, RejectReason} from "./types/Phase.sol";
import {TaskState} from "./types/TaskState.sol";
import {TermLib} from "./types/Term.sol";

/// @title Tasks, enrolment and rounds
/// @notice The stateful centre. The address answers to all of `IRoundCoordinator`: what is done in rounds is here, what is
/// done to tasks as a whole in `TaskActions`, the views in `RoundViews`; both run on this contract's storage.
/// @dev Each function authorises, delegates to the library that holds the rule, and emits. The contract holds the budgets
/// and credits of all tasks and no other ether: it has no `receive`, and its `fallback` is not payable. Its creation
/// creates the registry and the two others, so one deployment fixes all addresses. Nothing here can be upgraded.
contract RoundCoordinator is RoundStorage, IRoundActions, IActiveKeys {
    /// @inheritdoc IRoundActions
    IParticipantRegistry public immutable override registry;

    /// The code of `TaskActions`.
    address public immutable taskCode;
    /// The code of `RoundViews`.
    address public immutable viewCode;

    constructor(uint256 minimumBond, uint64 unbondingDelay) {
        registry = new ParticipantRegistry(minimumBond, unbondingDelay);
        RoundViews views = new RoundViews();
        viewCode = address(views);
        taskCode = address(new TaskActions(registry, views));
    }

    /// @notice Answer the functions of `IRoundViews`.
    /// @dev A call to code that is fixed for good, was created above, and contains view functions only.
    fallback() external {
        _run(viewCode);
    }

    /// @inheritdoc IActiveKeys
    function activeKeyChanged(address account, uint24 number, uint256 vrfKey) external override {
        if (msg.sender != address(registry)) revert NotRegistry(msg.sender);
        KeyLib.change(_keys, account, number, vrfKey);
    }

    // ------------------------------------------------------------------ tasks

    /// @inheritdoc ITaskActions
    function createTask(TaskRules calldata, ContentId calldata, ContentId calldata)
        external
        payable
        override
        returns (uint256)
    {
        _run(taskCode);
    }

    /// @inheritdoc ITaskActions
    function fundTask(uint256) external payable override {
        _run(taskCode);
    }

    /// @inheritdoc ITaskActions
    function invite(uint256, address[] calldata) external override {
        _run(taskCode);
    }

    /// @inheritdoc ITaskActions
    function endTask(uint256) external override {
        _run(taskCode);
    }

    /// @inheritdoc ITaskActions
    function withdrawRemainder(uint256) external override {
        _run(taskCode);
    }

    /// @inheritdoc ITaskActions
    function snapshotKeys(uint256) external override returns (address) {
        _run(taskCode);
    }

    // -------------------------------------------------------------- enrolment

    /// @inheritdoc IRoundActions
    function enrol(uint256 taskId) external override {
        TaskState storage task_ = _openTask(taskId);
        uint256 number = registry.participant(msg.sender).number;
        if (_keys.active[number] == 0) revert NotActiveParticipant(msg.sender);
        TaskLib.enrol(task_, taskId, msg.sender, number);
    }

    /// @inheritdoc IRoundActions
    function leave(uint256 taskId) external override {
        TaskState storage task_ = _task(taskId);
        _endEnrolment(task_, taskId, msg.sender);
    }

    /// @inheritdoc IRoundActions
    function removeIdle(uint256 taskId, address worker) external override {
        TaskState storage task_ = _task(taskId);
        Ledger ledger = task_.ledgers[worker];
        if (!TermLib.isOpen(ledger.term())) revert NotEnrolled(taskId, worker);
        if (_keys.active[ledger.number()] != 0 && !TaskLib.isIdle(task_, ledger)) {
            revert EnrolmentNotIdle(taskId, worker, TaskLib.lastActiveRound(ledger));
        }
        _endEnrolment(task_, taskId, worker);
    }

    // ----------------------------------------------------------------- rounds

    /// @inheritdoc IRoundActions
    function openRound(uint256 taskId) external override {
        TaskState storage task_ = _openTask(taskId);
        _requireAtRest(task_);
        if (TaskLib.isExhausted(task_)) revert NoRoundsLeft(task_.rules.maxRounds);
        RoundLib.open(task_, taskId);
    }

    /// @inheritdoc IRoundActions
    function submitUpdate(uint256 taskId, uint32 round, bytes32 digest, uint64 size, uint32 sampleCount)
        external
        override
    {
        TaskState storage task_ = _tasks[taskId];
        Intake intake = PhaseLib.requireIntake(task_, round, Phase.Training);
        PhaseLib.requireOpen(intake.deadline());
        if (digest == 0 || size == 0 || size > type(uint32).max || sampleCount == 0) {
            revert InvalidUpdate(digest, size, sampleCount);
        }
        Ledger ledger = task_.ledgers[msg.sender];
        if (!TermLib.counts(ledger.term(), round)) revert NotEnrolled(taskId, msg.sender);
        if (_keys.active[ledger.number()] == 0) revert NotActiveParticipant(msg.sender);
        if (ledger.round() == round) revert UpdateAlreadySubmitted(round, msg.sender);
        uint256 index = intake.updates();
        if (index >= intake.maxUpdates()) revert RoundFull(uint16(intake.maxUpdates()));

        if (ledger.pending()) ledger = TaskLib.settledPending(task_, taskId, msg.sender, ledger);
        uint256 weight = sampleCount < intake.sampleCap() ? sampleCount : intake.sampleCap();
        task_.ledgers[msg.sender] = ledger.withUpdate(round, index, weight);
        task_.intake = intake.withNextUpdate(weight);
        emit UpdateSubmitted(taskId, round, msg.sender, digest, size, sampleCount);
    }

    /// @inheritdoc IRoundActions
    function closeTraining(uint256 taskId) external override {
        RoundLib.closeTraining(_task(taskId), taskId);
    }

    /// @inheritdoc IRoundActions
    function fixSeed(uint256 taskId) external override {
        RoundLib.fixSeed(_task(taskId), taskId);
    }

    /// @inheritdoc IRoundActions
    function claimSeat(uint256 taskId, uint32 round, bytes calldata claim) external override {
        SortitionLib.claimSeat(_tasks[taskId], _keys, taskId, round, claim);
    }

    /// @inheritdoc IRoundActions
    function claimSeats(uint256 taskId, uint32 round, bool fromSnapshot, bytes calldata claims)
        external
        override
        returns (uint256 claimed)
    {
        return SortitionLib.claimSeats(_tasks[taskId], _keys, taskId, round, fromSnapshot, claims);
    }

    /// @inheritdoc IRoundActions
    function closeSortition(uint256 taskId, bytes calldata claims) external override {
        RoundLib.closeSortition(_task(taskId), _keys, taskId, claims);
    }

    /// @inheritdoc IRoundActions
    function propose(
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        ContentId calldata model,
        ContentId calldata report,
        bytes calldata acceptedBitmap,
        uint32 acceptedWeight,
        bytes32 commitment
    ) external override {
        // Every field is set below.
        // slither-disable-next-line uninitialized-local
        BallotLib.Draft memory draft;
        draft.taskId = taskId;
        draft.round = round;
        draft.attempt = attempt;
        draft.model = model;
        draft.report = report;
        draft.acceptedWeight = acceptedWeight;
        draft.acceptedBitmap = acceptedBitmap;
        draft.commitment = commitment;
        AttemptLib.propose(_tasks[taskId], draft);
    }

    /// @inheritdoc IRoundActions
    function vote(uint256 taskId, uint32 round, uint16 attempt, uint8 seat, bytes32 commitment, RejectReason reason)
        external
        override
    {
        AttemptLib.vote(_tasks[taskId], taskId, round, attempt, seat, commitment, reason);
    }

    /// @inheritdoc IRoundActions
    function closeValidation(uint256 taskId) external override {
        AttemptLib.closeValidation(_task(taskId), taskId, registry);
    }

    /// @inheritdoc IRoundActions
    function reveal(uint256 taskId, uint32 round, uint16 attempt, bytes32 inner) external override {
        AttemptLib.reveal(_tasks[taskId], taskId, round, attempt, inner, registry);
    }

    /// @inheritdoc IRoundActions
    function advance(uint256 taskId, bytes calldata claims) external override {
        TaskState storage task_ = _task(taskId);
        Phase phase = PhaseLib.phaseOf(task_);
        if (phase == Phase.Training) RoundLib.closeTraining(task_, taskId);
        else if (phase == Phase.Sortition && !task_.intake.seedFixed()) RoundLib.fixSeed(task_, taskId);
        else if (phase == Phase.Sortition) RoundLib.closeSortition(task_, _keys, taskId, claims);
        else if (phase == Phase.Aggregation) AttemptLib.skipProposer(task_, taskId);
        else if (phase == Phase.Validation) AttemptLib.closeValidation(task_, taskId, registry);
        else if (phase == Phase.Reveal) AttemptLib.expireReveal(task_, taskId, registry);
        else revert WrongPhase(Phase.Training, phase);
    }

    // ---------------------------------------------------------------- rewards

    /// @inheritdoc IRoundActions
    function settle(uint256 taskId, address worker) external override {
        TaskState storage task_ = _task(taskId);
        (Ledger ledger, bool changed) = TaskLib.settled(task_, taskId, worker);
        if (changed) task_.ledgers[worker] = ledger;
    }

    /// @inheritdoc IRoundActions
    function withdrawRewards(uint256 taskId) external override {
        TaskState storage task_ = _task(taskId);
        // Whether strikes end the enrolment has been recorded by then.
        // slither-disable-next-line unused-return
        (Ledger ledger,) = TaskLib.settled(task_, taskId, msg.sender);
        uint256 amount = ledger.credit();
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        task_.ledgers[msg.sender] = ledger.withCredit(0);
        emit RewardsWithdrawn(taskId, msg.sender, amount);
        _pay(amount);
    }

    // --------------------------------------------------------------- internal

    /// @dev Run code that was created above on this contract's storage, with the same call data, and return as it does.
    function _run(address code) private {
        assembly ("memory-safe") {
            let input := mload(0x40)
            calldatacopy(input, 0, calldatasize())
            let done := delegatecall(gas(), code, input, calldatasize(), 0, 0)
            returndatacopy(input, 0, returndatasize())
            if done { return(input, returndatasize()) }
            revert(input, returndatasize())
        }
    }

    function _endEnrolment(TaskState storage task_, uint256 taskId, address worker) private {
        (Ledger ledger, bool changed) = TaskLib.settled(task_, taskId, worker);
        bool isOpen = TermLib.isOpen(ledger.term());
        // A strike counted just now may have ended the enrolment.
        if (!isOpen && !changed) revert NotEnrolled(taskId, worker);
        if (isOpen) ledger = TaskLib.endEnrolment(task_, taskId, worker, ledger);
        task_.ledgers[worker] = ledger;
    }
}
