// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorTypes} from "../../../contracts/interfaces/IRoundCoordinator.sol";
import {BallotLib} from "../../../contracts/libraries/BallotLib.sol";
import {RewardLib} from "../../../contracts/libraries/RewardLib.sol";
import {SortitionLib} from "../../../contracts/libraries/SortitionLib.sol";
import {Ballot, openedBallot} from "../../../contracts/types/Ballot.sol";
import {FieldOverflow, bitsAt, withBitsAt} from "../../../contracts/types/Bits.sol";
import {Intake, openedIntake} from "../../../contracts/types/Intake.sol";
import {Ledger} from "../../../contracts/types/Ledger.sol";
import {Outcome, bitmapBit, outcomeOf} from "../../../contracts/types/Outcome.sol";
import {Phase, RejectReason} from "../../../contracts/types/Phase.sol";
import {EVICTED, Seat} from "../../../contracts/types/Seat.sol";
import {TermLib} from "../../../contracts/types/Term.sol";
import {Vm} from "./support/Vm.sol";

abstract contract LibraryTest {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
}

/// Every field can be read back, and setting it leaves all other bits alone.
contract WordsTest is LibraryTest {
    function unchanged(uint256 before, uint256 afterwards, uint256 offset, uint256 width) private pure {
        uint256 mask = ~(((1 << width) - 1) << offset);
        vm.assertEq(before & mask, afterwards & mask);
    }

    function set(uint256 word, uint256 offset, uint256 width, uint256 value) external pure returns (uint256) {
        return withBitsAt(word, offset, width, value);
    }

    function test_fuzz_withBitsAt(uint256 word, uint8 offset, uint8 width, uint256 value) public view {
        uint256 bits = uint256(width) % 255 + 1;
        uint256 start = uint256(offset) % (256 - bits + 1);
        value &= (1 << bits) - 1;
        uint256 changed = this.set(word, start, bits, value);
        vm.assertEq(bitsAt(changed, start, bits), value);
        unchanged(word, changed, start, bits);
    }

    function test_withBitsAt_reverts_whenValueDoesNotFit() public {
        vm.expectRevert(abi.encodeWithSelector(FieldOverflow.selector, 8, 3));
        this.set(0, 5, 3, 8);
    }

    function test_fuzz_intake(uint24 round, uint40 deadline, uint24 enrolled, uint16 expected) public pure {
        Intake word = openedIntake(round, deadline, enrolled, 8191, 8191, expected, 127);
        vm.assertEq(word.round(), round);
        vm.assertEq(uint256(word.phase()), uint256(Phase.Training));
        vm.assertTrue(word.isIn(Phase.Training));
        vm.assertEq(word.deadline(), deadline);
        vm.assertEq(word.updates(), 0);
        vm.assertEq(word.enrolled(), enrolled);
        vm.assertEq(word.maxUpdates(), 8191);
        vm.assertEq(word.sampleCap(), 8191);
        vm.assertEq(word.expected(), expected);
        vm.assertEq(word.maxSeats(), 127);
        vm.assertFalse(word.widened());
        vm.assertFalse(word.seedFixed());
    }

    function test_intake_holdsTheMostUpdates() public pure {
        Intake word = openedIntake(1, 1, 1 << 23, 4096, 4096, 1, 64);
        for (uint256 i = 0; i < 4096; ++i) {
            word = word.withNextUpdate(4096);
        }
        vm.assertEq(word.updates(), 4096);
        vm.assertEq(word.weight(), 4096 * 4096);
        vm.assertEq(word.enrolled(), 1 << 23);
        vm.assertEq(word.seedAttempt(), 0);
        vm.assertFalse(word.seedFixed());
    }

    function test_fuzz_intake_changesOneField(uint256 raw, uint24 number, uint40 value) public pure {
        Intake word = Intake.wrap(raw);
        unchanged(raw, Intake.unwrap(word.withPhase(Phase.Void)), 24, 4);
        vm.assertTrue(word.withPhase(Phase.Void).isIn(Phase.Void));
        unchanged(raw, Intake.unwrap(word.withDeadline(value)), 28, 40);
        vm.assertEq(word.withDeadline(value).deadline(), value);
        unchanged(raw, Intake.unwrap(word.withWidened()), 154, 1);
        vm.assertTrue(word.withWidened().widened());
        unchanged(raw, Intake.unwrap(word.withSeedBlock(value)), 210, 40);
        vm.assertEq(word.withSeedBlock(value).seedBlock(), value);
        unchanged(raw, Intake.unwrap(word.withSeedAttempt(value % 4)), 250, 2);
        vm.assertEq(word.withSeedAttempt(value % 4).seedAttempt(), value % 4);
        unchanged(raw, Intake.unwrap(word.withSeedFixed()), 252, 1);
        vm.assertTrue(word.withSeedFixed().seedFixed());
        if (word.claims() == type(uint24).max || word.seats() == 127) return;
        unchanged(raw, Intake.unwrap(word.withNextSeat(number)), 155, 55);
        vm.assertEq(word.withNextSeat(number).head(), number);
        vm.assertEq(word.withNextSeat(number).seats(), word.seats() + 1);
        vm.assertEq(word.withNextSeat(number).claims(), word.claims() + 1);
        unchanged(raw, Intake.unwrap(word.withEviction(number)), 162, 48);
        vm.assertEq(word.withEviction(number).head(), number);
        vm.assertEq(word.withEviction(number).claims(), word.claims() + 1);
    }

    function test_fuzz_ballot_vote(uint256 raw, uint8 seat) public pure {
        seat %= 64;
        uint256 cleared = raw & ~((uint256(1) << (108 + seat)) | (uint256(1) << (172 + seat)));
        Ballot word = Ballot.wrap(cleared);
        Ballot approving = word.withVote(seat, RejectReason.None);
        vm.assertTrue((approving.approved() >> seat) & 1 == 1 && (approving.rejected() >> seat) & 1 == 0);
        Ballot rejecting = word.withVote(seat, RejectReason.Censored);
        vm.assertTrue((rejecting.approved() >> seat) & 1 == 0 && (rejecting.rejected() >> seat) & 1 == 1);
        vm.assertTrue((rejecting.unavailable() >> seat) & 1 == 0);
        Ballot excused = word.withVote(seat, RejectReason.Unavailable);
        vm.assertTrue((excused.rejected() >> seat) & 1 == 1 && (excused.unavailable() >> seat) & 1 == 1);
        vm.assertTrue((excused.approved() >> seat) & 1 == 0);
        vm.assertTrue((approving.voted() & rejecting.voted() & excused.voted()) >> seat & 1 == 1);
        unchanged(cleared, Ballot.unwrap(approving) | Ballot.unwrap(rejecting), 108, 128);
        vm.assertEq(approving.voted() & ~(uint256(1) << seat), word.voted() & ~(uint256(1) << seat));
    }

    function test_fuzz_ballot_attempt(uint24 round, uint8 attempts, uint8 seats, uint8 quorum, uint40 deadline)
        public
        pure
    {
        Ballot word = openedBallot(round, attempts, seats, quorum).withVote(3, RejectReason.Malformed);
        // What a larger number left must be gone.
        word = word.withAttempt(255, 255, deadline).withAttempt(7, 5, deadline);
        vm.assertEq(word.round(), round);
        vm.assertEq(word.attempts(), attempts);
        vm.assertEq(word.seats(), seats);
        vm.assertEq(word.quorum(), quorum);
        vm.assertEq(word.attempt(), 7);
        vm.assertEq(word.proposer(), 5);
        vm.assertEq(word.deadline(), deadline);
        vm.assertEq(uint256(word.phase()), uint256(Phase.Aggregation));
        vm.assertEq(word.voted(), 0);
    }

    function test_fuzz_seat(uint256 raw, uint24 round, uint8 index, uint24 next, uint96 prefix) public pure {
        index %= 64;
        Seat word = Seat.wrap(raw).withSeat(round, index, next, prefix);
        vm.assertEq(word.term(), Seat.wrap(raw).term());
        vm.assertEq(word.number(), Seat.wrap(raw).number());
        vm.assertEq(word.round(), round);
        vm.assertEq(word.index(), index);
        vm.assertEq(word.next(), next);
        vm.assertEq(word.prefix(), prefix);
        vm.assertTrue(word.isSeated(round));
        vm.assertEq(word.withNext(raw >> 232).next(), raw >> 232);
        vm.assertEq(word.withTerm(raw >> 231).term(), raw >> 231);
        vm.assertEq(word.withNumber(raw >> 232).number(), raw >> 232);
        vm.assertEq(word.withEviction().index(), EVICTED);
        vm.assertFalse(word.withEviction().isSeated(round));
        vm.assertEq(word.withEviction().round(), round);
    }

    function test_fuzz_ledger(uint256 raw, uint24 round, uint16 index, uint16 weight, uint96 credit) public pure {
        index %= 4096;
        weight %= 4097;
        Ledger word = Ledger.wrap(raw).withUpdate(round, index, weight);
        vm.assertEq(word.round(), round);
        vm.assertEq(word.index(), index);
        vm.assertEq(word.weight(), weight);
        vm.assertTrue(word.pending());
        unchanged(raw, Ledger.unwrap(word), 25, 51);
        vm.assertFalse(word.withSettled().pending());
        unchanged(raw, Ledger.unwrap(Ledger.wrap(raw).withStrikes(index)), 76, 16);
        vm.assertEq(word.withStrikes(index).strikes(), index);
        unchanged(raw, Ledger.unwrap(Ledger.wrap(raw).withCredit(credit)), 92, 96);
        vm.assertEq(word.withCredit(credit).credit(), credit);
        vm.assertEq(word.withTerm(raw >> 231).term(), raw >> 231);
    }

    function test_fuzz_outcome(uint24 weight, uint96 reward, bool metered, uint104 accepted, uint24 unpaid)
        public
        pure
    {
        Outcome word = outcomeOf(weight, reward, metered, accepted);
        vm.assertEq(word.acceptedWeight(), weight);
        vm.assertEq(word.trainerReward(), reward);
        vm.assertTrue(word.isMetered() == metered);
        vm.assertEq(word.unpaidWeight(), metered ? weight : 0);
        vm.assertEq(word.withUnpaidWeight(unpaid).unpaidWeight(), unpaid);
        for (uint256 i = 0; i < 104; ++i) {
            bool bit = (uint256(accepted) >> (8 * (12 - i / 8)) >> (i % 8)) & 1 != 0;
            vm.assertTrue(word.withUnpaidWeight(unpaid).hasAccepted(i) == bit);
        }
    }

    function test_bitmapBit_countsFromTheFirstByte() public pure {
        vm.assertTrue(bitmapBit(uint256(bytes32(hex"01")), 0));
        vm.assertTrue(bitmapBit(uint256(bytes32(hex"80")), 7));
        vm.assertTrue(bitmapBit(uint256(bytes32(hex"0001")), 8));
        vm.assertTrue(bitmapBit(1, 248));
        vm.assertFalse(bitmapBit(1, 249));
    }
}

