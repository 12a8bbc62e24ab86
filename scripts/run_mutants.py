"""Make small changes to the contracts, drawn by a seed, and see how many of them a test notices.

    .venv/bin/python scripts/run_mutants.py [--count 320] [--seed 1] [--least 90] [--files NAME …] [--json]

Each mutant (see _mutants.py) is made in a temporary copy, compiled with foundry's `fast` profile and tried against all
forge tests, the campaign of invariants last, up to the first that fails. What does not compile is not counted. Results
are kept in FOLDER, a JSON object a line as they come, so that a run can be cut short and taken up; those of other
sources are not used, unless `--older` takes those that were noticed, where the function has not changed.
Exit status: 0 if the share that was noticed is at least `--least` percent, 1 if it is less, 2 if the tests fail without
any change.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from _forge import ROOT, ForgeFailed, digest_of_sources
from _mutants import Mutant, sampled
from _mutated import Broken, changed_tree, compiled_tree, failed_tests, forge_test

CAMPAIGN = "^Invariants$"
STAGES = (("--no-match-contract", CAMPAIGN), ("--match-contract", CAMPAIGN))
UNIT_TESTS = {
    "contracts/libraries/EcVrf.sol": "EcVrf",
    "contracts/libraries/BallotLib.sol": "Libraries",
    "contracts/libraries/RewardLib.sol": "Libraries",
}
"""Tests that import a library: tried first, the contracts left out, which saves compiling them. All types have some."""
INVALID, SURVIVED, KILLED = "does not compile", "survived", "killed"


def try_mutant(compiled: Path, mutant: Mutant) -> tuple[str, list[str]]:
    """Return what became of a mutant, and the tests that noticed."""
    types = "contracts/types"
    name = UNIT_TESTS.get(mutant.file, "Words" if mutant.file.startswith(types) else None)
    if name:
        outcome, tests = _try(compiled, mutant, [("--match-path", f"tests/contracts/solidity/{name}.t.sol")], types)
        if outcome != SURVIVED:
            return outcome, tests
    return _try(compiled, mutant, STAGES, "contracts")


def _try(compiled: Path, mutant: Mutant, stages: Sequence[tuple[str, str]], sources: str) -> tuple[str, list[str]]:
    with changed_tree(compiled) as tree:
        path = tree / mutant.file
        path.write_bytes(mutant.applied(path.read_bytes()))
        for stage in stages:
            try:
                status, output = forge_test(tree, *stage, sources=sources)
            except subprocess.TimeoutExpired:
                return KILLED, ["timeout"]
            if status == 0:
                continue
            if failed := failed_tests(output):
                return KILLED, failed
            if "Compiler run failed" in output:
                return INVALID, []
            raise Broken(f"{mutant.file}:{mutant.line}: {output[-2000:]}")
    return SURVIVED, []


class Results:
    """What is known of mutants, in a file."""

    def __init__(self, path: Path, sources: str, older: bool) -> None:
        self.path, self.sources = path, sources
        self.known: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                result = json.loads(line)
                # A test that noticed once is still there; one that has come since may notice what survived.
                if result["sources"] == sources or (older and result["outcome"] != SURVIVED):
                    self.known[result["name"]] = result

    def of(self, compiled: Path, mutant: Mutant) -> dict[str, Any]:
        """Return the result of a mutant, known or found now."""
        if mutant.name in self.known:
            return {**self.known[mutant.name], "line": mutant.line}
        start = time.monotonic()
        outcome, tests = try_mutant(compiled, mutant)
        result = {
            "name": mutant.name,
            "file": mutant.file,
            "line": mutant.line,
            "place": mutant.place,
            "operator": mutant.operator,
            "old": mutant.old,
            "new": mutant.new,
            "outcome": outcome,
            "tests": tests,
            "seconds": round(time.monotonic() - start, 1),
            "sources": self.sources,
        }
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        return result


def show(result: dict[str, Any]) -> None:
    """Print a line of a result."""
    change = f"{_short(result['old'])} -> {_short(result['new'])}"
    told = ", ".join(result["tests"][:2]) if result["outcome"] == KILLED else result["outcome"].upper()
    print(f"{result['file']}:{result['line']} {result['place']}: {change}  {told}", flush=True)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 50 else f"{flat[:47]}…"


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the results of as many mutants as are asked for, those that do not compile apart.

    Raises:
        Broken: if the tests fail without any change.
    """
    results = Results(arguments.keep / "results.jsonl", digest_of_sources(), arguments.older)
    chosen = [m for m in sampled(arguments.seed) if not arguments.files or Path(m.file).stem in arguments.files]
    counted: list[dict[str, Any]] = []
    with compiled_tree() as compiled, ThreadPoolExecutor(arguments.jobs) as pool:
        while chosen and len(counted) < arguments.count:
            missing = min(arguments.count - len(counted), 8 * arguments.jobs)
            batch, chosen = chosen[:missing], chosen[missing:]
            for result in pool.map(partial(results.of, compiled), batch):
                print(json.dumps(result), flush=True) if arguments.json else show(result)
                counted += [result] if result["outcome"] != INVALID else []
    return counted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=320, help="mutants that compile (320)")
    parser.add_argument("--seed", type=int, default=1, help="which are drawn (1)")
    parser.add_argument("--least", type=float, default=90.0, help="percentage that must be noticed (90)")
    parser.add_argument("--files", nargs="+", metavar="NAME", help="of these sources alone, by name without suffix")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", default=ROOT / "out/mutants", help="folder for results")
    parser.add_argument("--older", action="store_true", help="use results of other sources for unchanged functions")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at the same time (2)")
    parser.add_argument("--json", action="store_true", help="one object a line, a summary last")
    arguments = parser.parse_args()
    try:
        counted = run(arguments)
    except (Broken, ForgeFailed) as error:
        print(error, file=sys.stderr)
        return 2
    survivors = [result for result in counted if result["outcome"] == SURVIVED]
    share = 100 * (1 - len(survivors) / len(counted)) if counted else 0.0
    summary = {
        "event": "summary",
        "mutants": len(counted),
        "killed": len(counted) - len(survivors),
        "percent": round(share, 1),
        "survivors": [result["name"] for result in survivors],
    }
    if arguments.json:
        print(json.dumps(summary))
    else:
        print(f"{summary['killed']} of {summary['mutants']} killed, {summary['percent']} %; survivors:")
        for result in survivors:
            show(result)
    return 0 if share >= arguments.least else 1


if __name__ == "__main__":
    sys.exit(main())
