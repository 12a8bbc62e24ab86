// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Phase} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

contract CreateTaskTest is RoundFixture {
    ContentId private spec = ContentId(keccak256("spec"), 100);
    ContentId private genesis = ContentId(keccak256("genesis"), 5000);

    function refuses(TaskRules memory rules, bytes32 rule, uint256 value) private {
        vm.expectRevert(abi.encodeWithSelector(RuleOutOfRange.selector, rule, value));
        coordinator.createTask(rules, spec, genesis);
    }

    function test_createTask_storesEverything() public {
        TaskRules memory rules = defaultRules();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit TaskCreated(1, owner, spec, genesis, rules);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit TaskFunded(1, owner, BUDGET);
        vm.assertEq(createTask(rules), 1);
        TaskView memory shown = coordinator.task(1);
        vm.assertEq(shown.owner, owner);
        vm.assertEq(uint256(shown.status), uint256(TaskStatus.Open));
        vm.assertEq(keccak256(abi.encode(shown.rules)), keccak256(abi.encode(rules)));
        vm.assertEq(keccak256(abi.encode(shown.spec)), keccak256(abi.encode(spec)));
        vm.assertEq(keccak256(abi.encode(shown.model)), keccak256(abi.encode(genesis)));
        vm.assertEq(shown.budget, BUDGET);
        vm.assertEq(shown.round, 0);
        vm.assertEq(shown.enrolled, 0);
        vm.assertEq(shown.consecutiveVoids, 0);
        vm.assertEq(shown.seed, 0);
        vm.assertEq(coordinator.taskCount(), 1);
    }

    function test_createTask_countsFromOne() public {
        vm.assertEq(createTask(defaultRules()), 1);
        vm.assertEq(createTask(defaultRules()), 2);
    }

    function test_createTask_takesNoBudget() public {
        coordinator.createTask(defaultRules(), spec, genesis);
        vm.assertEq(coordinator.task(1).budget, 0);
    }

    function test_createTask_reverts_whenDurationIsZero() public {
        bytes32[6] memory names = [
            bytes32("trainingDuration"),
            "seedDuration",
            "sortitionDuration",
            "proposalDuration",
            "validationDuration",
            "revealDuration"
        ];
        for (uint256 i = 0; i < names.length; ++i) {
            TaskRules memory rules = defaultRules();
            if (i == 0) rules.trainingDuration = 0;
            if (i == 1) rules.seedDuration = 0;
            if (i == 2) rules.sortitionDuration = 0;
            if (i == 3) rules.proposalDuration = 0;
            if (i == 4) rules.validationDuration = 0;
            if (i == 5) rules.revealDuration = 0;
            refuses(rules, names[i], 0);
        }
    }

    function test_createTask_reverts_whenThresholdOutOfRange() public {
        TaskRules memory rules = defaultRules();
        rules.thresholdBasisPoints = 5000;
        refuses(rules, "thresholdBasisPoints", 5000);
        rules.thresholdBasisPoints = 10_001;
        refuses(rules, "thresholdBasisPoints", 10_001);
        rules.thresholdBasisPoints = 10_000;
        coordinator.createTask(rules, spec, genesis);
    }

    function test_createTask_reverts_whenCommitteeOutOfRange() public {
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 1;
        refuses(rules, "expectedCommittee", 1);
        rules.expectedCommittee = 16;
        // ceil(0.6667 * 16) = 11
        rules.maxSeats = 10;
        refuses(rules, "maxSeats", 10);
        rules.maxSeats = 65;
        refuses(rules, "maxSeats", 65);
        rules.maxSeats = 11;
        coordinator.createTask(rules, spec, genesis);
        rules.maxSeats = 64;
        coordinator.createTask(rules, spec, genesis);
    }

    function test_createTask_reverts_whenCountOutOfRange() public {
        TaskRules memory rules = defaultRules();
        rules.maxAttempts = 0;
        refuses(rules, "maxAttempts", 0);
        rules = defaultRules();
        rules.maxUpdates = 4097;
        refuses(rules, "maxUpdates", 4097);
        rules.maxUpdates = 0;
        refuses(rules, "maxUpdates", 0);
        rules = defaultRules();
        rules.minUpdates = 0;
        refuses(rules, "minUpdates", 0);
        rules.minUpdates = rules.maxUpdates + 1;
        refuses(rules, "minUpdates", rules.minUpdates);
        rules = defaultRules();
        rules.sampleCap = 0;
        refuses(rules, "sampleCap", 0);
        rules.sampleCap = 4097;
        refuses(rules, "sampleCap", 4097);
        rules = defaultRules();
        rules.idleRounds = 0;
        refuses(rules, "idleRounds", 0);
        rules = defaultRules();
        rules.maxConsecutiveVoids = 0;
        refuses(rules, "maxConsecutiveVoids", 0);
        rules = defaultRules();
        rules.maxRounds = 0;
        refuses(rules, "maxRounds", 0);
        rules.maxRounds = 1 << 24;
        refuses(rules, "maxRounds", 1 << 24);
        rules.maxRounds = (1 << 24) - 1;
        coordinator.createTask(rules, spec, genesis);
    }

    function test_createTask_takesTheLeastOfEveryRule() public {
        TaskRules memory rules = defaultRules();
        rules.trainingDuration = rules.seedDuration = rules.sortitionDuration = 1;
        rules.proposalDuration = rules.validationDuration = rules.revealDuration = 1;
        rules.thresholdBasisPoints = 5001;
        rules.expectedCommittee = rules.maxSeats = 2;
        rules.maxAttempts = 1;
        rules.minUpdates = rules.maxUpdates = 1;
        rules.sampleCap = 1;
        rules.idleRounds = 1;
        rules.maxConsecutiveVoids = 1;
        rules.maxRounds = 1;
        uint256 id = coordinator.createTask(rules, ContentId(spec.digest, 1), ContentId(genesis.digest, 1));
        vm.assertEq(coordinator.task(id).rules.expectedCommittee, 2);
    }

    /// Three of five, without a remainder: three seats are enough.
    function test_createTask_takesAsManySeatsAsTheQuorum() public {
        TaskRules memory rules = defaultRules();
        rules.thresholdBasisPoints = 6000;
        rules.expectedCommittee = 5;
        rules.maxSeats = 3;
        uint256 id = coordinator.createTask(rules, spec, genesis);
        vm.assertEq(coordinator.task(id).rules.maxSeats, 3);
    }

    function test_createTask_takesTheMostOfEveryCount() public {
        TaskRules memory rules = defaultRules();
        rules.expectedCommittee = 95;
        rules.thresholdBasisPoints = 6667;
        rules.maxSeats = 64;
        rules.maxAttempts = type(uint16).max;
        rules.minUpdates = rules.maxUpdates = 4096;
        rules.sampleCap = 4096;
        rules.idleRounds = rules.maxConsecutiveVoids = type(uint16).max;
        rules.maxRounds = (1 << 24) - 1;
        uint256 id = coordinator.createTask(
            rules, ContentId(spec.digest, type(uint32).max), ContentId(genesis.digest, type(uint32).max)
        );
        vm.assertEq(coordinator.task(id).rules.maxUpdates, 4096);
    }

    function test_createTask_reverts_whenSharesAreNotAll() public {
        TaskRules memory rules = defaultRules();
        rules.trainerShare -= 1;
        refuses(rules, "shares", 9999);
        rules.trainerShare += 2;
        refuses(rules, "shares", 10_001);
    }

    function test_createTask_reverts_whenObjectIsNone() public {
        TaskRules memory rules = defaultRules();
        vm.expectRevert(abi.encodeWithSelector(RuleOutOfRange.selector, bytes32("spec"), 0));
        coordinator.createTask(rules, ContentId(0, 1), genesis);
        vm.expectRevert(abi.encodeWithSelector(RuleOutOfRange.selector, bytes32("spec"), 0));
        coordinator.createTask(rules, ContentId(spec.digest, 0), genesis);
        vm.expectRevert(abi.encodeWithSelector(RuleOutOfRange.selector, bytes32("genesis"), 1 << 32));
        coordinator.createTask(rules, spec, ContentId(genesis.digest, 1 << 32));
    }

    function test_createTask_reverts_whenRoundOutlastsUnbonding() public {
        TaskRules memory rules = defaultRules();
        uint256 longest = coordinator.longestRound(rules);
        rules.trainingDuration += uint32(UNBONDING - longest);
        vm.expectRevert(abi.encodeWithSelector(RoundTooLong.selector, UNBONDING, UNBONDING));
        coordinator.createTask(rules, spec, genesis);
        rules.trainingDuration -= 1;
        coordinator.createTask(rules, spec, genesis);
    }

    function test_createTask_reverts_whenBalanceWouldOutgrowCredits() public {
        vm.deal(owner, 1 << 96);
        TaskRules memory rules = defaultRules();
        vm.expectRevert(abi.encodeWithSelector(RuleOutOfRange.selector, bytes32("budget"), 1 << 96));
        vm.prank(owner);
        coordinator.createTask{value: 1 << 96}(rules, spec, genesis);
    }
}

