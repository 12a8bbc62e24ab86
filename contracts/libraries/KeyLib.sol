// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Keys} from "../types/Keys.sol";

/// @title Active keys, and snapshots of them as code
/// @notice To read a key from storage costs 2,100 gas; to read it from code that has been loaded, next to nothing. A
/// participant's key never changes once registered (its number is not given again), so a snapshot is never wrong: what
/// changes is who is active, and that is a bit beside the snapshot's address, in the slot that a reader of the snapshot
/// needs anyway.
library KeyLib {
    /// Keys in a snapshot, as many as there are bits beside an address.
    uint256 internal constant SEGMENT_SIZE = 96;
    /// A byte that stops execution, then the keys: the code can be read, and does nothing when called.
    uint256 private constant SNAPSHOT_LENGTH = 1 + 32 * SEGMENT_SIZE;
    /// PUSH2 `SNAPSHOT_LENGTH`, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN: creation code of 10 bytes that returns what follows.
    uint256 private constant CREATION_CODE = 0x610c0180600a5f395ff3;

    error SnapshotFailed(uint256 segment);

    /// @notice Note a participant's active key, 0 for none.
    function change(Keys storage keys, address account, uint256 number, uint256 key) internal {
        keys.active[number] = key;
        keys.holders[number] = account;
        uint256 bit = 1 << (160 + number % SEGMENT_SIZE);
        uint256 segment = keys.segments[number / SEGMENT_SIZE];
        keys.segments[number / SEGMENT_SIZE] = key == 0 ? segment & ~bit : segment | bit;
    }

    /// @notice A participant's active key, 0 where it has none.
    function keyOf(Keys storage keys, uint256 participant) internal view returns (uint256 key) {
        // As `keys.active[participant]`, which would look whether a number of 24 bits has 24 bits.
        assembly ("memory-safe") {
            key := sload(add(keys.slot, participant))
        }
    }

    /// @notice Put the keys of a segment into code. What an earlier snapshot holds is kept: it is right for good.
    function takeSnapshot(Keys storage keys, uint256 segment) internal returns (address snapshot) {
        uint256 word = keys.segments[segment];
        bytes memory creation = new bytes(10 + SNAPSHOT_LENGTH);
        uint256[] memory known = new uint256[](SEGMENT_SIZE);
        _load(uint160(word), known);
        for (uint256 i = 0; i < SEGMENT_SIZE; ++i) {
            uint256 key = keys.active[segment * SEGMENT_SIZE + i];
            if (key != 0) known[i] = key;
        }
        assembly ("memory-safe") {
            let start := add(creation, 32)
            mstore(start, shl(176, CREATION_CODE))
            mcopy(add(start, 11), add(known, 32), mul(32, SEGMENT_SIZE))
            snapshot := create(0, start, mload(creation))
        }
        if (snapshot == address(0)) revert SnapshotFailed(segment);
        keys.segments[segment] = (word >> 160 << 160) | uint160(snapshot);
    }

    /// @notice Read a segment's snapshot into memory, which has `SEGMENT_SIZE` words; without a snapshot, zeros.
    /// @return active a bit for each key whose participant is active now.
    function loadSegment(Keys storage keys, uint256 segment, uint256[] memory into)
        internal
        view
        returns (uint256 active)
    {
        uint256 word = keys.segments[segment];
        _load(uint160(word), into);
        return word >> 160;
    }

    function _load(uint160 snapshot, uint256[] memory into) private view {
        assembly ("memory-safe") {
            extcodecopy(snapshot, add(into, 32), 1, mul(32, SEGMENT_SIZE))
        }
    }

    /// @notice The key at a place below `SEGMENT_SIZE`.
    function keyAt(uint256[] memory loaded, uint256 place) internal pure returns (uint256 key) {
        assembly ("memory-safe") {
            key := mload(add(add(loaded, 32), shl(5, place)))
        }
    }
}
