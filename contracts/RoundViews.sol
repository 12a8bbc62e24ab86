// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RoundStorage} from "./RoundStorage.sol";
import {IRoundViews} from "./interfaces/IRoundCoordinator.sol";
import {BallotLib} from "./libraries/BallotLib.sol";
import {PhaseLib} from "./libraries/PhaseLib.sol";
import {RewardLib} from "./libraries/RewardLib.sol";
import {SortitionLib} from "./libraries/SortitionLib.sol";
import {TaskLib} from "./libraries/TaskLib.sol";
import {Ballot} from "./types/Ballot.sol";
import {Intake} from "./types/Intake.sol";
import {Ledger} from "./types/Ledger.sol";
import {HEAD_BYTES, Outcome} from "./types/Outcome.sol";
import {Phase} from "./types/Phase.sol";
import {ROSTER_SIZE, Roster} from "./types/Roster.sol";
import {Sortition} from "./types/Sortition.sol";
import {Proposal, TaskState} from "./types/TaskState.sol";
import {TermLib} from "./types/Term.sol";

/// @title What daemons and auditors read
/// @notice The coordinator's view functions, in a contract of their own because code is limited to 24,576 bytes
/// (EIP-170). The coordinator runs them on its own storage (see `RoundCoordinator.fallback`); called directly, they see
/// no task. Nothing here can change state.
contract RoundViews is RoundStorage, IRoundViews {
    /// @inheritdoc IRoundViews
    function taskCount() external view override returns (uint256) {
        return _taskCount;
    }

    /// @inheritdoc IRoundViews
    function task(uint256 taskId) external view override returns (TaskView memory shown) {
        TaskState storage stored = _task(taskId);
        shown.owner = stored.owner;
        shown.status = stored.status;
        shown.rules = stored.rules;
        shown.spec = ContentId({digest: stored.specDigest, size: stored.specSize});
        shown.model = ContentId({digest: stored.modelDigest, size: stored.modelSize});
        shown.budget = stored.budget;
        shown.round = stored.intake.round();
        shown.consecutiveVoids = stored.consecutiveVoids;
        shown.enrolled = stored.enrolled;
        shown.seed = stored.sortition.seed();
    }

    /// @inheritdoc IRoundViews
    function currentRound(uint256 taskId) external view override returns (RoundView memory shown) {
        TaskState storage stored = _task(taskId);
        Intake intake = stored.intake;
        shown.round = intake.round();
        shown.phase = PhaseLib.phaseOf(stored);
        shown.deadline = intake.deadline();
        shown.baseModel = ContentId({digest: stored.modelDigest, size: stored.modelSize});
        shown.enrolled = uint32(intake.enrolled());
        shown.updates = uint16(intake.updates());
        shown.seedBlock = uint64(intake.seedBlock());
        shown.seedAttempt = intake.seedAttempt();
        shown.widened = intake.widened();
        if (intake.seedFixed()) {
            Sortition sortition = stored.sortition;
            shown.deadline = sortition.deadline();
            shown.seed = sortition.seed();
            shown.alpha = SortitionLib.alpha(taskId, shown.round, shown.seed);
            shown.threshold = SortitionLib.threshold(sortition);
            shown.claims = uint16(stored.claims.count());
        }
        if (intake.phase() == Phase.Aggregation) _showBallot(stored, shown);
    }

    function _showBallot(TaskState storage stored, RoundView memory shown) private view {
        Ballot ballot = stored.ballot;
        shown.deadline = ballot.deadline();
        shown.quorum = uint16(ballot.quorum());
        shown.attempt = ballot.attempt();
        bool proposed = shown.phase == Phase.Validation || shown.phase == Phase.Reveal || shown.phase == Phase.Finalized;
        if (proposed) {
            shown.approvals = uint16(BallotLib.approvals(ballot));
            shown.rejections = uint16(BallotLib.rejections(ballot));
            shown.proposal = _proposal(stored, shown);
        }
        shown.seats = _seats(stored, ballot);
    }

    function _proposal(TaskState storage stored, RoundView memory shown)
        private
        view
        returns (ProposalView memory proposal)
    {
        Proposal storage made = stored.proposal;
        proposal.proposer = SortitionLib.memberAt(stored, shown.attempt);
        proposal.model = ContentId({digest: made.modelDigest, size: made.modelSize});
        proposal.report = ContentId({digest: made.reportDigest, size: made.reportSize});
        proposal.bitmapDigest = keccak256(_bitmap(stored, shown.round, shown.updates));
        proposal.acceptedWeight = made.acceptedWeight;
        proposal.commitment = made.commitment;
        proposal.digest = made.digest;
    }

    function _bitmap(TaskState storage stored, uint32 round, uint256 updates)
        private
        view
        returns (bytes memory bitmap)
    {
        bitmap = new bytes((updates + 7) / 8);
        for (uint256 i = 0; i < bitmap.length; ++i) {
            if (i < HEAD_BYTES) {
                bitmap[i] = bytes1(uint8(stored.proposal.accepted >> (8 * (HEAD_BYTES - 1 - i))));
            } else {
                uint256 rest = i - HEAD_BYTES;
                bitmap[i] = bytes32(stored.moreAccepted[round][rest / 32])[rest % 32];
            }
        }
    }

    function _seats(TaskState storage stored, Ballot ballot) private view returns (SeatView[] memory seats) {
        seats = new SeatView[](ballot.seats());
        for (uint256 i = 0; i < seats.length; ++i) {
            SeatView memory seat = seats[i];
            seat.member = SortitionLib.memberAt(stored, i);
            seat.outputPrefix = uint96(stored.committee[i] >> 160);
            seat.voted = (ballot.voted() >> i) & 1 != 0;
            seat.approved = (ballot.approved() >> i) & 1 != 0;
            if (seat.approved) seat.commitment = stored.commitments[i];
        }
    }

    /// @inheritdoc IRoundViews
    function enrolment(uint256 taskId, address worker) external view override returns (EnrolmentView memory shown) {
        TaskState storage stored = _task(taskId);
        Ledger ledger = stored.ledgers[worker];
        shown.enrolled = TermLib.isOpen(ledger.term());
        shown.fromRound = TermLib.firstRound(ledger.term());
        shown.lastActiveRound = TaskLib.lastActiveRound(ledger);
        shown.updateRound = ledger.round();
        shown.updateIndex = uint16(ledger.index());
        shown.updateWeight = uint16(ledger.weight());
        shown.number = uint24(ledger.number());
        Roster roster = stored.rosters[ledger.number() / ROSTER_SIZE].inRound(stored.intake.round());
        shown.claimed = roster.hasClaimed(ledger.number() % ROSTER_SIZE);
        shown.counting = roster.isCounting(ledger.number() % ROSTER_SIZE);
        shown.strikes = uint16(ledger.strikes());
        shown.invited = stored.invited[worker];
        shown.credit = ledger.credit();
        if (ledger.pending() && PhaseLib.hasEnded(stored, ledger.round())) {
            // The amount alone is shown.
            // slither-disable-next-line unused-return
            (,,, uint256 amount) = RewardLib.assess(stored, ledger);
            shown.credit += amount;
        }
    }

    /// @inheritdoc IRoundViews
    function outcome(uint256 taskId, uint32 round) external view override returns (OutcomeView memory) {
        Outcome stored = _task(taskId).outcomes[round];
        uint32 acceptedWeight = stored.acceptedWeight();
        return OutcomeView({
            finalized: acceptedWeight != 0, acceptedWeight: acceptedWeight, trainerReward: stored.trainerReward()
        });
    }

    /// @inheritdoc IRoundViews
    function keySegment(uint256 segment) external view override returns (address snapshot, uint96 active) {
        uint256 word = _keys.segments[segment];
        return (address(uint160(word)), uint96(word >> 160));
    }

    /// @inheritdoc IRoundViews
    function checkTask(
        TaskRules calldata rules,
        ContentId calldata spec,
        ContentId calldata genesis,
        uint64 unbondingDelay
    ) external pure override {
        TaskLib.check(rules, unbondingDelay);
        TaskLib.check(spec, "spec");
        TaskLib.check(genesis, "genesis");
    }

    /// @inheritdoc IRoundViews
    function longestRound(TaskRules calldata rules) external pure override returns (uint256) {
        return TaskLib.longestRound(rules);
    }

    /// @inheritdoc IRoundViews
    function vrfAlpha(uint256 taskId, uint32 round, bytes32 seed) external view override returns (bytes32) {
        return SortitionLib.alpha(taskId, round, seed);
    }

    /// @inheritdoc IRoundViews
    function proposalDigest(
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        ContentId calldata model,
        ContentId calldata report,
        bytes32 bitmapDigest,
        uint32 acceptedWeight
    ) external view override returns (bytes32) {
        // Every field is set below.
        // slither-disable-next-line uninitialized-local
        BallotLib.Draft memory draft;
        draft.taskId = taskId;
        draft.round = round;
        draft.attempt = attempt;
        draft.model = model;
        draft.report = report;
        draft.acceptedWeight = acceptedWeight;
        return BallotLib.proposalDigest(draft, bitmapDigest);
    }

    /// @inheritdoc IRoundViews
    function voteCommitment(
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        bytes32 proposal,
        address member,
        bytes32 inner
    ) external view override returns (bytes32) {
        return BallotLib.commitment(taskId, round, attempt, proposal, member, inner);
    }
}
