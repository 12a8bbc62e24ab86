// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Carries batches of claims of several tasks to a coordinator in one transaction
/// @notice A committee has 64 seats at most; two committees of 64 are 128 members verified in one transaction. The call
/// data is the coordinator's address (20 bytes), then for each call its length (4 bytes) and its data.
contract ClaimCarrier {
    fallback() external {
        assembly ("memory-safe") {
            let coordinator := shr(96, calldataload(0))
            let offset := 20
            for {} lt(offset, calldatasize()) {} {
                let length := shr(224, calldataload(offset))
                offset := add(offset, 4)
                let input := mload(0x40)
                calldatacopy(input, offset, length)
                if iszero(call(gas(), coordinator, 0, input, length, 0, 0)) {
                    returndatacopy(input, 0, returndatasize())
                    revert(input, returndatasize())
                }
                offset := add(offset, length)
            }
        }
    }
}
