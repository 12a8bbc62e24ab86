// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {bitsAt, withBitsAt} from "./Bits.sol";

/// @notice A worker's side of committees, one word a task and worker. A seat costs no slot of its own: the committee
/// is a list threaded through its members' words, from `Intake.head` along `next`, ending at 0.
///
/// | bits    | width | field  |                                                                          |
/// | ------- | ----- | ------ | ------------------------------------------------------------------------ |
/// | 0-24    | 25    | term   | see `Term`                                                               |
/// | 25-48   | 24    | number | the worker's number in the task, from 1; kept for good                   |
/// | 49-72   | 24    | round  | newest round in which a seat was won                                     |
/// | 73-80   | 8     | index  | the seat there; `EVICTED` once a lower output took it                    |
/// | 81-104  | 24    | next   | number of the worker that follows in the list                            |
/// | 105-200 | 96    | prefix | top 96 bits of the VRF output                                            |
type Seat is uint256;

// The index of a seat that was lost again.
uint256 constant EVICTED = 255;

using {
    term,
    number,
    round,
    index,
    next,
    prefix,
    isSeated,
    withTerm,
    withNumber,
    withSeat,
    withNext,
    withEviction
} for Seat global;

function term(Seat word) pure returns (uint256) {
    return bitsAt(Seat.unwrap(word), 0, 25);
}

function number(Seat word) pure returns (uint256) {
    return bitsAt(Seat.unwrap(word), 25, 24);
}

function round(Seat word) pure returns (uint32) {
    return uint32(bitsAt(Seat.unwrap(word), 49, 24));
}

function index(Seat word) pure returns (uint256) {
    return bitsAt(Seat.unwrap(word), 73, 8);
}

function next(Seat word) pure returns (uint256) {
    return bitsAt(Seat.unwrap(word), 81, 24);
}

function prefix(Seat word) pure returns (uint96) {
    return uint96(bitsAt(Seat.unwrap(word), 105, 96));
}

/// Return whether the worker holds a seat of the round.
function isSeated(Seat word, uint256 round_) pure returns (bool) {
    return word.round() == round_ && word.index() != EVICTED;
}

function withTerm(Seat word, uint256 value) pure returns (Seat) {
    return Seat.wrap(withBitsAt(Seat.unwrap(word), 0, 25, value));
}

function withNumber(Seat word, uint256 value) pure returns (Seat) {
    return Seat.wrap(withBitsAt(Seat.unwrap(word), 25, 24, value));
}

/// Take a seat. `round_` and `next_` come from fields of this width, `index_` is below 64, `prefix_` below 2**96.
function withSeat(Seat word, uint256 round_, uint256 index_, uint256 next_, uint256 prefix_) pure returns (Seat) {
    uint256 kept = Seat.unwrap(word) & ((1 << 49) - 1);
    return Seat.wrap(kept | (round_ << 49) | (index_ << 73) | (next_ << 81) | (prefix_ << 105));
}

function withNext(Seat word, uint256 value) pure returns (Seat) {
    return Seat.wrap(withBitsAt(Seat.unwrap(word), 81, 24, value));
}

function withEviction(Seat word) pure returns (Seat) {
    return Seat.wrap(withBitsAt(Seat.unwrap(word), 73, 8, EVICTED));
}