contract LongestRoundTest is RoundFixture {
    function test_longestRound_addsEveryStep() public view {
        // training, 3 seed blocks, 2 sortitions, 3 attempts; each may be pushed on a second late
        uint256 expected = 1001 + 3 * 101 + 2 * 501 + 3 * (301 + 401 + 201);
        vm.assertEq(coordinator.longestRound(defaultRules()), expected);
    }

    function test_longestRound_countsAttemptsUpToSeats() public view {
        TaskRules memory rules = defaultRules();
        rules.maxAttempts = 1000;
        rules.maxSeats = 11;
        vm.assertEq(coordinator.longestRound(rules), 1001 + 3 * 101 + 2 * 501 + 11 * (301 + 401 + 201));
    }

    /// No round lasts longer, each step being pushed on as it falls due: the slowest path that there is.
    function test_longestRound_bounds_theSlowestRound() public {
        startTask(defaultRules(), 5);
        uint256 start = block.timestamp;
        openRound();
        submit(workers[0], 1);
        submit(workers[1], 1);
        expire();
        advance();
        for (uint256 i = 0; i < 2; ++i) {
            vm.roll(block.number + 9000);
            expire();
            advance();
        }
        vm.warp(coordinator.currentRound(taskId).deadline + 1);
        fixSeed();
        claim(workers[0]);
        expire();
        advance();
        for (uint256 i = 1; i < workers.length; ++i) {
            claim(workers[i]);
        }
        expire();
        advance();
        for (uint256 i = 0; i < 3; ++i) {
            vm.warp(coordinator.currentRound(taskId).deadline);
            bytes memory bitmap = fullBitmap(2);
            proposeWith(bitmap, 2);
            approveAll();
            expire();
            advance();
            assertPhase(Phase.Reveal);
            expire();
            advance();
        }
        assertPhase(Phase.Void);
        vm.assertLe(block.timestamp - start, coordinator.longestRound(defaultRules()));
    }
}

