"""Remove the contracts' checks one at a time and see that a test notices.

    .venv/bin/python scripts/mutate_checks.py [--json] [--only NAME …] [--jobs N]

Each mutation is made in a temporary copy of the contracts and tests, compiled with foundry's `fast` profile (no IR
pipeline, same semantics), and tried against the tests of the part that it changes. Exit status: 0 if every mutation
makes a test fail, 1 if one survives, 2 if the tests do not pass without any, or a mutation no longer applies.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORGE = ROOT / "node_modules" / ".bin" / "forge"
COPIED = ("contracts", "tests/contracts/solidity", "tests/vectors", "foundry.toml", "scripts/solc")
CACHES = ("out/fast", "cache/fast")
TIMEOUT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Mutation:
    """A check and how it is removed: `old`, which occurs once in the file, becomes `new`.

    tests: the test contracts (a regular expression) of which one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


_COORDINATOR = "contracts/RoundCoordinator.sol"
_REGISTRY = "contracts/ParticipantRegistry.sol"
_ATTEMPT = "contracts/libraries/AttemptLib.sol"
_BALLOT = "contracts/libraries/BallotLib.sol"
_PHASE = "contracts/libraries/PhaseLib.sol"
_REWARD = "contracts/libraries/RewardLib.sol"
_ROUND = "contracts/libraries/RoundLib.sol"
_SORTITION = "contracts/libraries/SortitionLib.sol"
_TASK = "contracts/libraries/TaskLib.sol"
_VRF = "contracts/libraries/EcVrf.sol"

MUTATIONS = (
    Mutation("proof of a seat", _SORTITION, "if (!EcVrf.verify(", "if (false && !EcVrf.verify(", "ClaimSeat"),
    Mutation("proof of possession", _REGISTRY, "if (!EcVrf.verify(", "if (false && !EcVrf.verify(", "RegisterTest"),
    Mutation("challenge", _VRF, "iszero(or(fault, xor(shr(128, mload(0)), c)))", "iszero(fault)", "EcVrfTest"),
    Mutation(
        "skipped counter",
        _VRF,
        "fault := or(fault, addmod(mulmod(r, r, P), addmod(mulmod(mulmod(hX, hX, P), hX, P), 7, P), P))",
        "pop(r)",
        "EcVrfTest",
    ),
    Mutation("reduced s", _VRF, "fault := or(fault, iszero(lt(s, N)))", "", "EcVrfTest"),
    Mutation("one vote", _ATTEMPT, "if ((ballot.voted() >> seat) & 1 != 0) {", "if (false) {", "VoteTest"),
    Mutation("seat of a voter", _ATTEMPT, "if (!seat.isSeated(round))", "if (false)", "VoteTest|EvictionTest"),
    Mutation("proposer does not vote", _ATTEMPT, "if (seat == ballot.proposer())", "if (false)", "VoteTest"),
    Mutation("phase of an intake", _PHASE, "if (!intake.isIn(expected))", "if (false)", "SubmitUpdate|CloseTraining"),
    Mutation(
        "phase of a ballot",
        _PHASE,
        "if (ballot.round() != round || !ballot.isIn(expected))",
        "if (ballot.round() != round)",
        "VoteTest|RevealTest|ProposeTest",
    ),
    Mutation("round", _PHASE, "if (intake.round() != round)", "if (false)", "SubmitUpdate|ClaimSeat"),
    Mutation("attempt", _PHASE, "if (ballot.attempt() != attempt)", "if (false)", "VoteTest|RevealTest|ProposeTest"),
    Mutation("proposer", _ATTEMPT, "if (msg.sender != proposer)", "if (false)", "ProposeTest"),
    Mutation("commitment", _ATTEMPT, "if (opened != expected)", "if (false)", "RevealTest"),
    Mutation("commitments of approvals", _ATTEMPT, "if (opened == task.commitments[seat])", "if (true)", "RevealTest"),
    Mutation("deadline of an action", _PHASE, "if (block.timestamp > deadline) {", "if (false) {", "Test$"),
    Mutation("deadline of a push", _PHASE, "if (block.timestamp <= deadline) {", "if (false) {", "Test$"),
    Mutation("quorum", _ATTEMPT, "if (matching < ballot.quorum())", "if (false)", "RevealTest"),
    Mutation("quorum by enrolled", _BALLOT, "expected < enrolled ? expected : enrolled", "0", "BallotLibTest"),
    Mutation("threshold", _SORTITION, "if (output > claims.threshold)", "if (false)", "ThresholdTest"),
    Mutation("one claim", _SORTITION, "if (seat.round() == round)", "if (false)", "ClaimSeat"),
    Mutation("enrolment of a claim", _SORTITION, "if (!TermLib.counts(seat.term(), round))", "if (false)", "ClaimSeat"),
    Mutation("active key of a claim", _SORTITION, "if (key == 0) return", "if (false) return", "ClaimSeat"),
    Mutation("cap on seats", _SORTITION, "full && standing >", "false && standing >", "EvictionTest"),
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
        "if (_activeKeys[msg.sender] == 0) revert NotActiveParticipant(msg.sender);\n        if (ledger",
        "if (ledger",
        "SubmitUpdate",
    ),
    Mutation("seed block reached", _ROUND, "block.number > seedBlock ? Block", "true ? Block", "FixSeedTest"),
    Mutation("seed fixed once", _ROUND, "if (intake.seedFixed()) revert", "if (false) revert", "FixSeedTest"),
    Mutation("caller of a fine", _REGISTRY, "if (msg.sender != coordinator)", "if (false)", "FineTest"),
    Mutation("unbonding delay", _REGISTRY, "if (block.timestamp < withdrawableAt)", "if (false)", "WithdrawBondTest"),
    Mutation("key used once", _REGISTRY, "if (keyOwner[vrfKey] != address(0))", "if (false)", "RegisterTest"),
    Mutation("account registers once", _REGISTRY, "account.vrfKey != 0 || account.retired", "false", "RegisterTest"),
    Mutation(
        "bond withdrawn before it is paid",
        _REGISTRY,
        "_accounts[msg.sender] = Account({vrfKey: 0, bond: 0, withdrawableAt: 0, retired: true});",
        "",
        "WithdrawBondTest",
    ),
    Mutation(
        "credit cleared before it is paid",
        _COORDINATOR,
        "task_.accounts[msg.sender].ledger = ledger.withCredit(0);",
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
        _COORDINATOR,
        "if (msg.sender != task_.owner) revert NotTaskOwner(taskId, msg.sender);\n        for",
        "for",
        "InviteTest",
    ),
    Mutation(
        "registry alone tells keys", _COORDINATOR, "if (msg.sender != address(registry))", "if (false)", "RegistryViews"
    ),
)


