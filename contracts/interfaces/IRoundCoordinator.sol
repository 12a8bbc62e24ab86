// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Longer than 400 lines because it is the documentation of everything that the coordinator does.

import {Fault, Phase, RejectReason, VoidReason} from "../types/Phase.sol";
import {IParticipantRegistry} from "./IParticipantRegistry.sol";

interface IRoundCoordinatorTypes {
    /// A content identifier: the sha2-256 digest of a CIDv1. The codec and the tree follow from the size alone
    /// (raw up to 262,144 bytes, dag-pb above), so digest and size name the CID exactly.
    struct ContentId {
        bytes32 digest;
        uint64 size;
    }

    /// The rules of a task's rounds. Fixed at creation. Durations are seconds.
    struct TaskRules {
        uint32 trainingDuration;
        /// How long one seed block may stay unused before the next is fixed (at most two more).
        uint32 seedDuration;
        uint32 sortitionDuration;
        /// One exclusive proposal window.
        uint32 proposalDuration;
        uint32 validationDuration;
        uint32 revealDuration;
        /// E: how many seats a round has on average before the cap; at least 2.
        uint16 expectedCommittee;
        /// Cap on seats, at least the quorum that E asks for (ceil(t * E)) and at most 64; the highest output gives way.
        uint16 maxSeats;
        /// t: quorum as a share of seats, 5001 to 10000.
        uint16 thresholdBasisPoints;
        /// Proposals tried before the round is void (also at most the number of seats).
        uint16 maxAttempts;
        /// Fewer updates than this: the round is void.
        uint16 minUpdates;
        /// Updates taken in one round, 1 to 4096.
        uint16 maxUpdates;
        /// An update's weight is min(its sample count, sampleCap); 1 to 4096.
        uint16 sampleCap;
        /// Rounds, at least 1, without an update and without service in a committee whose round was finalized (as its
        /// proposer, or with an approval that the reveal opened), after which anyone may end an enrolment. (Who holds a seat
        /// and does not vote is fined.)
        uint16 idleRounds;
        /// Updates in a row that were not accepted after which the enrolment ends; 0: never.
        uint16 strikeLimit;
        /// Rounds in a row that may be void before the task ends; at least 1.
        uint16 maxConsecutiveVoids;
        /// Rounds in all, 1 to 2**24 - 1.
        uint32 maxRounds;
        bool inviteOnly;
        /// Paid for one finalized round, in wei; less where the budget is less.
        uint128 roundReward;
        /// Taken from the bond for one fault, in wei.
        uint128 fineAmount;
        /// Shares of the round reward in basis points; together 10000.
        uint16 trainerShare;
        uint16 proposerShare;
        uint16 voterShare;
        uint16 revealerShare;
    }

    enum TaskStatus {
        None,
        Open,
        Ended
    }

    struct TaskView {
        address owner;
        TaskStatus status;
        TaskRules rules;
        ContentId spec;
        /// The newest finalized model, or the genesis model.
        ContentId model;
        uint256 budget;
        /// The last opened round; 0 before the first.
        uint32 round;
        uint16 consecutiveVoids;
        uint32 enrolled;
        /// Newest seed; 0 before the first round.
        bytes32 seed;
    }

    /// A seat of the committee. Seats are numbered, and listed, in the order of outputs; attempt n is seat n's to propose.
    struct SeatView {
        address member;
        /// The top 96 bits of the VRF output.
        uint96 outputPrefix;
        bool voted;
        bool approved;
        bytes32 commitment;
    }

    struct ProposalView {
        address proposer;
        ContentId model;
        ContentId report;
        bytes32 bitmapDigest;
        uint32 acceptedWeight;
        bytes32 commitment;
        /// keccak256 over everything a proposal says except the commitment (see `proposalDigest`).
        bytes32 digest;
    }

    /// Everything a daemon needs to decide what to do next, in one call.
    struct RoundView {
        uint32 round;
        Phase phase;
        /// Time at which the phase (or, before the seed is fixed, the seed block; in Aggregation, the current window) expires.
        uint64 deadline;
        /// The model that the round builds on; once it is finalized, the model that it made.
        ContentId baseModel;
        uint32 enrolled;
        uint16 updates;
        uint64 seedBlock;
        uint8 seedAttempt;
        bytes32 seed;
        bytes32 alpha;
        /// An output up to this wins a seat; 0 before the seed is fixed.
        uint256 threshold;
        bool widened;
        /// Claims so far; the committee is chosen of them when SORTITION closes.
        uint16 claims;
        uint16 quorum;
        /// Counts from 0.
        uint16 attempt;
        /// The proposer's own included, from the proposal on; before it 0.
        uint16 approvals;
        uint16 rejections;
        ProposalView proposal;
        /// Empty until the committee stands.
        SeatView[] seats;
    }

