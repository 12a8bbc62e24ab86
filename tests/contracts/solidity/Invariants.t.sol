// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRoundCoordinator} from "../../../contracts/interfaces/IRoundCoordinator.sol";
import {Phase, RejectReason} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

/// Plays a task at random: whatever it tries is allowed in the state it finds, so no call may revert.
contract RoundHandler is RoundFixture {
    uint256 public paid;
    uint256 public funded;
    uint256 public rounds;
    uint256 private _ended;

    function setUp() public override {
        super.setUp();
        startTask(handlerRules(), 6);
        funded = BUDGET;
    }

    function handlerRules() internal pure returns (TaskRules memory rules) {
        rules = defaultRules();
        rules.expectedCommittee = 4;
        rules.maxSeats = 4;
        rules.maxConsecutiveVoids = 1000;
        rules.minUpdates = 1;
        rules.idleRounds = 1;
    }

    function getCoordinator() external view returns (IRoundCoordinator) {
        return coordinator;
    }

    function getTask() external view returns (uint256) {
        return taskId;
    }

    function getWorkers() external view returns (address[] memory) {
        return workers;
    }

    function any(uint256 which) private view returns (address) {
        return workers[which % workers.length];
    }

    function counts(address worker) private view returns (bool) {
        EnrolmentView memory shown = coordinator.enrolment(taskId, worker);
        return shown.enrolled && shown.fromRound <= round && registry.activeKey(worker) != 0;
    }

    // Each function is one kind of step; what is impossible now is left out.

    function open() public {
        Phase now_ = phase();
        bool atRest = now_ == Phase.None || now_ >= Phase.Finalized;
        if (!atRest || coordinator.task(taskId).enrolled < 2) return;
        openRound();
        ++rounds;
    }

    function train(uint256 which, uint32 samples) external {
        address worker = any(which);
        if (phase() != Phase.Training || !counts(worker)) return;
        if (block.timestamp > coordinator.currentRound(taskId).deadline) return;
        if (coordinator.enrolment(taskId, worker).updateRound == round) return;
        submit(worker, samples % 2000 + 1);
    }

    /// Train with all that can: rounds of random steps alone would seldom get far.
    function trainAll() external {
        for (uint256 i = 0; i < workers.length; ++i) {
            this.train(i, uint32(100 * (i + 1)));
        }
    }

    function drawSeed() external {
        if (phase() != Phase.Sortition || coordinator.currentRound(taskId).seed != 0) return;
        fixSeed();
    }

    function sit(uint256 from) external {
        if (phase() != Phase.Sortition || coordinator.currentRound(taskId).seed == 0) return;
        if (block.timestamp > coordinator.currentRound(taskId).deadline) return;
        bytes memory batch;
        for (uint256 i = from % workers.length; i < workers.length; ++i) {
            batch = abi.encodePacked(batch, claimEntry(workers[i], proofOf(workers[i])));
        }
        coordinator.claimSeats(taskId, round, batch);
    }

    function propose(uint256 bits, uint32 weight) external {
        if (phase() != Phase.Aggregation || block.timestamp > coordinator.currentRound(taskId).deadline) return;
        uint256 updates = coordinator.currentRound(taskId).updates;
        bits &= (1 << updates) - 1;
        if (bits == 0) bits = 1;
        uint256 accepted;
        uint256 most;
        for (uint256 i = 0; i < workers.length; ++i) {
            EnrolmentView memory shown = coordinator.enrolment(taskId, workers[i]);
            if (shown.updateRound == round) most += shown.updateWeight;
        }
        for (uint256 i = 0; i < updates; ++i) {
            accepted += (bits >> i) & 1;
        }
        most -= updates - accepted;
        // Any weight that the contract lets pass, true or false.
        proposeWith(abi.encodePacked(uint8(bits)), uint32(accepted + weight % (most - accepted + 1)));
    }

    function decide(uint256 which, uint8 how) external {
        if (phase() != Phase.Validation) return;
        RoundView memory shown = coordinator.currentRound(taskId);
        if (block.timestamp > shown.deadline) return;
        SeatView memory seat = shown.seats[which % shown.seats.length];
        if (seat.voted || seat.rank == shown.attempt) return;
        if (how % 8 == 0) reject(seat.member, RejectReason.WrongModel);
        else if (how % 8 == 1) reject(seat.member, RejectReason.Unavailable);
        else if (how % 8 == 2) approveBlindly(seat.member);
        else approve(seat.member);
    }

    function decideAll() external {
        if (phase() != Phase.Validation) return;
        RoundView memory shown = coordinator.currentRound(taskId);
        if (block.timestamp > shown.deadline) return;
        for (uint256 i = 0; i < shown.seats.length; ++i) {
            if (!shown.seats[i].voted && shown.seats[i].rank != shown.attempt) approve(shown.seats[i].member);
        }
    }

    function revealAs(uint256 by) external {
        if (phase() != Phase.Reveal || block.timestamp > coordinator.currentRound(taskId).deadline) return;
        uint16 now_ = attempt();
        vm.prank(any(by));
        coordinator.reveal(taskId, round, now_, INNER);
    }

    function push() external {
        Phase now_ = phase();
        if (now_ == Phase.None || now_ >= Phase.Finalized) return;
        if (now_ == Phase.Sortition && coordinator.currentRound(taskId).seed == 0) return;
        expire();
        coordinator.advance(taskId);
    }

    function join(uint256 which) external {
        address worker = any(which);
        if (coordinator.enrolment(taskId, worker).enrolled || registry.activeKey(worker) == 0) return;
        enrol(worker);
    }

    function part(uint256 which) external {
        address worker = any(which);
        if (!coordinator.enrolment(taskId, worker).enrolled || coordinator.task(taskId).enrolled < 4) return;
        vm.prank(worker);
        coordinator.leave(taskId);
    }

    function topUp(uint256 which) external {
        address worker = any(which);
        vm.deal(worker, 1 ether);
        vm.prank(worker);
        registry.increaseBond{value: 1 ether}();
    }

    function withdraw(uint256 which) external {
        address worker = any(which);
        uint256 due = creditOf(worker);
        if (due == 0) return;
        uint256 before = worker.balance;
        vm.prank(worker);
        coordinator.withdrawRewards(taskId);
        paid += worker.balance - before;
        require(worker.balance - before == due, "view and payment differ");
    }

    function fund(uint96 amount) external {
        amount %= 5 ether;
        if (amount == 0) return;
        funded += amount;
        vm.deal(owner, amount);
        vm.prank(owner);
        coordinator.fundTask{value: amount}(taskId);
    }
}

