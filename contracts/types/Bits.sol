// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Read the `width` bits of `word` that start at `offset` (0 is the least significant).
function bitsAt(uint256 word, uint256 offset, uint256 width) pure returns (uint256) {
    unchecked {
        return (word >> offset) & ((1 << width) - 1);
    }
}

/// A value does not fit in the bits that its field has.
error FieldOverflow(uint256 value, uint256 width);

/// Return `word` with the `width` bits that start at `offset` replaced by `value`, which must fit.
function withBitsAt(uint256 word, uint256 offset, uint256 width, uint256 value) pure returns (uint256) {
    unchecked {
        if (value >> width != 0) revert FieldOverflow(value, width);
        return (word & ~(((1 << width) - 1) << offset)) | (value << offset);
    }
}