    struct EnrolmentView {
        bool enrolled;
        /// First round in which the enrolment counts.
        uint32 fromRound;
        uint32 lastActiveRound;
        /// Round of the newest update, its index there and its weight.
        uint32 updateRound;
        uint16 updateIndex;
        uint16 updateWeight;
        /// The participant's number in the registry; 0 before its first enrolment.
        uint24 number;
        /// Whether it takes part in the newest round's sortition, and has claimed there.
        bool counting;
        bool claimed;
        uint16 strikes;
        bool invited;
        /// Wei that `withdrawRewards` would pay now, all settled rounds included.
        uint256 credit;
    }

    struct OutcomeView {
        bool finalized;
        uint32 acceptedWeight;
        uint256 trainerReward;
    }
}

interface IRoundCoordinatorErrors {
    error TaskUnknown(uint256 taskId);
    error TaskNotOpen(uint256 taskId);
    error NotTaskOwner(uint256 taskId, address caller);
    /// A rule is outside its range; `rule` is its name as bytes32 text.
    error RuleOutOfRange(bytes32 rule, uint256 value);
    error RoundTooLong(uint256 longest, uint256 limit);
    error WrongRound(uint32 given, uint32 current);
    error WrongAttempt(uint16 given, uint16 current);
    error WrongPhase(Phase expected, Phase actual);
    error RoundInProgress(uint32 round);
    error DeadlinePassed(uint64 deadline, uint64 timestamp);
    error DeadlineNotPassed(uint64 deadline, uint64 timestamp);
    error NoRoundsLeft(uint32 maxRounds);
    error NotInvited(uint256 taskId, address account);
    error AlreadyEnrolled(uint256 taskId, address account);
    error NotEnrolled(uint256 taskId, address account);
    error EnrolmentNotIdle(uint256 taskId, address account, uint32 lastActiveRound);
    error NotActiveParticipant(address account);
    error TooFewEnrolled(uint256 enrolled, uint256 needed);
    error UpdateAlreadySubmitted(uint32 round, address worker);
    error RoundFull(uint16 maxUpdates);
    error InvalidUpdate(bytes32 digest, uint64 size, uint32 sampleCount);
    error SeedBlockNotReached(uint64 seedBlock, uint256 blockNumber);
    error SeedNotFixed(uint32 round);
    error SeedAlreadyFixed(uint32 round);
    error SeatAlreadyClaimed(uint32 round, address member);
    error OutputAboveThreshold(uint256 output, uint256 threshold);
    /// The round has as many claims as can be counted.
    error TooManyClaims(uint256 claims);
    /// SORTITION is closed with the list of its claims, `claims` of them, as they were emitted; this is another.
    error ClaimsNotThese(uint256 claims);
    error ProofInvalid(address member);
    /// The bytes do not divide into claims; `offset` is where the claim that does not fit begins.
    error MalformedClaims(uint256 offset);
    error NotProposer(address expected, address caller);
    error InvalidProposal(bytes32 what);
    error NotSeated(uint8 seat, address caller);
    error AlreadyVoted(uint32 round, uint16 attempt, address member);
    error ProposerCannotVote(address member);
    error InvalidVote();
    error CommitmentNotOpened(bytes32 expected, bytes32 opened);
    error NothingToWithdraw(address account);
    error TransferFailed(address to, uint256 amount);
}

