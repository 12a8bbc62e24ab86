// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FieldOverflow, bitsAt, withBitsAt} from "./Bits.sol";

/// @notice A worker's side of updates and money, one word a task and worker, so that an update, its settlement and the
/// credit it earns write a single slot.
///
/// | bits    | width | field   |                                                                       |
/// | ------- | ----- | ------- | --------------------------------------------------------------------- |
/// | 0-24    | 25    | term    | see `Term`; says of updates what `Roster` says of committees          |
/// | 25-48   | 24    | round   | of the newest update; 0 before the first                              |
/// | 49-61   | 13    | index   | of that update in its round                                           |
/// | 62-74   | 13    | weight  | of that update                                                        |
/// | 75      | 1     | pending | that update has not been settled                                      |
/// | 76-91   | 16    | strikes | updates in a row that were not accepted                               |
/// | 92-187  | 96    | credit  | wei; what a coordinator holds for a task is below 2**96 (`TaskLib`)   |
/// | 188-211 | 24    | number  | the participant's in the registry; 0 before the first enrolment       |
/// | 212-235 | 24    | served  | newest finalized round that it proposed, or approved as revealed      |
type Ledger is uint256;

using {
    term,
    round,
    index,
    weight,
    pending,
    strikes,
    credit,
    number,
    served,
    withTerm,
    withUpdate,
    withSettled,
    withReward,
    withStrikes,
    withCredit,
    withNumber,
    withService
} for Ledger global;

function term(Ledger word) pure returns (uint256) {
    return bitsAt(Ledger.unwrap(word), 0, 25);
}

function round(Ledger word) pure returns (uint32) {
    return uint32(bitsAt(Ledger.unwrap(word), 25, 24));
}

function index(Ledger word) pure returns (uint256) {
    return bitsAt(Ledger.unwrap(word), 49, 13);
}

function weight(Ledger word) pure returns (uint256) {
    return bitsAt(Ledger.unwrap(word), 62, 13);
}

function pending(Ledger word) pure returns (bool) {
    return bitsAt(Ledger.unwrap(word), 75, 1) != 0;
}

function strikes(Ledger word) pure returns (uint256) {
    return bitsAt(Ledger.unwrap(word), 76, 16);
}

function credit(Ledger word) pure returns (uint256) {
    return bitsAt(Ledger.unwrap(word), 92, 96);
}

function number(Ledger word) pure returns (uint256) {
    return bitsAt(Ledger.unwrap(word), 188, 24);
}

function served(Ledger word) pure returns (uint32) {
    return uint32(bitsAt(Ledger.unwrap(word), 212, 24));
}

function withTerm(Ledger word, uint256 value) pure returns (Ledger) {
    return Ledger.wrap(withBitsAt(Ledger.unwrap(word), 0, 25, value));
}

/// Record an update that waits for its round's outcome. `round_` comes from a field of this width, `index_` is below
/// 4096, `weight_` at most that.
function withUpdate(Ledger word, uint256 round_, uint256 index_, uint256 weight_) pure returns (Ledger) {
    uint256 kept = Ledger.unwrap(word) & ~(uint256((1 << 51) - 1) << 25);
    return Ledger.wrap(kept | (round_ << 25) | (index_ << 49) | (weight_ << 62) | (1 << 75));
}

function withSettled(Ledger word) pure returns (Ledger) {
    return Ledger.wrap(withBitsAt(Ledger.unwrap(word), 75, 1, 0));
}

/// Settle an update that is in the model: nothing is pending, no strike stands, and `amount` wei are credited, in one
/// write of the three fields.
function withReward(Ledger word, uint256 amount) pure returns (Ledger) {
    unchecked {
        uint256 credited = word.credit() + amount;
        if (credited >> 96 != 0) revert FieldOverflow(credited, 96);
        uint256 kept = Ledger.unwrap(word) & ~(uint256((1 << 113) - 1) << 75);
        return Ledger.wrap(kept | (credited << 92));
    }
}

function withStrikes(Ledger word, uint256 value) pure returns (Ledger) {
    return Ledger.wrap(withBitsAt(Ledger.unwrap(word), 76, 16, value));
}

function withCredit(Ledger word, uint256 value) pure returns (Ledger) {
    return Ledger.wrap(withBitsAt(Ledger.unwrap(word), 92, 96, value));
}

function withNumber(Ledger word, uint256 value) pure returns (Ledger) {
    return Ledger.wrap(withBitsAt(Ledger.unwrap(word), 188, 24, value));
}

/// Credit a member of the committee of a finalized round.
function withService(Ledger word, uint256 round_, uint256 amount) pure returns (Ledger) {
    uint256 raw = withBitsAt(Ledger.unwrap(word), 212, 24, round_);
    return Ledger.wrap(raw).withCredit(word.credit() + amount);
}
