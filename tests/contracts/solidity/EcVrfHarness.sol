// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EcVrf} from "../../../contracts/libraries/EcVrf.sol";

/// @title The VRF library behind external functions, for tests and for measuring
contract EcVrfHarness {
    /// Verify a proof and return what it proves (0 where it does not verify).
    function verify(uint256 key, bytes32 alpha, bytes calldata proof) external view returns (bool ok, uint256 output) {
        ok = EcVrf.verify(key, alpha, proof);
        if (!ok) return (false, 0);
        uint256 position;
        assembly ("memory-safe") {
            position := proof.offset
        }
        (ok, output) = EcVrf.verifyAt(key, alpha, position);
        require(ok);
    }

    /// As `verify`, for any key (prefix 2 or 3) and message.
    function verifyMessage(uint256 prefix, uint256 key, bytes calldata alpha, bytes calldata proof)
        external
        view
        returns (bool ok, uint256 output)
    {
        return EcVrf.verifyMessage(prefix, key, alpha, proof);
    }

    /// Execution gas of `verify` alone: no calldata, no call, no output.
    function measure(uint256 key, bytes32 alpha, bytes calldata proof) external view returns (uint256 spent) {
        spent = gasleft();
        bool ok = EcVrf.verify(key, alpha, proof);
        spent -= gasleft();
        require(ok);
    }
}
