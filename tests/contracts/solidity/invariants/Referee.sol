// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase, RejectReason} from "../../../../contracts/types/Phase.sol";
import {RoundFixture} from "../support/RoundFixture.sol";
import {Vm} from "../support/Vm.sol";

/// @title Judges every call to the coordinator by the rules, as docs/protocol.md has them
/// @notice It knows what the views say before and after a call, who proved what, and who voted how; of storage it reads
/// nothing, of events the claims alone. A call that breaks a rule reverts here, and so fails the campaign.
abstract contract Referee is RoundFixture {
    /// A call to the coordinator, on the task in `taskId`.
    struct Step {
        address from;
        bytes4 selector;
        /// What a reveal opens.
        bytes32 inner;
        bool done;
    }

    /// How often what happened; a campaign in which one of them stays 0 has tried nothing of the kind.
    struct Tally {
        uint256 finalized;
        uint256 voided;
        uint256 laterAttempts;
        uint256 widened;
        uint256 seedMoves;
        uint256 claims;
        uint256 snapshotClaims;
        uint256 unseated;
        uint256 forgedLists;
        uint256 seats;
        uint256 votes;
        uint256 refused;
        uint256 missingFined;
        uint256 mismatchFined;
        uint256 overruledFined;
        uint256 rejectedFined;
        uint256 unopenedFined;
        uint256 honestAtRisk;
        uint256 exits;
        uint256 bondsWithdrawn;
        uint256 tasksEnded;
        uint256 forgedProofs;
        uint256 understated;
    }

    Tally internal tally;
    uint256[] internal tasks;
    mapping(address => bool) internal isHonest;
    mapping(uint256 task => TaskRules) internal rulesOf;

    /// Bonds as they should be.
    mapping(address => uint256) internal bonds;
    uint256 internal fines;
    uint256 internal burnt;
    /// Wei that came into the coordinator, and that left it.
    mapping(uint256 task => uint256) internal fundedOf;
    mapping(uint256 task => uint256) internal paidOf;
    uint256 internal funded;
    uint256 internal paid;

    /// The claims of the newest round whose seed is fixed, as events told them: one after the other, and as they are brought.
    mapping(uint256 task => bytes) internal claimsOf;
    mapping(uint256 task => bytes) internal listOf;
    mapping(uint256 number => address) internal memberOf;
    /// Whether a claim was taken, by task, round and member.
    mapping(bytes32 => bool) internal wasTaken;
    /// Outputs whose proofs were carried to the contract unaltered, by task, round and member.
    mapping(bytes32 => uint256) internal proven;
    /// Reasons of votes cast, by task, round, attempt and member.
    mapping(bytes32 => RejectReason) internal reasons;
    /// How far a task is: round, attempt and phase in one number that only grows.
    mapping(uint256 task => uint256) internal positions;
    mapping(uint256 task => uint256) internal openedAt;
    /// Seconds by which steps of the round in progress were pushed on later than they fell due.
    mapping(uint256 task => uint256) internal lateBy;
    /// Whether a committee has published less than the true weight, so that some of a reward is nobody's.
    mapping(uint256 task => bool) internal understated;

    function key(uint256 task, uint32 round_, address member) internal pure returns (bytes32) {
        return keccak256(abi.encode(task, round_, member));
    }

    function voteKey(uint256 task, uint32 round_, uint16 attempt_, address member) internal pure returns (bytes32) {
        return keccak256(abi.encode(task, round_, attempt_, member));
    }

    function receivedFor(uint256 task, uint256 amount) internal {
        funded += amount;
        fundedOf[task] += amount;
    }

    function paidFrom(uint256 task, uint256 amount) internal {
        paid += amount;
        paidOf[task] += amount;
    }

    // ------------------------------------------------------------------ calls

    /// Make a call on the task in focus and judge what it did.
    function attemptCall(address from, bytes memory data, bytes32 inner) internal returns (bool done) {
        RoundView memory was = coordinator.currentRound(taskId);
        bool claiming =
            bytes4(data) == coordinator.claimSeat.selector || bytes4(data) == coordinator.claimSeats.selector;
        if (claiming) vm.recordLogs();
        vm.prank(from);
        (done,) = address(coordinator).call(data);
        RoundView memory is_ = coordinator.currentRound(taskId);
        if (claiming && done) judgeClaims(was);
        else if (was.seed != is_.seed) (claimsOf[taskId], listOf[taskId]) = (bytes(""), bytes(""));
        judge(was, is_, Step({from: from, selector: bytes4(data), inner: inner, done: done}));
        round = is_.round;
        if (!done) ++tally.refused;
    }

    function attemptCall(address from, bytes memory data) internal returns (bool) {
        return attemptCall(from, data, 0);
    }

    function judge(RoundView memory was, RoundView memory is_, Step memory step) private {
        if (!step.done) {
            vm.assertEq(keccak256(abi.encode(was)), keccak256(abi.encode(is_)));
            return;
        }
        judgePosition(was, is_);
        judgeTime(was, is_);
        judgeCommittee(was, is_);
        judgeVotes(was, is_, step);
        judgeEnd(was, is_, step);
    }

    /// Phases only move forward; an attempt that failed goes back to AGGREGATION with the next number.
    function judgePosition(RoundView memory was, RoundView memory is_) private {
        if (was.round == is_.round && was.phase >= Phase.Finalized) vm.assertTrue(was.phase == is_.phase);
        uint256 position = uint256(is_.round) << 32;
        if (is_.phase >= Phase.Finalized) position |= 0xffffff00;
        else if (is_.phase >= Phase.Aggregation) position |= uint256(is_.attempt + 1) << 8;
        position |= uint256(is_.phase);
        vm.assertGe(position, positions[taskId]);
        positions[taskId] = position;
    }

    // ------------------------------------------------------------------- time

    /// However long a step was left undone once due, a round adds no more than its own longest time.
    function judgeTime(RoundView memory was, RoundView memory is_) private {
        if (was.round != is_.round) {
            openedAt[taskId] = block.timestamp;
            lateBy[taskId] = 0;
            return;
        }
        bool moved = was.phase != is_.phase || was.attempt != is_.attempt || was.widened != is_.widened
            || was.seedAttempt != is_.seedAttempt || was.seed != is_.seed;
        if (!moved) return;
        if (block.timestamp > was.deadline) lateBy[taskId] += block.timestamp - was.deadline - 1;
        if (was.attempt != is_.attempt) ++tally.laterAttempts;
        if (was.widened != is_.widened) ++tally.widened;
        if (was.seedAttempt != is_.seedAttempt) ++tally.seedMoves;
        if (is_.phase < Phase.Finalized) return;
        if (is_.phase == Phase.Finalized) ++tally.finalized;
        else ++tally.voided;
        vm.assertLe(block.timestamp - openedAt[taskId], longestOf(rulesOf[taskId]) + lateBy[taskId], "round too long");
    }

    function longestOf(TaskRules storage rules) internal view returns (uint256) {
        uint256 attempts = rules.maxAttempts < rules.maxSeats ? rules.maxAttempts : rules.maxSeats;
        uint256 each = uint256(rules.proposalDuration) + rules.validationDuration + rules.revealDuration + 3;
        return uint256(rules.trainingDuration) + 1 + 3 * (uint256(rules.seedDuration) + 1) + 2
            * (uint256(rules.sortitionDuration) + 1) + attempts * each;
    }

    // -------------------------------------------------------------- committee

    /// Every seat was won by a claim that was taken, and so by a proof made with the member's key for this round; the
    /// seats are in the order of their outputs.
    function judgeCommittee(RoundView memory was, RoundView memory is_) private {
        TaskRules storage rules = rulesOf[taskId];
        vm.assertLe(is_.seats.length, rules.maxSeats);
        vm.assertLe(is_.updates, rules.maxUpdates);
        if (is_.seed != 0) vm.assertEq(is_.claims, claimsOf[taskId].length / 15, "a claim without an event");
        for (uint256 i = 0; i < is_.seats.length; ++i) {
            judgeSeat(is_, is_.seats[i]);
            if (i != 0) judgeOrder(is_.seats[i - 1], is_.seats[i]);
        }
        if (is_.seats.length != 0) judgeChoice(was, is_);
        if (is_.phase < Phase.Aggregation || is_.quorum == 0) return;
        vm.assertEq(is_.quorum, quorumOf(rules, is_.enrolled, is_.seats.length));
        vm.assertGe(is_.seats.length, is_.quorum);
    }

    function judgeSeat(RoundView memory is_, SeatView memory seat) private view {
        uint256 output = proven[key(taskId, is_.round, seat.member)];
        vm.assertTrue(output != 0, "a seat without a proof");
        vm.assertEq(seat.outputPrefix, output >> 160);
        uint256 expected = rulesOf[taskId].expectedCommittee * (is_.widened ? 2 : 1);
        if (is_.enrolled > expected) vm.assertLe(output, type(uint256).max / is_.enrolled * expected);
        vm.assertTrue(wasTaken[key(taskId, is_.round, seat.member)], "a seat without a claim");
    }

    /// What an event tells of claims was carried here, wins, and is each member's first in the round.
    function judgeClaims(RoundView memory was) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            vm.assertTrue(logs[i].topics[0] == SeatsClaimed.selector && uint256(logs[i].topics[1]) == taskId);
            bytes memory claims = abi.decode(logs[i].data, (bytes));
            vm.assertTrue(claims.length != 0 && claims.length % 15 == 0);
            for (uint256 at = 0; at < claims.length; at += 15) {
                judgeClaim(was, claimAt(claims, at));
            }
            claimsOf[taskId] = abi.encodePacked(claimsOf[taskId], claims);
            listOf[taskId] = abi.encodePacked(listOf[taskId], bundle(claims));
        }
    }

    function judgeClaim(RoundView memory was, uint256 claim_) private {
        address member = memberOf[claim_ & 0xffffff];
        bytes32 at = key(taskId, was.round, member);
        vm.assertTrue(proven[at] != 0, "a claim without a proof");
        vm.assertEq(claim_ >> 24, proven[at] >> 160);
        vm.assertLe(proven[at], was.threshold);
        vm.assertTrue(was.phase == Phase.Sortition && block.timestamp <= was.deadline, "a claim out of time");
        vm.assertFalse(wasTaken[at], "two claims of one member");
        wasTaken[at] = true;
        ++tally.claims;
    }

    function claimAt(bytes memory claims, uint256 at) internal pure returns (uint256 claim_) {
        for (uint256 i = at; i < at + 15; ++i) {
            claim_ = (claim_ << 8) | uint8(claims[i]);
        }
    }

    function judgeOrder(SeatView memory one, SeatView memory next) private view {
        bool lower = one.outputPrefix == next.outputPrefix
            ? numberOf(one.member) < numberOf(next.member)
            : one.outputPrefix < next.outputPrefix;
        vm.assertTrue(lower, "seats out of order, or two of one member");
    }

    /// A committee is chosen when SORTITION closes, and stands: the lowest of all claims, as many as there are seats.
    function judgeChoice(RoundView memory was, RoundView memory is_) private {
        if (was.round == is_.round && was.seats.length != 0) {
            vm.assertEq(keccak256(abi.encode(membersOf(was))), keccak256(abi.encode(membersOf(is_))));
            return;
        }
        vm.assertTrue(was.round == is_.round && was.phase == Phase.Sortition, "seats after SORTITION");
        vm.assertTrue(block.timestamp > was.deadline || was.claims == was.enrolled, "claims cut short");
        uint256 most = rulesOf[taskId].maxSeats;
        vm.assertEq(is_.seats.length, is_.claims < most ? is_.claims : most);
        tally.seats += is_.seats.length;
        bytes memory claims = claimsOf[taskId];
        SeatView memory last = is_.seats[is_.seats.length - 1];
        uint256 highest = (uint256(last.outputPrefix) << 24) | numberOf(last.member);
        for (uint256 at = 0; at < claims.length; at += 15) {
            uint256 claim_ = claimAt(claims, at);
            if (holds(is_, memberOf[claim_ & 0xffffff])) continue;
            vm.assertGt(claim_, highest);
            ++tally.unseated;
        }
    }

    function membersOf(RoundView memory shown) private pure returns (address[] memory members) {
        members = new address[](shown.seats.length);
        for (uint256 i = 0; i < members.length; ++i) {
            members[i] = shown.seats[i].member;
        }
    }

    function holds(RoundView memory shown, address member) internal pure returns (bool) {
        for (uint256 i = 0; i < shown.seats.length; ++i) {
            if (shown.seats[i].member == member) return true;
        }
        return false;
    }

    function quorumOf(TaskRules storage rules, uint256 enrolled, uint256 seats) private view returns (uint256 needed) {
        uint256 least = rules.expectedCommittee < enrolled ? rules.expectedCommittee : enrolled;
        if (seats > least) least = seats;
        while (needed * 10_000 < least * rules.thresholdBasisPoints) ++needed;
        if (needed < 2) needed = 2;
    }

    // ------------------------------------------------------------------ votes

    /// Only a vote changes votes, by one: its sender's, who had none.
    function judgeVotes(RoundView memory was, RoundView memory is_, Step memory step) private {
        bool same = was.round == is_.round && was.attempt == is_.attempt && was.phase == Phase.Validation;
        if (!same) return;
        bool voting = step.selector == coordinator.vote.selector;
        for (uint256 i = 0; i < is_.seats.length; ++i) {
            SeatView memory before = was.seats[i];
            SeatView memory now_ = is_.seats[i];
            vm.assertEq(before.member, now_.member);
            if (voting && now_.member == step.from) {
                vm.assertTrue(!before.voted && now_.voted && i != is_.attempt, "a second vote");
                ++tally.votes;
            } else {
                vm.assertTrue(before.voted == now_.voted && before.approved == now_.approved);
                vm.assertEq(before.commitment, now_.commitment);
            }
        }
        if (voting) vm.assertTrue(holds(was, step.from), "a vote without a seat");
    }

    // --------------------------------------------------- endings, and who pays

    function judgeEnd(RoundView memory was, RoundView memory is_, Step memory step) private {
        if (was.round != is_.round) return;
        bool moved = was.phase != is_.phase || was.attempt != is_.attempt;
        if (was.phase == Phase.Validation && moved) judgeValidation(was, is_);
        else if (was.phase == Phase.Reveal && moved) judgeReveal(was, is_, step);
        else if (is_.phase == Phase.Finalized) vm.assertTrue(was.phase == Phase.Finalized, "final out of nothing");
    }

    function judgeValidation(RoundView memory was, RoundView memory is_) private {
        bool expired = block.timestamp > was.deadline;
        uint256 approvals = 1;
        uint256 rejections;
        for (uint256 i = 0; i < was.seats.length; ++i) {
            if (was.seats[i].approved) ++approvals;
            else if (was.seats[i].voted) ++rejections;
        }
        bool decided = approvals + rejections == was.seats.length || was.seats.length - rejections < was.quorum;
        vm.assertTrue(expired || decided, "voting cut short");
        vm.assertTrue((is_.phase == Phase.Reveal) == (approvals >= was.quorum));
        if (rejections >= was.quorum) {
            fined(was, was.proposal.proposer);
            ++tally.rejectedFined;
        }
        for (uint256 i = 0; expired && i < was.seats.length; ++i) {
            if (was.seats[i].voted || i == was.attempt) continue;
            fined(was, was.seats[i].member);
            ++tally.missingFined;
        }
    }

    function judgeReveal(RoundView memory was, RoundView memory is_, Step memory step) private {
        if (step.selector != coordinator.reveal.selector) {
            vm.assertTrue(block.timestamp > was.deadline && is_.phase != Phase.Finalized, "reveal cut short");
            fined(was, was.proposal.proposer);
            ++tally.unopenedFined;
            return;
        }
        vm.assertLe(block.timestamp, was.deadline);
        vm.assertEq(was.proposal.commitment, opens(was, was.proposal.proposer, step.inner));
        uint256 matching = 1;
        for (uint256 i = 0; i < was.seats.length; ++i) {
            if (matches(was, was.seats[i], step.inner)) ++matching;
        }
        vm.assertTrue((is_.phase == Phase.Finalized) == (matching >= was.quorum), "the quorum decides");
        if (is_.phase != Phase.Finalized) return;
        vm.assertEq(is_.baseModel.digest, was.proposal.model.digest);
        for (uint256 i = 0; i < was.seats.length; ++i) {
            judgeOverruled(was, was.seats[i], step.inner);
        }
    }

    function judgeOverruled(RoundView memory was, SeatView memory seat, bytes32 inner) private {
        if (!seat.voted) return;
        if (seat.approved) {
            if (matches(was, seat, inner)) return;
            ++tally.mismatchFined;
        } else {
            RejectReason reason = reasons[voteKey(taskId, was.round, was.attempt, seat.member)];
            if (reason == RejectReason.Unavailable) return;
            ++tally.overruledFined;
        }
        fined(was, seat.member);
    }

    function matches(RoundView memory was, SeatView memory seat, bytes32 inner) private view returns (bool) {
        return seat.approved && seat.commitment == opens(was, seat.member, inner);
    }

    function opens(RoundView memory was, address member, bytes32 inner) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                "flare/vote",
                block.chainid,
                address(coordinator),
                taskId,
                was.round,
                was.attempt,
                was.proposal.digest,
                member,
                inner
            )
        );
    }

    /// A member owes a fine: of the bond that is there. Whoever is honest and present owes none, unless the others hold
    /// a quorum.
    function fined(RoundView memory was, address member) private {
        uint256 amount = rulesOf[taskId].fineAmount;
        if (amount > bonds[member]) amount = bonds[member];
        bonds[member] -= amount;
        fines += amount;
        uint256 others;
        for (uint256 i = 0; i < was.seats.length; ++i) {
            if (!isHonest[was.seats[i].member]) ++others;
        }
        if (isHonest[member]) vm.assertGe(others, was.quorum, "an honest member is fined");
        else if (others < was.seats.length) ++tally.honestAtRisk;
    }

    function judgeBonds() internal view {
        for (uint256 i = 0; i < workers.length; ++i) {
            vm.assertEq(registry.participant(workers[i]).bond, bonds[workers[i]], "bond");
        }
    }
}
