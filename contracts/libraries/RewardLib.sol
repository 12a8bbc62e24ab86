// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinatorEvents, IRoundCoordinatorTypes} from "../interfaces/IRoundCoordinator.sol";
import {Ledger} from "../types/Ledger.sol";
import {HEAD_BITS, Outcome, bitmapBit} from "../types/Outcome.sol";
import {TaskState} from "../types/TaskState.sol";

/// @title Who earns what, exact to the wei
/// @notice A finalized round pays min(roundReward, budget), split by the shares of the rules. Every part is rounded
/// down, the trainers' to a multiple of the accepted weight, so that each trainer's part is whole; what rounding leaves,
/// and a share that nobody earned, stays in the budget. So the wei that leave the budget are exactly those credited.
library RewardLib {
    uint256 private constant BASIS_POINTS = 10_000;

    /// The parts of one round's reward, in wei.
    struct Split {
        /// All trainers together.
        uint256 trainers;
        uint256 proposer;
        /// Each voter.
        uint256 voter;
        uint256 revealer;
        /// What leaves the budget.
        uint256 total;
    }

    /// @notice Split a round's reward.
    /// @param voters approvals that the revealed `inner` opens, the proposer's not included.
    function split(
        IRoundCoordinatorTypes.TaskRules storage rules,
        uint256 budget,
        uint256 acceptedWeight,
        uint256 voters
    ) internal view returns (Split memory parts) {
        uint256 reward = rules.roundReward < budget ? rules.roundReward : budget;
        // Rounded down to a multiple of the weight on purpose.
        // slither-disable-next-line divide-before-multiply
        parts.trainers = reward * rules.trainerShare / BASIS_POINTS / acceptedWeight * acceptedWeight;
        parts.proposer = reward * rules.proposerShare / BASIS_POINTS;
        parts.revealer = reward * rules.revealerShare / BASIS_POINTS;
        if (voters != 0) parts.voter = reward * rules.voterShare / BASIS_POINTS / voters;
        parts.total = parts.trainers + parts.proposer + parts.revealer + parts.voter * voters;
    }

    /// @notice Add to the credit of an account, which need not be a worker's.
    function credit(TaskState storage task, uint256 taskId, uint32 round, address account, uint256 amount) internal {
        if (amount == 0) return;
        Ledger ledger = task.ledgers[account];
        task.ledgers[account] = ledger.withCredit(ledger.credit() + amount);
        emit IRoundCoordinatorEvents.RewardCredited(taskId, round, account, amount);
    }

    /// @notice Credit a member for its service in a finalized round, and note that it was there.
    function creditMember(TaskState storage task, uint256 taskId, uint32 round, address member, uint256 amount)
        internal
    {
        task.ledgers[member] = task.ledgers[member].withService(round, amount);
        if (amount != 0) emit IRoundCoordinatorEvents.RewardCredited(taskId, round, member, amount);
    }

    /// @notice What the newest update of a ledger comes to, its round having ended. A void round is neither reward nor
    /// strike.
    /// @return outcome the round's; 0: void.
    /// @return accepted whether the update is in the model.
    /// @return paidWeight the weight it is paid for: its own, or what the round has left.
    /// @return amount wei that it earned.
    function assess(TaskState storage task, Ledger ledger)
        internal
        view
        returns (Outcome outcome, bool accepted, uint256 paidWeight, uint256 amount)
    {
        outcome = task.outcomes[ledger.round()];
        uint256 total = outcome.acceptedWeight();
        if (total == 0) return (outcome, false, 0, 0);
        accepted = _isAccepted(task, outcome, ledger);
        if (accepted) {
            paidWeight = ledger.weight();
            if (outcome.isMetered() && paidWeight > outcome.unpaidWeight()) paidWeight = outcome.unpaidWeight();
            // Below 2**96 * 2**13, and the total is not 0.
            unchecked {
                amount = outcome.trainerReward() * paidWeight / total;
            }
        }
    }

    /// @notice Settle the pending update of a ledger, its round having ended.
    /// @return settled the ledger with its reward or strike; the caller writes it.
    /// @return struckOut whether the strikes end the enrolment.
    function settle(TaskState storage task, uint256 taskId, address worker, Ledger ledger)
        internal
        returns (Ledger settled, bool struckOut)
    {
        (Outcome outcome, bool accepted, uint256 paidWeight, uint256 amount) = assess(task, ledger);
        if (outcome.acceptedWeight() == 0) return (ledger.withSettled(), false);
        if (!accepted) {
            settled = ledger.withSettled();
            // Where no limit is set the count is for show: it stops at the end of its field.
            uint256 strikes = ledger.strikes() == type(uint16).max ? type(uint16).max : ledger.strikes() + 1;
            emit IRoundCoordinatorEvents.UpdateStruck(taskId, ledger.round(), worker, uint16(strikes));
            uint256 limit = task.rules.strikeLimit;
            return (settled.withStrikes(strikes), limit != 0 && strikes >= limit);
        }
        if (amount != 0) {
            if (outcome.isMetered()) {
                task.outcomes[ledger.round()] = outcome.withUnpaidWeight(outcome.unpaidWeight() - paidWeight);
            }
            emit IRoundCoordinatorEvents.RewardCredited(taskId, ledger.round(), worker, amount);
        }
        settled = ledger.withReward(amount);
    }

    function _isAccepted(TaskState storage task, Outcome outcome, Ledger ledger) private view returns (bool) {
        uint256 index = ledger.index();
        if (index < HEAD_BITS) return outcome.hasAccepted(index);
        uint256 rest = index - HEAD_BITS;
        return bitmapBit(task.moreAccepted[ledger.round()][rest / 256], rest % 256);
    }
}
