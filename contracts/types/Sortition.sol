// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {bitsAt, withBitsAt} from "./Bits.sol";

/// @notice What a round draws by, in one word, so that a claim reads a single slot for it.
/// @dev The seed is cut to 184 bits, which nobody can search, to leave room for what else a claim asks for.
///
/// | bits   | width | field    |                                                                        |
/// | ------ | ----- | -------- | ---------------------------------------------------------------------- |
/// | 0-7    | 8     | expected | seats that are expected: E, twice as many once widened                 |
/// | 8-31   | 24    | enrolled | workers when the round was opened                                      |
/// | 32-71  | 40    | deadline | of SORTITION, seconds                                                  |
/// | 72-255 | 184   | seed     | where it stands in a bytes32                                           |
type Sortition is uint256;

using {seed, deadline, enrolled, expected, withWidened} for Sortition global;

/// Return the word of a round whose seed has just been fixed; `seed_` is as `seedOf` gives it.
function openedSortition(bytes32 seed_, uint256 deadline_, uint256 enrolled_, uint256 expected_)
    pure
    returns (Sortition)
{
    uint256 word = withBitsAt(uint256(seed_), 0, 8, expected_);
    word = withBitsAt(word, 8, 24, enrolled_);
    return Sortition.wrap(withBitsAt(word, 32, 40, deadline_));
}

/// Return a hash as a seed: its low 72 bits cleared.
function seedOf(bytes32 hash) pure returns (bytes32) {
    return (hash >> 72) << 72;
}

function seed(Sortition word) pure returns (bytes32) {
    return seedOf(bytes32(Sortition.unwrap(word)));
}

function deadline(Sortition word) pure returns (uint64) {
    return uint64(bitsAt(Sortition.unwrap(word), 32, 40));
}

function enrolled(Sortition word) pure returns (uint256) {
    return bitsAt(Sortition.unwrap(word), 8, 24);
}

function expected(Sortition word) pure returns (uint256) {
    return bitsAt(Sortition.unwrap(word), 0, 8);
}

/// Expect twice as many seats, until a new deadline.
function withWidened(Sortition word, uint256 deadline_) pure returns (Sortition) {
    uint256 raw = withBitsAt(Sortition.unwrap(word), 0, 8, 2 * word.expected());
    return Sortition.wrap(withBitsAt(raw, 32, 40, deadline_));
}
