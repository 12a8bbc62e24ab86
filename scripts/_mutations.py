"""The contracts' checks, and how each is removed (see mutate_checks.py).

Longer than 400 lines because the table is one list, a check an entry.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """A check and how it is removed: `old`, which occurs once in the file, becomes `new`.

    tests: the test contracts (a regular expression) of which one must fail.
    core: whether it is tried without `--full`: the checks without which the protocol decides nothing.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    core: bool = False


_COORDINATOR = "contracts/RoundCoordinator.sol"
_ACTIONS = "contracts/TaskActions.sol"
_REGISTRY = "contracts/ParticipantRegistry.sol"
_ATTEMPT = "contracts/libraries/AttemptLib.sol"
_BALLOT = "contracts/libraries/BallotLib.sol"
_CLAIMS = "contracts/types/Claims.sol"
_KEY = "contracts/libraries/KeyLib.sol"
_ROSTER = "contracts/types/Roster.sol"
_SEED = "contracts/types/Sortition.sol"
_PHASE = "contracts/libraries/PhaseLib.sol"
_REWARD = "contracts/libraries/RewardLib.sol"
_ROUND = "contracts/libraries/RoundLib.sol"
_SORTITION = "contracts/libraries/SortitionLib.sol"
_TASK = "contracts/libraries/TaskLib.sol"
_VRF = "contracts/libraries/EcVrf.sol"

