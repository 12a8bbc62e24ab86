// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ParticipantRegistry} from "./ParticipantRegistry.sol";
import {RoundStorage} from "./RoundStorage.sol";
import {RoundViews} from "./RoundViews.sol";
import {IActiveKeys} from "./interfaces/IActiveKeys.sol";
import {IParticipantRegistry} from "./interfaces/IParticipantRegistry.sol";
import {IRoundActions} from "./interfaces/IRoundCoordinator.sol";
import {AttemptLib} from "./libraries/AttemptLib.sol";
import {BallotLib} from "./libraries/BallotLib.sol";
import {PhaseLib} from "./libraries/PhaseLib.sol";
import {RoundLib} from "./libraries/RoundLib.sol";
import {SortitionLib} from "./libraries/SortitionLib.sol";
import {TaskLib} from "./libraries/TaskLib.sol";
import {Intake} from "./types/Intake.sol";
import {Ledger} from "./types/Ledger.sol";
import {Phase, RejectReason} from "./types/Phase.sol";
import {TaskState, WorkerState} from "./types/TaskState.sol";
import {TermLib} from "./types/Term.sol";

/// @title Tasks, enrolment and rounds
/// @notice The stateful centre. The address answers to all of `IRoundCoordinator`: the actions are here, the views in
/// `RoundViews`.
/// @dev Each function authorises, delegates to the library that holds the rule, and emits. The contract holds the budgets
/// and credits of all tasks and no other ether: it has no `receive`, and its `fallback` is not payable. Its creation
/// creates the registry and the views, so one deployment fixes all three addresses. Nothing here can be upgraded.
contract RoundCoordinator is RoundStorage, IRoundActions, IActiveKeys {
    /// Bytes of a claim in a batch before its proof: member and length.
    uint256 private constant CLAIM_HEAD = 22;

    /// @inheritdoc IRoundActions
    IParticipantRegistry public immutable override registry;

    /// The code of the views.
    address public immutable viewCode;

    constructor(uint256 minimumBond, uint64 unbondingDelay) {
        registry = new ParticipantRegistry(minimumBond, unbondingDelay);
        viewCode = address(new RoundViews());
    }

    /// @notice Answer the functions of `IRoundViews`.
    /// @dev A call to code that is fixed for good, was created above, and contains view functions only.
    fallback() external {
        address code = viewCode;
        assembly ("memory-safe") {
            let input := mload(0x40)
            calldatacopy(input, 0, calldatasize())
            let done := delegatecall(gas(), code, input, calldatasize(), 0, 0)
            returndatacopy(input, 0, returndatasize())
            if done { return(input, returndatasize()) }
            revert(input, returndatasize())
        }
    }

    /// @inheritdoc IActiveKeys
    function activeKeyChanged(address account, uint256 vrfKey) external override {
        if (msg.sender != address(registry)) revert NotRegistry(msg.sender);
        _activeKeys[account] = vrfKey;
    }

    // ------------------------------------------------------------------ tasks

    /// @inheritdoc IRoundActions
    function createTask(TaskRules calldata rules, ContentId calldata spec, ContentId calldata genesis)
        external
        payable
        override
        returns (uint256 taskId)
    {
        RoundViews(viewCode).checkTask(rules, spec, genesis, registry.unbondingDelay());
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

    /// @inheritdoc IRoundActions
    function fundTask(uint256 taskId) external payable override {
        _fund(_openTask(taskId), taskId);
    }

    /// @inheritdoc IRoundActions
    function invite(uint256 taskId, address[] calldata workers) external override {
        TaskState storage task_ = _openTask(taskId);
        if (msg.sender != task_.owner) revert NotTaskOwner(taskId, msg.sender);
        for (uint256 i = 0; i < workers.length; ++i) {
            task_.invited[workers[i]] = true;
            emit WorkerInvited(taskId, workers[i]);
        }
    }

    /// @inheritdoc IRoundActions
    function endTask(uint256 taskId) external override {
        TaskState storage task_ = _openTask(taskId);
        _requireAtRest(task_);
        if (msg.sender != task_.owner && !TaskLib.isExhausted(task_)) revert NotTaskOwner(taskId, msg.sender);
        task_.status = TaskStatus.Ended;
        emit TaskEnded(taskId, task_.budget);
    }

    /// @inheritdoc IRoundActions
    function withdrawRemainder(uint256 taskId) external override {
        TaskState storage task_ = _task(taskId);
        if (msg.sender != task_.owner) revert NotTaskOwner(taskId, msg.sender);
        uint256 amount = task_.status == TaskStatus.Ended ? task_.budget : 0;
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        task_.budget = 0;
        _pay(amount);
    }

    // -------------------------------------------------------------- enrolment

    /// @inheritdoc IRoundActions
    function enrol(uint256 taskId) external override {
        TaskState storage task_ = _openTask(taskId);
        if (_activeKeys[msg.sender] == 0) revert NotActiveParticipant(msg.sender);
        TaskLib.enrol(task_, taskId, msg.sender);
    }

    /// @inheritdoc IRoundActions
    function leave(uint256 taskId) external override {
        TaskState storage task_ = _task(taskId);
        _endEnrolment(task_, taskId, msg.sender);
    }

    /// @inheritdoc IRoundActions
    function removeIdle(uint256 taskId, address worker) external override {
        TaskState storage task_ = _task(taskId);
        WorkerState storage account = task_.accounts[worker];
        if (!TermLib.isOpen(account.seat.term())) revert NotEnrolled(taskId, worker);
        if (_activeKeys[worker] != 0 && !TaskLib.isIdle(task_, worker)) {
            revert EnrolmentNotIdle(taskId, worker, TaskLib.lastActiveRound(account));
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
        WorkerState storage account = task_.accounts[msg.sender];
        Ledger ledger = account.ledger;
        if (!TermLib.counts(ledger.term(), round)) revert NotEnrolled(taskId, msg.sender);
        if (_activeKeys[msg.sender] == 0) revert NotActiveParticipant(msg.sender);
        if (ledger.round() == round) revert UpdateAlreadySubmitted(round, msg.sender);
        uint256 index = intake.updates();
        if (index >= intake.maxUpdates()) revert RoundFull(uint16(intake.maxUpdates()));

        if (ledger.pending()) ledger = TaskLib.settledPending(task_, taskId, msg.sender, ledger);
        uint256 weight = sampleCount < intake.sampleCap() ? sampleCount : intake.sampleCap();
        account.ledger = ledger.withUpdate(round, index, weight);
        task_.intake = intake.withNextUpdate(weight);
        emit UpdateSubmitted(taskId, round, msg.sender, uint16(index), digest, size, sampleCount);
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
    function claimSeat(uint256 taskId, uint32 round, address member, bytes calldata proof) external override {
        TaskState storage task_ = _tasks[taskId];
        SortitionLib.Claims memory claims = _claims(task_, taskId, round);
        (SortitionLib.Claim claim, uint256 output) =
            SortitionLib.claimSeat(task_, claims, member, _activeKeys[member], proof);
        if (claim != SortitionLib.Claim.Seated) _refuse(claims, claim, member, output);
        task_.intake = claims.intake;
    }

    /// @inheritdoc IRoundActions
    function claimSeats(uint256 taskId, uint32 round, bytes calldata batch)
        external
        override
        returns (uint256 claimed)
    {
        TaskState storage task_ = _tasks[taskId];
        SortitionLib.Claims memory claims = _claims(task_, taskId, round);
        uint256 offset = 0;
        while (offset < batch.length) {
            if (batch.length - offset < CLAIM_HEAD) revert MalformedClaims(offset);
            address member = address(bytes20(batch[offset:offset + 20]));
            uint256 end = offset + CLAIM_HEAD + uint16(bytes2(batch[offset + 20:offset + CLAIM_HEAD]));
            if (end > batch.length) revert MalformedClaims(offset);
            // In a batch a refusal is skipped, whatever its output.
            // slither-disable-next-line unused-return
            (SortitionLib.Claim claim,) =
                SortitionLib.claimSeat(task_, claims, member, _activeKeys[member], batch[offset + CLAIM_HEAD:end]);
            if (claim == SortitionLib.Claim.Seated) ++claimed;
            offset = end;
        }
        task_.intake = claims.intake;
    }

    /// @inheritdoc IRoundActions
    function closeSortition(uint256 taskId) external override {
        RoundLib.closeSortition(_task(taskId), taskId);
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
    function vote(uint256 taskId, uint32 round, uint16 attempt, bytes32 commitment, RejectReason reason)
        external
        override
    {
        AttemptLib.vote(_tasks[taskId], taskId, round, attempt, commitment, reason);
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
    function advance(uint256 taskId) external override {
        TaskState storage task_ = _task(taskId);
        Phase phase = PhaseLib.phaseOf(task_);
        if (phase == Phase.Training) RoundLib.closeTraining(task_, taskId);
        else if (phase == Phase.Sortition && !task_.intake.seedFixed()) RoundLib.fixSeed(task_, taskId);
        else if (phase == Phase.Sortition) RoundLib.closeSortition(task_, taskId);
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
        if (changed) task_.accounts[worker].ledger = ledger;
    }

    /// @inheritdoc IRoundActions
    function withdrawRewards(uint256 taskId) external override {
        TaskState storage task_ = _task(taskId);
        // Whether strikes end the enrolment has been recorded by then.
        // slither-disable-next-line unused-return
        (Ledger ledger,) = TaskLib.settled(task_, taskId, msg.sender);
        uint256 amount = ledger.credit();
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        task_.accounts[msg.sender].ledger = ledger.withCredit(0);
        emit RewardsWithdrawn(taskId, msg.sender, amount);
        _pay(amount);
    }

    // --------------------------------------------------------------- internal

    function _openTask(uint256 taskId) private view returns (TaskState storage task_) {
        task_ = _task(taskId);
        if (task_.status != TaskStatus.Open) revert TaskNotOpen(taskId);
    }

    function _requireAtRest(TaskState storage task_) private view {
        if (!PhaseLib.isAtRest(task_)) revert RoundInProgress(task_.intake.round());
    }

    /// @dev Credits are counted in 96 bits, which no sum of them can exceed while the contract holds less.
    function _fund(TaskState storage task_, uint256 taskId) private {
        if (address(this).balance > type(uint96).max) revert RuleOutOfRange("budget", msg.value);
        if (msg.value == 0) return;
        task_.budget += uint128(msg.value);
        emit TaskFunded(taskId, msg.sender, msg.value);
    }

    function _endEnrolment(TaskState storage task_, uint256 taskId, address worker) private {
        (Ledger ledger, bool changed) = TaskLib.settled(task_, taskId, worker);
        bool isOpen = TermLib.isOpen(ledger.term());
        // A strike counted just now may have ended the enrolment.
        if (!isOpen && !changed) revert NotEnrolled(taskId, worker);
        if (isOpen) ledger = TaskLib.endEnrolment(task_, taskId, worker, ledger);
        task_.accounts[worker].ledger = ledger;
    }

    function _claims(TaskState storage task_, uint256 taskId, uint32 round)
        private
        view
        returns (SortitionLib.Claims memory claims)
    {
        Intake intake = PhaseLib.requireIntake(task_, round, Phase.Sortition);
        if (!intake.seedFixed()) revert SeedNotFixed(round);
        PhaseLib.requireOpen(intake.deadline());
        claims.taskId = taskId;
        claims.alpha = SortitionLib.alpha(taskId, round, task_.seed);
        claims.threshold = SortitionLib.threshold(intake);
        claims.intake = intake;
    }

    function _refuse(SortitionLib.Claims memory claims, SortitionLib.Claim claim, address member, uint256 output)
        private
        pure
    {
        if (claim == SortitionLib.Claim.NotEnrolled) revert NotEnrolled(claims.taskId, member);
        if (claim == SortitionLib.Claim.NotActive) revert NotActiveParticipant(member);
        if (claim == SortitionLib.Claim.AlreadyClaimed) revert SeatAlreadyClaimed(claims.intake.round(), member);
        if (claim == SortitionLib.Claim.AboveThreshold) revert OutputAboveThreshold(output, claims.threshold);
        if (claim == SortitionLib.Claim.CommitteeFull) revert CommitteeFull(output);
        revert ProofInvalid(member);
    }

    function _pay(uint256 amount) private {
        // The caller, and what it is owed.
        // slither-disable-next-line arbitrary-send-eth
        (bool sent,) = msg.sender.call{value: amount}("");
        if (!sent) revert TransferFailed(msg.sender, amount);
    }
}
