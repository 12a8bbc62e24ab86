// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {bitsAt, withBitsAt} from "./Bits.sol";
import {Phase} from "./Phase.sol";

/// @notice The half of a round that collects: TRAINING and SORTITION, in one word, so that an update writes a single slot of
/// the round. Claims have words of their own (`Sortition`, `Claims`).
/// @dev Once the committee stands, `phase` stays `Aggregation` here and the round goes on in its `Ballot`.
///
/// | bits    | width | field         |                                                                  |
/// | ------- | ----- | ------------- | ---------------------------------------------------------------- |
/// | 0-23    | 24    | round         | counts from 1 in a task                                          |
/// | 24-27   | 4     | phase         |                                                                  |
/// | 28-67   | 40    | deadline      | seconds; of TRAINING or of the seed block                        |
/// | 68-80   | 13    | updates       | taken so far                                                     |
/// | 81-104  | 24    | enrolled      | workers when the round was opened                                |
/// | 105-117 | 13    | maxUpdates    | copied from the rules, as is the next                            |
/// | 118-130 | 13    | sampleCap     |                                                                  |
/// | 131     | 1     | widened       | the threshold was                                                |
/// | 132-171 | 40    | seedBlock     | while TRAINING lasts: `weight`, the sum of the updates' weights  |
/// | 172-173 | 2     | seedAttempt   | how often the seed block was moved                               |
/// | 174     | 1     | seedFixed     |                                                                  |
type Intake is uint256;

using {
    round,
    phase,
    isIn,
    deadline,
    updates,
    enrolled,
    maxUpdates,
    sampleCap,
    widened,
    weight,
    seedBlock,
    seedAttempt,
    seedFixed,
    withPhase,
    withDeadline,
    withNextUpdate,
    withWidened,
    withSeedBlock,
    withSeedAttempt,
    withSeedFixed
} for Intake global;

/// Return the word of a round that has just been opened.
function openedIntake(uint256 round_, uint256 deadline_, uint256 enrolled_, uint256 maxUpdates_, uint256 sampleCap_)
    pure
    returns (Intake)
{
    uint256 word = withBitsAt(0, 0, 24, round_);
    word = withBitsAt(word, 24, 4, uint256(Phase.Training));
    word = withBitsAt(word, 28, 40, deadline_);
    word = withBitsAt(word, 81, 24, enrolled_);
    word = withBitsAt(word, 105, 13, maxUpdates_);
    return Intake.wrap(withBitsAt(word, 118, 13, sampleCap_));
}

function round(Intake word) pure returns (uint32) {
    return uint32(bitsAt(Intake.unwrap(word), 0, 24));
}

function phase(Intake word) pure returns (Phase) {
    return Phase(bitsAt(Intake.unwrap(word), 24, 4));
}

function isIn(Intake word, Phase phase_) pure returns (bool) {
    return bitsAt(Intake.unwrap(word), 24, 4) == uint256(phase_);
}

function deadline(Intake word) pure returns (uint64) {
    return uint64(bitsAt(Intake.unwrap(word), 28, 40));
}

function updates(Intake word) pure returns (uint256) {
    return bitsAt(Intake.unwrap(word), 68, 13);
}

function enrolled(Intake word) pure returns (uint256) {
    return bitsAt(Intake.unwrap(word), 81, 24);
}

function maxUpdates(Intake word) pure returns (uint256) {
    return bitsAt(Intake.unwrap(word), 105, 13);
}

function sampleCap(Intake word) pure returns (uint256) {
    return bitsAt(Intake.unwrap(word), 118, 13);
}

function widened(Intake word) pure returns (bool) {
    return bitsAt(Intake.unwrap(word), 131, 1) != 0;
}

/// Sum of the updates' weights; while TRAINING lasts.
function weight(Intake word) pure returns (uint256) {
    return bitsAt(Intake.unwrap(word), 132, 40);
}

function seedBlock(Intake word) pure returns (uint256) {
    return bitsAt(Intake.unwrap(word), 132, 40);
}

function seedAttempt(Intake word) pure returns (uint8) {
    return uint8(bitsAt(Intake.unwrap(word), 172, 2));
}

function seedFixed(Intake word) pure returns (bool) {
    return bitsAt(Intake.unwrap(word), 174, 1) != 0;
}

function withPhase(Intake word, Phase value) pure returns (Intake) {
    return Intake.wrap(withBitsAt(Intake.unwrap(word), 24, 4, uint256(value)));
}

function withDeadline(Intake word, uint256 value) pure returns (Intake) {
    return Intake.wrap(withBitsAt(Intake.unwrap(word), 28, 40, value));
}

/// Count one more update. They are at most `maxUpdates`, each of a weight up to 4096: neither field overflows.
function withNextUpdate(Intake word, uint256 weight_) pure returns (Intake) {
    unchecked {
        return Intake.wrap(Intake.unwrap(word) + (1 << 68) + (weight_ << 132));
    }
}

function withWidened(Intake word) pure returns (Intake) {
    return Intake.wrap(withBitsAt(Intake.unwrap(word), 131, 1, 1));
}

function withSeedBlock(Intake word, uint256 value) pure returns (Intake) {
    return Intake.wrap(withBitsAt(Intake.unwrap(word), 132, 40, value));
}

function withSeedAttempt(Intake word, uint256 value) pure returns (Intake) {
    return Intake.wrap(withBitsAt(Intake.unwrap(word), 172, 2, value));
}

function withSeedFixed(Intake word) pure returns (Intake) {
    return Intake.wrap(withBitsAt(Intake.unwrap(word), 174, 1, 1));
}