interface IRoundCoordinatorEvents {
    event TaskCreated(
        uint256 indexed taskId,
        address indexed owner,
        IRoundCoordinatorTypes.ContentId spec,
        IRoundCoordinatorTypes.ContentId genesis,
        IRoundCoordinatorTypes.TaskRules rules
    );
    event TaskFunded(uint256 indexed taskId, address indexed from, uint256 amount);
    event TaskEnded(uint256 indexed taskId, uint256 remainder);
    event WorkerInvited(uint256 indexed taskId, address indexed worker);
    event WorkerEnrolled(uint256 indexed taskId, address indexed worker, uint24 number, uint32 fromRound);
    /// The enrolment ended: by the worker itself, for idleness, for an exit, or for strikes.
    event EnrolmentEnded(uint256 indexed taskId, address indexed worker, uint32 afterRound);
    event RoundOpened(
        uint256 indexed taskId, uint32 indexed round, uint32 enrolled, bytes32 baseModelDigest, uint64 deadline
    );
    /// A round's updates are numbered, from 0, in the order of these events. (`round` is no topic: what every worker emits in
    /// every round is kept as cheap as can be.)
    event UpdateSubmitted(
        uint256 indexed taskId, uint32 round, address indexed worker, bytes32 digest, uint64 size, uint32 sampleCount
    );
    event TrainingClosed(uint256 indexed taskId, uint32 indexed round, uint16 updates, uint64 seedBlock);
    /// The seed block's hash had expired, or its time was up: a later one is fixed.
    event SeedBlockMoved(uint256 indexed taskId, uint32 indexed round, uint8 seedAttempt, uint64 seedBlock);
    event SeedFixed(
        uint256 indexed taskId,
        uint32 indexed round,
        bytes32 previousSeed,
        bytes32 blockHash,
        bytes32 seed,
        uint256 threshold,
        uint64 deadline
    );
    /// @param claims verified claims, 15 bytes each: the top 96 bits of the VRF output, and the participant's number.
    event SeatsClaimed(uint256 indexed taskId, uint32 indexed round, bytes claims);
    event SortitionWidened(uint256 indexed taskId, uint32 indexed round, uint256 threshold, uint64 deadline);
    event SortitionClosed(uint256 indexed taskId, uint32 indexed round, uint16 seats, uint16 quorum, uint64 deadline);
    event AttemptOpened(
        uint256 indexed taskId, uint32 indexed round, uint16 attempt, address indexed proposer, uint64 deadline
    );
    event ProposalMade(
        uint256 indexed taskId,
        uint32 indexed round,
        address indexed proposer,
        uint16 attempt,
        IRoundCoordinatorTypes.ContentId model,
        IRoundCoordinatorTypes.ContentId report,
        bytes acceptedBitmap,
        uint32 acceptedWeight,
        bytes32 commitment,
        uint64 deadline
    );
    /// `commitment` is 0 for a rejection, `reason` is `None` for an approval.
    event VoteCast(
        uint256 indexed taskId,
        uint32 indexed round,
        address indexed member,
        uint16 attempt,
        bool approved,
        bytes32 commitment,
        RejectReason reason
    );
    event ValidationClosed(
        uint256 indexed taskId,
        uint32 indexed round,
        uint16 attempt,
        uint16 approvals,
        uint16 rejections,
        uint64 deadline
    );
    event CommitmentOpened(
        uint256 indexed taskId,
        uint32 indexed round,
        address indexed revealer,
        uint16 attempt,
        bytes32 inner,
        uint16 matching
    );
    event AttemptFailed(uint256 indexed taskId, uint32 indexed round, uint16 attempt);
    event RoundFinalized(
        uint256 indexed taskId,
        uint32 indexed round,
        bytes32 modelDigest,
        uint64 modelSize,
        uint16 attempt,
        uint256 reward
    );
    event RoundVoided(uint256 indexed taskId, uint32 indexed round, VoidReason reason);
    event MemberFined(
        uint256 indexed taskId,
        uint32 indexed round,
        address indexed member,
        uint16 attempt,
        Fault fault,
        uint256 amount
    );
    /// Credit for a finalized round: a trainer's when its next action settles it, a member's at once.
    event RewardCredited(uint256 indexed taskId, uint32 round, address indexed worker, uint256 amount);
    event RewardsWithdrawn(uint256 indexed taskId, address indexed worker, uint256 amount);
    /// The active keys of participants `segment * 96` to `segment * 96 + 95` can be read from code.
    event KeysSnapshotted(uint256 indexed segment, address snapshot);
    event UpdateStruck(uint256 indexed taskId, uint32 indexed round, address indexed worker, uint16 strikes);
}

/// @title What can be done to tasks as a whole
interface ITaskActions is IRoundCoordinatorTypes, IRoundCoordinatorErrors, IRoundCoordinatorEvents {
    /// @notice Create a task; `msg.value` is its first budget. Task ids count from 1.
    function createTask(TaskRules calldata rules, ContentId calldata spec, ContentId calldata genesis)
        external
        payable
        returns (uint256 taskId);

    function fundTask(uint256 taskId) external payable;