contract FundTaskTest is RoundFixture {
    function test_fundTask_addsToBudget_fromAnyone() public {
        taskId = createTask(defaultRules());
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit TaskFunded(taskId, stranger, 3 ether);
        vm.prank(stranger);
        coordinator.fundTask{value: 3 ether}(taskId);
        vm.assertEq(coordinator.task(taskId).budget, BUDGET + 3 ether);
    }

    function test_fundTask_reverts_whenUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(TaskUnknown.selector, 9));
        coordinator.fundTask{value: 1}(9);
    }

    function test_fundTask_reverts_whenEnded() public {
        taskId = createTask(defaultRules());
        vm.prank(owner);
        coordinator.endTask(taskId);
        vm.expectRevert(abi.encodeWithSelector(TaskNotOpen.selector, taskId));
        coordinator.fundTask{value: 1}(taskId);
    }

    function test_plainEther_isRefused() public {
        vm.prank(owner);
        (bool sent,) = address(coordinator).call{value: 1}("");
        vm.assertFalse(sent);
        (sent,) = address(coordinator).call("");
        vm.assertFalse(sent);
    }

    function test_unknownFunction_isRefused() public {
        (bool done,) = address(coordinator).call(abi.encodeWithSignature("sweep()"));
        vm.assertFalse(done);
    }
}

