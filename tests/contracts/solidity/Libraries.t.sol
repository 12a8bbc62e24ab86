// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorTypes} from "../../../contracts/interfaces/IRoundCoordinator.sol";
import {BallotLib} from "../../../contracts/libraries/BallotLib.sol";
import {RewardLib} from "../../../contracts/libraries/RewardLib.sol";
import {SortitionLib} from "../../../contracts/libraries/SortitionLib.sol";
import {Ballot, openedBallot} from "../../../contracts/types/Ballot.sol";
import {Ledger} from "../../../contracts/types/Ledger.sol";
import {outcomeOf} from "../../../contracts/types/Outcome.sol";
import {RejectReason} from "../../../contracts/types/Phase.sol";
import {TaskState} from "../../../contracts/types/TaskState.sol";
import {Vm} from "./support/Vm.sol";

abstract contract LibraryTest {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
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
        // A share without a remainder is not rounded up.
        vm.assertEq(BallotLib.quorum(6000, 5, 100, 5), 3);
        vm.assertEq(BallotLib.quorum(10_000, 5, 100, 5), 5);
        vm.assertEq(BallotLib.quorum(5001, 2, 2, 2), 2);
        vm.assertEq(BallotLib.quorum(5001, 1, 1, 1), 2);
    }

    /// Decided means: however the seats that have not voted vote, whether rejections leave room for a quorum is known.
    function test_fuzz_isDecided(uint64 voted, uint64 rejected, uint8 seatCount, uint8 quorum) public pure {
        uint256 seats = uint256(seatCount) % 63 + 2;
        uint256 needed = uint256(quorum) % seats + 1;
        Ballot word = openedBallot(1, 1, seats, needed).withAttempt(0, 1);
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
    function test_threshold_admitsAll_whereNoMoreAreEnrolledThanExpected() public pure {
        vm.assertEq(SortitionLib.threshold(7, 7), type(uint256).max);
        vm.assertLt(SortitionLib.threshold(8, 7), type(uint256).max);
    }

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
}

contract RewardLibTest is LibraryTest {
    IRoundCoordinatorTypes.TaskRules private rules;
    TaskState private task;

    /// The first 104 bits are in the outcome, the others in words of 256.
    function test_fuzz_assess_findsTheBitOfEveryUpdate(uint16 index) public {
        findsTheBit(index % 4096);
    }

    function test_assess_findsTheBit_whereAWordEnds() public {
        uint16[8] memory indices = [0, 103, 104, 359, 360, 615, 616, 4095];
        for (uint256 i = 0; i < 8; ++i) {
            findsTheBit(indices[i]);
        }
    }

    function findsTheBit(uint16 index) private {
        uint104 head = index < 104 ? uint104(1) << (8 * (12 - index / 8) + index % 8) : 0;
        task.outcomes[7] = outcomeOf(100, 1000, false, head);
        if (index >= 104) {
            uint256 rest = uint256(index) - 104;
            task.moreAccepted[7][rest / 256] = 1 << (8 * (31 - (rest % 256) / 8) + rest % 8);
        }
        (, bool accepted,, uint256 amount) = RewardLib.assess(task, Ledger.wrap(0).withUpdate(7, index, 10));
        vm.assertTrue(accepted);
        vm.assertEq(amount, 100);
        for (uint256 step = 1; step < 4096; step = 2 * step + 1) {
            uint256 other = (index + step) % 4096;
            (, accepted,, amount) = RewardLib.assess(task, Ledger.wrap(0).withUpdate(7, other, 10));
            vm.assertFalse(accepted);
            vm.assertEq(amount, 0);
        }
        if (index >= 104) task.moreAccepted[7][(uint256(index) - 104) / 256] = 0;
    }

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