    /// @notice Invite workers to an invite-only task. Owner only.
    function invite(uint256 taskId, address[] calldata workers) external;

    /// @notice End the task; what no finalized round has earned is the owner's, pulled with `withdrawRemainder`. Owner
    /// only, and only while no round is in progress; a task whose rounds or consecutive VOIDs are used up may be ended by
    /// anyone, with the same effect.
    function endTask(uint256 taskId) external;

    function withdrawRemainder(uint256 taskId) external;

    /// @notice Put the active keys of 96 participants, `segment * 96` on, into code, from which `claimSeats` reads them for
    /// less. Anyone, at any time: who registers or becomes active later is not in it before the next snapshot, and claims
    /// with its key in storage meanwhile; who is no longer active cannot claim either way.
    function snapshotKeys(uint256 segment) external returns (address snapshot);
}

/// @title What can be done to tasks and rounds
/// @notice The only coordinator of a task. No step is privileged: whoever may act is decided by enrolment, by a
/// verified VRF output, or not at all. Times are compared as: an action of a phase needs `timestamp <= deadline`,
/// pushing an expired phase on needs `timestamp > deadline`.
interface IRoundActions is ITaskActions {
    function registry() external view returns (IParticipantRegistry);

    // -------------------------------------------------------------- enrolment

    /// @notice Enrol the caller, an active participant. Counts from the next round that is opened.
    function enrol(uint256 taskId) external;

    /// @notice End the caller's enrolment, from the next round on.
    function leave(uint256 taskId) external;

    /// @notice End the enrolment, from the next round on, of a worker that was idle for `idleRounds` rounds or is no
    /// active participant. Anyone.
    function removeIdle(uint256 taskId, address worker) external;

    // ----------------------------------------------------------------- rounds

    /// @notice Open the next round. Anyone, once the previous round has ended and at least
    /// max(minUpdates, 2) workers are enrolled.
    function openRound(uint256 taskId) external;

    /// @notice Commit to an update. One a round and worker; the object is published after TRAINING has closed.
    /// @param digest sha2-256 digest of the update's CID, not 0.
    /// @param size bytes of the update object, 1 to 2**32 - 1.
    /// @param sampleCount training samples, at least 1; capped for the weight.
    function submitUpdate(uint256 taskId, uint32 round, bytes32 digest, uint64 size, uint32 sampleCount) external;

    /// @notice Close TRAINING: early when every enrolled worker (or `maxUpdates`) has submitted, else after the deadline.
    /// Fixes `seedBlock` = this block + 2, or voids the round for too few updates.
    function closeTraining(uint256 taskId) external;

    /// @notice Store the seed: keccak256(abi.encode("flare/seed", previous seed, hash of seedBlock, task, round)), its low
    /// 72 bits cleared. The block's hash covers its prevrandao (both are in the header). If the hash has expired (EVM
    /// history and EIP-2935 both), or the seed's deadline has passed without the block being usable, the next seed block is
    /// fixed, at most twice; then VOID.
    function fixSeed(uint256 taskId) external;

    /// @notice Claim a seat. Anyone may carry a claim.
    /// @param claim [participant's number 3][proof over `alpha`]; the proof's length follows from its first byte.
    function claimSeat(uint256 taskId, uint32 round, bytes calldata claim) external;

    /// @notice Claim many seats. A claim that fails is skipped; bytes that do not divide into claims are refused as a whole.
    /// @param fromSnapshot read keys from snapshots (see `snapshotKeys`); a participant that is in none is skipped.
    /// @param claims concatenated claims; ordered by number they cost the least.
    /// @return claimed how many claims were taken. Whether one wins a seat is known when SORTITION closes.
    function claimSeats(uint256 taskId, uint32 round, bool fromSnapshot, bytes calldata claims)
        external
        returns (uint256 claimed);

    /// @notice Close SORTITION: early when every worker enrolled for the round has claimed, else after the deadline.
    /// Seats the lowest claims and fixes the quorum; or, with too few claims, widens the threshold once, then voids the
    /// round.
    /// @param claims for each of the round's `SeatsClaimed` events, in their order, how many claims it holds, 2 bytes, and
    /// the claims. Not looked at where the claims are too few.
    function closeSortition(uint256 taskId, bytes calldata claims) external;

