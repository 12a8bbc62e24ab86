// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase, RejectReason} from "../../../../contracts/types/Phase.sol";
import {VrfProver} from "../support/VrfProver.sol";
import {Referee} from "./Referee.sol";

/// @title Who takes part: some honest and always present, the others doing as they please
/// @notice An honest member votes as the truth has it, and opens its own commitment, before time may pass it by. All of
/// them know the sums (`INNER`) of a proposal that is true.
abstract contract Players is Referee {
    uint256 internal constant SLOTS = 3;
    uint256 internal constant HONEST = 5;

    /// What the proposer of an attempt hides, by task, round and attempt; and whether all of the proposal is true.
    mapping(bytes32 => bytes32) internal hidden;
    mapping(bytes32 => bool) internal isTrue;
    mapping(bytes32 => bytes) private _proofs;
    mapping(bytes32 => uint256) private _outputs;

    // ------------------------------------------------------------------ tasks

    /// Rules of a slot: a contested committee of four; a pair, easily widened; everyone, with heavy fines and an end.
    function rulesFor(uint256 slot) internal pure returns (TaskRules memory rules) {
        rules = defaultRules();
        rules.idleRounds = 1;
        rules.maxConsecutiveVoids = 1000;
        rules.minUpdates = 1;
        if (slot == 0) {
            rules.expectedCommittee = 4;
            rules.maxSeats = 4;
        } else if (slot == 1) {
            rules.expectedCommittee = 3;
            rules.maxSeats = 3;
            rules.maxUpdates = 4;
            rules.maxAttempts = 2;
            rules.roundReward = 7 ether + 13;
        } else {
            rules.thresholdBasisPoints = 5001;
            rules.fineAmount = 0.6 ether;
            rules.maxConsecutiveVoids = 3;
            rules.maxRounds = 12;
            rules.strikeLimit = 2;
            rules.roundReward = 3 ether + 1;
        }
    }

    function beginTask(uint256 slot) internal {
        uint256 id = createTask(rulesFor(slot));
        receivedFor(id, BUDGET);
        rulesOf[id] = rulesFor(slot);
        if (slot == tasks.length) tasks.push(id);
        else tasks[slot] = id;
        focus(slot);
        enrolAll();
    }

    function focus(uint256 which) internal returns (RoundView memory shown) {
        taskId = tasks[which % tasks.length];
        shown = coordinator.currentRound(taskId);
        round = shown.round;
    }

    function enrolAll() internal {
        for (uint256 i = 0; i < workers.length; ++i) {
            if (registry.activeKey(workers[i]) == 0 || coordinator.enrolment(taskId, workers[i]).enrolled) continue;
            attemptCall(workers[i], abi.encodeCall(coordinator.enrol, (taskId)));
        }
    }

    function atRest(RoundView memory shown) internal pure returns (bool) {
        return shown.phase == Phase.None || shown.phase >= Phase.Finalized;
    }

    function any(uint256 which) internal view returns (address) {
        return workers[which % workers.length];
    }

    function attemptKey(RoundView memory shown) internal view returns (bytes32) {
        return keccak256(abi.encode(taskId, shown.round, shown.attempt));
    }

    // ------------------------------------------------------------------- time

    /// Let time pass, once all who are honest have done what they must.
    function passTo(uint256 time) internal {
        if (time <= block.timestamp) return;
        (uint256 task, uint32 round_) = (taskId, round);
        for (uint256 slot = 0; slot < tasks.length; ++slot) {
            RoundView memory shown = focus(slot);
            if (time > shown.deadline) actHonestly(shown);
        }
        (taskId, round) = (task, round_);
        passBlocks(block.number + (time - block.timestamp) / 12);
        vm.warp(time);
    }

    function actHonestly(RoundView memory shown) private {
        if (block.timestamp > shown.deadline) return;
        if (shown.phase == Phase.Validation) {
            for (uint256 i = 0; i < shown.seats.length; ++i) {
                SeatView memory seat = shown.seats[i];
                if (!isHonest[seat.member] || seat.voted || i == shown.attempt) continue;
                castVote(shown, i, seat.member, isTrue[attemptKey(shown)] ? 0 : 2);
            }
        } else if (shown.phase == Phase.Reveal && isHonest[shown.proposal.proposer]) {
            openWith(shown, shown.proposal.proposer, hidden[attemptKey(shown)]);
        }
    }

    /// Let blocks pass; those that a seed waits for get a hash, as all blocks have one.
    function passBlocks(uint256 to) internal {
        for (uint256 i = 0; i < tasks.length; ++i) {
            uint256 seedBlock = coordinator.currentRound(tasks[i]).seedBlock;
            if (seedBlock == 0 || seedBlock < block.number || seedBlock >= to) continue;
            uint256 now_ = block.number;
            vm.roll(seedBlock + 1);
            vm.setBlockhash(seedBlock, keccak256(abi.encode("block", seedBlock)));
            vm.roll(now_);
        }
        vm.roll(to);
    }

    // ----------------------------------------------------------------- claims

    /// The proof of a member for the round in focus, made once.
    function proofFor(RoundView memory shown, address member) internal returns (bytes memory proof) {
        bytes32 at = keccak256(abi.encode(shown.alpha, member));
        proof = _proofs[at];
        if (proof.length != 0) return proof;
        VrfProver.Proof memory made = VrfProver.proofOf(secretOf[member], shown.alpha);
        proof = VrfProver.encode(made);
        _proofs[at] = proof;
        _outputs[at] = VrfProver.outputOf(made);
    }

    /// Mark a proof as carried to the contract.
    function carried(RoundView memory shown, address member) internal {
        bytes32 at = keccak256(abi.encode(shown.alpha, member));
        proven[key(taskId, shown.round, member)] = _outputs[at];
    }

    /// Close SORTITION with a list that is not the round's: nobody is seated by it.
    function bringForged(uint256 how) internal {
        bytes memory claims = listOf[taskId];
        if (claims.length == 0) return;
        bytes memory forged = forge(claims, how);
        if (keccak256(forged) == keccak256(claims)) return;
        bytes memory data = how % 4 < 2
            ? abi.encodeCall(coordinator.closeSortition, (taskId, forged))
            : abi.encodeCall(coordinator.advance, (taskId, forged));
        if (!attemptCall(stranger, data)) ++tally.forgedLists;
        vm.assertEq(seatCount(), 0, "seated by a forged list");
    }

    /// Without its end, with one claim more, a byte changed, divided anew, or the first two claims in each other's place.
    function forge(bytes memory brought, uint256 how) private view returns (bytes memory forged) {
        uint256 length = brought.length;
        if (how / 4 % 5 == 0) return cut(brought, 0, length - 1 - how / 32 % 17);
        if (how / 4 % 5 == 1) return abi.encodePacked(brought, bundle(cut(claimsOf[taskId], 0, 15)));
        if (how / 4 % 5 == 2) return bundle(claimsOf[taskId]);
        forged = cut(brought, 0, length);
        if (how / 4 % 5 == 3 || length < 34) {
            forged[how / 32 % length] ^= bytes1(uint8(1 + how / 256 % 255));
            return forged;
        }
        bool together = forged[1] != bytes1(uint8(1));
        for (uint256 i = 2; i < 17; ++i) {
            uint256 other = together ? i + 15 : i + 17;
            (forged[i], forged[other]) = (forged[other], forged[i]);
        }
    }

    // -------------------------------------------------------- ballots

    struct Plan {
        address proposer;
        ContentId model;
        ContentId report;
        bytes bitmap;
        uint32 weight;
        bytes32 inner;
        bytes32 commitment;
    }

    /// Propose as `proposer`: 0 and 1 the truth; 2 garbage that nobody can open; 3 another model; 4 a weight too small;
    /// 5 a true model, with sums that the others do not have.
    function proposeAs(RoundView memory shown, address proposer, uint256 how) internal {
        Plan memory plan;
        uint32 weight = weightOf(shown);
        plan.proposer = proposer;
        plan.model = how == 3 ? ContentId(keccak256("a backdoor"), 5000) : modelOf(shown.attempt);
        plan.report = reportOf(shown.attempt);
        plan.bitmap = fullBitmap(shown.updates);
        plan.weight = how == 4 && weight > shown.updates ? uint32(shown.updates) : weight;
        plan.inner = how == 2 ? bytes32(0) : how == 5 ? keccak256("another sum") : INNER;
        plan.commitment = plan.inner == 0 ? keccak256("garbage") : committed(shown, plan);
        if (!attemptCall(proposer, proposalCall(shown, plan))) return;
        hidden[attemptKey(shown)] = plan.inner;
        isTrue[attemptKey(shown)] = how < 2;
        if (plan.weight == weight) return;
        understated[taskId] = true;
        ++tally.understated;
    }

    function committed(RoundView memory shown, Plan memory plan) private view returns (bytes32) {
        bytes32 digest = coordinator.proposalDigest(
            taskId, round, shown.attempt, plan.model, plan.report, keccak256(plan.bitmap), plan.weight
        );
        return coordinator.voteCommitment(taskId, round, shown.attempt, digest, plan.proposer, plan.inner);
    }

    function proposalCall(RoundView memory shown, Plan memory plan) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            coordinator.propose.selector,
            taskId,
            round,
            shown.attempt,
            plan.model,
            plan.report,
            plan.bitmap,
            plan.weight,
            plan.commitment
        );
    }

    function weightOf(RoundView memory shown) internal view returns (uint32 weight) {
        for (uint256 i = 0; i < workers.length; ++i) {
            EnrolmentView memory worker = coordinator.enrolment(taskId, workers[i]);
            if (worker.updateRound == shown.round) weight += worker.updateWeight;
        }
    }

    /// Vote: 0 approve with the sums, 1 with noise, 2 and up reject for a reason.
    function castVote(RoundView memory shown, uint256 seat, address member, uint256 how) internal {
        bytes32 inner = how == 1 ? keccak256("noise") : INNER;
        bytes32 commitment = how < 2
            ? coordinator.voteCommitment(taskId, round, shown.attempt, shown.proposal.digest, member, inner)
            : bytes32(0);
        RejectReason reason = RejectReason(how < 2 ? 0 : (how - 2) % 6 == 0 ? 2 : (how - 2) % 6 + 1);
        castRaw(shown, seat, member, commitment, reason);
    }

    /// Vote, and see that it counts where the rules let it, and only there.
    function castRaw(RoundView memory shown, uint256 seat, address member, bytes32 commitment, RejectReason reason)
        internal
    {
        bool allowed = shown.phase == Phase.Validation && block.timestamp <= shown.deadline
            && (reason == RejectReason.None) != (commitment == 0) && mayVote(shown, seat, member);
        bool done = attemptCall(
            member, abi.encodeCall(coordinator.vote, (taskId, round, shown.attempt, uint8(seat), commitment, reason))
        );
        vm.assertTrue(done == allowed, "a vote counts where the rules let it");
        if (done) reasons[voteKey(taskId, shown.round, shown.attempt, member)] = reason;
    }

    function mayVote(RoundView memory shown, uint256 seat, address member) private pure returns (bool) {
        if (seat >= shown.seats.length || seat == shown.attempt) return false;
        return shown.seats[seat].member == member && !shown.seats[seat].voted;
    }

    /// A member's own seat, or what comes after the last.
    function seatFor(RoundView memory shown, address member) internal pure returns (uint256 seat) {
        while (seat < shown.seats.length && shown.seats[seat].member != member) ++seat;
    }

    function openWith(RoundView memory shown, address by, bytes32 inner) internal returns (bool) {
        return attemptCall(by, abi.encodeCall(coordinator.reveal, (taskId, round, shown.attempt, inner)), inner);
    }
}
