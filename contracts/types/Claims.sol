// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors} from "../interfaces/IRoundCoordinator.sol";
import {bitsAt} from "./Bits.sol";

/// @notice The claims of a round whose SORTITION is open, in one word. They are not stored one by one: those of a
/// transaction are emitted (`SeatsClaimed`) and hashed onto a chain, and who closes SORTITION brings the list, which must hash
/// to the chain.
/// @dev The chain keeps 223 bits of keccak256: another list with the same chain is as far away as a collision of 223 bits.
///
/// | bits   | width | field  |                                                                            |
/// | ------ | ----- | ------ | -------------------------------------------------------------------------- |
/// | 0-23   | 24    | round  | 0 once SORTITION is closed                                                 |
/// | 24-32  | 9     | count  |                                                                            |
/// | 33-255 | 223   | chain  | of keccak256(chain before || claims), its low 33 bits cleared; at first 0     |
type Claims is uint256;

// Bytes of a claim in the list: the top 96 bits of its output and the participant's number.
uint256 constant CLAIM_SIZE = 15;
// What `count` can hold. Twice the largest E is 254: more than this are never expected.
uint256 constant MAX_CLAIMS = 511;

using {round, count, chain, extended, closed} for Claims global;

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

/// The chain where it stands in the word.
function chain(Claims word) pure returns (uint256) {
    return (Claims.unwrap(word) >> 33) << 33;
}

/// Return the word with the claims of one more transaction, `CLAIM_SIZE` bytes each: `prefix || number`.
function extended(Claims word, bytes memory taken) pure returns (Claims) {
    uint256 total = word.count() + taken.length / CLAIM_SIZE;
    if (total > MAX_CLAIMS) revert IRoundCoordinatorErrors.TooManyClaims(MAX_CLAIMS);
    uint256 hash = uint256(keccak256(abi.encodePacked(word.chain(), taken)));
    return Claims.wrap((hash >> 33 << 33) | (total << 24) | word.round());
}

/// Take no further claims. What is left is not 0, which makes the next round's write cheaper.
function closed(Claims word) pure returns (Claims) {
    return Claims.wrap((Claims.unwrap(word) >> 24) << 24);
}
