// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IParticipantRegistry} from "../../../../contracts/interfaces/IParticipantRegistry.sol";
import {
    IRoundCoordinator,
    IRoundCoordinatorErrors,
    IRoundCoordinatorEvents,
    IRoundCoordinatorTypes
} from "../../../../contracts/interfaces/IRoundCoordinator.sol";
import {Phase, RejectReason} from "../../../../contracts/types/Phase.sol";
import {Vm} from "./Vm.sol";
import {VrfProver} from "./VrfProver.sol";

/// @title A coordinator, workers with keys, and one function a step of a round
abstract contract RoundFixture is IRoundCoordinatorTypes, IRoundCoordinatorErrors, IRoundCoordinatorEvents {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant BOND = 1 ether;
    uint64 internal constant UNBONDING = 30 days;
    uint256 internal constant BUDGET = 100 ether;
    bytes32 internal constant INNER = keccak256("the sums that nobody has published");

    IRoundCoordinator internal coordinator;
    IParticipantRegistry internal registry;
    address internal owner = address(0xA11CE);
    address internal stranger = address(0x57A46E);
    address[] internal workers;
    mapping(address => uint256) internal secretOf;
    uint256 internal taskId;
    uint32 internal round;
    /// The claims of the round's `SeatsClaimed` events, in their order: what is brought to close SORTITION.
    bytes internal list;

    function setUp() public virtual {
        vm.warp(1_750_000_000);
        vm.roll(1000);
        coordinator = IRoundCoordinator(deploy("RoundCoordinator.sol:RoundCoordinator", abi.encode(BOND, UNBONDING)));
        registry = coordinator.registry();
        vm.deal(owner, 1_000_000 ether);
        vm.deal(stranger, 1000 ether);
    }

    /// Create a contract from its artifact: its code would not fit into a test's own.
    function deploy(string memory artifact, bytes memory arguments) internal returns (address created) {
        bytes memory code = abi.encodePacked(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 32), mload(code))
        }
        require(created != address(0), "not deployed");
    }

    // ------------------------------------------------------------------ tasks

    /// Five workers are everyone's committee, four of five the quorum (ceil(0.667 * 5)).
    function defaultRules() internal pure virtual returns (TaskRules memory rules) {
        rules.trainingDuration = 1000;
        rules.seedDuration = 100;
        rules.sortitionDuration = 500;
        rules.proposalDuration = 300;
        rules.validationDuration = 400;
        rules.revealDuration = 200;
        rules.expectedCommittee = 16;
        rules.maxSeats = 32;
        rules.thresholdBasisPoints = 6667;
        rules.maxAttempts = 3;
        rules.minUpdates = 2;
        rules.maxUpdates = 300;
        rules.sampleCap = 1000;
        rules.idleRounds = 2;
        rules.strikeLimit = 3;
        rules.maxConsecutiveVoids = 3;
        rules.maxRounds = 1000;
        rules.roundReward = 10 ether;
        rules.fineAmount = 0.1 ether;
        rules.trainerShare = 6000;
        rules.proposerShare = 1500;
        rules.voterShare = 1500;
        rules.revealerShare = 1000;
    }

    function createTask(TaskRules memory rules) internal returns (uint256 id) {
        vm.prank(owner);
        id = coordinator.createTask{value: BUDGET}(
            rules, ContentId(keccak256("spec"), 100), ContentId(keccak256("genesis"), 5000)
        );
    }

    function newWorker() internal returns (address worker) {
        uint256 number = workers.length + 1;
        worker = address(uint160(uint256(keccak256(abi.encode("worker", number)))));
        vm.label(worker, string.concat("worker", vm.toString(number)));
        vm.deal(worker, 10 ether);
        (uint256 secret, uint256 key) = VrfProver.keyOf(number);
        secretOf[worker] = secret;
        bytes memory proof = VrfProver.prove(secret, registry.possessionAlpha(worker));
        vm.prank(worker);
        registry.register{value: BOND}(key, proof);
        workers.push(worker);
    }

    /// As if this many accounts had registered.
    function registerMany(uint24 count) internal {
        bytes32 slot = bytes32(uint256(3));
        vm.store(address(registry), slot, bytes32(uint256(count)));
        vm.assertEq(registry.participants(), count);
    }

    function enrol(address worker) internal {
        vm.prank(worker);
        coordinator.enrol(taskId);
    }

    /// A task with `count` workers enrolled.
    function startTask(TaskRules memory rules, uint256 count) internal {
        taskId = createTask(rules);
        for (uint256 i = 0; i < count; ++i) {
            enrol(i < workers.length ? workers[i] : newWorker());
        }
    }

    // ----------------------------------------------------------------- rounds

    function openRound() internal {
        coordinator.openRound(taskId);
        ++round;
    }

    function submit(address worker, uint32 sampleCount) internal {
        vm.prank(worker);
        coordinator.submitUpdate(taskId, round, keccak256(abi.encode(worker, round)), 1234, sampleCount);
    }

    function submitAll() internal {
        for (uint256 i = 0; i < workers.length; ++i) {
            submit(workers[i], uint32(100 * (i + 1)));
        }
    }

    function fixSeed() internal {
        uint64 seedBlock = coordinator.currentRound(taskId).seedBlock;
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, keccak256(abi.encode("block", seedBlock)));
        coordinator.fixSeed(taskId);
        list = "";
    }

    function numberOf(address worker) internal view returns (uint24) {
        return registry.participant(worker).number;
    }

    function proofOf(address worker) internal returns (bytes memory) {
        return VrfProver.prove(secretOf[worker], coordinator.currentRound(taskId).alpha);
    }

    function outputOf(address worker) internal returns (uint256) {
        bytes32 alpha = coordinator.currentRound(taskId).alpha;
        return VrfProver.outputOf(VrfProver.proofOf(secretOf[worker], alpha));
    }

    /// A claim as it is carried.
    function claimWith(address worker, bytes memory proof) internal view returns (bytes memory) {
        return abi.encodePacked(numberOf(worker), proof);
    }

    function claimOf(address worker) internal returns (bytes memory) {
        return claimWith(worker, proofOf(worker));
    }

    /// A claim as it is emitted.
    function entryOf(address worker) internal returns (bytes memory) {
        return abi.encodePacked(uint96(outputOf(worker) >> 160), numberOf(worker));
    }

    function claim(address worker) internal {
        VrfProver.Proof memory proof = VrfProver.proofOf(secretOf[worker], coordinator.currentRound(taskId).alpha);
        coordinator.claimSeat(taskId, round, claimWith(worker, VrfProver.encode(proof)));
        list = abi.encodePacked(list, uint16(1), uint96(VrfProver.outputOf(proof) >> 160), numberOf(worker));
    }

    /// Every worker's claim as carried in one batch, and as its event holds them.
    function batchOfAll() internal returns (bytes memory batch, bytes memory entries) {
        for (uint256 i = 0; i < workers.length; ++i) {
            batch = abi.encodePacked(batch, claimOf(workers[i]));
            entries = abi.encodePacked(entries, entryOf(workers[i]));
        }
    }

    function claimAll() internal {
        for (uint256 i = 0; i < workers.length; ++i) {
            claim(workers[i]);
        }
    }

    function closeSortition() internal {
        coordinator.closeSortition(taskId, list);
    }

    /// Push on whatever is due.
    function advance() internal {
        coordinator.advance(taskId, list);
    }

    /// Up to the fixed seed.
    function toSortition() internal {
        openRound();
        submitAll();
        coordinator.closeTraining(taskId);
        fixSeed();
    }

    /// Up to the first proposal window; every worker has submitted and holds a seat.
    function toAggregation() internal {
        toSortition();
        claimAll();
        closeSortition();
    }

    /// The member of a seat.
    function seated(uint256 seat) internal view returns (address) {
        return coordinator.currentRound(taskId).seats[seat].member;
    }

    function seatOf(address member) internal view returns (uint8) {
        SeatView[] memory seats = coordinator.currentRound(taskId).seats;
        for (uint8 seat = 0; seat < seats.length; ++seat) {
            if (seats[seat].member == member) return seat;
        }
        revert("holds no seat");
    }

    function claimCount() internal view returns (uint256) {
        return coordinator.currentRound(taskId).claims;
    }

    function seatCount() internal view returns (uint256) {
        return coordinator.currentRound(taskId).seats.length;
    }

    function attempt() internal view returns (uint16) {
        return coordinator.currentRound(taskId).attempt;
    }

    function phase() internal view returns (Phase) {
        return coordinator.currentRound(taskId).phase;
    }

    function assertPhase(Phase expected) internal view {
        vm.assertEq(uint256(phase()), uint256(expected));
    }

    /// A bitmap that accepts every update.
    function fullBitmap(uint256 updates) internal pure returns (bytes memory bitmap) {
        bitmap = new bytes((updates + 7) / 8);
        for (uint256 i = 0; i < updates; ++i) {
            bitmap[i / 8] |= bytes1(uint8(1 << (i % 8)));
        }
    }

    /// The sum of the weights of `submitAll` under the default cap.
    function fullWeight() internal view returns (uint32 sum) {
        for (uint256 i = 0; i < workers.length; ++i) {
            uint32 weight = uint32(100 * (i + 1));
            sum += weight < 1000 ? weight : 1000;
        }
    }

    function modelOf(uint16 attempt_) internal view returns (ContentId memory) {
        return ContentId(keccak256(abi.encode("model", round, attempt_)), 5000);
    }

    function reportOf(uint16 attempt_) internal view returns (ContentId memory) {
        return ContentId(keccak256(abi.encode("report", round, attempt_)), 700);
    }

    function proposeWith(bytes memory bitmap, uint32 weight) internal {
        uint16 now_ = attempt();
        address proposer = seated(now_);
        bytes32 digest =
            coordinator.proposalDigest(taskId, round, now_, modelOf(now_), reportOf(now_), keccak256(bitmap), weight);
        bytes32 commitment = coordinator.voteCommitment(taskId, round, now_, digest, proposer, INNER);
        vm.prank(proposer);
        coordinator.propose(taskId, round, now_, modelOf(now_), reportOf(now_), bitmap, weight, commitment);
    }

    function propose() internal {
        proposeWith(fullBitmap(coordinator.currentRound(taskId).updates), fullWeight());
    }

    function commitmentOf(address member, bytes32 inner) internal view returns (bytes32) {
        bytes32 digest = coordinator.currentRound(taskId).proposal.digest;
        return coordinator.voteCommitment(taskId, round, attempt(), digest, member, inner);
    }

    function approve(address member) internal {
        castVote(member, commitmentOf(member, INNER), RejectReason.None);
    }

    function approveBlindly(address member) internal {
        castVote(member, commitmentOf(member, keccak256("a guess")), RejectReason.None);
    }

    function reject(address member, RejectReason reason) internal {
        castVote(member, 0, reason);
    }

    function castVote(address member, bytes32 commitment, RejectReason reason) private {
        uint16 now_ = attempt();
        uint8 seat = seatOf(member);
        vm.prank(member);
        coordinator.vote(taskId, round, now_, seat, commitment, reason);
    }

    /// Every seat but the proposer's approves.
    function approveAll() internal {
        uint256 seats = seatCount();
        uint256 proposer = attempt();
        for (uint256 rank = 0; rank < seats; ++rank) {
            if (rank != proposer) approve(seated(rank));
        }
    }

    /// Up to the reveal.
    function toReveal() internal {
        toAggregation();
        propose();
        approveAll();
        coordinator.closeValidation(taskId);
    }

    function reveal() internal {
        coordinator.reveal(taskId, round, attempt(), INNER);
    }

    function finalizeRound() internal {
        toReveal();
        reveal();
    }

    /// What is brought of one transaction's claims: their number, and what its event holds.
    function bundle(bytes memory entries) internal pure returns (bytes memory) {
        return abi.encodePacked(uint16(entries.length / 15), entries);
    }

    /// The word of the round's claims as docs/protocol.md has it: the chain's 223 bits, how many they are, and the round.
    function claimsWord(bytes memory brought) internal view returns (bytes32) {
        uint256 chain;
        uint256 count;
        for (uint256 at = 0; at < brought.length;) {
            uint256 many = (uint256(uint8(brought[at])) << 8) | uint8(brought[at + 1]);
            bytes memory entries = cut(brought, at + 2, at + 2 + 15 * many);
            chain = uint256(keccak256(abi.encodePacked(chain, entries))) >> 33 << 33;
            count += many;
            at += 2 + 15 * many;
        }
        return bytes32(chain | (count << 24) | round);
    }

    function cut(bytes memory data, uint256 from, uint256 to) internal pure returns (bytes memory result) {
        result = new bytes(to - from);
        assembly ("memory-safe") {
            mcopy(add(result, 32), add(add(data, 32), from), sub(to, from))
        }
    }

    /// The slot of a task's word; `i` counts from its first.
    function slotOf(uint256 i) internal view returns (bytes32) {
        return bytes32(uint256(keccak256(abi.encode(taskId, uint256(1)))) + i);
    }

    /// The one slot, of the task's words, that holds a value.
    function findSlot(bytes32 value) internal view returns (bytes32 slot) {
        for (uint256 i = 0; i < 64; ++i) {
            if (vm.load(address(coordinator), slotOf(i)) == value) return slotOf(i);
        }
        revert("no such word");
    }

    function expire() internal {
        vm.warp(coordinator.currentRound(taskId).deadline + 1);
    }

    function creditOf(address account) internal view returns (uint256) {
        return coordinator.enrolment(taskId, account).credit;
    }

    function bondOf(address account) internal view returns (uint256) {
        return registry.participant(account).bond;
    }
}
