// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice When an enrolment counts, in 25 bits; 0: never enrolled, or over.
///
/// | bits | width | field   |                                                                              |
/// | ---- | ----- | ------- | ---------------------------------------------------------------------------- |
/// | 0    | 1     | ending  | the enrolment has ended, and `round` is the last in which it counts          |
/// | 1-24 | 24    | round   | else the first in which it counts                                            |
library TermLib {
    /// Return a term that counts from a round on.
    function startingIn(uint256 round) internal pure returns (uint256) {
        return round << 1;
    }

    /// Return what is left of a term when the enrolment ends while `current` is the newest round.
    function endedAfter(uint256 term, uint256 current) internal pure returns (uint256) {
        return counts(term, current) ? (current << 1) | 1 : 0;
    }

    /// Return whether the enrolment has not ended.
    function isOpen(uint256 term) internal pure returns (bool) {
        return term != 0 && term & 1 == 0;
    }

    /// Return the first round in which an open enrolment counts.
    function firstRound(uint256 term) internal pure returns (uint32) {
        return isOpen(term) ? uint32(term >> 1) : 0;
    }

    /// Return whether the enrolment counts in `round`, the newest round.
    function counts(uint256 term, uint256 round) internal pure returns (bool) {
        if (term == 0) return false;
        return term & 1 == 0 ? term >> 1 <= round : term >> 1 == round;
    }
}
