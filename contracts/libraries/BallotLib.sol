// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorTypes} from "../interfaces/IRoundCoordinator.sol";
import {Ballot} from "../types/Ballot.sol";

/// @title Quorum, tally, and what proposals and commitments hash to
/// @notice docs/protocol.md, sections 3 and 4.
library BallotLib {
    /// What a proposer submits (see `IRoundCoordinator.propose`).
    struct Draft {
        uint256 taskId;
        uint32 round;
        uint16 attempt;
        IRoundCoordinatorTypes.ContentId model;
        IRoundCoordinatorTypes.ContentId report;
        bytes acceptedBitmap;
        uint32 acceptedWeight;
        bytes32 commitment;
    }

    /// A proposer and at least one more.
    uint256 internal constant MINIMUM_QUORUM = 2;
    uint256 private constant BASIS_POINTS = 10_000;

    /// @notice max(ceil(t * min(E, enrolled)), ceil(t * seats), 2).
    /// @param expected E, not widened.
    function quorum(uint256 thresholdBasisPoints, uint256 expected, uint256 enrolled, uint256 seats)
        internal
        pure
        returns (uint256)
    {
        uint256 least = expected < enrolled ? expected : enrolled;
        uint256 base = least > seats ? least : seats;
        uint256 needed = (thresholdBasisPoints * base + BASIS_POINTS - 1) / BASIS_POINTS;
        return needed > MINIMUM_QUORUM ? needed : MINIMUM_QUORUM;
    }

    /// @notice Approvals, the proposer's own included.
    function approvals(Ballot ballot) internal pure returns (uint256) {
        return popCount(ballot.approved()) + 1;
    }

    function rejections(Ballot ballot) internal pure returns (uint256) {
        return popCount(ballot.rejected());
    }

    /// @notice Whether no vote that may still come can change what follows: every seat other than the proposer's has
    /// voted, or the rejections leave too few seats for a quorum.
    function isDecided(Ballot ballot) internal pure returns (bool) {
        if (popCount(ballot.voted()) + 1 == ballot.seats()) return true;
        return ballot.seats() - rejections(ballot) < ballot.quorum();
    }

    /// @notice Number of bits that are set: sums of neighbours in ever wider fields.
    function popCount(uint256 word) internal pure returns (uint256) {
        unchecked {
            word -= (word >> 1) & (type(uint256).max / 3);
            word = (word & (type(uint256).max / 5)) + ((word >> 2) & (type(uint256).max / 5));
            word = (word + (word >> 4)) & (type(uint256).max / 17);
            word = (word + (word >> 8)) & (type(uint256).max / 0x101);
            // The quotient is a constant, and exact.
            // slither-disable-next-line divide-before-multiply
            return (word * (type(uint256).max / 0xffff)) >> 240;
        }
    }

    /// @notice See `IRoundCoordinator.proposalDigest`; the draft's bitmap stands for the digest given.
    function proposalDigest(Draft memory draft, bytes32 bitmapDigest) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                "flare/proposal",
                block.chainid,
                address(this),
                draft.taskId,
                draft.round,
                draft.attempt,
                draft.model,
                draft.report,
                bitmapDigest,
                draft.acceptedWeight
            )
        );
    }

    /// @notice See `IRoundCoordinator.voteCommitment`.
    function commitment(uint256 taskId, uint32 round, uint16 attempt, bytes32 proposal, address member, bytes32 inner)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode("flare/vote", block.chainid, address(this), taskId, round, attempt, proposal, member, inner)
        );
    }
}
