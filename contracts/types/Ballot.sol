// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {bitsAt, withBitsAt} from "./Bits.sol";
import {Phase, RejectReason} from "./Phase.sol";

/// @notice The half of a round that decides: AGGREGATION, VALIDATION and REVEAL, in one word, so that a vote writes a
/// single slot of the round. Two bits a seat, one in each bitmap, are its vote in this attempt: none (0), approved (1),
/// rejected (2), rejected as unavailable (3). A seat's number is its rank, and the attempt's number that of its proposer.
/// @dev Belongs to the current round only where its `round` equals the intake's.
///
/// | bits    | width | field    |                                                        |
/// | ------- | ----- | -------- | ------------------------------------------------------ |
/// | 0-23    | 24    | round    |                                                        |
/// | 24-27   | 4     | phase    |                                                        |
/// | 28-67   | 40    | deadline | seconds                                                |
/// | 68-75   | 8     | attempt  | counts from 0                                          |
/// | 76-83   | 8     | attempts | how many the round has                                 |
/// | 84-91   | 8     | seats    |                                                        |
/// | 92-99   | 8     | quorum   |                                                        |
/// | 100-163 | 64    | low      | the votes' lower bits, indexed by seat                 |
/// | 164-227 | 64    | high     | the votes' upper bits                                  |
type Ballot is uint256;

using {
    round,
    phase,
    isIn,
    deadline,
    attempt,
    attempts,
    seats,
    quorum,
    approved,
    rejected,
    unavailable,
    voted,
    withPhase,
    withDeadline,
    withAttempt,
    withVote
} for Ballot global;

/// Return the word of a committee that stands; its first attempt is opened by `withAttempt`.
function openedBallot(uint256 round_, uint256 attempts_, uint256 seats_, uint256 quorum_) pure returns (Ballot) {
    uint256 word = withBitsAt(0, 0, 24, round_);
    word = withBitsAt(word, 76, 8, attempts_);
    word = withBitsAt(word, 84, 8, seats_);
    return Ballot.wrap(withBitsAt(word, 92, 8, quorum_));
}

function round(Ballot word) pure returns (uint32) {
    return uint32(bitsAt(Ballot.unwrap(word), 0, 24));
}

function phase(Ballot word) pure returns (Phase) {
    return Phase(bitsAt(Ballot.unwrap(word), 24, 4));
}

function isIn(Ballot word, Phase phase_) pure returns (bool) {
    return bitsAt(Ballot.unwrap(word), 24, 4) == uint256(phase_);
}

function deadline(Ballot word) pure returns (uint64) {
    return uint64(bitsAt(Ballot.unwrap(word), 28, 40));
}

function attempt(Ballot word) pure returns (uint16) {
    return uint16(bitsAt(Ballot.unwrap(word), 68, 8));
}

function attempts(Ballot word) pure returns (uint256) {
    return bitsAt(Ballot.unwrap(word), 76, 8);
}

function seats(Ballot word) pure returns (uint256) {
    return bitsAt(Ballot.unwrap(word), 84, 8);
}

function quorum(Ballot word) pure returns (uint256) {
    return bitsAt(Ballot.unwrap(word), 92, 8);
}

/// Seats that approved, a bit each; the proposer does not vote.
function approved(Ballot word) pure returns (uint256) {
    return bitsAt(Ballot.unwrap(word), 100, 64) & ~bitsAt(Ballot.unwrap(word), 164, 64);
}

/// Seats that rejected, for whatever reason.
function rejected(Ballot word) pure returns (uint256) {
    return bitsAt(Ballot.unwrap(word), 164, 64);
}

/// Of those, seats that rejected as unavailable.
function unavailable(Ballot word) pure returns (uint256) {
    return bitsAt(Ballot.unwrap(word), 100, 64) & bitsAt(Ballot.unwrap(word), 164, 64);
}

/// Seats that approved or rejected.
function voted(Ballot word) pure returns (uint256) {
    return bitsAt(Ballot.unwrap(word), 100, 64) | bitsAt(Ballot.unwrap(word), 164, 64);
}

function withPhase(Ballot word, Phase value) pure returns (Ballot) {
    return Ballot.wrap(withBitsAt(Ballot.unwrap(word), 24, 4, uint256(value)));
}

function withDeadline(Ballot word, uint256 value) pure returns (Ballot) {
    return Ballot.wrap(withBitsAt(Ballot.unwrap(word), 28, 40, value));
}

/// Open an attempt: its proposer's window, and no votes.
function withAttempt(Ballot word, uint256 attempt_, uint256 deadline_) pure returns (Ballot) {
    uint256 raw = withBitsAt(Ballot.unwrap(word), 68, 8, attempt_);
    raw = withBitsAt(raw, 100, 128, 0);
    return Ballot.wrap(raw).withPhase(Phase.Aggregation).withDeadline(deadline_);
}

/// Record the vote of a seat (below 64) that has none.
function withVote(Ballot word, uint256 seat, RejectReason reason) pure returns (Ballot) {
    uint256 code = reason == RejectReason.None ? 1 : reason == RejectReason.Unavailable ? 3 : 2;
    return Ballot.wrap(Ballot.unwrap(word) | ((code & 1) << (100 + seat)) | ((code >> 1) << (164 + seat)));
}
