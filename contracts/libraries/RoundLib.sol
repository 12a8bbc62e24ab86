// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors, IRoundCoordinatorEvents} from "../interfaces/IRoundCoordinator.sol";
import {openedBallot} from "../types/Ballot.sol";
import {Claims, openedClaims} from "../types/Claims.sol";
import {Intake, openedIntake} from "../types/Intake.sol";
import {Keys} from "../types/Keys.sol";
import {Phase, VoidReason} from "../types/Phase.sol";
import {Sortition, openedSortition, seedOf} from "../types/Sortition.sol";
import {TaskState} from "../types/TaskState.sol";
import {AttemptLib} from "./AttemptLib.sol";
import {BallotLib} from "./BallotLib.sol";
import {PhaseLib} from "./PhaseLib.sol";
import {SortitionLib} from "./SortitionLib.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";

/// @title A round from its opening until its committee stands
/// @notice TRAINING, the seed, SORTITION. `AttemptLib` goes on from there.
library RoundLib {
    /// Blocks from the one that closes TRAINING (or moves the seed block) to the one whose hash is used: nobody knows
    /// that hash, nor proposes both blocks in a row with certainty, when the updates are fixed.
    uint256 internal constant SEED_BLOCK_DISTANCE = 2;
    uint256 internal constant MAX_SEED_MOVES = 2;

    // -------------------------------------------------- training and the seed

    /// @notice Open the next round; no round is in progress.
    function open(TaskState storage task, uint256 taskId) internal {
        uint256 needed = task.rules.minUpdates > 2 ? task.rules.minUpdates : 2;
        uint256 enrolled = task.enrolled;
        if (enrolled < needed) revert IRoundCoordinatorErrors.TooFewEnrolled(enrolled, needed);
        uint32 round = task.intake.round() + 1;
        uint256 deadline = block.timestamp + task.rules.trainingDuration;
        task.intake = openedIntake({
            round_: round,
            deadline_: deadline,
            enrolled_: enrolled,
            maxUpdates_: task.rules.maxUpdates,
            sampleCap_: task.rules.sampleCap
        });
        emit IRoundCoordinatorEvents.RoundOpened(taskId, round, uint32(enrolled), task.modelDigest, uint64(deadline));
    }

    /// @notice See `IRoundCoordinator.closeTraining`.
    function closeTraining(TaskState storage task, uint256 taskId) internal {
        Intake intake = task.intake;
        PhaseLib.requirePhase(task, intake, Phase.Training);
        uint256 updates = intake.updates();
        bool complete = updates == intake.enrolled() || updates == intake.maxUpdates();
        if (!complete) PhaseLib.requireExpired(intake.deadline());
        if (updates < task.rules.minUpdates) {
            _void(task, taskId, intake, VoidReason.TooFewUpdates);
            return;
        }
        uint256 seedBlock = block.number + SEED_BLOCK_DISTANCE;
        task.roundWeight = uint32(intake.weight());
        task.intake = intake.withPhase(Phase.Sortition).withSeedBlock(seedBlock)
            .withDeadline(block.timestamp + task.rules.seedDuration);
        emit IRoundCoordinatorEvents.TrainingClosed(taskId, intake.round(), uint16(updates), uint64(seedBlock));
    }

    /// @notice See `IRoundCoordinator.fixSeed`. A hash that can be had is used even after the deadline: nobody gains a
    /// second draw by waiting.
    function fixSeed(TaskState storage task, uint256 taskId) internal {
        Intake intake = task.intake;
        PhaseLib.requirePhase(task, intake, Phase.Sortition);
        uint32 round = intake.round();
        if (intake.seedFixed()) revert IRoundCoordinatorErrors.SeedAlreadyFixed(round);
        uint256 seedBlock = intake.seedBlock();
        bytes32 blockHash = block.number > seedBlock ? Blockhash.blockHash(seedBlock) : bytes32(0);
        if (blockHash == 0) {
            bool expired = block.number > seedBlock || block.timestamp > intake.deadline();
            if (!expired) revert IRoundCoordinatorErrors.SeedBlockNotReached(uint64(seedBlock), block.number);
            _moveSeedBlock(task, taskId, intake);
            return;
        }
        bytes32 previous = task.sortition.seed();
        bytes32 seed = seedOf(keccak256(abi.encode("flare/seed", previous, blockHash, taskId, round)));
        uint256 deadline = block.timestamp + task.rules.sortitionDuration;
        Sortition sortition = openedSortition(seed, deadline, intake.enrolled(), task.rules.expectedCommittee);
        task.sortition = sortition;
        task.claims = openedClaims(round);
        task.intake = intake.withSeedFixed();
        emit IRoundCoordinatorEvents.SeedFixed(
            taskId, round, previous, blockHash, seed, SortitionLib.threshold(sortition), uint64(deadline)
        );
    }

    function _moveSeedBlock(TaskState storage task, uint256 taskId, Intake intake) private {
        uint8 moves = intake.seedAttempt();
        if (moves == MAX_SEED_MOVES) {
            _void(task, taskId, intake, VoidReason.SeedExpired);
            return;
        }
        uint256 seedBlock = block.number + SEED_BLOCK_DISTANCE;
        task.intake = intake.withSeedAttempt(moves + 1).withSeedBlock(seedBlock)
            .withDeadline(block.timestamp + task.rules.seedDuration);
        emit IRoundCoordinatorEvents.SeedBlockMoved(taskId, intake.round(), moves + 1, uint64(seedBlock));
    }

    // -------------------------------------------------------------- sortition

    /// @notice See `IRoundCoordinator.closeSortition`.
    function closeSortition(TaskState storage task, Keys storage keys, uint256 taskId, bytes calldata list) internal {
        Intake intake = task.intake;
        PhaseLib.requirePhase(task, intake, Phase.Sortition);
        uint32 round = intake.round();
        if (!intake.seedFixed()) revert IRoundCoordinatorErrors.SeedNotFixed(round);
        Claims claims = task.claims;
        if (claims.count() != intake.enrolled()) PhaseLib.requireExpired(task.sortition.deadline());
        uint256 seats = claims.count() < task.rules.maxSeats ? claims.count() : task.rules.maxSeats;
        uint256 quorum =
            BallotLib.quorum(task.rules.thresholdBasisPoints, task.rules.expectedCommittee, intake.enrolled(), seats);
        if (seats < quorum) {
            _widen(task, taskId, intake);
            return;
        }
        SortitionLib.seatLowest(task, keys, claims, list, seats);
        task.claims = claims.closed();
        task.intake = intake.withPhase(Phase.Aggregation);
        uint256 attempts = task.rules.maxAttempts < seats ? task.rules.maxAttempts : seats;
        uint64 windowEnd = uint64(block.timestamp + task.rules.proposalDuration);
        emit IRoundCoordinatorEvents.SortitionClosed(taskId, round, uint16(seats), uint16(quorum), windowEnd);
        AttemptLib.open(task, taskId, openedBallot(round, attempts, seats, quorum), 0);
    }

    /// @dev Expect twice as many seats, or void the round where that has been done.
    function _widen(TaskState storage task, uint256 taskId, Intake intake) private {
        if (intake.widened()) {
            task.claims = task.claims.closed();
            _void(task, taskId, intake, VoidReason.TooFewSeats);
            return;
        }
        uint256 deadline = block.timestamp + task.rules.sortitionDuration;
        Sortition sortition = task.sortition.withWidened(deadline);
        task.sortition = sortition;
        task.intake = intake.withWidened();
        emit IRoundCoordinatorEvents.SortitionWidened(
            taskId, intake.round(), SortitionLib.threshold(sortition), uint64(deadline)
        );
    }

    function _void(TaskState storage task, uint256 taskId, Intake intake, VoidReason reason) private {
        task.intake = intake.withPhase(Phase.Void);
        PhaseLib.recordVoid(task, taskId, intake.round(), reason);
    }
}
