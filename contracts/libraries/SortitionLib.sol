// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors, IRoundCoordinatorEvents} from "../interfaces/IRoundCoordinator.sol";
import {CLAIM_SIZE, Claims, MAX_CLAIMS} from "../types/Claims.sol";
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
    /// What became of a claim.
    enum Verdict {
        Taken,
        NotEnrolled,
        AlreadyClaimed,
        AboveThreshold,
        NotActive,
        ProofInvalid
    }

    /// What the claims of one transaction share, in memory.
    struct Batch {
        bytes32 alpha;
        uint256 threshold;
        uint256 round;
        /// The roster's word in use, its index, and whether it is still to be written.
        uint256 rosterIndex;
        Roster roster;
        bool rosterChanged;
        Claims claims;
        /// Claims taken, `CLAIM_SIZE` bytes each.
        bytes taken;
        /// Whether keys come from snapshots; if so the segment in use, its word and its keys.
        bool fromSnapshot;
        uint256 segmentIndex;
        uint256 segment;
        uint256[] keys;
    }

    uint256 private constant NONE = type(uint256).max;
    /// Bytes of a claim before its proof: the number.
    uint256 private constant NUMBER_SIZE = 3;

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

    /// @notice Take one claim, or say why not by reverting.
    function claimSeat(TaskState storage task, Keys storage keys, uint256 taskId, uint32 round, bytes calldata claim)
        internal
    {
        // Every field that is read is set by `_open`.
        // slither-disable-next-line uninitialized-local
        Batch memory batch;
        _open(task, batch, taskId, round, claim.length);
        uint256 length = _lengthAt(claim, 0);
        if (length != claim.length) revert IRoundCoordinatorErrors.MalformedClaims(0);
        (Verdict verdict, uint256 output) = _take(task, keys, batch, claim);
        if (verdict != Verdict.Taken) _refuse(keys, batch, taskId, verdict, uint24(bytes3(claim)), output);
        _close(task, batch, taskId, round);
    }

    /// @notice Take every claim of a list that can be taken, and skip the others.
    function claimSeats(
        TaskState storage task,
        Keys storage keys,
        uint256 taskId,
        uint32 round,
        bool fromSnapshot,
        bytes calldata claims
    ) internal returns (uint256) {
        // Every field that is read is set by `_open`.
        // slither-disable-next-line uninitialized-local
        Batch memory batch;
        _open(task, batch, taskId, round, claims.length);
        if (fromSnapshot) {
            batch.fromSnapshot = true;
            batch.segmentIndex = NONE;
            batch.keys = new uint256[](KeyLib.SEGMENT_SIZE);
        }
        uint256 offset = 0;
        while (offset < claims.length) {
            uint256 length = _lengthAt(claims, offset);
            if (length > claims.length - offset) revert IRoundCoordinatorErrors.MalformedClaims(offset);
            unchecked {
                // In a batch a refusal is skipped, whatever its output.
                // slither-disable-next-line unused-return
                _take(task, keys, batch, claims[offset:offset + length]);
                offset += length;
            }
        }
        _close(task, batch, taskId, round);
        return batch.taken.length / CLAIM_SIZE;
    }

    function _open(TaskState storage task, Batch memory batch, uint256 taskId, uint32 round, uint256 length)
        private
        view
    {
        batch.claims = task.claims;
        if (batch.claims.round() != round || round == 0) PhaseLib.refuseClaims(task, round);
        Sortition sortition = task.sortition;
        PhaseLib.requireOpen(sortition.deadline());
        batch.alpha = alpha(taskId, round, sortition.seed());
        batch.threshold = threshold(sortition);
        batch.round = round;
        batch.rosterIndex = NONE;
        batch.taken = _list(length / (NUMBER_SIZE + EcVrf.PROOF_LENGTH));
    }

    /// @dev An empty list with room for `count` claims, and for what a write of 32 bytes leaves behind the last.
    function _list(uint256 count) private pure returns (bytes memory list) {
        assembly ("memory-safe") {
            list := mload(0x40)
            mstore(list, 0)
            mstore(0x40, add(list, and(add(add(mul(count, CLAIM_SIZE), 64), 31), not(31))))
        }
    }

    /// @dev Bytes of the claim at `offset`, as its proof's first byte says; what lies beyond the call data is 0.
    function _lengthAt(bytes calldata claims, uint256 offset) private pure returns (uint256 length) {
        assembly ("memory-safe") {
            let head := calldataload(add(claims.offset, offset))
            length := add(add(NUMBER_SIZE, 273), shl(5, and(shr(224, head), 0x7f)))
        }
    }

    /// @dev Cheap reasons to refuse come before the proof is verified. State changes only where the claim is taken.
    function _take(TaskState storage task, Keys storage keys, Batch memory batch, bytes calldata claim)
        private
        returns (Verdict verdict, uint256 output)
    {
        unchecked {
            uint256 number = uint24(bytes3(claim));
            uint256 place = number % ROSTER_SIZE;
            if (number / ROSTER_SIZE != batch.rosterIndex) _turnTo(task, batch, number / ROSTER_SIZE);
            if (!batch.roster.isCounting(place)) return (Verdict.NotEnrolled, 0);
            if (batch.roster.hasClaimed(place)) return (Verdict.AlreadyClaimed, 0);
            bytes calldata proof = claim[NUMBER_SIZE:];
            output = EcVrf.outputOf(proof);
            if (output > batch.threshold) return (Verdict.AboveThreshold, output);
            uint256 key = batch.fromSnapshot ? _keyFromSnapshot(keys, batch, number) : keys.active[number];
            if (key == 0) return (Verdict.NotActive, output);
            if (!EcVrf.verify(key, batch.alpha, proof)) return (Verdict.ProofInvalid, output);
            batch.roster = batch.roster.withClaim(place);
            batch.rosterChanged = true;
            _append(batch, (output >> 160 << 24) | number);
        }
    }

    function _append(Batch memory batch, uint256 claim) private pure {
        if (batch.claims.count() == MAX_CLAIMS) revert IRoundCoordinatorErrors.TooManyClaims(MAX_CLAIMS);
        batch.claims = batch.claims.withClaim(claim);
        bytes memory taken = batch.taken;
        assembly ("memory-safe") {
            let length := mload(taken)
            mstore(add(add(taken, 32), length), shl(136, claim))
            mstore(taken, add(length, CLAIM_SIZE))
        }
    }

    /// @dev Go to another word of the roster.
    function _turnTo(TaskState storage task, Batch memory batch, uint256 index) private {
        if (batch.rosterChanged) task.rosters[batch.rosterIndex] = batch.roster;
        batch.rosterChanged = false;
        batch.rosterIndex = index;
        batch.roster = task.rosters[index].inRound(batch.round);
    }

    function _keyFromSnapshot(Keys storage keys, Batch memory batch, uint256 number) private view returns (uint256) {
        unchecked {
            uint256 index = number / KeyLib.SEGMENT_SIZE;
            if (index != batch.segmentIndex) {
                batch.segmentIndex = index;
                batch.segment = keys.segments[index];
                KeyLib.load(uint160(batch.segment), batch.keys);
            }
            uint256 place = number % KeyLib.SEGMENT_SIZE;
            return (batch.segment >> (160 + place)) & 1 == 0 ? 0 : batch.keys[place];
        }
    }

    function _close(TaskState storage task, Batch memory batch, uint256 taskId, uint32 round) private {
        if (batch.taken.length == 0) return;
        if (batch.rosterChanged) task.rosters[batch.rosterIndex] = batch.roster;
        task.claims = batch.claims;
        emit IRoundCoordinatorEvents.SeatsClaimed(taskId, round, batch.taken);
    }

    function _refuse(
        Keys storage keys,
        Batch memory batch,
        uint256 taskId,
        Verdict verdict,
        uint24 number,
        uint256 output
    ) private view {
        address member = keys.holders[number];
        if (verdict == Verdict.NotEnrolled) revert IRoundCoordinatorErrors.NotEnrolled(taskId, member);
        if (verdict == Verdict.AlreadyClaimed) {
            revert IRoundCoordinatorErrors.SeatAlreadyClaimed(uint32(batch.round), member);
        }
        if (verdict == Verdict.AboveThreshold) {
            revert IRoundCoordinatorErrors.OutputAboveThreshold(output, batch.threshold);
        }
        if (verdict == Verdict.NotActive) revert IRoundCoordinatorErrors.NotActiveParticipant(member);
        revert IRoundCoordinatorErrors.ProofInvalid(member);
    }

    // -------------------------------------------------------------- committee

    /// @notice Seat the lowest claims of a list, which must be the chain's.
    /// @param seats how many, at least 1 and at most as many as there are claims.
    function seatLowest(TaskState storage task, Keys storage keys, Claims claims, bytes calldata list, uint256 seats)
        internal
    {
        uint256[] memory lowest = new uint256[](seats);
        // Built up from nothing.
        Claims brought = Claims.wrap(claims.round());
        if (list.length != CLAIM_SIZE * claims.count()) revert IRoundCoordinatorErrors.ClaimsNotThese(claims.count());
        unchecked {
            uint256 end = list.length / CLAIM_SIZE;
            for (uint256 i = 0; i < end; ++i) {
                uint256 claim = uint120(bytes15(list[CLAIM_SIZE * i:]));
                brought = brought.withClaim(claim);
                _insert(lowest, i < seats ? i : seats, claim);
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
