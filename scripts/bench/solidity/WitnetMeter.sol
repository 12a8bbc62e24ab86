// SPDX-License-Identifier: MIT
pragma solidity 0.6.12;

import "vrf-solidity/contracts/VRF.sol";

/// @title Execution gas of Witnet's `fastVerify` alone
contract WitnetMeter {
    function measure(
        uint256[2] memory key,
        uint256[4] memory proof,
        bytes memory message,
        uint256[2] memory u,
        uint256[4] memory v
    ) public view returns (uint256 spent) {
        spent = gasleft();
        bool valid = VRF.fastVerify(key, proof, message, u, v);
        spent -= gasleft();
        require(valid, "proof refused");
    }
}