contract RoundInvariants is RoundFixture {
    RoundHandler private handler;

    function setUp() public override {
        handler = new RoundHandler();
        handler.setUp();
        coordinator = handler.getCoordinator();
        registry = coordinator.registry();
        taskId = handler.getTask();
        workers = handler.getWorkers();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](15);
        selectors[0] = bytes4(keccak256("open()"));
        selectors[1] = RoundHandler.train.selector;
        selectors[2] = RoundHandler.trainAll.selector;
        selectors[3] = RoundHandler.drawSeed.selector;
        selectors[4] = RoundHandler.sit.selector;
        selectors[5] = bytes4(keccak256("propose(uint256,uint32)"));
        selectors[6] = RoundHandler.decide.selector;
        selectors[7] = RoundHandler.decideAll.selector;
        selectors[8] = RoundHandler.revealAs.selector;
        selectors[9] = RoundHandler.push.selector;
        selectors[10] = RoundHandler.join.selector;
        selectors[11] = RoundHandler.part.selector;
        selectors[12] = RoundHandler.topUp.selector;
        selectors[13] = RoundHandler.withdraw.selector;
        selectors[14] = RoundHandler.fund.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    /// Every wei that came in is in the budget, in a credit, due to a trainer, or paid.
    function invariant_coordinatorKeepsEveryWei() public view {
        vm.assertEq(address(coordinator).balance, handler.funded() - handler.paid());
        uint256 owed = coordinator.task(taskId).budget;
        for (uint256 i = 0; i < workers.length; ++i) {
            owed += creditOf(workers[i]);
        }
        vm.assertLe(owed, address(coordinator).balance);
    }

    function invariant_registryKeepsEveryWei() public view {
        uint256 bonds = registry.unburntFines();
        for (uint256 i = 0; i < workers.length; ++i) {
            bonds += bondOf(workers[i]);
        }
        vm.assertEq(bonds, address(registry).balance);
    }

    function invariant_enrolledIsTheNumberOfOpenEnrolments() public view {
        uint256 open;
        for (uint256 i = 0; i < workers.length; ++i) {
            if (coordinator.enrolment(taskId, workers[i]).enrolled) ++open;
        }
        vm.assertEq(coordinator.task(taskId).enrolled, open);
    }

    function invariant_committeeIsWellFormed() public view {
        RoundView memory shown = coordinator.currentRound(taskId);
        vm.assertLe(shown.seats.length, 4);
        vm.assertLe(shown.updates, shown.enrolled);
        uint256 ranks;
        for (uint256 i = 0; i < shown.seats.length; ++i) {
            ranks |= 1 << shown.seats[i].rank;
            vm.assertEq(coordinator.enrolment(taskId, shown.seats[i].member).seatRound, shown.round);
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(shown.seats[i].member != shown.seats[j].member);
                bool lower = shown.seats[i].rank < shown.seats[j].rank;
                vm.assertTrue(lower == (shown.seats[i].outputPrefix < shown.seats[j].outputPrefix));
            }
        }
        vm.assertEq(ranks, (1 << shown.seats.length) - 1);
        if (shown.phase >= Phase.Aggregation && shown.quorum != 0) {
            vm.assertGe(shown.seats.length, shown.quorum);
            vm.assertGe(shown.quorum * 10_000, uint256(6667) * shown.seats.length);
            vm.assertLe(shown.approvals + shown.rejections, shown.seats.length);
        }
    }

    function invariant_modelChanges_onlyWhenFinalized() public view {
        uint32 last = coordinator.task(taskId).round;
        bool finalized;
        for (uint32 i = 1; i <= last; ++i) {
            finalized = finalized || coordinator.outcome(taskId, i).finalized;
        }
        vm.assertTrue(finalized == (coordinator.task(taskId).model.digest != keccak256("genesis")));
    }

    /// Whatever has happened, the round in progress can be pushed to its end by anyone.
    function invariant_noRoundIsStuck() public {
        for (uint256 steps = 0; steps < 20; ++steps) {
            RoundView memory shown = coordinator.currentRound(taskId);
            if (shown.phase == Phase.None || shown.phase >= Phase.Finalized) return;
            vm.warp(shown.deadline + 1);
            vm.roll(block.number + 10_000);
            vm.prank(stranger);
            coordinator.advance(taskId);
        }
        revert("stuck");
    }
}
