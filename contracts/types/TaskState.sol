// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorTypes} from "../interfaces/IRoundCoordinator.sol";
import {Ballot} from "./Ballot.sol";
import {Claims} from "./Claims.sol";
import {Intake} from "./Intake.sol";
import {NUMBERS} from "./Keys.sol";
import {Ledger} from "./Ledger.sol";
import {Outcome} from "./Outcome.sol";
import {ROSTER_SIZE, Roster} from "./Roster.sol";
import {Sortition} from "./Sortition.sol";

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
    /// Wei that no finalized round has earned.
    uint128 budget;
    /// Enrolments that have not ended.
    uint24 enrolled;
    uint16 consecutiveVoids;
    /// Sum of the weights of the current round's updates, from the end of TRAINING on.
    uint32 roundWeight;
    Intake intake;
    /// Of the newest round whose seed is fixed.
    Sortition sortition;
    Claims claims;
    Ballot ballot;
    Proposal proposal;
    /// The committee in order of outputs: `top 96 bits of the output << 160 | member`.
    uint256[64] committee;
    /// Commitments of approvals by seat; the ballot's bitmaps say which belong to this attempt.
    bytes32[64] commitments;
    /// By participant number: number n is at place n % ROSTER_SIZE of word n / ROSTER_SIZE.
    Roster[NUMBERS / ROSTER_SIZE + 1] rosters;
    mapping(address account => Ledger) ledgers;
    mapping(address account => bool) invited;
    mapping(uint256 round => Outcome) outcomes;
    mapping(uint256 round => mapping(uint256 word => uint256)) moreAccepted;
}
