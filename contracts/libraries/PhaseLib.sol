// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors, IRoundCoordinatorEvents} from "../interfaces/IRoundCoordinator.sol";
import {Ballot} from "../types/Ballot.sol";
import {Intake} from "../types/Intake.sol";
import {Phase, VoidReason} from "../types/Phase.sol";
import {TaskState} from "../types/TaskState.sol";

/// @title Where a round stands, and whether an action is due
/// @notice The intake's phase is the round's until the committee stands; it stays `Aggregation` from then on, and the
/// ballot's phase is the round's.
library PhaseLib {
    /// @notice The phase of the newest round.
    function phaseOf(TaskState storage task) internal view returns (Phase) {
        Phase phase = task.intake.phase();
        return phase == Phase.Aggregation ? task.ballot.phase() : phase;
    }

    /// @notice Whether no round is in progress.
    function isAtRest(TaskState storage task) internal view returns (bool) {
        Phase phase = phaseOf(task);
        return phase == Phase.None || phase >= Phase.Finalized;
    }

    /// @notice Whether a round, not later than the newest, has ended.
    function hasEnded(TaskState storage task, uint256 round) internal view returns (bool) {
        return round < task.intake.round() || isAtRest(task);
    }

    /// @notice The intake of the round, which must be in `expected` (TRAINING or SORTITION).
    function requireIntake(TaskState storage task, uint32 round, Phase expected) internal view returns (Intake intake) {
        intake = task.intake;
        if (intake.round() != round) revert IRoundCoordinatorErrors.WrongRound(round, intake.round());
        requirePhase(task, intake, expected);
    }

    /// @notice Revert unless the intake is in `expected` (TRAINING or SORTITION).
    function requirePhase(TaskState storage task, Intake intake, Phase expected) internal view {
        if (!intake.isIn(expected)) revert IRoundCoordinatorErrors.WrongPhase(expected, phaseOf(task));
    }

    /// @notice Revert with the reason why the round takes no claims, which it does only once its seed is fixed and until
    /// SORTITION is closed.
    function refuseClaims(TaskState storage task, uint32 round) internal view {
        requireIntake(task, round, Phase.Sortition);
        revert IRoundCoordinatorErrors.SeedNotFixed(round);
    }

    /// @notice The ballot of the round's attempt, which must be in `expected` (AGGREGATION, VALIDATION or REVEAL) and not
    /// expired.
    function requireBallot(TaskState storage task, uint32 round, uint16 attempt, Phase expected)
        internal
        view
        returns (Ballot ballot)
    {
        ballot = task.ballot;
        // A ballot of the given round in a phase that is no end is the newest round's.
        if (ballot.round() != round || !ballot.isIn(expected)) {
            uint32 current = task.intake.round();
            if (round != current) revert IRoundCoordinatorErrors.WrongRound(round, current);
            revert IRoundCoordinatorErrors.WrongPhase(expected, phaseOf(task));
        }
        if (ballot.attempt() != attempt) revert IRoundCoordinatorErrors.WrongAttempt(attempt, ballot.attempt());
        requireOpen(ballot.deadline());
    }

    /// @notice Revert unless `deadline` is still to come.
    function requireOpen(uint64 deadline) internal view {
        if (block.timestamp > deadline) {
            revert IRoundCoordinatorErrors.DeadlinePassed(deadline, uint64(block.timestamp));
        }
    }

    /// @notice Revert unless `deadline` has passed.
    function requireExpired(uint64 deadline) internal view {
        if (block.timestamp <= deadline) {
            revert IRoundCoordinatorErrors.DeadlineNotPassed(deadline, uint64(block.timestamp));
        }
    }

    /// @notice Count a void round. The caller has moved its phase.
    function recordVoid(TaskState storage task, uint256 taskId, uint32 round, VoidReason reason) internal {
        ++task.consecutiveVoids;
        emit IRoundCoordinatorEvents.RoundVoided(taskId, round, reason);
    }
}
