// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors, IRoundCoordinatorEvents} from "../interfaces/IRoundCoordinator.sol";
import {CLAIM_SIZE, Claims, openedClaims} from "../types/Claims.sol";
import {Keys} from "../types/Keys.sol";
import {ROSTER_SIZE, Roster} from "../types/Roster.sol";
import {Sortition} from "../types/Sortition.sol";
import {TaskState} from "../types/TaskState.sol";
import {EcVrf} from "./EcVrf.sol";
import {KeyLib} from "./KeyLib.sol";
import {PhaseLib} from "./PhaseLib.sol";

/// @title From VRF outputs to seats
/// @notice docs/protocol.md, section 3. Claims are verified as they come, and only hashed onto a chain; when SORTITION
/// closes, the list is brought back, and the lowest are seated. They are ordered by the top 96 bits of their outputs, ties
/// by the participants' numbers; both together are one number here, the *claim*: prefix << 24 | number.
library SortitionLib {
    using KeyLib for Keys;

    /// A transaction's claims in progress. In memory, for the stack does not hold it all.
    struct Batch {
        uint256 round;
        /// The roster's word in use, and the first number in it.
        Roster roster;
        uint256 rosterStart;
        /// Claims taken.
        bytes taken;
        bool fromSnapshot;
        /// Of the segment in use (see `Keys`): its keys, who of them is active, and the first number in it.
        uint256[] segmentKeys;
        uint256 segmentActive;
        uint256 segmentStart;
    }

    /// No word or segment starts here: it is more than a word's size from any number.
    uint256 private constant NOWHERE = 1 << 128;
    /// Bytes of a claim before its proof: the number.
    uint256 private constant NUMBER_SIZE = 3;
    /// Of a claim whose proof skips no counter.
    uint256 private constant LEAST_LENGTH = 276;

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
    function threshold(Sortition sortition) internal pure returns (uint256) {
        return threshold(sortition.enrolled(), sortition.expected());
    }

    /// @notice See `IRoundViews.vrfAlpha`.
    function alpha(uint256 taskId, uint32 round, bytes32 seed) internal view returns (bytes32) {
        return keccak256(abi.encode("flare/alpha", block.chainid, address(this), taskId, round, seed));
    }

    // ----------------------------------------------------------------- claims

    /// @notice Take one claim, or revert with the reason why it is not taken.
    function claimSeat(TaskState storage task, Keys storage keys, uint256 taskId, uint32 round, bytes calldata list)
        internal
    {
        Claims claims = task.claims;
        (bytes32 alpha_, uint256 threshold_) = _terms(task, claims, taskId, round);
        uint256 position = _positionOf(list);
        (uint256 number, uint256 length) = _headAt(position);
        if (list.length != length) revert IRoundCoordinatorErrors.MalformedClaims(0);
        Roster roster = task.rosters[number / ROSTER_SIZE].inRound(round);
        if (!roster.mayClaim(number % ROSTER_SIZE)) {
            if (!roster.isCounting(number % ROSTER_SIZE)) {
                revert IRoundCoordinatorErrors.NotEnrolled(taskId, keys.holders[number]);
            }
            revert IRoundCoordinatorErrors.SeatAlreadyClaimed(round, keys.holders[number]);
        }
        uint256 output = _requireProof(keys, number, alpha_, threshold_, position + NUMBER_SIZE);
        task.rosters[number / ROSTER_SIZE] = roster.withClaim(number % ROSTER_SIZE);
        bytes memory taken = abi.encodePacked(bytes12(bytes32(output)), uint24(number));
        task.claims = claims.extended(taken);
        emit IRoundCoordinatorEvents.SeatsClaimed(taskId, round, taken);
    }

    /// @dev The output of the proof at a position in call data, which is valid and wins.
    function _requireProof(Keys storage keys, uint256 number, bytes32 alpha_, uint256 threshold_, uint256 position)
        private
        view
        returns (uint256 output)
    {
        uint256 key = keys.keyOf(number);
        if (key == 0) revert IRoundCoordinatorErrors.NotActiveParticipant(keys.holders[number]);
        bool valid;
        (valid, output) = EcVrf.verifyAt(key, alpha_, position);
        if (!valid) revert IRoundCoordinatorErrors.ProofInvalid(keys.holders[number]);
        if (output > threshold_) revert IRoundCoordinatorErrors.OutputAboveThreshold(output, threshold_);
    }

    /// @notice Take every claim of a list that can be taken, and skip the others.
    /// @return count how many were taken.
    function claimSeats(
        TaskState storage task,
        Keys storage keys,
        uint256 taskId,
        uint32 round,
        bool fromSnapshot,
        bytes calldata list
    ) internal returns (uint256 count) {
        Claims claims = task.claims;
        (bytes32 alpha_, uint256 threshold_) = _terms(task, claims, taskId, round);
        // Every field that is read is set here.
        // slither-disable-next-line uninitialized-local
        Batch memory batch;
        batch.round = round;
        batch.rosterStart = NOWHERE;
        batch.taken = _emptyList(list.length / LEAST_LENGTH);
        if (fromSnapshot) {
            batch.fromSnapshot = true;
            batch.segmentKeys = new uint256[](KeyLib.SEGMENT_SIZE);
            batch.segmentStart = NOWHERE;
        }
        _takeAll(task, keys, batch, alpha_, threshold_, list);
        count = batch.taken.length / CLAIM_SIZE;
        if (count == 0) return 0;
        task.rosters[batch.rosterStart / ROSTER_SIZE] = batch.roster;
        task.claims = claims.extended(batch.taken);
        emit IRoundCoordinatorEvents.SeatsClaimed(taskId, round, batch.taken);
    }

    /// @dev Positions are those in call data; bytes behind it are 0.
    function _takeAll(
        TaskState storage task,
        Keys storage keys,
        Batch memory batch,
        bytes32 alpha_,
        uint256 threshold_,
        bytes calldata list
    ) private {
        uint256 position = _positionOf(list);
        uint256 end = position + list.length;
        uint256 length = 0;
        unchecked {
            for (; position < end; position += length) {
                uint256 number;
                (number, length) = _headAt(position);
                uint256 place = number - batch.rosterStart;
                if (place >= ROSTER_SIZE) place = _turnTo(task, batch, number);
                if (!batch.roster.mayClaim(place)) continue;
                // Under a key of 0, which stands for none, no proof is valid.
                uint256 key = batch.fromSnapshot ? _snapshotKey(keys, batch, number) : keys.keyOf(number);
                (bool valid, uint256 output) = EcVrf.verifyAt(key, alpha_, position + NUMBER_SIZE);
                if (!valid || output > threshold_) continue;
                batch.roster = batch.roster.withClaim(place);
                _append(batch.taken, output, number);
            }
            // The last claim's bytes have been read from behind the list.
            if (position != end) {
                revert IRoundCoordinatorErrors.MalformedClaims(list.length - (length + end - position));
            }
        }
    }

    /// @dev Go to the word of the roster that a participant is in, and return its place there.
    function _turnTo(TaskState storage task, Batch memory batch, uint256 number) private returns (uint256 place) {
        if (batch.roster.anyClaimed()) task.rosters[batch.rosterStart / ROSTER_SIZE] = batch.roster;
        place = number % ROSTER_SIZE;
        batch.rosterStart = number - place;
        batch.roster = task.rosters[number / ROSTER_SIZE].inRound(batch.round);
    }

    /// @dev A participant's key from the snapshot of its segment, 0 where it is not active or not in it.
    function _snapshotKey(Keys storage keys, Batch memory batch, uint256 number) private view returns (uint256) {
        unchecked {
            uint256 place = number - batch.segmentStart;
            if (place >= KeyLib.SEGMENT_SIZE) {
                place = number % KeyLib.SEGMENT_SIZE;
                batch.segmentStart = number - place;
                batch.segmentActive = keys.loadSegment(number / KeyLib.SEGMENT_SIZE, batch.segmentKeys);
            }
            return ((batch.segmentActive >> place) & 1) * KeyLib.keyAt(batch.segmentKeys, place);
        }
    }

    /// @dev Append a claim to a list that has room for it, and for what the write leaves behind it.
    function _append(bytes memory list, uint256 output, uint256 participant) private pure {
        assembly ("memory-safe") {
            let length := mload(list)
            mstore(add(add(list, 32), length), or(shl(160, shr(160, output)), shl(136, participant)))
            mstore(list, add(length, CLAIM_SIZE))
        }
    }

    /// @dev What the claims of a round are checked against, if it takes any.
    function _terms(TaskState storage task, Claims claims, uint256 taskId, uint32 round)
        private
        view
        returns (bytes32, uint256)
    {
        if (claims.round() != round || round == 0) PhaseLib.refuseClaims(task, round);
        Sortition sortition = task.sortition;
        PhaseLib.requireOpen(sortition.deadline());
        return (alpha(taskId, round, sortition.seed()), threshold(sortition));
    }

    function _positionOf(bytes calldata list) private pure returns (uint256 position) {
        assembly ("memory-safe") {
            position := list.offset
        }
    }

    /// @dev The participant of the claim at a position, and the claim's bytes, as its proof's first byte says (`EcVrf.lengthAt`).
    function _headAt(uint256 position) private pure returns (uint256 participant, uint256 length) {
        assembly ("memory-safe") {
            let head := calldataload(position)
            participant := shr(232, head)
            // 32 bytes for each counter skipped, of which there are as many as the low 7 bits of the byte say.
            length := add(LEAST_LENGTH, and(shr(219, head), 0xfe0))
        }
    }

    /// @dev An empty list with room for `count` claims, and for what a write of 32 bytes leaves behind the last.
    function _emptyList(uint256 count) private pure returns (bytes memory list) {
        assembly ("memory-safe") {
            list := mload(0x40)
            mstore(list, 0)
            mstore(0x40, add(list, and(add(mul(count, CLAIM_SIZE), 95), not(31))))
        }
    }

    // -------------------------------------------------------------- committee

    /// @notice Seat the lowest claims of a list, which must be the chain's: for each transaction of claims their number, 2
    /// bytes, and the claims.
    /// @param seats how many, at least 1 and at most as many as there are claims.
    function seatLowest(TaskState storage task, Keys storage keys, Claims claims, bytes calldata list, uint256 seats)
        internal
    {
        uint256[] memory lowest = new uint256[](seats);
        Claims brought = openedClaims(claims.round());
        for (uint256 offset = 0; offset < list.length;) {
            uint256 start = offset + 2;
            // Bytes behind the list are 0, or those of another argument: what they announce does not fit.
            offset = start + CLAIM_SIZE * _countAt(_positionOf(list) + offset);
            if (offset > list.length) revert IRoundCoordinatorErrors.ClaimsNotThese(claims.count());
            bytes calldata taken = list[start:offset];
            uint256 count = brought.count();
            brought = brought.extended(taken);
            unchecked {
                for (uint256 i = 0; i < taken.length; i += CLAIM_SIZE) {
                    _insert(lowest, count < seats ? count : seats, _claimAt(_positionOf(taken) + i));
                    ++count;
                }
            }
        }
        if (Claims.unwrap(brought) != Claims.unwrap(claims)) {
            revert IRoundCoordinatorErrors.ClaimsNotThese(claims.count());
        }
        for (uint256 seat = 0; seat < seats; ++seat) {
            uint256 claim = lowest[seat];
            task.committee[seat] = (claim >> 24 << 160) | uint160(keys.holders[claim & 0xffffff]);
        }
    }

    function _countAt(uint256 position) private pure returns (uint256 count) {
        assembly ("memory-safe") {
            count := shr(240, calldataload(position))
        }
    }

    function _claimAt(uint256 position) private pure returns (uint256 claim) {
        assembly ("memory-safe") {
            claim := shr(136, calldataload(position))
        }
    }

    /// @dev Insert into the first `count` numbers, which ascend; the highest falls out where there is no room.
    function _insert(uint256[] memory ascending, uint256 count, uint256 value) private pure {
        unchecked {
            if (count == ascending.length) {
                if (value > ascending[count - 1]) return;
                --count;
            }
            for (; count > 0 && ascending[count - 1] > value; --count) {
                ascending[count] = ascending[count - 1];
            }
            ascending[count] = value;
        }
    }

    /// @notice The member of a seat, once the committee stands; seats are in order of outputs.
    function memberAt(TaskState storage task, uint256 seat) internal view returns (address) {
        return address(uint160(task.committee[seat]));
    }
}