contract InviteTest is RoundFixture {
    function setUp() public override {
        super.setUp();
        TaskRules memory rules = defaultRules();
        rules.inviteOnly = true;
        taskId = createTask(rules);
        newWorker();
    }

    function test_invite_letsEnrol() public {
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit WorkerInvited(taskId, workers[0]);
        vm.prank(owner);
        coordinator.invite(taskId, workers);
        vm.assertTrue(coordinator.enrolment(taskId, workers[0]).invited);
        enrol(workers[0]);
    }

    function test_invite_reverts_whenCallerIsNotOwner() public {
        vm.expectRevert(abi.encodeWithSelector(NotTaskOwner.selector, taskId, stranger));
        vm.prank(stranger);
        coordinator.invite(taskId, workers);
    }

    function test_enrol_reverts_whenNotInvited() public {
        vm.expectRevert(abi.encodeWithSelector(NotInvited.selector, taskId, workers[0]));
        enrol(workers[0]);
    }
}

contract EndTaskTest is RoundFixture {
    function end(address caller) private {
        vm.prank(caller);
        coordinator.endTask(taskId);
    }

    function test_endTask_creditsRemainder_toOwner() public {
        taskId = createTask(defaultRules());
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit TaskEnded(taskId, BUDGET);
        end(owner);
        vm.assertEq(uint256(coordinator.task(taskId).status), uint256(TaskStatus.Ended));
        uint256 before = owner.balance;
        vm.prank(owner);
        coordinator.withdrawRemainder(taskId);
        vm.assertEq(owner.balance, before + BUDGET);
        vm.expectRevert(abi.encodeWithSelector(NothingToWithdraw.selector, owner));
        vm.prank(owner);
        coordinator.withdrawRemainder(taskId);
    }

    function test_endTask_leavesCreditsWithdrawable() public {
        startTask(defaultRules(), 5);
        finalizeRound();
        end(owner);
        vm.prank(owner);
        coordinator.withdrawRemainder(taskId);
        for (uint256 i = 0; i < workers.length; ++i) {
            uint256 due = creditOf(workers[i]);
            uint256 before = workers[i].balance;
            vm.prank(workers[i]);
            coordinator.withdrawRewards(taskId);
            vm.assertEq(workers[i].balance - before, due);
        }
        vm.assertEq(address(coordinator).balance, creditOf(address(this)));
    }

    function test_endTask_reverts_whenCallerIsNotOwner() public {
        taskId = createTask(defaultRules());
        vm.expectRevert(abi.encodeWithSelector(NotTaskOwner.selector, taskId, stranger));
        end(stranger);
    }

    function test_endTask_reverts_whileRoundIsInProgress() public {
        startTask(defaultRules(), 5);
        openRound();
        vm.expectRevert(abi.encodeWithSelector(RoundInProgress.selector, 1));
        end(owner);
    }

    function test_endTask_reverts_whenEnded() public {
        taskId = createTask(defaultRules());
        end(owner);
        vm.expectRevert(abi.encodeWithSelector(TaskNotOpen.selector, taskId));
        end(owner);
    }

    function test_endTask_isAnyones_whenRoundsAreUsedUp() public {
        TaskRules memory rules = defaultRules();
        rules.maxRounds = 1;
        startTask(rules, 5);
        vm.expectRevert(abi.encodeWithSelector(NotTaskOwner.selector, taskId, stranger));
        end(stranger);
        finalizeRound();
        end(stranger);
        uint256 before = owner.balance;
        vm.prank(owner);
        coordinator.withdrawRemainder(taskId);
        vm.assertEq(owner.balance, before + BUDGET - 10 ether);
    }

    function test_endTask_isAnyones_whenVoidsAreUsedUp() public {
        TaskRules memory rules = defaultRules();
        rules.maxConsecutiveVoids = 2;
        startTask(rules, 5);
        for (uint256 i = 0; i < 2; ++i) {
            openRound();
            expire();
            advance();
        }
        end(stranger);
    }

    function test_withdrawRemainder_reverts_whenOpen() public {
        taskId = createTask(defaultRules());
        vm.expectRevert(abi.encodeWithSelector(NothingToWithdraw.selector, owner));
        vm.prank(owner);
        coordinator.withdrawRemainder(taskId);
    }

    function test_withdrawRemainder_reverts_whenCallerIsNotOwner() public {
        taskId = createTask(defaultRules());
        end(owner);
        vm.expectRevert(abi.encodeWithSelector(NotTaskOwner.selector, taskId, stranger));
        vm.prank(stranger);
        coordinator.withdrawRemainder(taskId);
    }
}
