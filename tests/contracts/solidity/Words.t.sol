// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorErrors} from "../../../contracts/interfaces/IRoundCoordinator.sol";
import {Ballot, openedBallot} from "../../../contracts/types/Ballot.sol";
import {FieldOverflow, bitsAt, withBitsAt} from "../../../contracts/types/Bits.sol";
import {Claims, openedClaims} from "../../../contracts/types/Claims.sol";
import {Intake, openedIntake} from "../../../contracts/types/Intake.sol";
import {Ledger} from "../../../contracts/types/Ledger.sol";
import {Outcome, bitmapBit, outcomeOf} from "../../../contracts/types/Outcome.sol";
import {Phase, RejectReason} from "../../../contracts/types/Phase.sol";
import {Roster} from "../../../contracts/types/Roster.sol";
import {Sortition, openedSortition, seedOf} from "../../../contracts/types/Sortition.sol";
import {TermLib} from "../../../contracts/types/Term.sol";
import {LibraryTest} from "./Libraries.t.sol";

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

    function test_fuzz_intake(uint24 round, uint40 deadline, uint24 enrolled) public pure {
        Intake word = openedIntake(round, deadline, enrolled, 8191, 8191);
        vm.assertEq(word.round(), round);
        vm.assertEq(uint256(word.phase()), uint256(Phase.Training));
        vm.assertTrue(word.isIn(Phase.Training));
        vm.assertEq(word.deadline(), deadline);
        vm.assertEq(word.updates(), 0);
        vm.assertEq(word.enrolled(), enrolled);
        vm.assertEq(word.maxUpdates(), 8191);
        vm.assertEq(word.sampleCap(), 8191);
        vm.assertEq(word.weight(), 0);
        vm.assertEq(word.seedAttempt(), 0);
        vm.assertFalse(word.widened());
        vm.assertFalse(word.seedFixed());
    }

    function test_intake_holdsTheMostUpdates() public pure {
        Intake word = openedIntake(1, 1, 1 << 23, 4096, 4096);
        for (uint256 i = 0; i < 4096; ++i) {
            word = word.withNextUpdate(4096);
        }
        vm.assertEq(word.updates(), 4096);
        vm.assertEq(word.weight(), 4096 * 4096);
        vm.assertEq(word.enrolled(), 1 << 23);
        vm.assertEq(word.seedAttempt(), 0);
        vm.assertFalse(word.seedFixed());
    }

    function test_fuzz_intake_changesOneField(uint256 raw, uint40 value) public pure {
        Intake word = Intake.wrap(raw);
        unchanged(raw, Intake.unwrap(word.withPhase(Phase.Void)), 24, 4);
        vm.assertTrue(word.withPhase(Phase.Void).isIn(Phase.Void));
        unchanged(raw, Intake.unwrap(word.withDeadline(value)), 28, 40);
        vm.assertEq(word.withDeadline(value).deadline(), value);
        unchanged(raw, Intake.unwrap(word.withWidened()), 131, 1);
        vm.assertTrue(word.withWidened().widened());
        unchanged(raw, Intake.unwrap(word.withSeedBlock(value)), 132, 40);
        vm.assertEq(word.withSeedBlock(value).seedBlock(), value);
        unchanged(raw, Intake.unwrap(word.withSeedAttempt(value % 4)), 172, 2);
        vm.assertEq(word.withSeedAttempt(value % 4).seedAttempt(), value % 4);
        unchanged(raw, Intake.unwrap(word.withSeedFixed()), 174, 1);
        vm.assertTrue(word.withSeedFixed().seedFixed());
    }

    function test_fuzz_sortition(bytes32 hash, uint40 deadline, uint24 enrolled, uint8 expected, uint40 later)
        public
        pure
    {
        bytes32 seed = seedOf(hash);
        vm.assertEq(uint256(seed), uint256(hash) >> 72 << 72);
        Sortition word = openedSortition(seed, deadline, enrolled, expected);
        vm.assertEq(word.seed(), seed);
        vm.assertEq(word.deadline(), deadline);
        vm.assertEq(word.enrolled(), enrolled);
        vm.assertEq(word.expected(), expected);
        if (expected > 127) return;
        Sortition widened = word.withWidened(later);
        vm.assertEq(widened.seed(), seed);
        vm.assertEq(widened.deadline(), later);
        vm.assertEq(widened.enrolled(), enrolled);
        vm.assertEq(widened.expected(), 2 * uint256(expected));
    }

    function widen(Sortition word) external pure returns (Sortition) {
        return word.withWidened(1);
    }

    function test_sortition_reverts_whenTwiceTheSeatsDoNotFit() public {
        Sortition word = openedSortition(0, 1, 1, 128);
        vm.expectRevert(abi.encodeWithSelector(FieldOverflow.selector, 256, 8));
        this.widen(word);
    }

    function extend(Claims word, bytes memory taken) external pure returns (Claims) {
        return word.extended(taken);
    }

    /// The chain is what docs/protocol.md says it is, and no other field's bits are in it.
    function test_fuzz_claims(uint24 round, uint8[] memory sizes) public {
        Claims word = openedClaims(round);
        vm.assertEq(word.round(), round);
        vm.assertEq(word.count(), 0);
        vm.assertEq(word.chain(), 0);
        uint256 chain;
        uint256 count;
        for (uint256 i = 0; i < sizes.length; ++i) {
            bytes memory taken = new bytes(15 * uint256(sizes[i]));
            for (uint256 k = 0; k < taken.length; ++k) {
                taken[k] = bytes1(uint8(k * 31 + i));
            }
            if (count + sizes[i] > 511) {
                vm.expectRevert(abi.encodeWithSelector(IRoundCoordinatorErrors.TooManyClaims.selector, 511));
                this.extend(word, taken);
                continue;
            }
            word = word.extended(taken);
            count += sizes[i];
            chain = uint256(keccak256(abi.encodePacked(chain, taken))) >> 33 << 33;
            vm.assertEq(word.round(), round);
            vm.assertEq(word.count(), count);
            vm.assertEq(word.chain(), chain);
        }
        Claims closed = word.closed();
        vm.assertEq(closed.round(), 0);
        vm.assertEq(closed.count(), count);
        vm.assertEq(closed.chain(), chain);
    }

    function test_fuzz_roster(uint256 raw, uint8 where, uint24 newest, bool enrols) public pure {
        uint256 place = uint256(where) % 76;
        Roster word = Roster.wrap(raw);
        vm.assertEq(word.round(), (raw >> 228) & 0xffffff);
        vm.assertTrue(word.mayClaim(place) == ((raw >> place) & 1 != 0));
        vm.assertTrue(word.hasClaimed(place) == ((raw >> (76 + place)) & 1 != 0));
        vm.assertTrue(word.isEnrolled(place) == ((raw >> (152 + place)) & 1 != 0));
        vm.assertTrue(word.isCounting(place) == (word.mayClaim(place) || word.hasClaimed(place)));
        vm.assertTrue(word.anyClaimed() == ((raw >> 76) & ((1 << 76) - 1) != 0));
        if (word.mayClaim(place) && !word.hasClaimed(place)) {
            Roster claimed = word.withClaim(place);
            vm.assertTrue(claimed.hasClaimed(place) && !claimed.mayClaim(place) && claimed.anyClaimed());
            uint256 both = (uint256(1) << place) | (uint256(1) << (76 + place));
            vm.assertEq(Roster.unwrap(claimed) & ~both, raw & ~both);
        }
        unchanged(raw, Roster.unwrap(word.withEnrolled(place, enrols)), 152 + place, 1);
        vm.assertTrue(word.withEnrolled(place, enrols).isEnrolled(place) == enrols);
        Roster now_ = word.inRound(newest);
        vm.assertEq(now_.round(), newest);
        bool same = word.round() == newest;
        if (same) vm.assertEq(Roster.unwrap(now_), raw);
        for (uint256 i = 0; i < 76; ++i) {
            vm.assertTrue(now_.isEnrolled(i) == word.isEnrolled(i));
            vm.assertTrue(now_.mayClaim(i) == (same ? word.mayClaim(i) : word.isEnrolled(i)));
            vm.assertTrue(now_.hasClaimed(i) == (same && word.hasClaimed(i)));
        }
    }

    function test_fuzz_ballot_vote(uint256 raw, uint8 seat) public pure {
        seat %= 64;
        uint256 cleared = raw & ~((uint256(1) << (100 + seat)) | (uint256(1) << (164 + seat)));
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
        unchanged(cleared, Ballot.unwrap(approving) | Ballot.unwrap(rejecting), 100, 128);
        vm.assertEq(approving.voted() & ~(uint256(1) << seat), word.voted() & ~(uint256(1) << seat));
    }

    function test_fuzz_ballot_attempt(uint24 round, uint8 attempts, uint8 seats, uint8 quorum, uint40 deadline)
        public
        pure
    {
        Ballot word = openedBallot(round, attempts, seats, quorum).withVote(3, RejectReason.Malformed);
        // What a larger number left must be gone.
        word = word.withAttempt(255, deadline).withAttempt(7, deadline);
        vm.assertEq(word.round(), round);
        vm.assertEq(word.attempts(), attempts);
        vm.assertEq(word.seats(), seats);
        vm.assertEq(word.quorum(), quorum);
        vm.assertEq(word.attempt(), 7);
        vm.assertEq(word.deadline(), deadline);
        vm.assertEq(uint256(word.phase()), uint256(Phase.Aggregation));
        vm.assertEq(word.voted(), 0);
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
        unchanged(raw, Ledger.unwrap(Ledger.wrap(raw).withNumber(round)), 188, 24);
        vm.assertEq(word.withNumber(round).number(), round);
    }

    function pay(Ledger word, uint256 amount) external pure returns (Ledger) {
        return word.withReward(amount);
    }

    function test_fuzz_ledger_reward(uint256 raw, uint96 credit, uint96 amount) public {
        Ledger before = Ledger.wrap(raw).withCredit(credit);
        uint256 sum = uint256(credit) + amount;
        if (sum > type(uint96).max) {
            vm.expectRevert(abi.encodeWithSelector(FieldOverflow.selector, sum, 96));
            this.pay(before, amount);
            return;
        }
        Ledger word = before.withReward(amount);
        vm.assertFalse(word.pending());
        vm.assertEq(word.strikes(), 0);
        vm.assertEq(word.credit(), sum);
        unchanged(Ledger.unwrap(before), Ledger.unwrap(word), 75, 113);
    }

    function test_ledger_reward_toTheLastWei() public {
        uint96 most = type(uint96).max;
        vm.assertEq(Ledger.wrap(0).withCredit(most - 1).withReward(1).credit(), most);
        vm.expectRevert(abi.encodeWithSelector(FieldOverflow.selector, uint256(most) + 1, 96));
        this.pay(Ledger.wrap(0).withCredit(most), 1);
    }

    function serve(Ledger word, uint256 round, uint256 amount) external pure returns (Ledger) {
        return word.withService(round, amount);
    }

    function test_fuzz_ledger_service(uint256 raw, uint24 round, uint96 credit, uint96 amount) public {
        Ledger before = Ledger.wrap(raw).withCredit(credit);
        if (uint256(credit) + amount > type(uint96).max) {
            vm.expectRevert(abi.encodeWithSelector(FieldOverflow.selector, uint256(credit) + amount, 96));
            this.serve(before, round, amount);
            return;
        }
        Ledger word = before.withService(round, amount);
        vm.assertEq(word.served(), round);
        vm.assertEq(word.credit(), uint256(credit) + amount);
        vm.assertEq(
            Ledger.unwrap(word.withCredit(0)) & ~(uint256(0xffffff) << 212),
            Ledger.unwrap(before.withCredit(0)) & ~(uint256(0xffffff) << 212)
        );
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

    /// What a getter returns depends on no bit but its field's.
    function reads(uint256 raw, uint256 offset, uint256 width) private pure returns (uint256) {
        return (raw >> offset) & ((1 << width) - 1);
    }

    function test_fuzz_intake_readsOneField(uint256 raw) public pure {
        intakeReads(raw);
        intakeReads(~raw);
    }

    function intakeReads(uint256 raw) private pure {
        Intake word = Intake.wrap(raw);
        vm.assertEq(word.round(), reads(raw, 0, 24));
        vm.assertTrue(word.isIn(Phase.Training) == (reads(raw, 24, 4) == uint256(Phase.Training)));
        vm.assertEq(word.deadline(), reads(raw, 28, 40));
        vm.assertEq(word.updates(), reads(raw, 68, 13));
        vm.assertEq(word.enrolled(), reads(raw, 81, 24));
        vm.assertEq(word.maxUpdates(), reads(raw, 105, 13));
        vm.assertEq(word.sampleCap(), reads(raw, 118, 13));
        vm.assertTrue(word.widened() == (reads(raw, 131, 1) == 1));
        vm.assertEq(word.weight(), reads(raw, 132, 40));
        vm.assertEq(word.seedBlock(), reads(raw, 132, 40));
        vm.assertEq(word.seedAttempt(), reads(raw, 172, 2));
        vm.assertTrue(word.seedFixed() == (reads(raw, 174, 1) == 1));
    }

    function test_fuzz_ballot_readsOneField(uint256 raw) public pure {
        ballotReads(raw);
        ballotReads(~raw);
    }

    function ballotReads(uint256 raw) private pure {
        Ballot word = Ballot.wrap(raw);
        vm.assertEq(word.round(), reads(raw, 0, 24));
        vm.assertTrue(word.isIn(Phase.Reveal) == (reads(raw, 24, 4) == uint256(Phase.Reveal)));
        vm.assertEq(word.deadline(), reads(raw, 28, 40));
        vm.assertEq(word.attempt(), reads(raw, 68, 8));
        vm.assertEq(word.attempts(), reads(raw, 76, 8));
        vm.assertEq(word.seats(), reads(raw, 84, 8));
        vm.assertEq(word.quorum(), reads(raw, 92, 8));
        uint256 low = reads(raw, 100, 64);
        uint256 high = reads(raw, 164, 64);
        vm.assertEq(word.approved(), low & ~high);
        vm.assertEq(word.rejected(), high);
        vm.assertEq(word.unavailable(), low & high);
        vm.assertEq(word.voted(), low | high);
    }

    function test_fuzz_ballot_changesOneField(uint256 raw, uint40 value) public pure {
        Ballot word = Ballot.wrap(raw);
        unchanged(raw, Ballot.unwrap(word.withPhase(Phase.Void)), 24, 4);
        vm.assertTrue(word.withPhase(Phase.Void).isIn(Phase.Void));
        unchanged(raw, Ballot.unwrap(word.withDeadline(value)), 28, 40);
        vm.assertEq(word.withDeadline(value).deadline(), value);
        // Phase, deadline and attempt are one piece, the votes another.
        uint256 opened = Ballot.unwrap(word.withAttempt(value % 256, value));
        unchanged(raw & ~(uint256(type(uint128).max) << 100), opened, 24, 52);
        vm.assertEq(Ballot.wrap(opened).attempt(), value % 256);
    }

    function test_fuzz_outcome_readsAndChangesOneField(uint256 raw, uint24 value) public pure {
        outcomeReads(raw);
        outcomeReads(~raw);
        unchanged(raw, Outcome.unwrap(Outcome.wrap(raw).withUnpaidWeight(value)), 25, 25);
    }

    function outcomeReads(uint256 raw) private pure {
        Outcome word = Outcome.wrap(raw);
        vm.assertEq(word.acceptedWeight(), reads(raw, 0, 25));
        vm.assertEq(word.unpaidWeight(), reads(raw, 25, 25));
        vm.assertEq(word.trainerReward(), reads(raw, 50, 96));
        vm.assertTrue(word.isMetered() == (reads(raw, 146, 1) == 1));
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
