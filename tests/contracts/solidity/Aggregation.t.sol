// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {withBitsAt} from "../../../contracts/types/Bits.sol";
import {Intake} from "../../../contracts/types/Intake.sol";
import {Phase, VoidReason} from "../../../contracts/types/Phase.sol";
import {RoundFixture} from "./support/RoundFixture.sol";

contract ProposeTest is RoundFixture {
    address private proposer;

    function setUp() public override {
        super.setUp();
        startTask(defaultRules(), 5);
        toAggregation();
        proposer = seated(0);
    }

    function proposeAs(
        address caller,
        uint16 attempt_,
        ContentId memory model,
        ContentId memory report,
        bytes memory bitmap,
        uint32 weight,
        bytes32 commitment
    ) private {
        vm.prank(caller);
        coordinator.propose(taskId, round, attempt_, model, report, bitmap, weight, commitment);
    }

    function refuses(
        bytes32 what,
        ContentId memory model,
        ContentId memory report,
        bytes memory bitmap,
        uint32 weight,
        bytes32 commitment
    ) private {
        vm.expectRevert(abi.encodeWithSelector(InvalidProposal.selector, what));
        proposeAs(proposer, 0, model, report, bitmap, weight, commitment);
    }

    function test_propose_opensValidation() public {
        // Updates 0, 1 and 4: weights 100, 200 and 500.
        bytes memory bitmap = hex"13";
        ContentId memory model = modelOf(0);
        ContentId memory report = reportOf(0);
        bytes32 commitment = keccak256("commitment");
        uint64 deadline = uint64(block.timestamp) + 400;
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit ProposalMade(taskId, 1, proposer, 0, model, report, bitmap, 800, commitment, deadline);
        proposeAs(proposer, 0, model, report, bitmap, 800, commitment);
        RoundView memory shown = coordinator.currentRound(taskId);
        assertPhase(Phase.Validation);
        vm.assertEq(shown.deadline, deadline);
        vm.assertEq(shown.approvals, 1);
        vm.assertEq(shown.rejections, 0);
        vm.assertEq(shown.proposal.proposer, proposer);
        vm.assertEq(keccak256(abi.encode(shown.proposal.model)), keccak256(abi.encode(model)));
        vm.assertEq(keccak256(abi.encode(shown.proposal.report)), keccak256(abi.encode(report)));
        vm.assertEq(shown.proposal.bitmapDigest, keccak256(bitmap));
        vm.assertEq(shown.proposal.acceptedWeight, 800);
        vm.assertEq(shown.proposal.commitment, commitment);
        bytes32 digest = keccak256(
            abi.encode(
                "flare/proposal",
                block.chainid,
                address(coordinator),
                taskId,
                uint256(1),
                uint256(0),
                model,
                report,
                keccak256(bitmap),
                uint256(800)
            )
        );
        vm.assertEq(shown.proposal.digest, digest);
        vm.assertEq(coordinator.proposalDigest(taskId, 1, 0, model, report, keccak256(bitmap), 800), digest);
    }

    function test_propose_reverts_whenCallerIsNotProposer() public {
        address second = seated(1);
        vm.expectRevert(abi.encodeWithSelector(NotProposer.selector, proposer, second));
        proposeAs(second, 0, modelOf(0), reportOf(0), hex"1f", 1500, INNER);
        vm.expectRevert(abi.encodeWithSelector(NotProposer.selector, proposer, stranger));
        proposeAs(stranger, 0, modelOf(0), reportOf(0), hex"1f", 1500, INNER);
    }

    function test_propose_reverts_afterWindow() public {
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(DeadlinePassed.selector, deadline, deadline + 1));
        proposeAs(proposer, 0, modelOf(0), reportOf(0), hex"1f", 1500, INNER);
    }

    function test_propose_reverts_inAnotherAttempt() public {
        vm.expectRevert(abi.encodeWithSelector(WrongAttempt.selector, 1, 0));
        proposeAs(proposer, 1, modelOf(0), reportOf(0), hex"1f", 1500, INNER);
    }

    function test_propose_reverts_inAnotherRoundOrPhase() public {
        vm.expectRevert(abi.encodeWithSelector(WrongRound.selector, 2, 1));
        vm.prank(proposer);
        coordinator.propose(taskId, 2, 0, modelOf(0), reportOf(0), hex"1f", 1500, INNER);
        propose();
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Aggregation, Phase.Validation));
        proposeAs(proposer, 0, modelOf(0), reportOf(0), hex"1f", 1500, INNER);
    }

    function test_propose_reverts_whenObjectIsNone() public {
        ContentId memory none = ContentId(0, 1);
        ContentId memory empty = ContentId(INNER, 0);
        ContentId memory huge = ContentId(INNER, 1 << 32);
        refuses("model", none, reportOf(0), hex"1f", 1500, INNER);
        refuses("model", empty, reportOf(0), hex"1f", 1500, INNER);
        refuses("model", huge, reportOf(0), hex"1f", 1500, INNER);
        refuses("report", modelOf(0), none, hex"1f", 1500, INNER);
        refuses("report", modelOf(0), empty, hex"1f", 1500, INNER);
        refuses("report", modelOf(0), huge, hex"1f", 1500, INNER);
    }

    function test_propose_takesTheLargestObjects() public {
        ContentId memory largest = ContentId(INNER, type(uint32).max);
        proposeAs(proposer, 0, largest, largest, hex"1f", 1500, INNER);
        vm.assertEq(coordinator.currentRound(taskId).proposal.model.size, type(uint32).max);
    }

    function test_propose_reverts_whenCommitmentIsNone() public {
        refuses("commitment", modelOf(0), reportOf(0), hex"1f", 1500, 0);
    }

    /// The last byte of the bitmap is then full: none of its bits is padding.
    function test_propose_takesEightUpdates() public {
        round = 0;
        startTask(defaultRules(), 8);
        toAggregation();
        propose();
        assertPhase(Phase.Validation);
        vm.assertEq(coordinator.currentRound(taskId).proposal.bitmapDigest, keccak256(hex"ff"));
    }

    /// As if the round had this many updates of the same weight together, 1,500.
    function setUpdates(uint256 count) private {
        for (uint256 i = 0; i < 64; ++i) {
            Intake word = Intake.wrap(uint256(vm.load(address(coordinator), slotOf(i))));
            if (word.round() != 1 || word.updates() != 5 || word.sampleCap() != 1000) continue;
            vm.store(address(coordinator), slotOf(i), bytes32(withBitsAt(Intake.unwrap(word), 68, 13, count)));
        }
        vm.assertEq(coordinator.currentRound(taskId).updates, count);
    }

    function test_propose_checksThePaddingOfTheLastByte() public {
        setUpdates(11);
        refuses("bitmapPadding", modelOf(0), reportOf(0), hex"ff0f", 1500, INNER);
        refuses("bitmapPadding", modelOf(0), reportOf(0), hex"0080", 1500, INNER);
        proposeAs(proposer, 0, modelOf(0), reportOf(0), hex"ff07", 1500, INNER);
    }

    /// In the proposal's own word and in two of the bitmap's.
    function test_propose_keepsTheWholeBitmap() public {
        setUpdates(600);
        bytes memory bitmap = new bytes(75);
        for (uint256 i = 0; i < 75; ++i) {
            bitmap[i] = bytes1(uint8(i + 1));
        }
        proposeAs(proposer, 0, modelOf(0), reportOf(0), bitmap, 600, INNER);
        vm.assertEq(coordinator.currentRound(taskId).proposal.bitmapDigest, keccak256(bitmap));
    }

    function test_propose_countsEveryUpdateOnce() public {
        setUpdates(300);
        refuses("acceptedWeight", modelOf(0), reportOf(0), fullBitmap(300), 299, INNER);
        proposeAs(proposer, 0, modelOf(0), reportOf(0), fullBitmap(300), 300, INNER);
    }

    function test_propose_reverts_whenBitmapIsMalformed() public {
        refuses("bitmapLength", modelOf(0), reportOf(0), hex"1f00", 1500, INNER);
        refuses("bitmapLength", modelOf(0), reportOf(0), "", 1500, INNER);
        refuses("bitmapPadding", modelOf(0), reportOf(0), hex"3f", 1500, INNER);
        refuses("bitmapEmpty", modelOf(0), reportOf(0), hex"00", 1500, INNER);
    }

    function test_propose_reverts_whenWeightIsImpossible() public {
        // Three updates weigh at least 3, and leave at least 2 of 1,500 for the other two.
        refuses("acceptedWeight", modelOf(0), reportOf(0), hex"13", 2, INNER);
        refuses("acceptedWeight", modelOf(0), reportOf(0), hex"13", 1499, INNER);
        proposeAs(proposer, 0, modelOf(0), reportOf(0), hex"13", 1498, INNER);
    }

    function test_propose_byTheNext_whenAWindowPassed() public {
        address second = seated(1);
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit AttemptFailed(taskId, 1, 0);
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit AttemptOpened(taskId, 1, 1, second, uint64(block.timestamp) + 300);
        advance();
        vm.expectRevert(abi.encodeWithSelector(NotProposer.selector, second, proposer));
        proposeAs(proposer, 1, modelOf(1), reportOf(1), hex"1f", 1500, INNER);
        propose();
        vm.assertEq(coordinator.currentRound(taskId).proposal.proposer, second);
        vm.assertEq(bondOf(proposer), BOND);
    }

    function test_round_isVoid_whenNobodyProposes() public {
        for (uint256 i = 0; i < 2; ++i) {
            expire();
            advance();
        }
        expire();
        vm.expectEmit(true, true, true, true, address(coordinator));
        emit RoundVoided(taskId, 1, VoidReason.AttemptsExhausted);
        advance();
        assertPhase(Phase.Void);
        for (uint256 i = 0; i < workers.length; ++i) {
            vm.assertEq(bondOf(workers[i]), BOND);
        }
    }
}

