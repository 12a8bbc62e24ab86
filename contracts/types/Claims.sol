// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {bitsAt} from "./Bits.sol";

/// @notice The claims of a round whose SORTITION is open, in one word. They are not stored one by one: each is hashed
/// onto a chain and emitted (`SeatsClaimed`), and who closes SORTITION brings the list, which must hash to the chain.
/// @dev The chain keeps 223 bits of keccak256: another list with the same chain is as far away as a collision of 223 bits.
///
/// | bits   | width | field  |                                                                            |
/// | ------ | ----- | ------ | -------------------------------------------------------------------------- |
/// | 0-23   | 24    | round  | 0 once SORTITION is closed                                                 |
/// | 24-32  | 9     | count  |                                                                            |
/// | 33-255 | 223   | chain  | the top bits of keccak256(chain before || claim); 0 before the first        |
type Claims is uint256;

// Bytes of a claim in the list: the top 96 bits of its output and the participant's number.
uint256 constant CLAIM_SIZE = 15;
// What `count` can hold. Twice the largest E is 254: more than this are never expected.
uint256 constant MAX_CLAIMS = 511;

using {round, count, chain, withClaim, closed} for Claims global;

/// Return the word of a round without claims.
function openedClaims(uint256 round_) pure returns (Claims) {
    return Claims.wrap(round_);
}

function round(Claims word) pure returns (uint256) {
    return bitsAt(Claims.unwrap(word), 0, 24);
}

function count(Claims word) pure returns (uint256) {
    return bitsAt(Claims.unwrap(word), 24, 9);
}

function chain(Claims word) pure returns (uint256) {
    return Claims.unwrap(word) >> 33;
}

/// Add a claim, `prefix << 24 | number`, to fewer than `MAX_CLAIMS`.
function withClaim(Claims word, uint256 claim) pure returns (Claims next) {
    assembly ("memory-safe") {
        mstore(0, shl(33, shr(33, word)))
        mstore(32, shl(136, claim))
        next := or(shl(33, shr(33, keccak256(0, 47))), and(add(word, 0x1000000), 0x1ffffffff))
    }
}

/// Take no further claims. What is left is not 0, which makes the next round's write cheaper.
function closed(Claims word) pure returns (Claims) {
    return Claims.wrap((Claims.unwrap(word) >> 24) << 24);
}