contract TermTest is LibraryTest {
    function test_fuzz_term(uint16 from, uint16 now_) public pure {
        uint256 start = uint256(from) + 1;
        uint256 current = now_;
        uint256 term = TermLib.startingIn(start);
        vm.assertTrue(TermLib.isOpen(term));
        vm.assertEq(TermLib.firstRound(term), start);
        vm.assertTrue(TermLib.counts(term, current) == (start <= current));
        uint256 ended = TermLib.endedAfter(term, current);
        vm.assertFalse(TermLib.isOpen(ended));
        vm.assertEq(TermLib.firstRound(ended), 0);
        vm.assertTrue(TermLib.counts(ended, current) == (start <= current));
        vm.assertFalse(TermLib.counts(ended, current + 1));
    }
}

contract BallotLibTest is LibraryTest {
    function test_fuzz_popCount(uint256 word) public pure {
        uint256 count;
        for (uint256 rest = word; rest != 0; rest >>= 1) {
            count += rest & 1;
        }
        vm.assertEq(BallotLib.popCount(word), count);
    }

    function test_popCount_ofExtremes() public pure {
        vm.assertEq(BallotLib.popCount(0), 0);
        vm.assertEq(BallotLib.popCount(type(uint256).max), 256);
        vm.assertEq(BallotLib.popCount(1 << 255), 1);
    }

    function test_fuzz_quorum(uint16 threshold, uint16 expected, uint24 enrolled, uint8 seats) public pure {
        uint256 t = uint256(threshold) % 5000 + 5001;
        uint256 quorum = BallotLib.quorum(t, expected, enrolled, seats);
        vm.assertGe(quorum, 2);
        vm.assertGe(quorum * 10_000, t * seats);
        vm.assertGe(quorum * 10_000, t * (expected < enrolled ? expected : enrolled));
        uint256 one = quorum - 1;
        bool least =
            quorum == 2 || one * 10_000 < t * seats || one * 10_000 < t * (expected < enrolled ? expected : enrolled);
        vm.assertTrue(least);
    }

    function test_quorum_examples() public pure {
        vm.assertEq(BallotLib.quorum(6667, 16, 5, 5), 4);
        vm.assertEq(BallotLib.quorum(6667, 16, 100, 12), 11);
        vm.assertEq(BallotLib.quorum(6667, 16, 100, 20), 14);
        vm.assertEq(BallotLib.quorum(5001, 2, 2, 2), 2);
        vm.assertEq(BallotLib.quorum(5001, 1, 1, 1), 2);
    }

    /// Decided means: however the seats that have not voted vote, whether rejections leave room for a quorum is known.
    function test_fuzz_isDecided(uint64 voted, uint64 rejected, uint8 seatCount, uint8 quorum) public pure {
        uint256 seats = uint256(seatCount) % 63 + 2;
        uint256 needed = uint256(quorum) % seats + 1;
        Ballot word = openedBallot(1, 1, seats, needed).withAttempt(0, 0, 1);
        uint256 votes;
        uint256 against;
        for (uint256 seat = 1; seat < seats; ++seat) {
            if ((voted >> seat) & 1 == 0) continue;
            bool rejects = (rejected >> seat) & 1 != 0;
            word = word.withVote(seat, rejects ? RejectReason.WrongModel : RejectReason.None);
            ++votes;
            if (rejects) ++against;
        }
        vm.assertEq(BallotLib.approvals(word), votes - against + 1);
        vm.assertEq(BallotLib.rejections(word), against);
        vm.assertTrue(BallotLib.isDecided(word) == (votes == seats - 1 || seats - against < needed));
    }
}

