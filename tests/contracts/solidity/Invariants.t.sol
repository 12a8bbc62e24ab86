// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Campaign} from "./invariants/Campaign.sol";
import {Referee} from "./invariants/Referee.sol";
import {Vm} from "./support/Vm.sol";

/// Three tasks under a storm of calls, honest and not. What must hold of each call is judged in the call (`Referee`);
/// what must hold of the whole, here. `make invariants` runs a million calls.
contract Invariants {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Campaign private campaign;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        campaign = new Campaign();
        campaign.setUp();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(campaign);
    }

    /// Half of all calls do what a round waits for; without them hardly one would end.
    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[18] memory moves = [
            Campaign.pass.selector,
            Campaign.push.selector,
            Campaign.submitLate.selector,
            Campaign.claimAs.selector,
            Campaign.proposeOutOfTurn.selector,
            Campaign.voteAs.selector,
            Campaign.revealAs.selector,
            Campaign.part.selector,
            Campaign.removeIdle.selector,
            Campaign.exit.selector,
            Campaign.withdrawBond.selector,
            Campaign.topUp.selector,
            Campaign.fineAs.selector,
            Campaign.burn.selector,
            Campaign.withdraw.selector,
            Campaign.settle.selector,
            Campaign.fund.selector,
            Campaign.snapshot.selector
        ];
        bytes4[] memory selectors = new bytes4[](2 * moves.length);
        for (uint256 i = 0; i < moves.length; ++i) {
            selectors[i] = moves[i];
            selectors[moves.length + i] = Campaign.advanceRound.selector;
        }
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(campaign), selectors);
    }

    /// Ether is conserved to the wei, in both contracts and in the task that was called.
    function invariant_everyWeiIsAccountedFor() public view {
        campaign.checkCoordinator();
        campaign.checkRegistry();
        campaign.checkTask();
    }

    /// No round is stuck: when all are absent, a stranger alone ends each in its longest time. Then, what the run has
    /// reached is added up, where a campaign asks for it.
    function afterInvariant() public {
        Referee.Tally memory reached = campaign.counts();
        campaign.pushToTheEnd();
        string memory file = vm.envOr("FLARE_INVARIANT_TALLY", "");
        if (bytes(file).length != 0) vm.writeLine(file, vm.toString(abi.encode(reached)));
    }
}