    /// @notice Propose the round's model. Only the seat whose turn it is (its number is the attempt's), inside its window.
    /// @param acceptedBitmap bit i (little-endian within bytes: bit i%8 of byte i/8) set: update i is in the aggregate.
    /// Exactly ceil(updates/8) bytes; unused bits 0; at least one bit set.
    /// @param acceptedWeight sum of the weights of the accepted updates.
    /// @param commitment `voteCommitment(...)` of the proposer over the hidden `inner`.
    function propose(
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        ContentId calldata model,
        ContentId calldata report,
        bytes calldata acceptedBitmap,
        uint32 acceptedWeight,
        bytes32 commitment
    ) external;

    /// @notice Approve (reason None, commitment not 0) or reject (commitment 0, reason not None). Seats except the proposer, once an attempt.
    /// @param seat the caller's, as `RoundView.seats` numbers them.
    function vote(uint256 taskId, uint32 round, uint16 attempt, uint8 seat, bytes32 commitment, RejectReason reason)
        external;

    /// @notice Close VALIDATION: early only when every seat has voted or the rejections make the quorum impossible. Too
    /// few approvals for the quorum: the attempt fails at once, without REVEAL.
    function closeValidation(uint256 taskId) external;

    /// @notice Open the proposer's commitment. Reverts, and changes nothing, where `inner` does not open it.
    /// Counts the approvals that `inner` opens (the proposer's proposal is one): quorum reached, FINALIZED; otherwise the next attempt.
    function reveal(uint256 taskId, uint32 round, uint16 attempt, bytes32 inner) external;

    /// @notice Push an expired phase on, whichever it is. Anyone. Same effect as the close function of the phase;
    /// in AGGREGATION it opens the next attempt, in REVEAL it fails the attempt. Reverts where nothing is due.
    /// @param claims as for `closeSortition`; looked at in SORTITION alone.
    function advance(uint256 taskId, bytes calldata claims) external;

    // ---------------------------------------------------------------- rewards

    /// @notice Settle a worker's newest update: credit its reward or count a strike. Anyone; also done by the worker's own next action.
    function settle(uint256 taskId, address worker) external;

    /// @notice Pay the caller all its credit of a task.
    function withdrawRewards(uint256 taskId) external;
}

/// @title What can be read of tasks and rounds
/// @notice Answered at the coordinator's address (see `RoundCoordinator`).
interface IRoundViews is IRoundCoordinatorTypes {
    function taskCount() external view returns (uint256);
    function task(uint256 taskId) external view returns (TaskView memory);
    function currentRound(uint256 taskId) external view returns (RoundView memory);
    function enrolment(uint256 taskId, address worker) external view returns (EnrolmentView memory);
    function outcome(uint256 taskId, uint32 round) external view returns (OutcomeView memory);
    /// @notice The snapshot of keys `segment * 96` on (0: there is none), and a bit for each that is active.
    function keySegment(uint256 segment) external view returns (address snapshot, uint96 active);
    /// @notice Revert as `createTask` would, if it would, for its arguments and the registry's unbonding delay.
    function checkTask(
        TaskRules calldata rules,
        ContentId calldata spec,
        ContentId calldata genesis,
        uint64 unbondingDelay
    ) external pure;
    /// @notice Seconds that the longest possible round under these rules takes when each step is pushed on as it falls due.
    function longestRound(TaskRules calldata rules) external pure returns (uint256);
    /// @notice keccak256(abi.encode("flare/alpha", chainid, coordinator, taskId, round, seed)).
    function vrfAlpha(uint256 taskId, uint32 round, bytes32 seed) external view returns (bytes32);
    /// @notice keccak256(abi.encode("flare/proposal", chainid, coordinator, taskId, round, attempt, model, report,
    /// keccak256(acceptedBitmap), acceptedWeight)), model and report as (digest, size) tuples.
    function proposalDigest(
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        ContentId calldata model,
        ContentId calldata report,
        bytes32 bitmapDigest,
        uint32 acceptedWeight
    ) external view returns (bytes32);
    /// @notice keccak256(abi.encode("flare/vote", chainid, coordinator, taskId, round, attempt, proposalDigest, member, inner)).
    function voteCommitment(
        uint256 taskId,
        uint32 round,
        uint16 attempt,
        bytes32 proposal,
        address member,
        bytes32 inner
    ) external view returns (bytes32);
}

/// @title Tasks, enrolment and rounds: all that the coordinator's address answers to
// solhint-disable-next-line no-empty-blocks
interface IRoundCoordinator is IRoundActions, IRoundViews {}