contract SortitionLibTest is LibraryTest {
    function test_fuzz_threshold(uint24 enrolled, uint16 seats) public pure {
        uint256 expected = uint256(seats) + 1;
        uint256 threshold = SortitionLib.threshold(enrolled, expected);
        if (enrolled <= expected) {
            vm.assertEq(threshold, type(uint256).max);
        } else {
            vm.assertEq(threshold, type(uint256).max / enrolled * expected);
            vm.assertLt(threshold, type(uint256).max);
        }
    }

    function test_fuzz_sort(uint256[] memory numbers) public pure {
        uint256 sum;
        uint256 mixed;
        unchecked {
            for (uint256 i = 0; i < numbers.length; ++i) {
                sum += numbers[i];
                mixed ^= numbers[i];
            }
            SortitionLib.sort(numbers);
            for (uint256 i = 0; i < numbers.length; ++i) {
                sum -= numbers[i];
                mixed ^= numbers[i];
                if (i != 0) vm.assertLe(numbers[i - 1], numbers[i]);
            }
        }
        vm.assertEq(sum, 0);
        vm.assertEq(mixed, 0);
    }
}

contract RewardLibTest is LibraryTest {
    IRoundCoordinatorTypes.TaskRules private rules;

    function test_fuzz_split(uint96 budget, uint96 reward, uint16 trainers, uint16 proposer, uint24 weight, uint8 count)
        public
    {
        uint256 accepted = uint256(weight) + 1;
        uint256 voters = count % 64;
        rules.roundReward = reward;
        rules.trainerShare = trainers % 5001;
        rules.proposerShare = proposer % 2501;
        rules.voterShare = 2000;
        rules.revealerShare = 10_000 - rules.trainerShare - rules.proposerShare - rules.voterShare;
        RewardLib.Split memory parts = RewardLib.split(rules, budget, accepted, voters);
        uint256 whole = reward < budget ? reward : budget;
        vm.assertEq(parts.total, parts.trainers + parts.proposer + parts.revealer + parts.voter * voters);
        vm.assertLe(parts.total, whole);
        vm.assertEq(parts.trainers % accepted, 0);
        vm.assertLe(parts.trainers, whole * rules.trainerShare / 10_000);
        vm.assertLt(whole * rules.trainerShare / 10_000 - parts.trainers, accepted);
        vm.assertEq(parts.proposer, whole * rules.proposerShare / 10_000);
        vm.assertEq(parts.revealer, whole * rules.revealerShare / 10_000);
        if (voters == 0) vm.assertEq(parts.voter, 0);
        else vm.assertEq(parts.voter, whole * rules.voterShare / 10_000 / voters);
    }
}
