// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    IRoundCoordinatorErrors,
    IRoundCoordinatorEvents,
    IRoundCoordinatorTypes
} from "../interfaces/IRoundCoordinator.sol";
import {Ledger} from "../types/Ledger.sol";
import {ROSTER_SIZE, Roster} from "../types/Roster.sol";
import {TaskState} from "../types/TaskState.sol";
import {TermLib} from "../types/Term.sol";
import {PhaseLib} from "./PhaseLib.sol";
import {RewardLib} from "./RewardLib.sol";
import {RoundLib} from "./RoundLib.sol";

/// @title A task's rules, its enrolments and its end
library TaskLib {
    uint256 private constant BASIS_POINTS = 10_000;
    /// Rounds are counted in 24 bits.
    uint256 internal constant MAX_ROUNDS = type(uint24).max;
    uint256 internal constant MAX_SEATS = 64;
    uint256 internal constant MAX_UPDATES = 4096;
    uint256 internal constant MAX_SAMPLE_CAP = 4096;

    /// @notice See `IRoundCoordinator.longestRound`. A step may be pushed on one second after its deadline.
    function longestRound(IRoundCoordinatorTypes.TaskRules calldata rules) internal pure returns (uint256) {
        uint256 attempts = rules.maxAttempts < rules.maxSeats ? rules.maxAttempts : rules.maxSeats;
        uint256 attempt = (uint256(rules.proposalDuration) + 1) + (uint256(rules.validationDuration) + 1)
            + (uint256(rules.revealDuration) + 1);
        return (uint256(rules.trainingDuration) + 1) + (1 + RoundLib.MAX_SEED_MOVES) * (uint256(rules.seedDuration) + 1)
            + 2 * (uint256(rules.sortitionDuration) + 1) + attempts * attempt;
    }

    /// @notice Revert unless every rule is in its range and the longest round ends before a bond can be withdrawn.
    function check(IRoundCoordinatorTypes.TaskRules calldata rules, uint256 unbondingDelay) internal pure {
        _inRange("trainingDuration", rules.trainingDuration, 1, type(uint32).max);
        _inRange("seedDuration", rules.seedDuration, 1, type(uint32).max);
        _inRange("sortitionDuration", rules.sortitionDuration, 1, type(uint32).max);
        _inRange("proposalDuration", rules.proposalDuration, 1, type(uint32).max);
        _inRange("validationDuration", rules.validationDuration, 1, type(uint32).max);
        _inRange("revealDuration", rules.revealDuration, 1, type(uint32).max);
        _inRange("thresholdBasisPoints", rules.thresholdBasisPoints, BASIS_POINTS / 2 + 1, BASIS_POINTS);
        _inRange("expectedCommittee", rules.expectedCommittee, 2, type(uint16).max);
        // With fewer seats than the quorum that E asks for, no round of a large task could be finalized.
        uint256 quorum =
            (uint256(rules.thresholdBasisPoints) * rules.expectedCommittee + BASIS_POINTS - 1) / BASIS_POINTS;
        _inRange("maxSeats", rules.maxSeats, quorum, MAX_SEATS);
        _inRange("maxAttempts", rules.maxAttempts, 1, type(uint16).max);
        _inRange("maxUpdates", rules.maxUpdates, 1, MAX_UPDATES);
        _inRange("minUpdates", rules.minUpdates, 1, rules.maxUpdates);
        _inRange("sampleCap", rules.sampleCap, 1, MAX_SAMPLE_CAP);
        _inRange("idleRounds", rules.idleRounds, 1, type(uint16).max);
        _inRange("maxConsecutiveVoids", rules.maxConsecutiveVoids, 1, type(uint16).max);
        _inRange("maxRounds", rules.maxRounds, 1, MAX_ROUNDS);
        uint256 shares = uint256(rules.trainerShare) + rules.proposerShare + rules.voterShare + rules.revealerShare;
        _inRange("shares", shares, BASIS_POINTS, BASIS_POINTS);
        uint256 longest = longestRound(rules);
        if (longest >= unbondingDelay) revert IRoundCoordinatorErrors.RoundTooLong(longest, unbondingDelay);
    }

    /// @notice Revert unless the digest is not 0 and the size is 1 to 2**32 - 1.
    function check(IRoundCoordinatorTypes.ContentId calldata id, bytes32 name) internal pure {
        if (id.digest == 0) revert IRoundCoordinatorErrors.RuleOutOfRange(name, 0);
        _inRange(name, id.size, 1, type(uint32).max);
    }

    /// @notice Whether no further round may be opened: all are used up, or too many in a row were void.
    function isExhausted(TaskState storage task) internal view returns (bool) {
        return task.intake.round() >= task.rules.maxRounds || task.consecutiveVoids >= task.rules.maxConsecutiveVoids;
    }

    /// @notice Enrol `worker`, an active participant with this number, from the next round on.
    function enrol(TaskState storage task, uint256 taskId, address worker, uint256 number) internal {
        (Ledger ledger,) = settled(task, taskId, worker);
        if (TermLib.isOpen(ledger.term())) revert IRoundCoordinatorErrors.AlreadyEnrolled(taskId, worker);
        if (task.rules.inviteOnly && !task.invited[worker]) revert IRoundCoordinatorErrors.NotInvited(taskId, worker);
        uint32 fromRound = task.intake.round() + 1;
        task.ledgers[worker] = ledger.withTerm(TermLib.startingIn(fromRound)).withStrikes(0).withNumber(number);
        _setEnrolled(task, number, true);
        ++task.enrolled;
        emit IRoundCoordinatorEvents.WorkerEnrolled(taskId, worker, uint24(number), fromRound);
    }

    /// @notice End an open enrolment, from the next round on.
    /// @param ledger the worker's, as it is now (perhaps not yet written).
    /// @return ended the ledger to write.
    function endEnrolment(TaskState storage task, uint256 taskId, address worker, Ledger ledger)
        internal
        returns (Ledger ended)
    {
        uint32 round = task.intake.round();
        _setEnrolled(task, ledger.number(), false);
        --task.enrolled;
        emit IRoundCoordinatorEvents.EnrolmentEnded(taskId, worker, round);
        return ledger.withTerm(TermLib.endedAfter(ledger.term(), round));
    }

    function _setEnrolled(TaskState storage task, uint256 number, bool enrolled) private {
        Roster roster = task.rosters[number / ROSTER_SIZE].inRound(task.intake.round());
        task.rosters[number / ROSTER_SIZE] = roster.withEnrolled(number % ROSTER_SIZE, enrolled);
    }

    /// @notice Settle what the worker has pending, if its round has ended. The caller writes the ledger returned.
    /// @return ledger the worker's, settled, its enrolment ended where strikes have ended it.
    /// @return changed whether anything was settled.
    function settled(TaskState storage task, uint256 taskId, address worker)
        internal
        returns (Ledger ledger, bool changed)
    {
        ledger = task.ledgers[worker];
        changed = ledger.pending() && PhaseLib.hasEnded(task, ledger.round());
        if (changed) ledger = settledPending(task, taskId, worker, ledger);
    }

    /// @notice As `settled`, for a ledger that is known to have something to settle.
    function settledPending(TaskState storage task, uint256 taskId, address worker, Ledger ledger)
        internal
        returns (Ledger)
    {
        bool struckOut;
        (ledger, struckOut) = RewardLib.settle(task, taskId, worker, ledger);
        return struckOut && TermLib.isOpen(ledger.term()) ? endEnrolment(task, taskId, worker, ledger) : ledger;
    }

    /// @notice The newest round in which the worker sent an update, or which it served as a member and that was finalized.
    function lastActiveRound(Ledger ledger) internal pure returns (uint32) {
        return ledger.served() > ledger.round() ? ledger.served() : ledger.round();
    }

    /// @notice Whether an open enrolment has been idle for `idleRounds` rounds that have ended.
    function isIdle(TaskState storage task, Ledger ledger) internal view returns (bool) {
        uint256 active = lastActiveRound(ledger);
        uint256 beforeFirst = TermLib.firstRound(ledger.term()) - 1;
        if (beforeFirst > active) active = beforeFirst;
        uint256 round = task.intake.round();
        uint256 ended = PhaseLib.hasEnded(task, round) ? round : round - 1;
        return ended >= active + task.rules.idleRounds;
    }

    function _inRange(bytes32 rule, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert IRoundCoordinatorErrors.RuleOutOfRange(rule, value);
    }
}
