// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The phases of a round, in order. A round only ever moves forward in this list, except that an attempt that
/// failed goes from `Validation` or `Reveal` back to `Aggregation` with the next attempt number.
/// `flare_offchain.core.phases.Phase` is the same list; a test proves it.
enum Phase {
    None,
    Training,
    Sortition,
    Aggregation,
    Validation,
    Reveal,
    Finalized,
    Void
}

/// Why a round ended without a new model.
enum VoidReason {
    None,
    TooFewUpdates,
    SeedExpired,
    TooFewSeats,
    AttemptsExhausted
}

/// Why a member lost part of its bond (see `IRoundCoordinatorEvents.MemberFined`).
enum Fault {
    None,
    /// Held a seat, could have voted until the deadline, and did not.
    VoteMissing,
    /// Approved a proposal that was finalized, with a commitment that the revealed `inner` does not open.
    ApprovalMismatched,
    /// Rejected a proposal that was finalized, for a reason other than `RejectReason.Unavailable`.
    RejectionOverruled,
    /// Proposed, and the rejections reached the quorum.
    ProposalRejected,
    /// Proposed, and nobody opened its commitment before the reveal deadline.
    CommitmentUnopened
}

/// A validator's reason for rejecting a proposal.
enum RejectReason {
    None,
    /// An object of the proposal, or too many of the updates, cannot be had. Never fined.
    Unavailable,
    /// The model is not the exact aggregate of the published selection.
    WrongModel,
    /// The published selection is outside the margins of the scores that the validator computed.
    WrongSelection,
    /// The accepted bitmap or weight does not equal the report's.
    WrongBitmap,
    /// An object is not canonical, or does not belong to this task, round and attempt.
    Malformed,
    /// Updates that the validator could fetch were left out beyond the stated share.
    Censored
}