class Broken(Exception):
    """A mutation does not apply, or the tests fail without one."""


def copy_tree(target: Path) -> None:
    """Copy what forge needs, with its caches so that only what changes is compiled."""
    for name in (*COPIED, *CACHES):
        source, destination = ROOT / name, target / name
        if source.is_dir():
            shutil.copytree(source, destination)
        elif source.is_file():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination)
    (target / "node_modules").symlink_to(ROOT / "node_modules")


def forge_test(tree: Path, contracts: str) -> tuple[int, str]:
    """Run forge's tests in a tree; return its exit status and output."""
    result = subprocess.run(
        [str(FORGE), "test", "--match-contract", contracts],
        cwd=tree,
        env={**os.environ, "FOUNDRY_PROFILE": "fast", "FOUNDRY_FUZZ_RUNS": "16"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


def apply(tree: Path, mutation: Mutation) -> None:
    """Make a mutation. Raises `Broken` unless its text occurs exactly once."""
    path = tree / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise Broken(f"{mutation.name}: {mutation.old!r} occurs {text.count(mutation.old)} times in {mutation.file}")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def try_mutation(mutation: Mutation) -> dict[str, object]:
    """Return what became of a mutation: the tests that failed, and how long it took."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        apply(tree, mutation)
        status, output = forge_test(tree, mutation.tests)
    failed = sorted({line.rsplit("] ", 1)[1].split("(")[0] for line in output.splitlines() if line.startswith("[FAIL")})
    if status != 0 and not failed:
        raise Broken(f"{mutation.name}: the mutated contracts do not compile:\n{output[-2000:]}")
    return {
        "name": mutation.name,
        "file": mutation.file,
        "caught": bool(failed),
        "failed_tests": failed,
        "seconds": round(time.monotonic() - start, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a line, a summary last")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutations alone")
    parser.add_argument("--jobs", type=int, default=2, help="mutations tried at the same time (2)")
    arguments = parser.parse_args()
    chosen = [m for m in MUTATIONS if not arguments.only or m.name in arguments.only]
    try:
        status, output = forge_test(ROOT, "|".join(sorted({m.tests for m in chosen})))
        if status != 0:
            raise Broken(f"the tests fail without a mutation:\n{output[-2000:]}")
        with ThreadPoolExecutor(arguments.jobs) as pool:
            results = []
            for result in pool.map(try_mutation, chosen):
                results.append(result)
                _show(result, arguments.json)
    except Broken as error:
        print(error, file=sys.stderr)
        return 2
    survivors = [result["name"] for result in results if not result["caught"]]
    summary = {
        "event": "summary",
        "mutations": len(results),
        "caught": len(results) - len(survivors),
        "survivors": survivors,
    }
    print(json.dumps(summary) if arguments.json else f"{summary['caught']} of {summary['mutations']} caught")
    return 1 if survivors else 0


def _show(result: dict[str, object], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result), flush=True)
        return
    tests = result["failed_tests"]
    caught = f"{len(tests)} tests, e.g. {tests[0]}" if tests else "SURVIVES"
    print(f"{result['name']:<34} {result['seconds']:>6} s  {caught}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
