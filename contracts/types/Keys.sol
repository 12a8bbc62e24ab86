// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Participant numbers have 24 bits.
uint256 constant NUMBERS = 1 << 24;

/// The registry's active keys, as it told them (see `IActiveKeys`), by the participant's number.
struct Keys {
    /// 0 while the participant is not active. An array, not a mapping: the slot is found without a hash.
    uint256[NUMBERS] active;
    /// The account that a number names; it stays.
    mapping(uint256 number => address) holders;
    /// For each `SEGMENT_SIZE` numbers (see `KeyLib`), `active bits << 160 | snapshot`: bit i is set while number
    /// `segment * SEGMENT_SIZE + i` is active; `snapshot` is the code that holds their keys, 0 before the first.
    mapping(uint256 segment => uint256) segments;
}
