// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EcVrf} from "../../../contracts/libraries/EcVrf.sol";

/// @title Execution gas of our verifier alone: no call data, no call, no output
contract EcVrfMeter {
    function measure(uint256 key, bytes32 alpha, bytes calldata proof) external view returns (uint256 spent) {
        spent = gasleft();
        bool valid = EcVrf.verify(key, alpha, proof);
        spent -= gasleft();
        require(valid, "proof refused");
    }
}
