// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ballot, openedBallot} from "../../../contracts/types/Ballot.sol";
import {bitsAt, withBitsAt} from "../../../contracts/types/Bits.sol";
import {Claims, openedClaims} from "../../../contracts/types/Claims.sol";
import {Intake, openedIntake} from "../../../contracts/types/Intake.sol";
import {Ledger} from "../../../contracts/types/Ledger.sol";
import {Outcome, outcomeOf} from "../../../contracts/types/Outcome.sol";
import {Phase, RejectReason} from "../../../contracts/types/Phase.sol";
import {ROSTER_SIZE, Roster} from "../../../contracts/types/Roster.sol";
import {Sortition, openedSortition, seedOf} from "../../../contracts/types/Sortition.sol";
import {TermLib} from "../../../contracts/types/Term.sol";

/// @title What holds of every packed word, whatever is in it: proven by halmos for all values
/// @dev `make symbolic` runs what begins with `check`; what begins with `open` no solver has decided in a minute. A path
/// that reverts proves nothing and is dropped: values too wide for their field are refused by `withBitsAt`.
contract WordsSymbolic {
    function check_bits_roundTrip_ofAByte(uint256 word, uint8 offset, uint8 value) public pure {
        _roundTrip(word, offset, 8, value);
    }

    function check_bits_roundTrip_ofARound(uint256 word, uint8 offset, uint24 value) public pure {
        _roundTrip(word, offset, 24, value);
    }

    function open_bits_roundTrip_ofAnAmount(uint256 word, uint8 offset, uint96 value) public pure {
        _roundTrip(word, offset, 96, value);
    }

    function _roundTrip(uint256 word, uint256 offset, uint256 width, uint256 value) private pure {
        if (offset > 256 - width) return;
        uint256 changed = withBitsAt(word, offset, width, value);
        assert(bitsAt(changed, offset, width) == value);
        uint256 field = ((uint256(1) << width) - 1) << offset;
        assert(changed & ~field == word & ~field);
    }

    function check_bits_refuseWhatDoesNotFit(uint256 word, uint8 offset, uint8 width, uint256 value) public view {
        if (value >> width == 0) return;
        try this.set(word, offset, width, value) {
            assert(false);
        } catch {}
    }

    function set(uint256 word, uint256 offset, uint256 width, uint256 value) external pure returns (uint256) {
        return withBitsAt(word, offset, width, value);
    }

    function check_intake_opened(uint24 round, uint40 deadline, uint24 enrolled, uint16 updates, uint16 cap)
        public
        pure
    {
        if (updates >= 1 << 13 || cap >= 1 << 13) return;
        Intake word = openedIntake(round, deadline, enrolled, updates, cap);
        assert(word.round() == round && word.deadline() == deadline && word.enrolled() == enrolled);
        assert(word.maxUpdates() == updates && word.sampleCap() == cap && word.isIn(Phase.Training));
        assert(!word.widened() && !word.seedFixed() && word.updates() == 0 && word.weight() == 0);
    }

    function check_intake_setters(uint256 raw, uint40 value, uint8 attempts) public pure {
        Intake word = Intake.wrap(raw);
        assert(word.withDeadline(value).deadline() == value);
        assert(word.withSeedBlock(value).seedBlock() == value);
        assert(word.withSeedAttempt(attempts % 4).seedAttempt() == attempts % 4);
        assert(word.withWidened().widened() && word.withSeedFixed().seedFixed());
        assert(word.withDeadline(value).round() == word.round() && word.withWidened().enrolled() == word.enrolled());
        assert(word.withSeedBlock(value).seedFixed() == word.seedFixed());
    }

    function check_sortition_opened(bytes32 hash, uint40 deadline, uint24 enrolled, uint8 expected) public pure {
        Sortition word = openedSortition(seedOf(hash), deadline, enrolled, expected);
        assert(word.seed() == seedOf(hash) && word.deadline() == deadline);
        assert(word.enrolled() == enrolled && word.expected() == expected);
    }

    function check_sortition_widened(uint256 raw, uint40 deadline) public pure {
        Sortition before = Sortition.wrap(raw);
        Sortition word = before.withWidened(deadline);
        assert(word.seed() == before.seed() && word.enrolled() == before.enrolled());
        assert(word.deadline() == deadline && word.expected() == 2 * before.expected());
    }

    /// What the chain is a solver does not look into: claims count as many more, of the same round.
    function check_claims_extended(uint256 raw, bytes15 claim) public pure {
        Claims before = Claims.wrap(raw);
        Claims word = before.extended(abi.encodePacked(claim, claim));
        assert(word.count() == before.count() + 2 && word.round() == before.round());
        assert(word.closed().round() == 0 && word.closed().count() == word.count());
        assert(word.closed().chain() == word.chain());
    }

    function check_claims_opened(uint24 round) public pure {
        Claims word = openedClaims(round);
        assert(word.round() == round && word.count() == 0 && word.chain() == 0);
    }

    /// A claim is one participant's, an enrolment one; nothing of another changes, nor the round.
    function check_roster_setters(uint256 raw, uint8 place, uint8 other, bool enrols) public pure {
        if (place >= ROSTER_SIZE || other >= ROSTER_SIZE) return;
        Roster before = Roster.wrap(raw);
        if (!before.mayClaim(place) || before.hasClaimed(place)) return;
        Roster claimed = before.withClaim(place);
        assert(!claimed.mayClaim(place) && claimed.anyClaimed());
        assert(claimed.hasClaimed(place) && claimed.round() == before.round());
        assert(claimed.isCounting(other) == before.isCounting(other));
        assert(claimed.isEnrolled(other) == before.isEnrolled(other));
        Roster enrolled = before.withEnrolled(place, enrols);
        assert(enrolled.isEnrolled(place) == enrols && enrolled.round() == before.round());
        assert(enrolled.isCounting(other) == before.isCounting(other));
        assert(enrolled.hasClaimed(other) == before.hasClaimed(other));
        if (other == place) return;
        assert(claimed.hasClaimed(other) == before.hasClaimed(other));
        assert(claimed.mayClaim(other) == before.mayClaim(other));
        assert(enrolled.isEnrolled(other) == before.isEnrolled(other));
    }

    /// In a new round whoever is enrolled counts, nobody has claimed; in the same, nothing changes.
    function check_roster_inRound(uint256 raw, uint24 newest, uint8 place) public pure {
        if (place >= ROSTER_SIZE) return;
        Roster before = Roster.wrap(raw);
        Roster word = before.inRound(newest);
        assert(word.round() == newest && word.isEnrolled(place) == before.isEnrolled(place));
        if (before.round() == newest) {
            assert(Roster.unwrap(word) == raw);
        } else {
            assert(word.mayClaim(place) == before.isEnrolled(place) && !word.hasClaimed(place));
        }
    }

    function check_ballot_opened(uint24 round, uint8 attempts, uint8 seats, uint8 quorum) public pure {
        Ballot word = openedBallot(round, attempts, seats, quorum);
        assert(word.round() == round && word.attempts() == attempts);
        assert(word.seats() == seats && word.quorum() == quorum && word.voted() == 0);
    }

    function check_ballot_attempt(uint256 raw, uint8 attempt, uint40 deadline) public pure {
        Ballot before = Ballot.wrap(raw);
        Ballot word = before.withAttempt(attempt, deadline);
        assert(word.attempt() == attempt && word.deadline() == deadline);
        assert(word.voted() == 0 && word.isIn(Phase.Aggregation) && word.round() == before.round());
        assert(word.attempts() == before.attempts() && word.seats() == before.seats());
        assert(word.quorum() == before.quorum());
    }

    function check_ballot_vote(uint256 raw, uint8 seat, uint8 code) public pure {
        Ballot before = Ballot.wrap(raw);
        if (seat >= 64 || code > uint8(type(RejectReason).max) || (before.voted() >> seat) & 1 != 0) return;
        RejectReason reason = RejectReason(code);
        Ballot word = before.withVote(seat, reason);
        uint256 bit = uint256(1) << seat;
        assert(word.voted() == before.voted() | bit);
        assert(word.approved() == (reason == RejectReason.None ? before.approved() | bit : before.approved()));
        assert(word.rejected() == (reason == RejectReason.None ? before.rejected() : before.rejected() | bit));
        assert(word.unavailable() & bit == (reason == RejectReason.Unavailable ? bit : 0));
        assert(word.round() == before.round() && word.deadline() == before.deadline());
    }

    /// A seat has approved, or rejected, or neither.
    function check_ballot_votesAreDisjoint(uint256 raw) public pure {
        Ballot word = Ballot.wrap(raw);
        assert(word.approved() & word.rejected() == 0);
        assert(word.approved() | word.rejected() == word.voted());
        assert(word.unavailable() & ~word.rejected() == 0);
    }

    function check_ledger_roundTrip(uint256 raw, uint24 round, uint16 index, uint16 weight, uint96 credit) public pure {
        if (index >= 4096 || weight > 4096) return;
        Ledger before = Ledger.wrap(raw);
        Ledger word = before.withUpdate(round, index, weight);
        assert(word.round() == round && word.index() == index && word.weight() == weight && word.pending());
        assert(word.term() == before.term() && word.credit() == before.credit());
        assert(word.strikes() == before.strikes() && !word.withSettled().pending());
        assert(word.withCredit(credit).credit() == credit && word.withCredit(credit).weight() == weight);
    }

    function check_ledger_service(uint256 raw, uint24 round, uint96 amount, uint24 number) public pure {
        Ledger before = Ledger.wrap(raw);
        Ledger word = before.withService(round, amount);
        assert(word.served() == round && word.credit() == before.credit() + amount);
        assert(word.term() == before.term() && word.round() == before.round() && word.index() == before.index());
        assert(word.weight() == before.weight() && word.pending() == before.pending());
        assert(word.strikes() == before.strikes() && word.number() == before.number());
        assert(before.withNumber(number).number() == number && before.withNumber(number).served() == before.served());
        assert(before.withNumber(number).credit() == before.credit());
    }

    function check_outcome_roundTrip(uint24 weight, uint96 reward, bool metered, uint104 accepted, uint24 unpaid)
        public
        pure
    {
        Outcome word = outcomeOf(weight, reward, metered, accepted);
        assert(word.acceptedWeight() == weight && word.trainerReward() == reward && word.isMetered() == metered);
        assert(word.unpaidWeight() == (metered ? weight : 0));
        assert(word.withUnpaidWeight(unpaid).unpaidWeight() == unpaid);
        assert(word.withUnpaidWeight(unpaid).trainerReward() == reward);
    }

    function check_term(uint24 start, uint24 current) public pure {
        if (start == 0) return;
        uint256 term = TermLib.startingIn(start);
        assert(TermLib.isOpen(term) && TermLib.firstRound(term) == start);
        assert(TermLib.counts(term, current) == (start <= current));
        uint256 ended = TermLib.endedAfter(term, current);
        assert(!TermLib.isOpen(ended) && TermLib.counts(ended, current) == (start <= current));
        assert(!TermLib.counts(ended, uint256(current) + 1));
    }
}
