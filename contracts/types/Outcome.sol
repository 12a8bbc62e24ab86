// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {bitsAt, withBitsAt} from "./Bits.sol";

/// @notice What a finalized round leaves behind for good, in one word, so that its rewards never expire. 0: not finalized.
/// @dev The accepted bitmap stands as it was proposed: bit i%8 of byte i/8. Bytes 0-12 are here; bytes 13 on are in
/// the task's `moreAccepted`, 32 a word. The contract knows the sum of all updates' weights, not of those accepted: where
/// the published sum could be too small, `unpaidWeight` meters what is paid, so that the trainers' rewards together never
/// exceed `trainerReward`, whatever a committee has published.
///
/// | bits    | width | field          |                                                                  |
/// | ------- | ----- | -------------- | ---------------------------------------------------------------- |
/// | 0-24    | 25    | acceptedWeight | sum of the accepted updates' weights, at least 1                 |
/// | 25-49   | 25    | unpaidWeight   | of which not yet settled; where metered                          |
/// | 50-145  | 96    | trainerReward  | wei, a multiple of `acceptedWeight`                              |
/// | 146     | 1     | metered        |                                                                  |
/// | 147-151 | 5     |                | unused                                                           |
/// | 152-255 | 104   | accepted       | the first 13 bytes of the bitmap                                 |
type Outcome is uint256;

// Bytes of the accepted bitmap that are in the outcome itself.
uint256 constant HEAD_BYTES = 13;
// Updates whose bits are there.
uint256 constant HEAD_BITS = 104;

using {acceptedWeight, unpaidWeight, trainerReward, isMetered, withUnpaidWeight, hasAccepted} for Outcome global;

function outcomeOf(uint256 acceptedWeight_, uint256 trainerReward_, bool metered, uint104 accepted)
    pure
    returns (Outcome)
{
    uint256 word = withBitsAt(uint256(accepted) << 152, 0, 25, acceptedWeight_);
    word = withBitsAt(word, 50, 96, trainerReward_);
    return Outcome.wrap(metered ? withBitsAt(word, 25, 25, acceptedWeight_) | (1 << 146) : word);
}

function acceptedWeight(Outcome word) pure returns (uint32) {
    return uint32(bitsAt(Outcome.unwrap(word), 0, 25));
}

function unpaidWeight(Outcome word) pure returns (uint256) {
    return bitsAt(Outcome.unwrap(word), 25, 25);
}

function trainerReward(Outcome word) pure returns (uint256) {
    return bitsAt(Outcome.unwrap(word), 50, 96);
}

function isMetered(Outcome word) pure returns (bool) {
    return bitsAt(Outcome.unwrap(word), 146, 1) != 0;
}

function withUnpaidWeight(Outcome word, uint256 value) pure returns (Outcome) {
    return Outcome.wrap(withBitsAt(Outcome.unwrap(word), 25, 25, value));
}

/// Return the bit of an update with an index below `HEAD_BITS`.
function hasAccepted(Outcome word, uint256 index) pure returns (bool) {
    return bitmapBit(Outcome.unwrap(word), index);
}

/// Return bit i%8 of byte i/8 of a word, byte 0 being the most significant; i below 256.
function bitmapBit(uint256 word, uint256 i) pure returns (bool) {
    unchecked {
        return (word >> (((31 - (i >> 3)) << 3) + (i & 7))) & 1 != 0;
    }
}
