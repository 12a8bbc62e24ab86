// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ballot, openedBallot} from "../../../contracts/types/Ballot.sol";
import {bitsAt, withBitsAt} from "../../../contracts/types/Bits.sol";
import {Intake, openedIntake} from "../../../contracts/types/Intake.sol";
import {Ledger} from "../../../contracts/types/Ledger.sol";
import {Outcome, outcomeOf} from "../../../contracts/types/Outcome.sol";
import {Phase, RejectReason} from "../../../contracts/types/Phase.sol";
import {Seat} from "../../../contracts/types/Seat.sol";
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

    function check_intake_opened(uint24 round, uint40 deadline, uint24 enrolled, uint16 updates, uint16 cap, uint16 e)
        public
        pure
    {
        if (updates >= 1 << 13 || cap >= 1 << 13) return;
        Intake word = openedIntake(round, deadline, enrolled, updates, cap, e, 64);
        assert(word.round() == round && word.deadline() == deadline && word.enrolled() == enrolled);
        assert(word.maxUpdates() == updates && word.sampleCap() == cap && word.expected() == e);
        assert(word.maxSeats() == 64 && word.isIn(Phase.Training));
        assert(!word.widened() && !word.seedFixed() && word.updates() == 0 && word.seats() == 0);
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

    function check_intake_seat(uint256 raw, uint24 number) public pure {
        Intake word = Intake.wrap(raw);
        if (word.seats() == 127 || word.claims() == type(uint24).max) return;
        Intake next = word.withNextSeat(number);
        assert(next.seats() == word.seats() + 1 && next.claims() == word.claims() + 1 && next.head() == number);
        assert(next.round() == word.round() && next.deadline() == word.deadline());
        assert(next.enrolled() == word.enrolled() && next.seedBlock() == word.seedBlock());
        assert(next.widened() == word.widened() && next.seedFixed() == word.seedFixed());
    }

    function check_ballot_opened(uint24 round, uint8 attempts, uint8 seats, uint8 quorum) public pure {
        Ballot word = openedBallot(round, attempts, seats, quorum);
        assert(word.round() == round && word.attempts() == attempts);
        assert(word.seats() == seats && word.quorum() == quorum && word.voted() == 0);
    }

    function check_ballot_attempt(uint256 raw, uint8 attempt, uint8 proposer, uint40 deadline) public pure {
        Ballot before = Ballot.wrap(raw);
        Ballot word = before.withAttempt(attempt, proposer, deadline);
        assert(word.attempt() == attempt && word.proposer() == proposer && word.deadline() == deadline);
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

    function check_seat_roundTrip(uint256 raw, uint24 round, uint8 index, uint24 next, uint96 prefix) public pure {
        if (index >= 64) return;
        Seat before = Seat.wrap(raw);
        Seat word = before.withSeat(round, index, next, prefix);
        assert(word.round() == round && word.index() == index && word.next() == next && word.prefix() == prefix);
        assert(word.term() == before.term() && word.number() == before.number() && word.isSeated(round));
        assert(!word.withEviction().isSeated(round) && word.withEviction().round() == round);
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
