// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorEvents} from "../interfaces/IRoundCoordinator.sol";
import {Intake} from "../types/Intake.sol";
import {Seat} from "../types/Seat.sol";
import {TaskState, WorkerState} from "../types/TaskState.sol";
import {TermLib} from "../types/Term.sol";
import {EcVrf} from "./EcVrf.sol";

/// @title From VRF outputs to seats
/// @notice docs/protocol.md, section 3. Seats are ordered by the top 96 bits of their outputs, ties by address; both
/// together are one number here, the seat's *standing*: prefix << 160 | address.
library SortitionLib {
    /// What became of a claim.
    enum Claim {
        Seated,
        NotEnrolled,
        NotActive,
        AlreadyClaimed,
        ProofInvalid,
        AboveThreshold,
        CommitteeFull
    }

    /// What all claims of one transaction share. `intake` is written back by the caller.
    struct Claims {
        uint256 taskId;
        bytes32 alpha;
        uint256 threshold;
        Intake intake;
        /// The committee once it is full, in the order of the list; empty before.
        uint256[] standings;
        /// Position of the highest there.
        uint256 worst;
    }

    /// @notice The highest output that wins.
    /// @param seats the committee's expected size, twice as much once widened.
    function threshold(uint256 enrolled, uint256 seats) internal pure returns (uint256) {
        if (enrolled <= seats) return type(uint256).max;
        // Seats are fewer than enrolled here, so this is at most the dividend, and the divisor is not 0.
        unchecked {
            // The product first would overflow.
            // slither-disable-next-line divide-before-multiply
            return type(uint256).max / enrolled * seats;
        }
    }

    /// @notice The threshold of a round.
    function threshold(Intake intake) internal pure returns (uint256) {
        return threshold(intake.enrolled(), intake.widened() ? 2 * intake.expected() : intake.expected());
    }

    /// @notice See `IRoundViews.vrfAlpha`.
    function alpha(uint256 taskId, uint32 round, bytes32 seed) internal view returns (bytes32) {
        return keccak256(abi.encode("flare/alpha", block.chainid, address(this), taskId, round, seed));
    }

    /// @notice Try to seat `member`; cheap reasons to refuse come before the proof is verified.
    /// @param key the member's active key, 0 for none.
    /// @return claim what came of it; storage and `claims` are changed only where that is `Seated`.
    /// @return output what the proof proves, if it is valid.
    function claimSeat(TaskState storage task, Claims memory claims, address member, uint256 key, bytes calldata proof)
        internal
        returns (Claim claim, uint256 output)
    {
        WorkerState storage account = task.accounts[member];
        Seat seat = account.seat;
        {
            uint256 round = claims.intake.round();
            if (!TermLib.counts(seat.term(), round)) return (Claim.NotEnrolled, 0);
            if (key == 0) return (Claim.NotActive, 0);
            if (seat.round() == round) return (Claim.AlreadyClaimed, 0);
        }
        {
            bool wellFormed;
            (wellFormed, output) = EcVrf.outputOf(proof);
            if (!wellFormed) return (Claim.ProofInvalid, 0);
        }
        if (output > claims.threshold) return (Claim.AboveThreshold, output);
        uint256 standing = (output >> 160 << 160) | uint160(member);
        bool full = claims.intake.seats() == claims.intake.maxSeats();
        if (full && standing > _highestStanding(task, claims)) return (Claim.CommitteeFull, output);
        if (!EcVrf.verify(key, claims.alpha, proof)) return (Claim.ProofInvalid, output);
        uint256 index;
        (account.seat, index) = full ? _evict(task, claims, seat, standing) : _append(claims, seat, standing);
        emit IRoundCoordinatorEvents.SeatClaimed(claims.taskId, claims.intake.round(), member, uint8(index), output);
    }

    /// @dev The highest standing of a full committee, which is read once a transaction.
    function _highestStanding(TaskState storage task, Claims memory claims) private view returns (uint256) {
        if (claims.standings.length == 0) {
            claims.standings = standingsOf(task, claims.intake);
            claims.worst = _highest(claims.standings);
        }
        return claims.standings[claims.worst];
    }

    /// @dev Take the next free seat, at the front of the list.
    function _append(Claims memory claims, Seat seat, uint256 standing)
        private
        pure
        returns (Seat seated, uint256 index)
    {
        Intake intake = claims.intake;
        index = intake.seats();
        claims.intake = intake.withNextSeat(seat.number());
        return (seat.withSeat(intake.round(), index, intake.head(), standing >> 160), index);
    }

    /// @dev Take the seat of the highest standing, and its place in the list.
    function _evict(TaskState storage task, Claims memory claims, Seat seat, uint256 standing)
        private
        returns (Seat seated, uint256 index)
    {
        Intake intake = claims.intake;
        uint256 position = claims.worst;
        address evicted = address(uint160(claims.standings[position]));
        Seat old = task.accounts[evicted].seat;
        index = old.index();
        task.accounts[evicted].seat = old.withEviction();
        uint256 head = intake.head();
        if (position == 0) {
            head = seat.number();
        } else {
            WorkerState storage previous = task.accounts[address(uint160(claims.standings[position - 1]))];
            previous.seat = previous.seat.withNext(seat.number());
        }
        seated = seat.withSeat(intake.round(), index, old.next(), standing >> 160);
        claims.intake = intake.withEviction(head);
        claims.standings[position] = standing;
        claims.worst = _highest(claims.standings);
        emit IRoundCoordinatorEvents.SeatEvicted(claims.taskId, intake.round(), evicted, uint8(index));
    }

    /// @notice The standings of all seats, in the order of the list (newest first, at first).
    function standingsOf(TaskState storage task, Intake intake) internal view returns (uint256[] memory standings) {
        standings = new uint256[](intake.seats());
        uint256 number = intake.head();
        for (uint256 i = 0; i < standings.length; ++i) {
            address member = task.workerAt[number];
            Seat seat = task.accounts[member].seat;
            standings[i] = (uint256(seat.prefix()) << 160) | uint160(member);
            number = seat.next();
        }
    }

    /// @notice Sort the committee by standing and write its order to `task.roll`, which is what later steps go by.
    function callRoll(TaskState storage task, Intake intake) internal {
        uint256[] memory standings = standingsOf(task, intake);
        sort(standings);
        // Built up from 0.
        // slither-disable-next-line uninitialized-local
        uint256 word;
        for (uint256 rank = 0; rank < standings.length; ++rank) {
            Seat seat = task.accounts[address(uint160(standings[rank]))].seat;
            word |= ((seat.index() << 24) | seat.number()) << (32 * (rank % 8));
            if (rank % 8 == 7 || rank + 1 == standings.length) {
                task.roll[rank / 8] = word;
                word = 0;
            }
        }
    }

    /// @notice The member of a rank and its seat index, once the roll has been called.
    function memberAt(TaskState storage task, uint256 rank) internal view returns (address member, uint256 index) {
        uint256 entry = task.roll[rank / 8] >> (32 * (rank % 8));
        return (task.workerAt[entry & 0xffffff], (entry >> 24) & 0xff);
    }

    /// @notice Sort in place, ascending, by insertion: at most 64 numbers.
    function sort(uint256[] memory numbers) internal pure {
        for (uint256 i = 1; i < numbers.length; ++i) {
            uint256 value = numbers[i];
            uint256 j = i;
            for (; j > 0 && numbers[j - 1] > value; --j) {
                numbers[j] = numbers[j - 1];
            }
            numbers[j] = value;
        }
    }

    /// @dev Position of the highest number; of none, 0.
    function _highest(uint256[] memory numbers) private pure returns (uint256 position) {
        for (uint256 i = 1; i < numbers.length; ++i) {
            if (numbers[i] > numbers[position]) position = i;
        }
    }
}