MUTATIONS = (
    Mutation("proof of a seat", _SORTITION, "if (!valid) revert", "if (false) revert", "ClaimSeat", core=True),
    Mutation(
        "proof of a seat in a batch",
        _SORTITION,
        "if (!valid || output > threshold_) continue;",
        "if (output > threshold_) continue;",
        "ClaimSeat",
        core=True,
    ),
    Mutation(
        "proof of possession", _REGISTRY, "if (!EcVrf.verify(", "if (false && !EcVrf.verify(", "RegisterTest", core=True
    ),
    Mutation(
        "challenge", _VRF, "iszero(or(fault, xor(shr(128, mload(0)), c)))", "iszero(fault)", "EcVrfTest", core=True
    ),
    Mutation(
        "skipped counter",
        _VRF,
        "fault := or(fault, addmod(mulmod(r, r, P), add(mulmod(mulmod(hX, hX, P), hX, P), 7), P))",
        "pop(r)",
        "EcVrfTest",
    ),
    Mutation("reduced s", _VRF, "let fault := iszero(lt(s, N))", "let fault := 0", "EcVrfTest"),
    Mutation("one vote", _ATTEMPT, "if ((ballot.voted() >> seat) & 1 != 0) {", "if (false) {", "VoteTest", core=True),
    Mutation(
        "seat of a voter",
        _ATTEMPT,
        "if (seat >= ballot.seats() || SortitionLib.memberAt(task, seat) != msg.sender) {",
        "if (seat >= ballot.seats()) {",
        "VoteTest",
        core=True,
    ),
    Mutation(
        "seat of this committee",
        _ATTEMPT,
        "if (seat >= ballot.seats() || SortitionLib.memberAt",
        "if (SortitionLib.memberAt",
        "VoteTest",
    ),
    Mutation("proposer does not vote", _ATTEMPT, "if (seat == attempt)", "if (false)", "VoteTest", core=True),
    Mutation(
        "phase of an intake",
        _PHASE,
        "if (!intake.isIn(expected))",
        "if (false)",
        "SubmitUpdate|CloseTraining",
        core=True,
    ),
    Mutation(
        "phase of a ballot",
        _PHASE,
        "if (ballot.round() != round || !ballot.isIn(expected))",
        "if (ballot.round() != round)",
        "VoteTest|RevealTest|ProposeTest",
        core=True,
    ),
    Mutation("round", _PHASE, "if (intake.round() != round)", "if (false)", "SubmitUpdate|ClaimSeat"),
    Mutation("attempt", _PHASE, "if (ballot.attempt() != attempt)", "if (false)", "VoteTest|RevealTest|ProposeTest"),
    Mutation("proposer", _ATTEMPT, "if (msg.sender != proposer)", "if (false)", "ProposeTest", core=True),
    Mutation("commitment", _ATTEMPT, "if (opened != expected)", "if (false)", "RevealTest", core=True),
    Mutation("commitments of approvals", _ATTEMPT, "if (opened == task.commitments[seat])", "if (true)", "RevealTest"),
    Mutation("deadline of an action", _PHASE, "if (block.timestamp > deadline) {", "if (false) {", "Test$", core=True),
    Mutation("deadline of a push", _PHASE, "if (block.timestamp <= deadline) {", "if (false) {", "Test$", core=True),
    Mutation("quorum", _ATTEMPT, "if (matching < ballot.quorum())", "if (false)", "RevealTest", core=True),
    Mutation("quorum by enrolled", _BALLOT, "expected < enrolled ? expected : enrolled", "0", "BallotLibTest"),
    Mutation("threshold", _SORTITION, "if (output > threshold_) revert", "if (false) revert", "ThresholdTest"),
    Mutation(
        "threshold of a batch",
        _SORTITION,
        "if (!valid || output > threshold_) continue;",
        "if (!valid) continue;",
        "ThresholdTest",
    ),
    Mutation(
        "one claim of who counts",
        _SORTITION,
        "if (!roster.mayClaim(number % ROSTER_SIZE)) {",
        "if (false) {",
        "ClaimSeat|RosterTest",
        core=True,
    ),
    Mutation(
        "one claim of who counts, in a batch",
        _SORTITION,
        "if (!batch.roster.mayClaim(place)) continue;",
        "",
        "ClaimSeats",
        core=True,
    ),
    Mutation("one claim", _ROSTER, "^ (((1 << 76) | 1) << place)", "| (1 << (76 + place))", "ClaimSeat|RosterTest"),
    Mutation(
        "enrolment of a claim",
        _ROSTER,
        "(enrolled << 152) | enrolled);",
        "(enrolled << 152) | ((1 << 76) - 1));",
        "ClaimSeat|RosterTest|RosterModel",
    ),
    Mutation(
        "claimed, noted",
        _SORTITION,
        "task.rosters[number / ROSTER_SIZE] = roster.withClaim(number % ROSTER_SIZE);",
        "",
        "ClaimSeat|RosterModel",
    ),
    Mutation(
        "claimed, noted in a batch",
        _SORTITION,
        "batch.roster = batch.roster.withClaim(place);",
        "",
        "ClaimSeats",
    ),
    Mutation(
        "roster written when it is turned",
        _SORTITION,
        "if (batch.roster.anyClaimed()) task.rosters[batch.rosterStart / ROSTER_SIZE] = batch.roster;",
        "",
        "ClaimOrderTest",
    ),
    Mutation(
        "roster written at last",
        _SORTITION,
        "if (count == 0) return 0;\n        task.rosters[batch.rosterStart / ROSTER_SIZE] = batch.roster;",
        "if (count == 0) return 0;",
        "ClaimSeats|ClaimOrderTest",
    ),
    Mutation(
        "roster of the opening",
        _ROSTER,
        "if (word.round() == newest) return word;",
        "",
        "RosterTest|RosterModelTest|ClaimSeat",
    ),
    Mutation(
        "roster brought up to date", _ROSTER, "if (word.round() == newest) return word;", "return word;", "RosterTest"
    ),
    Mutation("active key of a claim", _SORTITION, "if (key == 0) revert", "if (false) revert", "ClaimSeat"),
    Mutation(
        "active bit of a snapshot",
        _SORTITION,
        "return ((batch.segmentActive >> place) & 1) * KeyLib.keyAt(batch.segmentKeys, place);",
        "return KeyLib.keyAt(batch.segmentKeys, place);",
        "SnapshotKeysTest",
        core=True,
    ),
    Mutation(
        "segment of a snapshot",
        _SORTITION,
        "if (place >= KeyLib.SEGMENT_SIZE) {",
        "if (batch.segmentStart == NOWHERE) {",
        "SnapshotKeysTest",
    ),
    Mutation(
        "snapshot keeps what it had",
        _KEY,
        "_load(uint160(word), known);",
        "",
        "SnapshotKeysTest",
    ),
    Mutation(
        "snapshot was created", _KEY, "if (snapshot == address(0)) revert", "if (false) revert", "SnapshotKeysTest"
    ),
    Mutation(
        "active bits of a segment, kept",
        _KEY,
        "(word >> 160 << 160) | uint160(snapshot)",
        "uint160(snapshot)",
        "SnapshotKeysTest",
    ),
    Mutation("most claims", _CLAIMS, "if (total > MAX_CLAIMS) revert", "if (false) revert", "MostClaimsTest"),
    Mutation(
        "claims chained",
        _SORTITION,
        "if (Claims.unwrap(brought) != Claims.unwrap(claims)) {",
        "if (brought.count() != claims.count()) {",
        "ClaimsListTest",
        core=True,
    ),
    Mutation(
        "chain before the claims",
        _CLAIMS,
        "abi.encodePacked(word.chain(), taken)",
        "abi.encodePacked(uint256(0), taken)",
        "ClaimsListTest|WordsTest",
    ),
    Mutation("claims closed", _ROUND, "task.claims = claims.closed();", "", "ClaimSeatTimesTest"),
    Mutation(
        "claims closed by a void round",
        _ROUND,
        "task.claims = task.claims.closed();\n            _void",
        "_void",
        "ClaimSeatTimesTest",
    ),
    Mutation("low bits of the seed", _SEED, "return (hash >> 72) << 72;", "return hash;", "FixSeedTest|WordsTest"),
    Mutation(
        "ascending seats", _SORTITION, "ascending[count - 1] > value; --count", "false; --count", "SeatLowestTest"
    ),
    Mutation("lowest seats", _SORTITION, "if (value > ascending[count - 1]) return;", "return;", "SeatLowestTest"),
    Mutation("one update", _COORDINATOR, "if (ledger.round() == round)", "if (false)", "SubmitUpdate"),
    Mutation(
        "enrolment of an update",
        _COORDINATOR,
        "if (!TermLib.counts(ledger.term(), round))",
        "if (false)",
        "SubmitUpdate",
    ),
    Mutation(
        "active key of an update",
        _COORDINATOR,
        "if (_keys.keyOf(ledger.number()) == 0) revert NotActiveParticipant(msg.sender);\n        if (ledger",
        "if (ledger",
        "SubmitUpdate",
    ),
    Mutation("seed block reached", _ROUND, "if (!expired) revert", "if (false) revert", "FixSeedTest"),
    Mutation("seed fixed once", _ROUND, "if (intake.seedFixed()) revert", "if (false) revert", "FixSeedTest"),
    Mutation("caller of a fine", _REGISTRY, "if (msg.sender != coordinator)", "if (false)", "FineTest"),
    Mutation("unbonding delay", _REGISTRY, "if (block.timestamp < withdrawableAt)", "if (false)", "WithdrawBondTest"),
    Mutation("key used once", _REGISTRY, "if (keyOwner[vrfKey] != address(0))", "if (false)", "RegisterTest"),
    Mutation("account registers once", _REGISTRY, "account.vrfKey != 0 || account.retired", "false", "RegisterTest"),
    Mutation(
        "bond withdrawn before it is paid",
        _REGISTRY,
        "_accounts[msg.sender] = Account({vrfKey: 0, bond: 0, withdrawableAt: 0, retired: true, "
        "number: account.number});",
        "",
        "WithdrawBondTest",
    ),
    Mutation(
        "credit cleared before it is paid",
        _COORDINATOR,
        "task_.ledgers[msg.sender] = ledger.withCredit(0);",
        "",
        "RewardsTest",
    ),
    Mutation(
        "metered rewards",
        _REWARD,
        "if (outcome.isMetered() && paidWeight > outcome.unpaidWeight())",
        "if (false)",
        "RewardsTest",
    ),
    Mutation(
        "excused rejections", _ATTEMPT, "ballot.rejected() & ~ballot.unavailable()", "ballot.rejected()", "Reveal"
    ),
    Mutation("shut out voters", _ATTEMPT, "if (expired) _fineMissing", "_fineMissing", "CloseValidation"),
    Mutation("longest round", _TASK, "if (longest >= unbondingDelay)", "if (false)", "CreateTask"),
    Mutation(
        "owner of an invitation",
        _ACTIONS,
        "if (msg.sender != task_.owner) revert NotTaskOwner(taskId, msg.sender);\n        for",
        "for",
        "InviteTest",
    ),
    Mutation(
        "registry alone tells keys", _COORDINATOR, "if (msg.sender != address(registry))", "if (false)", "RegistryViews"
    ),
    Mutation(
        "bitmap length", _ATTEMPT, '_require(bitmap.length == (updates + 7) / 8, "bitmapLength");', "", "ProposeTest"
    ),
    Mutation("bitmap padding", _ATTEMPT, "if (updates % 8 != 0) _require", "if (false) _require", "ProposeTest"),
    Mutation("bitmap empty", _ATTEMPT, '_require(accepted != 0, "bitmapEmpty");', "", "ProposeTest"),
    Mutation("accepted weight, least", _ATTEMPT, "draft.acceptedWeight >= accepted && ", "", "ProposeTest"),
    Mutation("accepted weight, most", _ATTEMPT, "&& draft.acceptedWeight <= most", "", "ProposeTest"),
    Mutation("commitment of a draft", _ATTEMPT, '_require(draft.commitment != 0, "commitment");', "", "ProposeTest"),
    Mutation("model of a draft", _ATTEMPT, '_require(_isObject(draft.model), "model");', "", "ProposeTest"),
    Mutation("approval with a commitment", _ATTEMPT, "if (approves == (commitment == 0))", "if (false)", "VoteTest"),
    Mutation(
        "phase of closeValidation",
        _ATTEMPT,
        "if (phase != Phase.Validation) revert",
        "if (false) revert",
        "CloseValidationTest",
    ),
    Mutation(
        "deadline of validation",
        _ATTEMPT,
        "if (!expired && !BallotLib.isDecided(ballot)) PhaseLib.requireExpired(ballot.deadline());",
        "",
        "CloseValidationTest|AdvanceTest",
        core=True,
    ),
    Mutation(
        "deadline of a proposal window",
        _ATTEMPT,
        "Ballot ballot = task.ballot;\n"
        "        PhaseLib.requireExpired(ballot.deadline());\n        _fail(task, taskId, ballot);\n    }",
        "Ballot ballot = task.ballot;\n        _fail(task, taskId, ballot);\n    }",
        "AdvanceTest|ProposeTest",
        core=True,
    ),
    Mutation(
        "deadline of a reveal",
        _ATTEMPT,
        "PhaseLib.requireExpired(ballot.deadline());\n        _fail(task, taskId, ballot);\n        address proposer",
        "_fail(task, taskId, ballot);\n        address proposer",
        "AdvanceTest|RevealTest",
        core=True,
    ),
    Mutation(
        "deadline of a ballot's actions",
        _PHASE,
        "revert IRoundCoordinatorErrors.WrongAttempt(attempt, ballot.attempt());\n"
        "        requireOpen(ballot.deadline());",
        "revert IRoundCoordinatorErrors.WrongAttempt(attempt, ballot.attempt());",
        "VoteTest|ProposeTest|RevealTest",
        core=True,
    ),
    Mutation(
        "deadline of an update",
        _COORDINATOR,
        "PhaseLib.requireOpen(intake.deadline());\n        if (digest",
        "if (digest",
        "SubmitUpdate",
        core=True,
    ),
    Mutation(
        "deadline of a claim",
        _SORTITION,
        "PhaseLib.requireOpen(sortition.deadline());",
        "",
        "ClaimSeat",
        core=True,
    ),
    Mutation(
        "deadline of training",
        _ROUND,
        "if (!complete) PhaseLib.requireExpired(intake.deadline());",
        "",
        "CloseTrainingTest|AdvanceTest",
        core=True,
    ),
    Mutation(
        "deadline of sortition",
        _ROUND,
        "if (claims.count() != intake.enrolled()) PhaseLib.requireExpired(task.sortition.deadline());",
        "",
        "CloseSortitionTest|AdvanceTest",
        core=True,
    ),
    Mutation(
        "phase of closeTraining",
        _ROUND,
        "PhaseLib.requirePhase(task, intake, Phase.Training);",
        "",
        "CloseTrainingTest",
        core=True,
    ),
    Mutation(
        "phase of fixSeed",
        _ROUND,
        "PhaseLib.requirePhase(task, intake, Phase.Sortition);\n"
        "        uint32 round = intake.round();\n        if (intake.seedFixed())",
        "uint32 round = intake.round();\n        if (intake.seedFixed())",
        "FixSeedTest",
        core=True,
    ),
    Mutation(
        "phase of closeSortition",
        _ROUND,
        "PhaseLib.requirePhase(task, intake, Phase.Sortition);\n"
        "        uint32 round = intake.round();\n        if (!intake.seedFixed())",
        "uint32 round = intake.round();\n        if (!intake.seedFixed())",
        "CloseSortitionTest",
        core=True,
    ),
    Mutation(
        "seed before closeSortition",
        _ROUND,
        "if (!intake.seedFixed()) revert IRoundCoordinatorErrors.SeedNotFixed(round);",
        "",
        "CloseSortitionTest|AdvanceTest",
    ),
    Mutation(
        "round of a claim",
        _SORTITION,
        "if (claims.round() != round || round == 0) PhaseLib.refuseClaims(task, round);",
        "",
        "ClaimSeat",
        core=True,
    ),
    Mutation(
        "round of a claim is none",
        _SORTITION,
        "if (claims.round() != round || round == 0) PhaseLib",
        "if (claims.round() != round) PhaseLib",
        "ClaimSeat",
    ),
    Mutation(
        "updates of a round", _ROUND, "if (updates < task.rules.minUpdates) {", "if (false) {", "CloseTrainingTest"
    ),
    Mutation("seats of a quorum", _ROUND, "if (seats < quorum) {", "if (false) {", "CloseSortitionTest"),
    Mutation("widened once", _ROUND, "if (intake.widened()) {", "if (false) {", "CloseSortitionTest"),
    Mutation("seed moved twice", _ROUND, "if (moves == MAX_SEED_MOVES) {", "if (false) {", "FixSeedTest"),
    Mutation("enrolled for a round", _ROUND, "if (enrolled < needed) revert", "if (false) revert", "OpenRoundTest"),
    Mutation("quorum by seats", _BALLOT, "least > seats ? least : seats", "least", "BallotLibTest"),
    Mutation(
        "quorum of two",
        _BALLOT,
        "return needed > MINIMUM_QUORUM ? needed : MINIMUM_QUORUM;",
        "return needed;",
        "BallotLibTest",
    ),
    Mutation(
        "early end of validation, votes",
        _BALLOT,
        "if (popCount(ballot.voted()) + 1 == ballot.seats()) return true;",
        "if (popCount(ballot.voted()) + 2 >= ballot.seats()) return true;",
        "BallotLibTest|CloseValidation",
    ),
    Mutation(
        "early end of validation, quorum",
        _BALLOT,
        "return ballot.seats() - rejections(ballot) < ballot.quorum();",
        "return rejections(ballot) != 0;",
        "BallotLibTest|CloseValidation",
    ),
    Mutation(
        "round of a ballot",
        _PHASE,
        "if (ballot.round() != round || !ballot.isIn(expected)) {",
        "if (!ballot.isIn(expected)) {",
        "VoteTest|RevealTest|ProposeTest",
    ),
    Mutation(
        "chain in a vote commitment",
        _BALLOT,
        '"flare/vote", block.chainid, ',
        '"flare/vote", uint256(0), ',
        "VoteTest|RegistryViews",
    ),
    Mutation(
        "member in a vote commitment",
        _BALLOT,
        "proposal, member, inner)\n",
        "proposal, address(0), inner)\n",
        "VoteTest|RevealTest",
    ),
    Mutation(
        "chain in alpha", _SORTITION, '"flare/alpha", block.chainid, ', '"flare/alpha", uint256(1), ', "ClaimSeat"
    ),
    Mutation(
        "contract in alpha",
        _SORTITION,
        '"flare/alpha", block.chainid, address(this), ',
        '"flare/alpha", block.chainid, address(1), ',
        "ClaimSeat",
    ),
    Mutation(
        "task in alpha",
        _SORTITION,
        "address(this), taskId, round, seed",
        "address(this), uint256(1), round, seed",
        "ClaimSeat",
    ),
    Mutation(
        "round in alpha", _SORTITION, "taskId, round, seed)", "taskId, uint32(0), seed)", "ClaimSeat|FixSeed|Sortition"
    ),
    Mutation("seed in alpha", _SORTITION, "taskId, round, seed)", "taskId, round, bytes32(0))", "ClaimSeat"),
    Mutation("enrolled once", _TASK, "if (TermLib.isOpen(ledger.term())) revert", "if (false) revert", "EnrolTest"),
    Mutation(
        "invited only",
        _TASK,
        "if (task.rules.inviteOnly && !task.invited[worker]) revert",
        "if (false) revert",
        "InviteTest",
    ),
    Mutation(
        "active key of an enrolment",
        _COORDINATOR,
        "if (_keys.keyOf(number) == 0) revert NotActiveParticipant(msg.sender);\n        TaskLib",
        "TaskLib",
        "EnrolTest|RequestExitTest",
    ),
    Mutation(
        "idle rounds",
        _COORDINATOR,
        "if (_keys.keyOf(ledger.number()) != 0 && !TaskLib.isIdle(task_, ledger)) {",
        "if (false) {",
        "RemoveIdleTest",
    ),
    Mutation(
        "owner of an end",
        _ACTIONS,
        "if (msg.sender != task_.owner && !TaskLib.isExhausted(task_))",
        "if (false)",
        "EndTaskTest",
    ),
    Mutation(
        "owner of a remainder",
        _ACTIONS,
        "if (msg.sender != task_.owner) revert NotTaskOwner(taskId, msg.sender);\n        uint256",
        "uint256",
        "EndTaskTest",
    ),
    Mutation(
        "remainder of an ended task",
        _ACTIONS,
        "task_.status == TaskStatus.Ended ? task_.budget : 0",
        "task_.budget",
        "EndTaskTest",
    ),
    Mutation("remainder cleared", _ACTIONS, "task_.budget = 0;", "", "EndTaskTest"),
    Mutation(
        "end at rest", _ACTIONS, "_requireAtRest(task_);\n        if (msg.sender", "if (msg.sender", "EndTaskTest"
    ),
    Mutation(
        "open at rest", _COORDINATOR, "_requireAtRest(task_);\n        if (TaskLib", "if (TaskLib", "OpenRoundTest"
    ),
    Mutation(
        "rounds of a task", _COORDINATOR, "if (TaskLib.isExhausted(task_)) revert", "if (false) revert", "OpenRoundTest"
    ),
    Mutation(
        "delegated", _ACTIONS, "if (address(this) == _self) revert", "if (false) revert", "DelegationTest", core=True
    ),
    Mutation("numbers of participants", _REGISTRY, "if (participants == type(uint24).max)", "if (false)", "NumberTest"),
    Mutation(
        "number kept", _REGISTRY, "retired: true, number: account.number", "retired: true, number: 0", "NumberTest"
    ),
    Mutation(
        "bytes of a claim",
        _SORTITION,
        "if (list.length != length) revert",
        "if (false) revert",
        "ClaimSeat",
    ),
    Mutation("bytes of claims", _SORTITION, "if (position != end) {", "if (false) {", "ClaimSeatsTest"),
    Mutation("service noted", _REWARD, "withService(round, amount)", "withService(0, amount)", "RemoveIdleTest"),
    Mutation("idle, by service", _TASK, "ledger.served() > ledger.round() ? ledger.served() : ", "", "RemoveIdleTest"),
    Mutation(
        "updates of a round, most",
        _COORDINATOR,
        "if (index >= intake.maxUpdates()) revert",
        "if (false) revert",
        "SubmitUpdate",
    ),
    Mutation(
        "valid update",
        _COORDINATOR,
        "if (digest == 0 || size == 0 || size > type(uint32).max || sampleCount == 0) {",
        "if (false) {",
        "SubmitUpdate",
    ),
    Mutation(
        "cap on a weight",
        _COORDINATOR,
        "sampleCount < intake.sampleCap() ? sampleCount : intake.sampleCap()",
        "sampleCount",
        "SubmitUpdate|RewardsTest",
    ),
    Mutation(
        "pending settled first",
        _COORDINATOR,
        "if (ledger.pending()) ledger =",
        "if (false) ledger =",
        "RewardsTest|SubmitUpdate",
    ),
    Mutation(
        "round ended before it is settled",
        _TASK,
        "ledger.pending() && PhaseLib.hasEnded(task, ledger.round())",
        "ledger.pending()",
        "RewardsTest",
    ),
    Mutation("minimum bond", _REGISTRY, "if (msg.value < minimumBond) revert", "if (false) revert", "RegisterTest"),
    Mutation("exit requested", _REGISTRY, "if (withdrawableAt == 0) revert", "if (false) revert", "WithdrawBondTest"),
    Mutation(
        "fine to the minimum deactivates",
        _REGISTRY,
        "if (deactivates) IActiveKeys",
        "if (false) IActiveKeys",
        "FineTest|RemoveIdleTest|IncreaseBondTest",
    ),
    Mutation(
        "exit deactivates",
        _REGISTRY,
        "IActiveKeys(coordinator).activeKeyChanged(msg.sender, account.number, 0);",
        "",
        "RequestExitTest|ClaimSeat",
    ),
    Mutation(
        "account in a possession",
        _REGISTRY,
        "block.chainid, address(this), account)",
        "block.chainid, address(this))",
        "RegisterTest|RegistryViews",
    ),
    Mutation(
        "chain in a possession",
        _REGISTRY,
        '"flare/possession", block.chainid, ',
        '"flare/possession", ',
        "RegisterTest|RegistryViews",
    ),
    Mutation(
        "length of a proof",
        _VRF,
        "return proof.length == lengthAt(_positionOf(proof));",
        "return true;",
        "EcVrfTest",
    ),
    # Not tried: equal abscissas of T and S. To make such a proof that is otherwise valid one must find c as the hash of
    # points that depend on c, so no test can tell whether the check is there.
)
