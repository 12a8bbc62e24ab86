// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParticipantRegistry} from "../interfaces/IParticipantRegistry.sol";
import {
    IRoundCoordinatorErrors,
    IRoundCoordinatorEvents,
    IRoundCoordinatorTypes
} from "../interfaces/IRoundCoordinator.sol";
import {Ballot} from "../types/Ballot.sol";
import {HEAD_BYTES, outcomeOf} from "../types/Outcome.sol";
import {Fault, Phase, RejectReason, VoidReason} from "../types/Phase.sol";
import {Proposal, TaskState} from "../types/TaskState.sol";
import {BallotLib} from "./BallotLib.sol";
import {PhaseLib} from "./PhaseLib.sol";
import {RewardLib} from "./RewardLib.sol";
import {SortitionLib} from "./SortitionLib.sol";

/// @title The attempts of a round whose committee stands
/// @notice AGGREGATION, VALIDATION, REVEAL, and how they end. Fines are taken last, when all other state is final: they
/// are the only calls to another contract, and that contract is the registry, which the coordinator itself created.
library AttemptLib {
    /// The members of a committee, by seat, and what the revealed `inner` says of their votes.
    struct Committee {
        address[] members;
        /// Seats whose approvals `inner` opens, a bit each; the proposer's is not among them.
        uint256 matched;
    }

    // ------------------------------------------------------------ aggregation

    /// @notice Open an attempt: the window of the seat with its number.
    function open(TaskState storage task, uint256 taskId, Ballot ballot, uint256 attempt) internal {
        address proposer = SortitionLib.memberAt(task, attempt);
        uint64 deadline = uint64(block.timestamp + task.rules.proposalDuration);
        task.ballot = ballot.withAttempt(attempt, deadline);
        emit IRoundCoordinatorEvents.AttemptOpened(taskId, ballot.round(), uint16(attempt), proposer, deadline);
    }

    /// @notice Open the next attempt, the window of the current one having passed without a proposal.
    function skipProposer(TaskState storage task, uint256 taskId) internal {
        Ballot ballot = task.ballot;
        PhaseLib.requireExpired(ballot.deadline());
        _fail(task, taskId, ballot);
    }

    /// @notice See `IRoundCoordinator.propose`.
    function propose(TaskState storage task, BallotLib.Draft memory draft) internal {
        Ballot ballot = PhaseLib.requireBallot(task, draft.round, draft.attempt, Phase.Aggregation);
        _requireProposer(task, ballot);
        bool metered = _checkDraft(task, draft);

        uint64 deadline = uint64(block.timestamp + task.rules.validationDuration);
        task.ballot = ballot.withPhase(Phase.Validation).withDeadline(deadline);
        Proposal storage proposal = task.proposal;
        proposal.digest = BallotLib.proposalDigest(draft, keccak256(draft.acceptedBitmap));
        proposal.modelDigest = draft.model.digest;
        proposal.reportDigest = draft.report.digest;
        proposal.commitment = draft.commitment;
        proposal.modelSize = uint32(draft.model.size);
        proposal.reportSize = uint32(draft.report.size);
        proposal.acceptedWeight = draft.acceptedWeight;
        proposal.metered = metered;
        proposal.accepted = uint104(_bytesAt(draft.acceptedBitmap, 0) >> (256 - 8 * HEAD_BYTES));
        for (uint256 start = HEAD_BYTES; start < draft.acceptedBitmap.length; start += 32) {
            task.moreAccepted[draft.round][(start - HEAD_BYTES) / 32] = _bytesAt(draft.acceptedBitmap, start);
        }
        _emitProposal(draft, deadline);
    }

    function _requireProposer(TaskState storage task, Ballot ballot) private view {
        address proposer = SortitionLib.memberAt(task, ballot.attempt());
        if (msg.sender != proposer) revert IRoundCoordinatorErrors.NotProposer(proposer, msg.sender);
    }

    /// @return metered whether the updates accepted may weigh more together than the draft says (see `Outcome`).
    function _checkDraft(TaskState storage task, BallotLib.Draft memory draft) private view returns (bool metered) {
        _require(_isObject(draft.model), "model");
        _require(_isObject(draft.report), "report");
        _require(draft.commitment != 0, "commitment");
        uint256 updates = task.intake.updates();
        bytes memory bitmap = draft.acceptedBitmap;
        _require(bitmap.length == (updates + 7) / 8, "bitmapLength");
        if (updates % 8 != 0) _require(uint8(bitmap[bitmap.length - 1]) >> (updates % 8) == 0, "bitmapPadding");
        // A sum, from 0.
        // slither-disable-next-line uninitialized-local
        uint256 accepted;
        for (uint256 start = 0; start < bitmap.length; start += 32) {
            accepted += BallotLib.popCount(_bytesAt(bitmap, start));
        }
        _require(accepted != 0, "bitmapEmpty");
        // A weight is 1 to the cap. Within these bounds the exact sum is for the validators to check.
        uint256 most = task.roundWeight - (updates - accepted);
        _require(draft.acceptedWeight >= accepted && draft.acceptedWeight <= most, "acceptedWeight");
        metered = draft.acceptedWeight < most;
    }

    function _isObject(IRoundCoordinatorTypes.ContentId memory id) private pure returns (bool) {
        return id.digest != 0 && id.size != 0 && id.size <= type(uint32).max;
    }

    function _require(bool condition, bytes32 what) private pure {
        if (!condition) revert IRoundCoordinatorErrors.InvalidProposal(what);
    }

    /// @dev Up to 32 bytes from `start` on, left-aligned, 0 past the end.
    function _bytesAt(bytes memory data, uint256 start) private pure returns (uint256 word) {
        if (start >= data.length) return 0;
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), start))
        }
        uint256 rest = data.length - start;
        if (rest < 32) word &= type(uint256).max << (256 - 8 * rest);
    }

    function _emitProposal(BallotLib.Draft memory draft, uint64 deadline) private {
        emit IRoundCoordinatorEvents.ProposalMade(
            draft.taskId,
            draft.round,
            msg.sender,
            draft.attempt,
            draft.model,
            draft.report,
            draft.acceptedBitmap,
            draft.acceptedWeight,
            draft.commitment,
            deadline
        );
    }

    // ------------------------------------------------------------- validation

    /// @notice See `IRoundCoordinator.vote`.
    function vote(
        TaskState storage task,
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        uint8 seat,
        bytes32 commitment,
        RejectReason reason
    ) internal {
        Ballot ballot = PhaseLib.requireBallot(task, round, attempt, Phase.Validation);
        if (seat >= ballot.seats() || SortitionLib.memberAt(task, seat) != msg.sender) {
            revert IRoundCoordinatorErrors.NotSeated(seat, msg.sender);
        }
        if (seat == attempt) revert IRoundCoordinatorErrors.ProposerCannotVote(msg.sender);
        if ((ballot.voted() >> seat) & 1 != 0) {
            revert IRoundCoordinatorErrors.AlreadyVoted(round, attempt, msg.sender);
        }
        bool approves = reason == RejectReason.None;
        if (approves == (commitment == 0)) revert IRoundCoordinatorErrors.InvalidVote();
        if (approves) task.commitments[seat] = commitment;
        task.ballot = ballot.withVote(seat, reason);
        emit IRoundCoordinatorEvents.VoteCast(taskId, round, msg.sender, attempt, approves, commitment, reason);
    }

    /// @notice See `IRoundCoordinator.closeValidation`. Where the approvals cannot reach the quorum there is nothing to
    /// reveal, and the attempt fails at once.
    function closeValidation(TaskState storage task, uint256 taskId, IParticipantRegistry registry) internal {
        Phase phase = PhaseLib.phaseOf(task);
        if (phase != Phase.Validation) revert IRoundCoordinatorErrors.WrongPhase(Phase.Validation, phase);
        Ballot ballot = task.ballot;
        bool expired = block.timestamp > ballot.deadline();
        if (!expired && !BallotLib.isDecided(ballot)) PhaseLib.requireExpired(ballot.deadline());
        uint256 rejections = BallotLib.rejections(ballot);
        _tally(task, taskId, ballot, rejections);

        if (rejections >= ballot.quorum()) {
            address proposer = SortitionLib.memberAt(task, ballot.attempt());
            _fine(task, taskId, ballot, registry, proposer, Fault.ProposalRejected);
        }
        if (expired) _fineMissing(task, taskId, ballot, registry);
    }

    function _tally(TaskState storage task, uint256 taskId, Ballot ballot, uint256 rejections) private {
        uint256 approvals = BallotLib.approvals(ballot);
        bool reveals = approvals >= ballot.quorum();
        uint64 deadline = reveals ? uint64(block.timestamp + task.rules.revealDuration) : 0;
        emit IRoundCoordinatorEvents.ValidationClosed(
            taskId, ballot.round(), ballot.attempt(), uint16(approvals), uint16(rejections), deadline
        );
        if (reveals) task.ballot = ballot.withPhase(Phase.Reveal).withDeadline(deadline);
        else _fail(task, taskId, ballot);
    }

    // ----------------------------------------------------------------- reveal

    /// @notice See `IRoundCoordinator.reveal`.
    function reveal(
        TaskState storage task,
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        bytes32 inner,
        IParticipantRegistry registry
    ) internal {
        Ballot ballot = PhaseLib.requireBallot(task, round, attempt, Phase.Reveal);
        Committee memory committee = _committee(task, ballot);
        bytes32 expected = task.proposal.commitment;
        bytes32 opened =
            BallotLib.commitment(taskId, round, attempt, task.proposal.digest, committee.members[attempt], inner);
        if (opened != expected) revert IRoundCoordinatorErrors.CommitmentNotOpened(expected, opened);
        _openApprovals(task, taskId, ballot, committee, inner);
        uint256 matching = BallotLib.popCount(committee.matched) + 1;
        emit IRoundCoordinatorEvents.CommitmentOpened(taskId, round, msg.sender, attempt, inner, uint16(matching));
        if (matching < ballot.quorum()) {
            _fail(task, taskId, ballot);
        } else {
            _finalize(task, taskId, ballot, committee);
            _fineOverruled(task, taskId, ballot, registry, committee);
        }
    }

    /// @notice Fail the attempt whose commitment nobody opened in time.
    function expireReveal(TaskState storage task, uint256 taskId, IParticipantRegistry registry) internal {
        Ballot ballot = task.ballot;
        PhaseLib.requireExpired(ballot.deadline());
        _fail(task, taskId, ballot);
        address proposer = SortitionLib.memberAt(task, ballot.attempt());
        _fine(task, taskId, ballot, registry, proposer, Fault.CommitmentUnopened);
    }

    function _committee(TaskState storage task, Ballot ballot) private view returns (Committee memory committee) {
        uint256 size = ballot.seats();
        committee.members = new address[](size);
        for (uint256 seat = 0; seat < size; ++seat) {
            committee.members[seat] = SortitionLib.memberAt(task, seat);
        }
    }

    function _openApprovals(
        TaskState storage task,
        uint256 taskId,
        Ballot ballot,
        Committee memory committee,
        bytes32 inner
    ) private view {
        bytes32 digest = task.proposal.digest;
        uint256 approved = ballot.approved();
        for (uint256 seat = 0; seat < committee.members.length; ++seat) {
            if ((approved >> seat) & 1 == 0) continue;
            bytes32 opened =
                BallotLib.commitment(taskId, ballot.round(), ballot.attempt(), digest, committee.members[seat], inner);
            if (opened == task.commitments[seat]) committee.matched |= 1 << seat;
        }
    }

    // ------------------------------------------------------- how attempts end

    /// @dev Open the next attempt, or void the round where there is none.
    function _fail(TaskState storage task, uint256 taskId, Ballot ballot) private {
        uint256 attempt = ballot.attempt();
        emit IRoundCoordinatorEvents.AttemptFailed(taskId, ballot.round(), uint16(attempt));
        if (attempt + 1 < ballot.attempts()) {
            open(task, taskId, ballot, attempt + 1);
        } else {
            task.ballot = ballot.withPhase(Phase.Void);
            PhaseLib.recordVoid(task, taskId, ballot.round(), VoidReason.AttemptsExhausted);
        }
    }

    function _finalize(TaskState storage task, uint256 taskId, Ballot ballot, Committee memory committee) private {
        Proposal storage proposal = task.proposal;
        uint32 round = ballot.round();
        uint256 acceptedWeight = proposal.acceptedWeight;
        RewardLib.Split memory parts =
            RewardLib.split(task.rules, task.budget, acceptedWeight, BallotLib.popCount(committee.matched));
        task.ballot = ballot.withPhase(Phase.Finalized);
        task.modelDigest = proposal.modelDigest;
        task.modelSize = proposal.modelSize;
        task.budget -= uint128(parts.total);
        task.consecutiveVoids = 0;
        task.outcomes[round] = outcomeOf(acceptedWeight, parts.trainers, proposal.metered, proposal.accepted);
        emit IRoundCoordinatorEvents.RoundFinalized(
            taskId, round, proposal.modelDigest, proposal.modelSize, ballot.attempt(), parts.total
        );
        RewardLib.creditMember(task, taskId, round, committee.members[ballot.attempt()], parts.proposer);
        RewardLib.credit(task, taskId, round, msg.sender, parts.revealer);
        for (uint256 seat = 0; seat < committee.members.length; ++seat) {
            if ((committee.matched >> seat) & 1 == 0) continue;
            RewardLib.creditMember(task, taskId, round, committee.members[seat], parts.voter);
        }
    }

    // ------------------------------------------------------------------ fines

    /// @dev Fine approvals that `inner` did not open, and rejections other than for availability.
    function _fineOverruled(
        TaskState storage task,
        uint256 taskId,
        Ballot ballot,
        IParticipantRegistry registry,
        Committee memory committee
    ) private {
        uint256 mismatched = ballot.approved() & ~committee.matched;
        uint256 overruled = ballot.rejected() & ~ballot.unavailable();
        for (uint256 seat = 0; seat < committee.members.length; ++seat) {
            if ((mismatched >> seat) & 1 != 0) {
                _fine(task, taskId, ballot, registry, committee.members[seat], Fault.ApprovalMismatched);
            } else if ((overruled >> seat) & 1 != 0) {
                _fine(task, taskId, ballot, registry, committee.members[seat], Fault.RejectionOverruled);
            }
        }
    }

    /// @dev Fine the seats, the proposer's apart, that had until the deadline to vote and did not.
    function _fineMissing(TaskState storage task, uint256 taskId, Ballot ballot, IParticipantRegistry registry)
        private
    {
        uint256 excused = ballot.voted() | (1 << ballot.attempt());
        uint256 size = ballot.seats();
        for (uint256 seat = 0; seat < size; ++seat) {
            if ((excused >> seat) & 1 != 0) continue;
            _fine(task, taskId, ballot, registry, SortitionLib.memberAt(task, seat), Fault.VoteMissing);
        }
    }

    function _fine(
        TaskState storage task,
        uint256 taskId,
        Ballot ballot,
        IParticipantRegistry registry,
        address member,
        Fault fault
    ) private {
        uint256 taken = registry.fine(member, task.rules.fineAmount);
        emit IRoundCoordinatorEvents.MemberFined(taskId, ballot.round(), member, ballot.attempt(), fault, taken);
    }
}
