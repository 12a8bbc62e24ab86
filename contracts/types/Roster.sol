// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Who of 76 participants, by their numbers, takes part in committees: three bits each and the round they are of, in
/// one word, so that the claims of many cost one write.
/// @dev A word that no one has touched since an earlier round is brought up to date when it is read (`inRound`).
///
/// | bits    | width | field    |                                                                     |
/// | ------- | ----- | -------- | ------------------------------------------------------------------- |
/// | 0-75    | 76    | awaited  | was enrolled when `round` was opened, and has not claimed a seat    |
/// | 76-151  | 76    | claimed  | was enrolled when `round` was opened, and has claimed a seat        |
/// | 152-227 | 76    | enrolled | the enrolment has not ended                                         |
/// | 228-251 | 24    | round    |                                                                     |
type Roster is uint256;

// Participants in a word.
uint256 constant ROSTER_SIZE = 76;

using {
    round,
    isEnrolled,
    inRound,
    withEnrolled,
    mayClaim,
    hasClaimed,
    isCounting,
    anyClaimed,
    withClaim
} for Roster global;

function round(Roster word) pure returns (uint256) {
    return (Roster.unwrap(word) >> 228) & 0xffffff;
}

function isEnrolled(Roster word, uint256 place) pure returns (bool) {
    return (Roster.unwrap(word) >> (152 + place)) & 1 != 0;
}

/// Return the word as it stands in the newest round: who was enrolled before it is awaited in it.
function inRound(Roster word, uint256 newest) pure returns (Roster) {
    if (word.round() == newest) return word;
    uint256 enrolled = (Roster.unwrap(word) >> 152) & ((1 << 76) - 1);
    return Roster.wrap((newest << 228) | (enrolled << 152) | enrolled);
}

/// Begin or end an enrolment, from the next round on; the word is in the newest round.
function withEnrolled(Roster word, uint256 place, bool enrolled) pure returns (Roster) {
    uint256 bit = 1 << (152 + place);
    return Roster.wrap(enrolled ? Roster.unwrap(word) | bit : Roster.unwrap(word) & ~bit);
}

function mayClaim(Roster word, uint256 place) pure returns (bool) {
    return (Roster.unwrap(word) >> place) & 1 != 0;
}

function hasClaimed(Roster word, uint256 place) pure returns (bool) {
    return (Roster.unwrap(word) >> (76 + place)) & 1 != 0;
}

/// Return whether a participant was enrolled when the round was opened.
function isCounting(Roster word, uint256 place) pure returns (bool) {
    return word.mayClaim(place) || word.hasClaimed(place);
}

function anyClaimed(Roster word) pure returns (bool) {
    return (Roster.unwrap(word) >> 76) & ((1 << 76) - 1) != 0;
}

/// Record the claim of a participant that is awaited.
function withClaim(Roster word, uint256 place) pure returns (Roster) {
    return Roster.wrap(Roster.unwrap(word) ^ (((1 << 76) | 1) << place));
}