contract AdvanceTest is RoundFixture {
    function refuses() private {
        uint64 deadline = coordinator.currentRound(taskId).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(DeadlineNotPassed.selector, deadline, deadline));
        advance();
    }

    /// In no phase may anything be pushed on at the deadline itself, and in each one second later.
    function test_advance_reverts_untilDeadlineHasPassed() public {
        startTask(defaultRules(), 5);
        openRound();
        submit(workers[0], 100);
        submit(workers[1], 200);
        refuses();
        expire();
        advance();
        fixSeed();
        for (uint256 i = 0; i < 4; ++i) {
            claim(workers[i]);
        }
        refuses();
        expire();
        advance();
        refuses();
        expire();
        advance();
        vm.assertEq(attempt(), 1);
        proposeWith(hex"03", 300);
        for (uint256 rank = 2; rank < 4; ++rank) {
            approve(seated(rank));
        }
        refuses();
        approve(seated(0));
        advance();
        assertPhase(Phase.Reveal);
        refuses();
        expire();
        advance();
        vm.assertEq(attempt(), 2);
    }

    function test_advance_fixesSeed_whenDue() public {
        startTask(defaultRules(), 5);
        openRound();
        submitAll();
        advance();
        uint64 seedBlock = coordinator.currentRound(taskId).seedBlock;
        vm.expectRevert(abi.encodeWithSelector(SeedBlockNotReached.selector, seedBlock, block.number));
        advance();
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, INNER);
        advance();
        claimAll();
        advance();
        assertPhase(Phase.Aggregation);
    }

    function test_advance_reverts_whenNoRoundIsInProgress() public {
        startTask(defaultRules(), 5);
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Training, Phase.None));
        advance();
        finalizeRound();
        vm.expectRevert(abi.encodeWithSelector(WrongPhase.selector, Phase.Training, Phase.Finalized));
        advance();
        vm.expectRevert(abi.encodeWithSelector(TaskUnknown.selector, 9));
        coordinator.advance(9, "");
    }
}
