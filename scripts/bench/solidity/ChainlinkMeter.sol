// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;

import {VRF} from "@chainlink/contracts/src/v0.8/vrf/VRF.sol";

/// @title Execution gas of Chainlink's verifier alone; it reverts where a proof is not valid
contract ChainlinkMeter is VRF {
    function measure(Proof memory proof) external view returns (uint256 spent) {
        spent = gasleft();
        _verifyVRFProof(
            proof.pk,
            proof.gamma,
            proof.c,
            proof.s,
            proof.seed,
            proof.uWitness,
            proof.cGammaWitness,
            proof.sHashWitness,
            proof.zInv
        );
        spent -= gasleft();
    }
}
