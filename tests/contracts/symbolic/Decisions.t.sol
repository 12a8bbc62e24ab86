// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorTypes} from "../../../contracts/interfaces/IRoundCoordinator.sol";
import {BallotLib} from "../../../contracts/libraries/BallotLib.sol";
import {RewardLib} from "../../../contracts/libraries/RewardLib.sol";
import {SortitionLib} from "../../../contracts/libraries/SortitionLib.sol";
import {Ballot, openedBallot} from "../../../contracts/types/Ballot.sol";

/// @title What the rules of threshold, quorum, tally and reward promise: proven by halmos for all values
/// @dev See `WordsSymbolic` for `check` and `open`.
contract DecisionsSymbolic {
    IRoundCoordinatorTypes.TaskRules private rules;

    function check_threshold_everyoneWins_whenNoMoreAreEnrolled(uint256 enrolled, uint256 seats) public pure {
        if (enrolled > seats) return;
        assert(SortitionLib.threshold(enrolled, seats) == type(uint256).max);
    }

    /// No product overflows: the threshold of more seats is higher, by the share of one seat each.
    function check_threshold_growsWithSeats(uint24 enrolled, uint16 seats) public pure {
        if (uint256(seats) + 1 >= enrolled) return;
        uint256 one = type(uint256).max / enrolled;
        assert(SortitionLib.threshold(enrolled, uint256(seats) + 1) - SortitionLib.threshold(enrolled, seats) == one);
    }

    function open_quorum_bounds(uint16 basisPoints, uint16 expected, uint24 enrolled, uint8 seats) public pure {
        if (basisPoints <= 5000 || basisPoints > 10_000) return;
        uint256 least = expected < enrolled ? expected : enrolled;
        uint256 quorum = BallotLib.quorum(basisPoints, expected, enrolled, seats);
        assert(quorum >= 2);
        assert(quorum * 10_000 >= uint256(basisPoints) * seats);
        assert(quorum * 10_000 >= uint256(basisPoints) * least);
    }

    /// As above, for a threshold of two thirds.
    function open_quorum_bounds_ofTwoThirds(uint16 expected, uint24 enrolled, uint8 seats) public pure {
        uint256 least = expected < enrolled ? expected : enrolled;
        uint256 quorum = BallotLib.quorum(6667, expected, enrolled, seats);
        assert(quorum >= 2);
        assert(quorum * 10_000 >= uint256(6667) * seats);
        assert(quorum * 10_000 >= uint256(6667) * least);
    }

    /// Two disjoint sets of seats never both reach it.
    function check_quorum_isAMajority(uint16 basisPoints, uint16 expected, uint24 enrolled, uint8 seats) public pure {
        if (basisPoints <= 5000 || basisPoints > 10_000) return;
        assert(2 * BallotLib.quorum(basisPoints, expected, enrolled, seats) > seats);
    }

    function check_popCount_ofASeat(uint8 seat) public pure {
        assert(BallotLib.popCount(0) == 0);
        assert(BallotLib.popCount(uint256(1) << seat) == 1);
    }

    /// With `check_popCount_ofASeat`: as many as there are bits, for a committee's 64 seats.
    function check_popCount_addsUp(uint64 word, uint8 seat) public pure {
        if (seat >= 64 || (word >> seat) & 1 != 0) return;
        assert(BallotLib.popCount(uint256(word) | (uint256(1) << seat)) == BallotLib.popCount(word) + 1);
    }

    function open_popCount_ofAWholeWord_addsUp(uint256 word, uint8 seat) public pure {
        if ((word >> seat) & 1 != 0) return;
        assert(BallotLib.popCount(word | (uint256(1) << seat)) == BallotLib.popCount(word) + 1);
    }

    /// Voting ends early only where all have voted, or where no votes to come can make a quorum of approvals.
    function open_isDecided(uint256 raw) public pure {
        Ballot word = Ballot.wrap(raw);
        uint256 voted = BallotLib.popCount(word.voted());
        uint256 against = BallotLib.rejections(word);
        uint256 seats = word.seats();
        if (voted >= seats || against > voted) return;
        assert(BallotLib.isDecided(word) == (voted + 1 == seats || seats - against < word.quorum()));
        assert(BallotLib.approvals(word) == voted - against + 1);
    }

    /// As above, for a committee of eight.
    function check_isDecided_ofEightSeats(uint8 low, uint8 high, uint8 quorum) public pure {
        Ballot word =
            Ballot.wrap(Ballot.unwrap(openedBallot(1, 1, 8, quorum)) | (uint256(low) << 100) | (uint256(high) << 164));
        uint256 voted = BallotLib.popCount(word.voted());
        uint256 against = BallotLib.rejections(word);
        if (voted >= 8 || quorum == 0) return;
        assert(BallotLib.isDecided(word) == (voted == 7 || 8 - against < quorum));
        assert(BallotLib.approvals(word) == voted - against + 1);
    }

    /// What leaves the budget is what the parts come to, and no more than the reward.
    function open_split_conserves(uint96 reward, uint96 budget, uint16 trainers, uint16 proposer, uint24 weight)
        public
    {
        _split(reward, budget, trainers, proposer, weight, 3);
    }

    /// As above, for one set of shares.
    function open_split_conserves_ofAnyReward(uint96 reward, uint96 budget) public {
        _split(reward, budget, 6000, 1500, 4096, 3);
    }

    function _split(uint96 reward, uint96 budget, uint16 trainers, uint16 proposer, uint24 weight, uint256 voters)
        private
    {
        if (weight == 0 || trainers > 6000 || proposer > 2000) return;
        rules.roundReward = reward;
        rules.trainerShare = trainers;
        rules.proposerShare = proposer;
        rules.voterShare = 2000;
        rules.revealerShare = 10_000 - trainers - proposer - 2000;
        RewardLib.Split memory parts = RewardLib.split(rules, budget, weight, voters);
        uint256 whole = reward < budget ? reward : budget;
        assert(parts.total == parts.trainers + parts.proposer + parts.revealer + parts.voter * voters);
        assert(parts.total <= whole);
        assert(parts.trainers % weight == 0);
    }
}
