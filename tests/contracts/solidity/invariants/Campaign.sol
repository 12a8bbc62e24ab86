// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParticipantRegistry} from "../../../../contracts/interfaces/IParticipantRegistry.sol";
import {Phase, RejectReason} from "../../../../contracts/types/Phase.sol";
import {VrfProver} from "../support/VrfProver.sol";
import {Players} from "./Players.sol";

/// @title The moves of a campaign
/// @notice `advanceRound` does what a round waits for, more or less well; every other move may come at any time, by anyone, and
/// is for the contract to refuse. No move reverts unless a rule is broken.
contract Campaign is Players {
    uint256 private constant MOST_WORKERS = 14;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 9; ++i) {
            arrive();
            isHonest[workers[i]] = i < HONEST;
        }
        for (uint256 slot = 0; slot < SLOTS; ++slot) {
            beginTask(slot);
        }
    }

    function arrive() private {
        address worker = newWorker();
        bonds[worker] = BOND;
        memberOf[numberOf(worker)] = worker;
    }

    // -------------------------------------------------- what a round waits for

    function advanceRound(uint256 which, uint256 choice) public {
        RoundView memory shown = focus(which);
        if (atRest(shown)) return begin(which);
        if (choice % 16 == 0) passTo(uint256(shown.deadline) + 1 + choice % 7);
        if (shown.phase == Phase.Training) train(shown, choice / 16);
        else if (shown.phase == Phase.Sortition && shown.seed == 0) drawSeed(shown);
        else if (shown.phase == Phase.Sortition) sit(shown, choice / 16);
        else if (shown.phase == Phase.Aggregation) lead(shown, choice / 16);
        else if (shown.phase == Phase.Validation) decide(shown, choice / 16);
        else disclose(shown, choice / 16);
    }

    function begin(uint256 which) private {
        if (coordinator.task(taskId).status == TaskStatus.Ended) {
            beginTask(which % tasks.length);
            return;
        }
        enrolAll();
        if (attemptCall(stranger, abi.encodeCall(coordinator.openRound, (taskId)))) return;
        if (!attemptCall(stranger, abi.encodeCall(coordinator.endTask, (taskId)))) return;
        ++tally.tasksEnded;
        takeRemainder();
    }

    function train(RoundView memory shown, uint256 choice) private {
        uint256 absent = choice % 4 == 0 ? choice / 4 % workers.length : workers.length;
        for (uint256 i = 0; i < workers.length; ++i) {
            if (i != absent) submitAs(workers[i], uint32(50 * (i + 1) + choice % 1000));
        }
        pushOn();
        if (phase() != Phase.Training) return;
        passTo(uint256(shown.deadline) + 1);
        pushOn();
    }

    function submitAs(address worker, uint32 samples) private {
        attemptCall(
            worker,
            abi.encodeCall(
                coordinator.submitUpdate, (taskId, round, keccak256(abi.encode(worker, round)), 1234, samples)
            )
        );
    }

    function drawSeed(RoundView memory shown) private {
        if (block.number <= shown.seedBlock) passBlocks(shown.seedBlock + 1);
        attemptCall(stranger, abi.encodeCall(coordinator.fixSeed, (taskId)));
    }

    /// Claim in two batches, so that the second finds seats taken.
    function sit(RoundView memory shown, uint256 choice) private {
        uint256 absent = choice % 8 == 0 ? choice / 8 % (workers.length + 1) : workers.length;
        uint256 half = choice / 64 % workers.length;
        claimBatch(shown, 0, half, absent, choice % 3 == 0);
        claimBatch(shown, half, workers.length, absent, choice % 3 == 1);
        passTo(uint256(shown.deadline) + 1);
        if (choice % 2 == 0) bringForged(choice);
        pushOn();
    }

    function claimBatch(RoundView memory shown, uint256 from, uint256 to, uint256 absent, bool fromSnapshot) private {
        bytes memory batch;
        for (uint256 i = from; i < to; ++i) {
            if (i == absent || !mayClaim(shown, workers[i])) continue;
            batch = abi.encodePacked(batch, claimWith(workers[i], proofFor(shown, workers[i])));
            carried(shown, workers[i]);
        }
        if (batch.length == 0) return;
        uint256 before = tally.claims;
        attemptCall(stranger, abi.encodeCall(coordinator.claimSeats, (taskId, round, fromSnapshot, batch)));
        if (fromSnapshot) tally.snapshotClaims += tally.claims - before;
    }

    /// Whether a proof is worth making: its member counts in the round, and has not claimed.
    function mayClaim(RoundView memory shown, address member) private view returns (bool) {
        EnrolmentView memory worker = coordinator.enrolment(taskId, member);
        return worker.counting && !worker.claimed && shown.phase == Phase.Sortition;
    }

    function lead(RoundView memory shown, uint256 choice) private {
        address proposer = seated(shown.attempt);
        if (isHonest[proposer] || choice % 2 == 0) proposeAs(shown, proposer, 0);
        else if (choice % 16 != 1) proposeAs(shown, proposer, choice / 16 % 6);
        else passTo(uint256(shown.deadline) + 1);
        pushOn();
    }

    function decide(RoundView memory shown, uint256 choice) private {
        bool truth = isTrue[attemptKey(shown)];
        for (uint256 i = 0; i < shown.seats.length; ++i) {
            SeatView memory seat = shown.seats[i];
            if (seat.voted || i == shown.attempt) continue;
            if (isHonest[seat.member]) castVote(shown, i, seat.member, truth ? 0 : 2);
            else if (choice % 3 == 0) castVote(shown, i, seat.member, (choice >> (8 + i)) % 8);
            else if (choice % 3 == 1) castVote(shown, i, seat.member, choice / 3 % 4 == 0 ? 1 : 0);
        }
        pushOn();
        if (phase() != Phase.Validation) return;
        passTo(uint256(shown.deadline) + 1);
        pushOn();
    }

    function disclose(RoundView memory shown, uint256 choice) private {
        openWith(shown, choice % 2 == 0 ? stranger : any(choice), hidden[attemptKey(shown)]);
        if (choice % 4 == 3) pushOn();
    }

    /// Push the task on, as anyone may.
    function pushOn() private returns (bool) {
        return attemptCall(stranger, abi.encodeCall(coordinator.advance, (taskId, listOf[taskId])));
    }

    // ----------------------------------------------------------- adversarial

    function pass(uint256 which, uint256 choice) external {
        uint256 deadline = focus(which).deadline;
        uint256 time = block.timestamp + choice / 8 % 2000;
        if (choice % 8 < 2) time = deadline;
        else if (choice % 8 == 2) time = deadline + 1;
        else if (choice % 8 == 3) time = block.timestamp + 12 * (choice / 8 % 10_000);
        else if (choice % 32 == 4) time = block.timestamp + 31 days;
        passTo(time);
    }

    function push(uint256 which, uint256 by) external {
        focus(which);
        bytes4[5] memory pushes = [
            coordinator.advance.selector,
            coordinator.closeTraining.selector,
            coordinator.fixSeed.selector,
            coordinator.closeSortition.selector,
            coordinator.closeValidation.selector
        ];
        // Those that take no list do not look at it.
        attemptCall(any(by), abi.encodeWithSelector(pushes[by / 16 % 5], taskId, listOf[taskId]));
    }

    function submitLate(uint256 which, uint256 by, uint32 samples) external {
        focus(which);
        submitAs(any(by), samples % 5000);
    }

    /// A proof as it should be, one byte of it changed, another's, or another task's.
    function claimAs(uint256 which, uint256 by, uint256 how) external {
        RoundView memory shown = focus(which);
        if (shown.seed == 0 || shown.phase != Phase.Sortition) return;
        address member = any(by);
        bytes memory proof = proofFor(shown, member);
        if (how % 4 == 0) {
            carried(shown, member);
        } else if (how % 4 == 1) {
            proof[how / 4 % proof.length] ^= bytes1(uint8(1 + how / 4096 % 255));
        } else if (how % 4 == 2) {
            proof = proofFor(shown, any(by % workers.length + 1));
        } else {
            proof = VrfProver.prove(secretOf[member], coordinator.vrfAlpha(taskId + 1, round, shown.seed));
        }
        bool done = attemptCall(
            by % 2 == 0 ? member : stranger,
            abi.encodeCall(coordinator.claimSeat, (taskId, round, claimWith(member, proof)))
        );
        if (how % 4 == 0) return;
        vm.assertFalse(done, "a forged proof is accepted");
        ++tally.forgedProofs;
    }

    function proposeOutOfTurn(uint256 which, uint256 by, uint256 how) external {
        RoundView memory shown = focus(which);
        address proposer = any(by);
        if (isHonest[proposer] || shown.updates == 0) return;
        proposeAs(shown, proposer, how % 6);
    }

    /// Any vote by anyone who is not honest: seated or not, again or not, its own or another's.
    function voteAs(uint256 which, uint256 by, uint256 how) external {
        RoundView memory shown = focus(which);
        address member = any(by);
        if (isHonest[member]) return;
        uint256 seat = how / 256 % 4 == 0 ? how / 1024 % 256 : seatFor(shown, member);
        if (how % 16 < 10) {
            castVote(shown, seat, member, how % 16);
        } else if (how % 16 < 13 && shown.seats.length != 0) {
            bytes32 copied = shown.seats[how / 16 % shown.seats.length].commitment;
            castRaw(shown, seat, member, copied, RejectReason.None);
        } else {
            castRaw(shown, seat, member, keccak256("both"), RejectReason.WrongModel);
        }
    }

    function snapshot(uint256 which, uint256 by) external {
        focus(which);
        attemptCall(any(by), abi.encodeCall(coordinator.snapshotKeys, (by / 16 % 2)));
    }

    function revealAs(uint256 which, uint256 by, uint256 how) external {
        RoundView memory shown = focus(which);
        openWith(shown, any(by), how % 4 == 0 ? keccak256(abi.encode(how)) : hidden[attemptKey(shown)]);
    }

    // -------------------------------------------------- who comes, who goes

    function part(uint256 which, uint256 by) external {
        focus(which);
        attemptCall(any(by), abi.encodeCall(coordinator.leave, (taskId)));
    }

    function removeIdle(uint256 which, uint256 by) external {
        focus(which);
        attemptCall(stranger, abi.encodeCall(coordinator.removeIdle, (taskId, any(by))));
    }

    /// A member asks for its bond, whatever it owes or does now; another takes its place.
    function exit(uint256 by) external {
        address worker = any(by);
        if (isHonest[worker] || registry.participant(worker).withdrawableAt != 0) return;
        if (registry.participant(worker).vrfKey == 0 || workers.length == MOST_WORKERS) return;
        vm.prank(worker);
        registry.requestExit();
        ++tally.exits;
        vm.assertEq(registry.activeKey(worker), 0);
        arrive();
    }

    /// Nobody gets a bond but its owner, whole, once, after the delay.
    function withdrawBond(uint256 by) external {
        address worker = by % 8 == 0 ? stranger : any(by / 8);
        if (by % 2 == 1) worker = whoIsLeaving(by / 8);
        IParticipantRegistry.Participant memory was = registry.participant(worker);
        uint256 before = worker.balance;
        vm.prank(worker);
        (bool done,) = address(registry).call(abi.encodeCall(registry.withdrawBond, ()));
        bool allowed = was.vrfKey != 0 && was.withdrawableAt != 0 && block.timestamp >= was.withdrawableAt;
        vm.assertTrue(done == allowed, "a bond is its owner's");
        if (!done) return;
        vm.assertEq(worker.balance - before, bonds[worker]);
        bonds[worker] = 0;
        ++tally.bondsWithdrawn;
    }

    function whoIsLeaving(uint256 from) private view returns (address worker) {
        for (uint256 i = 0; i < workers.length; ++i) {
            worker = any(from % workers.length + i);
            if (registry.participant(worker).withdrawableAt != 0) return worker;
        }
    }

    function topUp(uint256 by) external {
        address worker = any(by);
        vm.deal(worker, 1 ether);
        vm.prank(worker);
        (bool done,) = address(registry).call{value: 1 ether}(abi.encodeCall(registry.increaseBond, ()));
        if (done) bonds[worker] += 1 ether;
    }

    function fineAs(uint256 by, uint256 whom) external {
        vm.prank(any(by));
        (bool done,) = address(registry).call(abi.encodeCall(registry.fine, (any(whom), 1)));
        vm.assertFalse(done, "only the coordinator fines");
    }

    function burn() external {
        uint256 due = fines - burnt;
        uint256 before = address(0xdEaD).balance;
        vm.prank(stranger);
        (bool done,) = address(registry).call(abi.encodeCall(registry.burnFines, ()));
        vm.assertTrue(done == (due != 0));
        vm.assertEq(address(0xdEaD).balance - before, due);
        burnt = fines;
    }

    // ------------------------------------------------------------------ money

    function withdraw(uint256 which, uint256 by) external {
        focus(which);
        address account = by % 8 == 0 ? stranger : any(by);
        uint256 due = creditOf(account);
        uint256 before = account.balance;
        bool done = attemptCall(account, abi.encodeCall(coordinator.withdrawRewards, (taskId)));
        vm.assertTrue(done == (due != 0));
        vm.assertEq(account.balance - before, due);
        paidFrom(taskId, due);
    }

    function settle(uint256 which, uint256 by) external {
        focus(which);
        uint256 due = creditOf(any(by));
        attemptCall(stranger, abi.encodeCall(coordinator.settle, (taskId, any(by))));
        vm.assertEq(creditOf(any(by)), due);
    }

    function fund(uint256 which, uint96 amount) external {
        focus(which);
        amount %= 5 ether;
        vm.deal(stranger, amount);
        vm.prank(stranger);
        (bool done,) = address(coordinator).call{value: amount}(abi.encodeCall(coordinator.fundTask, (taskId)));
        if (done) receivedFor(taskId, amount);
    }

    function takeRemainder() private {
        uint256 before = owner.balance;
        attemptCall(owner, abi.encodeCall(coordinator.withdrawRemainder, (taskId)));
        paidFrom(taskId, owner.balance - before);
    }

    // ------------------------------------------------------------- what holds

    /// Where every task's round ends, pushed on by a stranger alone the moment each step falls due.
    function pushToTheEnd() external {
        for (uint256 i = 0; i < workers.length; ++i) {
            isHonest[workers[i]] = false; // Everyone is absent from here on.
        }
        for (uint256 slot = 0; slot < tasks.length; ++slot) {
            RoundView memory shown = focus(slot);
            for (uint256 steps = 0; !atRest(shown); ++steps) {
                vm.assertLt(steps, 20, "a round is stuck");
                if (block.timestamp <= shown.deadline) vm.warp(uint256(shown.deadline) + 1);
                vm.roll(block.number + 10_000);
                pushOn();
                shown = focus(slot);
            }
        }
    }

    function checkCoordinator() external view {
        vm.assertEq(address(coordinator).balance, funded - paid);
    }

    /// Of the task that was called last: where no committee understated a weight, all that is not in the budget is somebody's credit.
    function checkTask() external view {
        uint256 task = taskId;
        uint256 owed = coordinator.enrolment(task, stranger).credit;
        uint256 open;
        uint256 counting;
        uint256 claimed;
        for (uint256 i = 0; i < workers.length; ++i) {
            EnrolmentView memory worker = coordinator.enrolment(task, workers[i]);
            owed += worker.credit;
            if (worker.enrolled) ++open;
            if (worker.counting) ++counting;
            if (worker.claimed) ++claimed;
        }
        RoundView memory shown = coordinator.currentRound(task);
        if (shown.round != 0) vm.assertEq(counting, shown.enrolled, "who counts in the round");
        vm.assertEq(claimed, shown.claims, "who has claimed");
        vm.assertEq(coordinator.task(task).enrolled, open);
        if (!understated[task]) vm.assertEq(owed + coordinator.task(task).budget, fundedOf[task] - paidOf[task]);
    }

    function checkRegistry() external view {
        uint256 held = fines - burnt;
        vm.assertEq(registry.unburntFines(), held);
        for (uint256 i = 0; i < workers.length; ++i) {
            held += bonds[workers[i]];
        }
        judgeBonds();
        vm.assertEq(address(registry).balance, held);
    }

    function counts() external view returns (Tally memory) {
        return tally;
    }
}
