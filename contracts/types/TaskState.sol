// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorTypes} from "../interfaces/IRoundCoordinator.sol";
import {Ballot} from "./Ballot.sol";
import {Intake} from "./Intake.sol";
import {Ledger} from "./Ledger.sol";
import {Outcome} from "./Outcome.sol";
import {Seat} from "./Seat.sol";

/// What a task knows of an account.
struct WorkerState {
    Seat seat;
    Ledger ledger;
}

/// The proposal of the current attempt; meaningless outside `Validation`, `Reveal` and `Finalized`.
struct Proposal {
    bytes32 digest;
    bytes32 modelDigest;
    bytes32 reportDigest;
    bytes32 commitment;
    uint32 modelSize;
    uint32 reportSize;
    uint32 acceptedWeight;
    /// See `Outcome`.
    bool metered;
    /// The bitmap's first bytes, as in `Outcome`.
    uint104 accepted;
}

/// All of a task. Everything about the round in progress is overwritten by the next one; only `outcomes` and
/// `moreAccepted` grow, by one word a finalized round (one more for each 256 updates past the first 104).
struct TaskState {
    IRoundCoordinatorTypes.TaskRules rules;
    address owner;
    IRoundCoordinatorTypes.TaskStatus status;
    uint32 specSize;
    uint32 modelSize;
    bytes32 specDigest;
    /// Of the newest finalized model, or of the genesis model.
    bytes32 modelDigest;
    bytes32 seed;
    /// Wei that no finalized round has earned.
    uint128 budget;
    /// Enrolments that have not ended.
    uint24 enrolled;
    /// Workers that ever enrolled: the highest worker number.
    uint24 workers;
    uint16 consecutiveVoids;
    /// Sum of the weights of the current round's updates, from the end of TRAINING on.
    uint32 roundWeight;
    Intake intake;
    Ballot ballot;
    Proposal proposal;
    /// Seats in order of their outputs, 8 a word: entry r is `seat index << 24 | worker number` at bit 32 * (r % 8)
    /// of word r / 8.
    uint256[8] roll;
    /// Commitments of approvals by seat index; the ballot's bitmaps say which belong to this attempt.
    bytes32[64] commitments;
    mapping(uint256 number => address) workerAt;
    mapping(address account => WorkerState) accounts;
    mapping(address account => bool) invited;
    mapping(uint256 round => Outcome) outcomes;
    mapping(uint256 round => mapping(uint256 word => uint256)) moreAccepted;
}
